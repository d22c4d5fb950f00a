//! Makes tokens for trying things out, signed with HMAC SHA-256 (upstream: centrifugo internal/cli/gentoken.go).

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value};

use crate::config::snapshot::Token;

/// No `hmac_secret_key` is configured: the server can check tokens with other keys but cannot make them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSecret;

impl std::fmt::Display for NoSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tokens are signed with HMAC, and hmac_secret_key is not set")
    }
}

impl std::error::Error for NoSecret {}

/// A connection token of the user (empty for an anonymous one) that is valid for so many seconds from now, or for
/// ever when that is not above 0.
pub fn connection(keys: &Token, user: &str, ttl_s: i64, unix_s: i64) -> Result<String, NoSecret> {
    sign(keys, &claims(keys, user, ttl_s, unix_s, None))
}

/// A subscription token for the channel; see [`connection`].
pub fn subscription(keys: &Token, user: &str, channel: &str, ttl_s: i64, unix_s: i64) -> Result<String, NoSecret> {
    sign(keys, &claims(keys, user, ttl_s, unix_s, Some(channel)))
}

/// In the order in which upstream writes them: `sub`, `exp`, `iat`, `channel`, the claim that replaces `sub`.
fn claims(keys: &Token, user: &str, ttl_s: i64, unix_s: i64, channel: Option<&str>) -> Map<String, Value> {
    let mut claims = Map::new();
    if !user.is_empty() {
        claims.insert("sub".to_owned(), user.into());
    }
    if ttl_s > 0 {
        claims.insert("exp".to_owned(), unix_s.saturating_add(ttl_s).into());
    }
    claims.insert("iat".to_owned(), unix_s.into());
    if let Some(channel) = channel {
        claims.insert("channel".to_owned(), channel.into());
    }
    if !keys.user_id_claim.is_empty() {
        claims.insert(keys.user_id_claim.to_string(), user.into());
    }
    claims
}

fn sign(keys: &Token, claims: &Map<String, Value>) -> Result<String, NoSecret> {
    if keys.hmac_secret_key.is_empty() {
        return Err(NoSecret);
    }
    let key = EncodingKey::from_secret(keys.hmac_secret_key.as_bytes());
    encode(&Header::default(), claims, &key).map_err(|_| NoSecret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user: &str, ttl_s: i64, claim: &str, channel: Option<&str>, expected: &str) {
        let keys = Token { user_id_claim: claim.into(), ..Token::default() };
        let claims = claims(&keys, user, ttl_s, 1_000, channel);
        assert_eq!(serde_json::to_string(&claims).unwrap(), expected);
    }

    #[test]
    fn claims_stand_in_the_order_of_upstream() {
        check("42", 60, "", None, r#"{"sub":"42","exp":1060,"iat":1000}"#);
        check("42", -1, "", None, r#"{"sub":"42","iat":1000}"#);
        check("", 0, "", None, r#"{"iat":1000}"#);
        check("42", -1, "uid", None, r#"{"sub":"42","iat":1000,"uid":"42"}"#);
        check("42", 60, "", Some("news"), r#"{"sub":"42","exp":1060,"iat":1000,"channel":"news"}"#);
        check("42", i64::MAX, "", None, r#"{"sub":"42","exp":9223372036854775807,"iat":1000}"#);
    }

    #[test]
    fn without_a_secret_there_is_no_token() {
        assert_eq!(connection(&Token::default(), "42", 60, 0), Err(NoSecret));
        assert_eq!(subscription(&Token::default(), "42", "news", 60, 0), Err(NoSecret));
    }
}
