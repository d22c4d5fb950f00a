//! Which web pages may connect: the `Origin` header against `client.allowed_origins`.
//!
//! Mirrors `internal/origin` of the reference: patterns in the dialect of `gobwas/glob` without separators (`*` and
//! `**` any text, `?` one character, `[abc]`, `[!abc]`, `[a-z]`, `{one,two}`, `\` before a plain character), compared
//! with the origin in lower case. A request without `Origin` comes from no web page and passes.

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, bytes.
const SIZE_MAX: usize = 1 << 20;

/// The origins that may connect.
#[derive(Clone, Debug)]
pub struct Origins {
    patterns: Vec<Regex>,
}

impl Origins {
    /// Compiles the patterns. The error is a sentence for the user.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Origins, String> {
        let compile = |pattern: &S| {
            let pattern = pattern.as_ref();
            let malformed = || format!("malformed origin pattern {pattern:?}");
            let regex = translate(pattern).ok_or_else(malformed)?;
            RegexBuilder::new(&regex).size_limit(SIZE_MAX).build().map_err(|_| malformed())
        };
        Ok(Origins { patterns: patterns.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Whether a request with this `Origin` header may connect.
    pub fn allow(&self, origin: Option<&str>) -> bool {
        match origin {
            None | Some("") => true,
            Some(origin) => {
                let origin = origin.to_lowercase();
                self.patterns.iter().any(|pattern| pattern.is_match(&origin))
            }
        }
    }
}

/// The pattern as a regular expression; `None` when brackets do not match.
fn translate(pattern: &str) -> Option<String> {
    let mut out = String::from("(?s)^(?:");
    let mut depth = 0_u32;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '[' => {
                let (inner, _) = chars.as_str().split_once(']')?;
                chars = chars.as_str()[inner.len() + 1..].chars();
                class(inner, &mut out)?;
            }
            '\\' => out.push_str(&regex::escape(chars.next()?.encode_utf8(&mut [0; 4]))),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(")$");
    (depth == 0).then_some(out)
}

fn class(inner: &str, out: &mut String) -> Option<()> {
    let (not, inner) = inner.strip_prefix('!').map_or(("", inner), |inner| ("^", inner));
    let members: Vec<char> = inner.chars().collect();
    if members.is_empty() {
        return None;
    }
    out.push('[');
    out.push_str(not);
    match members[..] {
        // A range stands alone in its brackets.
        [low, '-', high] => {
            if low > high {
                return None;
            }
            out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        }
        _ => members.iter().for_each(|&c| out.push_str(&format!("\\x{{{:x}}}", u32::from(c)))),
    }
    out.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], allowed: &[&str], refused: &[&str]) {
        let origins = Origins::new(patterns).unwrap();
        for origin in allowed {
            assert!(origins.allow(Some(origin)), "{patterns:?} allow {origin}");
        }
        for origin in refused {
            assert!(!origins.allow(Some(origin)), "{patterns:?} refuse {origin}");
        }
        assert!(origins.allow(None) && origins.allow(Some("")));
    }

    #[test]
    fn patterns_of_origins() {
        check(&[], &[], &["http://a", "null"]);
        check(&["*"], &["http://a", "null"], &[]);
        check(
            &["http://a.example"],
            &["http://A.example"],
            &["http://aXexample", "http://a.example.org", "https://a.example"],
        );
        check(&["*.example.com", "null"], &["https://two.Example.com", "null"], &["https://two.\u{435}xample.com"]);
        check(&["http://localhost:*"], &["http://localhost:3000"], &["http://localhost"]);
        check(&["http://{a,b*}.org"], &["http://a.org", "http://bx.org"], &["http://c.org"]);
        check(
            &["http://[a-c][!xyz].org?"],
            &["http://ba.org1"],
            &["http://da.org1", "http://ax.org1", "http://ab.org"],
        );
        check(&["http://\\*.org"], &["http://*.org"], &["http://a.org"]);
        // Patterns are compared as written with an origin in lower case.
        check(&["http://A.org"], &[], &["http://A.org", "http://a.org"]);
    }

    #[test]
    fn malformed_patterns_are_named() {
        for pattern in ["[a", "{a", "[]", "a\\", "[z-a]"] {
            assert!(Origins::new(&[pattern]).unwrap_err().contains(&format!("{pattern:?}")));
        }
    }
}
