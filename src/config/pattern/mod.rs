//! Regular expressions as Go writes them, for options whose patterns come from Centrifugo configurations.
//!
//! Both engines are of the RE2 family and match alike, but the grammars differ in many corners (`\d` is ASCII in Go,
//! `{,5}` is text, `(?x)` and `\u{e9}` are errors, counted repetition ends at 1000, ...). So [`parse`] reads a pattern
//! as Go's regexp/syntax does, and writes it anew for the `regex` crate in a form that leaves nothing open.
//!
//! What remains different: classes of Unicode are those of the crate's version of it; and what compiles to more than [`SIZE_MAX`] bytes, or nests deeper
//! than [`parse::DEPTH_MAX`] groups, is refused, where Go has limits of its own.

mod class;
mod parse;

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled pattern, bytes: room for `^\pL{1,255}$` and the like.
const SIZE_MAX: usize = 16 << 20;

/// A compiled pattern. Matching takes time linear in the text.
///
/// It looks at bytes, because only so a `\B` of ASCII can be had. All it takes are whole characters all the same.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// What the named group matches in the text, empty where it has no part in the match. None where there is no such
    /// group, or the pattern does not match.
    pub fn group<'t>(&self, text: &'t str, name: &str) -> Option<&'t str> {
        self.0.capture_names().flatten().find(|known| *known == name)?;
        let captures = self.0.captures(text.as_bytes())?;
        text.get(captures.name(name).map_or(0..0, |group| group.range()))
    }
}

/// Compiles a pattern. The error is a sentence for the user.
pub fn compile(pattern: &str) -> Result<Pattern, String> {
    let translated = parse::translate(pattern).map_err(|problem| format!("is not a valid pattern: {problem}"))?;
    // A match must not begin within a character, where bytes have boundaries of words, too.
    let translated = match translated.contains(parse::NO_BOUNDARY) {
        true => format!(r"\A(?s:.)*?(?:{translated})"),
        false => translated,
    };
    // Every level of the pattern is several levels of what it is translated to.
    let nest = parse::DEPTH_MAX as u32 * 8;
    RegexBuilder::new(&translated).size_limit(SIZE_MAX).nest_limit(nest).build().map(Pattern).map_err(|_| {
        let mib = SIZE_MAX >> 20;
        format!("is not a valid pattern: it takes more than {mib} MiB once compiled, or uses something unknown")
    })
}

/// Names of the groups in a pattern that match more than the texts that are listed in them. The error is a sentence for
/// the user.
pub fn open_groups(pattern: &str) -> Result<Vec<&str>, String> {
    parse::open_groups(pattern).map_err(|problem| format!("is not a valid pattern: {problem}"))
}

#[cfg(test)]
mod tests;
