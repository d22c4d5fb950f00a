//! `jwks_public_endpoint`: the address of a key set, with `{{name}}` for what named groups of `issuer_regex` and
//! `audience_regex` match in a token.
//!
//! What groups match comes from tokens that nobody has checked, and keys that are found decide who is let in. So groups
//! that are used must list what they match ([`check_groups`]), and no address may climb out of its path. Addresses are
//! read as Go's net/url reads them. Upstream: internal/jwks/manager.go, internal/jwtverify/validate.go.

use std::fmt;

use super::pattern;

/// An address with places to fill in.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// What stands between `{{` and `}}`, as it is.
    Place(Box<str>),
}

impl Endpoint {
    /// Reads the option. The error is a sentence for the user.
    pub fn new(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err("must begin with http:// or https://".to_owned());
        }
        if path_of(text).is_none() {
            return Err("is no address: hosts hold no {{name}} and no other special characters, ports are numbers, and a % begins an escape".to_owned());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("has a {{ without its }}")?;
            parts.extend([Part::Text(before.into()), Part::Place(name.into())]);
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self(parts))
    }

    /// The address for a token: places that `value` does not know are left empty. None when what comes out must not be
    /// asked: it climbs in its path (an empty step or a slash at the end counts, as upstream), or is no address.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<Box<str>> {
        let filled: String = self
            .0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Place(name) => value(name).unwrap_or_default(),
            })
            .collect();
        let path = path_of(&filled)?;
        // Clients of HTTP may take a backslash for a slash.
        (is_clean(&path) && !path.contains(&b'\\')).then_some(filled.into())
    }

    /// Whether the name is one of a place.
    fn has_place(&self, name: &str) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Place(place) if **place == *name))
    }

    fn has_places(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Place(_)))
    }
}

impl fmt::Debug for Endpoint {
    /// Addresses may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("has_places", &self.has_places()).finish_non_exhaustive()
    }
}

/// Whether the groups of a pattern may fill places of the endpoint: each that does must list what it matches, as
/// `a|b|c`, and no class of characters may stand anywhere in the pattern. The error is a sentence for the user.
pub fn check_groups(endpoint: &Endpoint, pattern: &str) -> Result<(), String> {
    if pattern.is_empty() || !endpoint.has_places() {
        return Ok(());
    }
    let instead = "list the values that are allowed, as value1|value2|value3, where jwks_public_endpoint has {{name}}";
    if has_class(pattern) {
        return Err(format!("must hold no class of characters: {instead}"));
    }
    match pattern::open_groups(pattern)?.into_iter().find(|name| endpoint.has_place(name)) {
        Some(name) => Err(format!("the group {name:?} may match anything: {instead}")),
        None => Ok(()),
    }
}

/// Looks at the text alone, as upstream.
fn has_class(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '[' => return true,
            '\\' if matches!(chars.next(), Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P')) => return true,
            _ => {}
        }
    }
    false
}

/// The path of an address with its escapes decoded. None when Go would not take the address.
fn path_of(url: &str) -> Option<Vec<u8>> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return None;
    }
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    decode(fragment)?;
    let (_, rest) = url.split_once("://")?;
    let (rest, _query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    is_host(host).then(|| decode(path))?
}

/// Whether a host, with its port, holds nothing that Go refuses.
fn is_host(host: &str) -> bool {
    let behind_brackets = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    let port = behind_brackets.rsplit_once(':').map_or("", |(_, port)| port);
    let is_plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"".contains(c);
    host.chars().all(is_plain) && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).map(|digit| digit as u8);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            byte => byte,
        });
    }
    Some(decoded)
}

