//! Patterns over names and origins: the language of github.com/gobwas/glob without separators.
//!
//! | pattern | fits |
//! |---|---|
//! | `*`, `**` | anything, nothing included |
//! | `?` | one character |
//! | `[abc]`, `[!abc]` | one of these characters, one that is none of them |
//! | `[a-z]`, `[!a-z]` | one character of the range, one outside |
//! | `{a,b*}` | one of the patterns |
//! | `\x` | the character x |
//!
//! Upstream's matcher misses texts in a few corners of its own language: alternatives that may be empty or of which the
//! last has a fixed length (`https://{*.example.com,localhost}` fits no `https://a.example.com`), and `?` or a range
//! beside characters of several bytes. Here a pattern fits what the language says.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// Longest pattern, bytes. Names are far shorter.
pub const MOST_BYTES: usize = 4096;
/// Most memory that one compiled pattern may take, bytes.
const MOST_COMPILED_BYTES: usize = 1 << 20;

/// A compiled pattern. Matching takes time linear in the text, whatever the pattern; cloning counts a reference.
#[derive(Clone, Debug)]
pub struct Glob(Regex);

/// The pattern cannot be understood, or is too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadPattern;

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad pattern: a [range] is not closed, empty or swapped, or the whole is too long or too deep")
    }
}

impl std::error::Error for BadPattern {}

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// An unclosed or empty range, a range whose ends are swapped or followed by more, NUL or U+FFFD (upstream's lexer
    /// takes them for the end and for bad UTF-8), a pattern above [`MOST_BYTES`], or one that compiles to more than
    /// a megabyte or nests alternatives too deep. An unclosed `{` is closed by the end, as upstream.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        if pattern.len() > MOST_BYTES || pattern.contains(['\0', char::REPLACEMENT_CHARACTER]) {
            return Err(BadPattern);
        }
        let mut translated = String::with_capacity(pattern.len() * 2 + 8);
        translated.push_str("^(?:");
        translate(pattern, &mut translated)?;
        translated.push_str(")$");
        RegexBuilder::new(&translated)
            .dot_matches_new_line(true)
            .size_limit(MOST_COMPILED_BYTES)
            .build()
            .map(Glob)
            .map_err(|_| BadPattern)
    }

    /// Whether the whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn translate(pattern: &str, out: &mut String) -> Result<(), BadPattern> {
    let mut letters = pattern.chars();
    let mut open = 0usize;
    while let Some(letter) = letters.next() {
        match letter {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => translate_range(&mut letters, out)?,
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            ',' if open > 0 => out.push('|'),
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            // A backslash at the very end stands for nothing.
            '\\' => letters.next().into_iter().for_each(|escaped| push_literal(escaped, out)),
            other => push_literal(other, out),
        }
    }
    out.extend(std::iter::repeat_n(')', open));
    Ok(())
}

/// Either `lo-hi` and nothing else, or a list of characters in which a later `-` stands for itself.
fn translate_range(letters: &mut std::str::Chars<'_>, out: &mut String) -> Result<(), BadPattern> {
    out.push('[');
    if letters.as_str().starts_with('!') {
        letters.next();
        out.push('^');
    }
    let first = letters.next().ok_or(BadPattern)?;
    if letters.as_str().starts_with('-') {
        letters.next();
        let last = letters.next().ok_or(BadPattern)?;
        if last < first || letters.next() != Some(']') {
            return Err(BadPattern);
        }
        push_literal(first, out);
        out.push('-');
        push_literal(last, out);
        out.push(']');
        return Ok(());
    }
    let mut is_empty = true;
    let mut next = Some(first);
    loop {
        match next.ok_or(BadPattern)? {
            ']' if !is_empty => break,
            ']' => return Err(BadPattern),
            '\\' => push_literal(letters.next().ok_or(BadPattern)?, out),
            letter => push_literal(letter, out),
        }
        is_empty = false;
        next = letters.next();
    }
    out.push(']');
    Ok(())
}

