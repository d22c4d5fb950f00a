//! The one field of the login form, however it comes (upstream: Go's `Request.FormValue`).

use crate::base::query;

/// The value of a field: from a form in the body, else from the query; but the query comes before the parts of a
/// multipart form.
pub fn value(name: &str, content_type: &str, query: Option<&str>, body: &[u8]) -> Option<Vec<u8>> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let in_query = || query::first(query?, name);
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => query::first(&String::from_utf8_lossy(body), name).or_else(in_query),
        "multipart/form-data" => {
            in_query().or_else(|| boundary(parameters).and_then(|boundary| part(body, boundary, name)))
        }
        _ => in_query(),
    }
}

fn boundary(parameters: &str) -> Option<&str> {
    let boundary = parameter(parameters, "boundary")?;
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// The value of `name=value` or `name="value"` in a list apart by semicolons.
fn parameter<'h>(list: &'h str, name: &str) -> Option<&'h str> {
    list.split(';').find_map(|item| {
        let (key, value) = item.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// The content of the first part with this name that is no file. A form that is cut off has none.
fn part(body: &[u8], boundary: &str, name: &str) -> Option<Vec<u8>> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = memchr::memmem::Finder::new(&delimiter);
    // The first delimiter may stand at the very beginning.
    let body = [b"\r\n", body].concat();
    let starts: Vec<usize> = delimiter.find_iter(&body).collect();
    let is_whole = starts.last().is_some_and(|last| body[last + delimiter.needle().len()..].starts_with(b"--"));
    let parts = starts.windows(2).filter_map(|pair| {
        let part = body[pair[0] + delimiter.needle().len()..pair[1]].strip_prefix(b"\r\n")?;
        let head_len = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_len]).ok()?;
        let (_, disposition) = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("content-disposition"))?;
        let is_wanted = parameter(disposition, "name") == Some(name) && parameter(disposition, "filename").is_none();
        is_wanted.then(|| part[head_len + 4..].to_vec())
    });
    is_whole.then_some(parts).and_then(|mut parts| parts.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, query: &str, body: &str, expected: Option<&str>) {
        let found = value("password", content_type, Some(query), body.as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{content_type} {query} {body}");
    }

    #[test]
    fn forms_come_before_queries() {
        const FORM: &str = "application/x-www-form-urlencoded";
        check(FORM, "", "password=p%26w", Some("p&w"));
        check("Application/X-www-form-urlencoded; charset=utf-8", "", "a=1&password=p+w", Some("p w"));
        check(FORM, "password=q", "password=b", Some("b"));
        check(FORM, "password=q", "", Some("q"));
        check("text/plain", "password=q", "password=b", Some("q"));
        check("", "", "password=b", None);
        check(FORM, "", "password", Some(""));
    }

    #[test]
    fn parts_are_found_by_name() {
        const PARTS: &str = "multipart/form-data; boundary=B";
        let part = |disposition: &str, content: &str| {
            format!("--B\r\nContent-Disposition: form-data; {disposition}\r\nX: y\r\n\r\n{content}\r\n")
        };
        let end = "--B--\r\n";
        let good = part(r#"name="password""#, "p\r\nw");
        check(PARTS, "", &format!("{good}{end}"), Some("p\r\nw"));
        check(r#"multipart/form-data; x=1; boundary="B""#, "", &format!("{good}{end}"), Some("p\r\nw"));
        check(PARTS, "", &format!("{}{good}{end}", part("name=a", "1")), Some("p\r\nw"));
        check(PARTS, "password=q", &format!("{good}{end}"), Some("q"));
        check(PARTS, "password=q", &good, Some("q"));
        check(PARTS, "", &format!("{}{end}", part(r#"name="password"; filename="f""#, "x")), None);
        check(PARTS, "", &format!("{}{end}", part(r#"name="password""#, "")), Some(""));
        check("multipart/form-data", "", &format!("{good}{end}"), None);
        for body in ["", "--B", "--B--", "--B\r\n\r\n--B--", "--B\r\nContent-Disposition\r\n\r\n\r\n--B--"] {
            check(PARTS, "", body, None);
        }
    }
}