/// Whether Go's path.Clean leaves the path as it is.
fn is_clean(path: &[u8]) -> bool {
    matches!(path, b"" | b"/") || path[1..].split(|byte| *byte == b'/').all(|step| !matches!(step, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::new(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    #[test]
    fn addresses_are_those_that_go_takes() {
        for good in [
            "http://a",
            "HTTPS://a.example",
            "https:///x",
            "https://user:p%40ss@a.example:8443/x?y={{z}}#f",
            "https://a.example/{{t}}/keys",
            "https://a.example/{{}}/{{ t }}",
            r"https://a.example/a\b c",
            "https://[::1]:80/x",
        ] {
            assert!(Endpoint::new(good).is_ok(), "{good}");
        }
        for (bad, words) in [
            ("", "must begin with http://"),
            ("nonsense", "must begin with http://"),
            ("ftp://a", "must begin with http://"),
            ("https://{{t}}.example/keys", "hosts hold no {{name}}"),
            ("http://a b/", "is no address"),
            ("http://a:port/", "is no address"),
            ("http://a/%zz", "is no address"),
            ("http://a/%2", "is no address"),
            ("http://a/\n", "is no address"),
            ("http://a/{{t/keys", "has a {{ without its }}"),
        ] {
            let problem = Endpoint::new(bad).expect_err(bad);
            assert!(problem.contains(words), "{bad}: {problem}");
        }
    }

    #[test]
    fn places_are_filled_and_nothing_climbs() {
        for (text, value, filled) in [
            ("https://a/{{t}}/keys", "x", Some("https://a/x/keys")),
            ("https://a/{{t}}/{{t}}{{u}}", "x", Some("https://a/x/x")),
            ("https://a/k?t={{t}}", "../x", Some("https://a/k?t=../x")),
            ("https://a", "x", Some("https://a")),
            ("https://a/", "x", Some("https://a/")),
            ("https://a/keys/", "x", None),
            ("https://a/{{t}}/keys", "", None),
            ("https://a/{{t}}/keys", "..", None),
            ("https://a/{{t}}/keys", ".", None),
            ("https://a/{{t}}/keys", "x/..", None),
            ("https://a/{{t}}/keys", "%2e%2E", None),
            ("https://a/{{t}}/keys", "x%2f..", None),
            ("https://a/{{t}}/keys", r"x\..\y", None),
            ("https://a/{{t}}/keys", "%5c", None),
            ("https://a/{{t}}/keys", "%", None),
            ("https://a/{{t}}/keys", "x\ny", None),
            ("https://a/{{t}}/keys", "x?y", Some("https://a/x?y/keys")),
        ] {
            let found = endpoint(text).fill(|name| (name == "t").then_some(value));
            assert_eq!(found.as_deref(), filled, "{text} with {value}");
        }
    }

    #[test]
    fn groups_list_what_they_match() {
        for (pattern, words) in [
            ("", ""),
            ("^(?P<t>a|b)$", ""),
            ("^(?P<t>a|ab)?$", ""),
            ("^(?P<t>(?i)a|)$", ""),
            ("(?P<t>a(?:b|(c))d)+", ""),
            (r"^(?P<t>\x41|\Qa.b\E|(?:)|\t|a\.b)$", ""),
            ("(?P<t>a)(?P<u>.*)", ""),
            ("^(?P<t>.*)$", "the group \"t\" may match anything"),
            ("^(?P<t>^a)$", "the group \"t\""),
            ("^(?P<t>a|(?:b+))$", "the group \"t\""),
            ("^(?P<t>a|c{1})$", "the group \"t\""),
            (r"(?P<t>a\b)", "the group \"t\""),
            ("(?P<u>(?P<t>a?))", "the group \"t\""),
            ("[a-z]+(?P<t>a|b)", "no class of characters"),
            (r"(?P<t>a|b)\d", "no class of characters"),
            (r"(?P<t>\pL)", "no class of characters"),
            (r"(?P<t>\\)", ""),
            ("(", "missing closing )"),
        ] {
            let checked = check_groups(&endpoint("https://a/{{t}}"), pattern);
            match words {
                "" => assert_eq!(checked, Ok(()), "{pattern}"),
                words => {
                    assert!(checked.clone().is_err_and(|problem| problem.contains(words)), "{pattern}: {checked:?}")
                }
            }
        }
        assert_eq!(check_groups(&endpoint("https://a/t"), "[a-z](?P<t>.*)"), Ok(()), "no places, no danger");
    }
}