fn push_literal(letter: char, out: &mut String) {
    // `\\<` and `\\>` would be word boundaries.
    if letter.is_ascii_punctuation() && !matches!(letter, '<' | '>') {
        out.push('\\');
    }
    out.push(letter);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, fitting: &[&str], others: &[&str]) {
        let glob = Glob::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in fitting {
            assert!(glob.matches(text), "{pattern} should fit {text:?}");
        }
        for text in others {
            assert!(!glob.matches(text), "{pattern} should not fit {text:?}");
        }
    }

    #[test]
    fn patterns_mean_what_upstream_means() {
        check("", &[""], &["a"]);
        check("news", &["news"], &["new", "newss", "NEWS"]);
        check("open:*", &["open:", "open:x", "open:x:y\nz"], &["opened"]);
        check("*y", &["y", "rec:y"], &["yx"]);
        check("a**b", &["ab", "axxb"], &["a"]);
        check("?", &["x", "é", "\n"], &["", "xy"]);
        check("[abc]", &["a", "c"], &["d", "", "ab"]);
        check("[!abc]", &["d", "!"], &["a", ""]);
        check("[a-c]x", &["ax", "cx"], &["dx", "-x"]);
        check("[!a-c]", &["d", "é"], &["b"]);
        check("[ab-]", &["a", "-"], &["c"]);
        check("[a\\]b]", &["]", "b"], &["\\"]);
        check("[^a]", &["^", "a"], &["b"]);
        check("[a!]", &["a", "!"], &["b"]);
        check("{a,b*}x", &["ax", "bx", "bbbx"], &["x", "cx"]);
        check("{a,{b,c}d}", &["a", "bd", "cd"], &["ad"]);
        check("{,a}b", &["b", "ab"], &["a"]);
        check("{a,b", &["a", "b"], &["a,b"]);
        check("a,b}", &["a,b}"], &["a"]);
        check("\\*\\{", &["*{"], &["x{"]);
        check("a\\", &["a"], &["a\\"]);
        check("a.b+(c)^$|#", &["a.b+(c)^$|#"], &["axb+(c)^$|#"]);
        check("https://*.example.com", &["https://a.example.com"], &["https://example.com"]);
        check("[-a]", &["-", "a"], &["b"]);
        check("[!-a]", &["b"], &["-", "a"]);
        check("[--a]", &["-", "_", "a"], &["b", "+"]);
        check("[]-a]", &["]", "_", "a"], &["b"]);
        check("[\\-a]", &["\\", "_", "a"], &["-", "b"]);
        check("[a\\-c]", &["a", "-", "c"], &["b"]);
        check("[a-a]", &["a"], &["-"]);
        check("***", &["", "abc"], &[]);
        check("\\", &[""], &["\\"]);
        check("]", &["]"], &[""]);
        check("{a,b", &["a", "b"], &["a,b", "{a"]);
        check("{", &[""], &["{"]);
        check("{}", &[""], &["{}"]);
    }

    #[test]
    fn patterns_that_the_matcher_of_upstream_misses() {
        check("https://{*.example.com,localhost}", &["https://a.example.com", "https://localhost"], &["https://a"]);
        check("a{a*,?}", &["aab", "ab"], &["ba"]);
        check("{,a}?", &["b", "ab"], &["bb"]);
        check("?é", &["bé"], &["é"]);
        check("[!ab][!ab]*", &["cd"], &["/a"]);
    }

    #[test]
    fn bad_patterns_are_refused() {
        let (long, deep) = ("a".repeat(MOST_BYTES + 1), "{".repeat(MOST_BYTES));
        for pattern in
            ["[ab", "[", "[]", "[!]", "[!", "[c-a]", "[a-", "[a-cx]", "[a-]", "[a\\", "\u{FFFD}", "a\0", &long, &deep]
        {
            assert_eq!(Glob::new(pattern).map(|_| ()), Err(BadPattern), "{pattern}");
        }
        assert!(Glob::new(&long[1..]).is_ok());
    }

    /// The language told anew, by backtracking.
    fn fits(pattern: &[Part], text: &[char]) -> bool {
        let Some((part, rest)) = pattern.split_first() else {
            return text.is_empty();
        };
        match part {
            Part::Any => (0..=text.len()).any(|at| fits(rest, &text[at..])),
            Part::One => !text.is_empty() && fits(rest, &text[1..]),
            Part::Letter(letter) => text.first() == Some(letter) && fits(rest, &text[1..]),
            Part::List(not, list) => {
                text.first().is_some_and(|letter| list.contains(letter) != *not) && fits(rest, &text[1..])
            }
            Part::Either(patterns) => patterns.iter().any(|inner| fits(&[inner.as_slice(), rest].concat(), text)),
        }
    }

    #[derive(Clone, Debug)]
    enum Part {
        Any,
        One,
        Letter(char),
        List(bool, Vec<char>),
        Either(Vec<Vec<Part>>),
    }

    fn write(parts: &[Part], out: &mut String) {
        for part in parts {
            match part {
                Part::Any => out.push('*'),
                Part::One => out.push('?'),
                Part::Letter(letter) => out.extend(['\\', *letter]),
                Part::List(not, list) => {
                    // A letter of no text in front, because an escaped first `-` makes a range.
                    out.push_str(if *not { "[!z" } else { "[z" });
                    list.iter().for_each(|letter| out.extend(['\\', *letter]));
                    out.push(']');
                }
                Part::Either(patterns) => {
                    out.push('{');
                    for (at, pattern) in patterns.iter().enumerate() {
                        if at > 0 {
                            out.push(',');
                        }
                        write(pattern, out);
                    }
                    out.push('}');
                }
            }
        }
    }

    fn pattern() -> impl Strategy<Value = Vec<Part>> {
        let letter = || prop::sample::select(vec!['a', 'b', ':', '*', '-', ']', ',', 'é']);
        let leaf = prop_oneof![
            Just(Part::Any),
            Just(Part::One),
            letter().prop_map(Part::Letter),
            (any::<bool>(), prop::collection::vec(letter(), 1..4)).prop_map(|(not, list)| Part::List(not, list)),
        ];
        let part = leaf.prop_recursive(2, 16, 3, |inner| {
            prop::collection::vec(prop::collection::vec(inner, 0..3), 1..4).prop_map(Part::Either)
        });
        prop::collection::vec(part, 0..6)
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_a_naive_matcher_fits(pattern in pattern(), text in "[ab:*,é-]{0,6}") {
            let mut written = String::new();
            write(&pattern, &mut written);
            let letters: Vec<char> = text.chars().collect();
            prop_assert_eq!(Glob::new(&written).unwrap().matches(&text), fits(&pattern, &letters), "{}", written);
        }
    }
}
