//! Which web pages may connect: the `Origin` header against `client.allowed_origins`.
//!
//! Mirrors `internal/origin` of the reference: the patterns of [`Glob`], compared with the origin in lower case. A
//! request without `Origin` comes from no web page and passes.

use crate::base::glob::Glob;

/// The origins that may connect.
#[derive(Clone, Debug)]
pub struct Origins {
    patterns: Vec<Glob>,
}

impl Origins {
    /// Compiles the patterns. The error is a sentence for the user.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Origins, String> {
        let compile = |pattern: &S| {
            let pattern = pattern.as_ref();
            Glob::new(pattern).map_err(|problem| format!("malformed origin pattern {pattern:?}: {problem}"))
        };
        Ok(Origins { patterns: patterns.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Whether a request with this value of the `Origin` header may connect. What is no UTF-8 is compared with
    /// U+FFFD in its place, and so fits wildcards alone.
    pub fn allow(&self, origin: Option<&[u8]>) -> bool {
        match origin {
            None | Some([]) => true,
            Some(origin) => {
                let origin = String::from_utf8_lossy(origin).to_lowercase();
                self.patterns.iter().any(|pattern| pattern.matches(&origin))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], allowed: &[&str], refused: &[&str]) {
        let origins = Origins::new(patterns).unwrap();
        for origin in allowed {
            assert!(origins.allow(Some(origin.as_bytes())), "{patterns:?} allow {origin}");
        }
        for origin in refused {
            assert!(!origins.allow(Some(origin.as_bytes())), "{patterns:?} refuse {origin}");
        }
        assert!(origins.allow(None) && origins.allow(Some(b"")));
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
    fn an_origin_that_is_no_text_is_compared_all_the_same() {
        for (pattern, allowed) in [("*", true), ("http://*", true), ("http://a?", true), ("http://a", false)] {
            assert_eq!(Origins::new(&[pattern]).unwrap().allow(Some(b"http://a\xff")), allowed, "{pattern}");
        }
    }

    #[test]
    fn malformed_patterns_are_named() {
        for pattern in ["[a", "[]", "[z-a]", "[a-"] {
            let problem = Origins::new(&["http://a", pattern]).unwrap_err();
            assert!(problem.contains(&format!("malformed origin pattern {pattern:?}: bad pattern: ")), "{problem}");
        }
    }
}
