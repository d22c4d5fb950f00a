//! Regular expressions as Go writes them, for options whose patterns come from Centrifugo configurations.
//!
//! Both engines are of the RE2 family, and most patterns mean the same. What differs is translated: in Go `\d`, `\s`,
//! `\w` and their negations are ASCII, `\b` is an ASCII word boundary, `\Q...\E` quotes, and inside a class `[`, `&&`
//! and `~~` are plain characters. Not translated: `\B` stays a Unicode boundary; `\C` and octal escapes are refused;
//! Go's limit of 1000 on counted repetition is a limit on the compiled size here.

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, bytes.
const SIZE_MAX: usize = 1 << 20;

/// Compiles a pattern. The error is a sentence for the user.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&translate(pattern)).size_limit(SIZE_MAX).build().map_err(|error| {
        // The parser's message is a drawing over several lines; the last one says what is wrong.
        let text = error.to_string();
        let reason = text.trim_end().rsplit('\n').next().unwrap_or_default().trim_start_matches("error: ");
        format!("is not a valid pattern: {reason}")
    })
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    // Inside a class, and just behind its opening, where `]` is a plain character.
    let (mut class, mut opening) = (false, false);
    while let Some(c) = rest.chars().next() {
        let at_opening = std::mem::take(&mut opening);
        if let Some(quoted) = rest.strip_prefix("\\Q").filter(|_| !class) {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(text));
            rest = after;
            continue;
        }
        if c == '\\' {
            let escape = rest[1..].chars().next();
            let len = 1 + escape.map_or(0, char::len_utf8);
            out.push_str(match escape {
                Some('d') => "[0-9]",
                Some('D') => "[^0-9]",
                Some('s') => r"[\t\n\x0C\r ]",
                Some('S') => r"[^\t\n\x0C\r ]",
                Some('w') => "[0-9A-Za-z_]",
                Some('W') => "[^0-9A-Za-z_]",
                Some('b') if !class => r"(?-u:\b)",
                _ => &rest[..len],
            });
            rest = &rest[len..];
            continue;
        }
        let mut len = c.len_utf8();
        match c {
            '[' if !class => {
                (class, opening) = (true, true);
                out.push('[');
                if rest[1..].starts_with('^') {
                    out.push('^');
                    len += 1;
                }
            }
            '[' if rest.starts_with("[:") && rest.contains(":]") => {
                len = rest.find(":]").map_or(1, |end| end + 2);
                out.push_str(&rest[..len]);
            }
            ']' if class && !at_opening => {
                class = false;
                out.push(']');
            }
            '[' | ']' | '&' | '~' if class => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        rest = &rest[len..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, fits: &[&str], not: &[&str]) {
        let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in fits {
            assert!(regex.is_match(text), "{pattern} fits {text:?}");
        }
        for text in not {
            assert!(!regex.is_match(text), "{pattern} does not fit {text:?}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        check("^[a-z]+$", &["abc"], &["ABC", ""]);
        check("b", &["abc"], &["ac"]);
        check(r"^\d+$", &["12"], &["\u{663}"]);
        check(r"^\w$", &["a", "_"], &["\u{e9}", "-"]);
        check(r"^[\w.-]+$", &["a.b-c"], &["a b"]);
        check(r"^[^\d]$", &["a"], &["1"]);
        check(r"^\D$", &["\u{663}", "a"], &["1"]);
        check(r"\bfoo\b", &["a foo b"], &["afoo"]);
        check(r"^\Qa.b\E+$", &["a.b", "a.bb"], &["axb"]);
        check("^[[a]$", &["[", "a"], &["b"]);
        check("^[]a]$", &["]", "a"], &["b"]);
        check("^[^]a]$", &["b"], &["]", "a"]);
        check("^[a&&b~~]+$", &["a", "b", "&", "~"], &["c"]);
        check("^[[:alpha:]_]+$", &["ab_"], &["1", ":"]);
        check(r"^[\]x]$", &["]", "x"], &["\\"]);
        check("(?i)^chat$", &["CHAT"], &["chats"]);
        check(r"^\pL$", &["\u{e9}"], &["1"]);
    }

    #[test]
    fn broken_patterns_are_refused_with_a_reason() {
        for pattern in ["[", "(", "*a", "a{2,1}", r"\C", "(?=a)", "\\"] {
            let error = compile(pattern).unwrap_err();
            assert!(error.starts_with("is not a valid pattern: ") && !error.contains('\n'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_translated_without_panic(pattern in r"[\[\]\\^QEdwb:&~a\-é]{0,12}") {
            let _ = compile(&pattern);
        }
    }
}
