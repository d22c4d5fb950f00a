//! Whether an HTTP request may use the server API (upstream: internal/middleware/auth.go, method.go).

use crate::api::response::Response;
use crate::base::query;
use crate::base::secret::is_same;
use crate::config::snapshot::HttpApi;

/// Checks the HTTP method and the key: `X-API-Key`, else `Authorization: apikey <key>`, else the query's
/// `api_key`. Paths that name no method are refused before it.
///
/// # Errors
/// The response to send instead: 405, then 401, both without body.
pub fn authorize<'h>(
    config: &HttpApi,
    method: &str,
    header: impl Fn(&str) -> Option<&'h str>,
    query: Option<&str>,
) -> Result<(), Response> {
    if method != "POST" {
        return Err(Response::empty(405));
    }
    if config.insecure {
        return Ok(());
    }
    if config.key.is_empty() {
        return Err(Response::empty(401));
    }
    let key = config.key.as_bytes();
    let in_headers = match header("x-api-key").filter(|given| !given.is_empty()) {
        Some(given) => is_same(key, given.as_bytes()),
        None => {
            header("authorization").and_then(from_authorization).is_some_and(|given| is_same(key, given.as_bytes()))
        }
    };
    if in_headers || query.and_then(|query| query::first(query, "api_key")).is_some_and(|given| is_same(key, &given)) {
        return Ok(());
    }
    Err(Response::empty(401))
}

fn from_authorization(value: &str) -> Option<&str> {
    let mut fields = value.split_whitespace();
    let scheme = fields.next()?;
    let key = fields.next()?;
    (fields.next().is_none() && scheme.eq_ignore_ascii_case("apikey")).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, insecure: bool, method: &str, headers: &[(&str, &str)], query: Option<&str>) -> u16 {
        let config = HttpApi {
            handler_prefix: Some("/api".into()),
            key: key.into(),
            insecure,
            external: false,
            error_mode_transport: false,
        };
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        match authorize(&config, method, header, query) {
            Ok(()) => 200,
            Err(response) => {
                assert!(response.body.is_empty() && response.content_type.is_empty());
                response.status
            }
        }
    }

    /// Headers, query, status.
    type Row = (&'static [(&'static str, &'static str)], Option<&'static str>, u16);

    #[test]
    fn keys_are_found_where_upstream_looks() {
        const AUTH: &str = "authorization";
        let table: &[Row] = &[
            (&[], None, 401),
            (&[("x-api-key", "k&y")], None, 200),
            (&[("x-api-key", "k&")], None, 401),
            (&[("x-api-key", "k&z")], None, 401),
            (&[("x-api-key", "")], None, 401),
            (&[(AUTH, "apikey k&y")], None, 200),
            (&[(AUTH, "  ApiKey \t k&y ")], None, 200),
            (&[(AUTH, "Bearer k&y")], None, 401),
            (&[(AUTH, "apikey")], None, 401),
            (&[(AUTH, "apikey k&y more")], None, 401),
            (&[], Some("api_key=k%26y"), 200),
            (&[], Some("a=1&api_key=k%26y"), 200),
            (&[], Some("api_key=bad&api_key=k%26y"), 401),
            (&[], Some("api_key=%zz&api_key=k%26y"), 200),
            (&[], Some("a;b=1&api%5Fkey=k%26y"), 200),
            (&[], Some("api_key"), 401),
            // A wrong header does not keep the query from being right; a wrong X-API-Key hides Authorization.
            (&[("x-api-key", "bad")], Some("api_key=k%26y"), 200),
            (&[("x-api-key", "bad"), (AUTH, "apikey k&y")], None, 401),
            (&[("x-api-key", ""), (AUTH, "apikey k&y")], None, 200),
        ];
        for (headers, query, expected) in table {
            assert_eq!(check("k&y", false, "POST", headers, *query), *expected, "{headers:?} {query:?}");
        }
    }

    #[test]
    fn an_empty_key_is_never_right_and_insecure_needs_none() {
        assert_eq!(check("", false, "POST", &[("x-api-key", "")], Some("api_key=")), 401);
        assert_eq!(check("", true, "POST", &[], None), 200);
        assert_eq!(check("k", true, "GET", &[], None), 405);
        assert_eq!(check("k", false, "GET", &[("x-api-key", "k")], None), 405);
        assert_eq!(check("k", false, "OPTIONS", &[], None), 405);
    }
}
