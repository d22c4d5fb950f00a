//! A `.env` file: variables for an environment that does not have them yet.
//!
//! Mirrors github.com/joho/godotenv 1.5.1, which the reference reads it with, oddities included: `NAME=value` or
//! `NAME: value`, an optional `export` in front; single quotes keep what they hold, also over several lines; double
//! quotes take `\n`, `\r` and `\` before any other character; without quotes a value ends with the line or before the
//! last ` #` in it; `$NAME` and `${NAME}` outside of single quotes stand for variables defined further up.

use super::env::Env;
use super::error::Error;
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// Adds the variables of a `.env` file to an environment; those that it has already stay.
///
/// # Errors
/// What stands on a line is no variable, or its quotes are not closed.
pub fn merge(content: &str, env: &mut Env) -> Result<(), Error> {
    for (name, value) in parse(content)? {
        // A process could not have these.
        if !name.is_empty() && !name.contains('\0') && !value.contains('\0') {
            env.entry(name).or_insert(value);
        }
    }
    Ok(())
}

const NO_VARIABLE: &str = "is not of the form NAME=value";

fn parse(content: &str) -> Result<Env, Error> {
    let mut found = Env::new();
    let content = content.replace("\r\n", "\n");
    let mut rest = content.as_str();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        let line = content[..content.len() - rest.len()].matches('\n').count() + 1;
        let at_line = |problem| Error::DotEnv { line, problem };
        let (name, after) = name(rest).map_err(at_line)?;
        let (value, after) = value(after, &found).map_err(at_line)?;
        found.insert(name.to_owned(), value);
        rest = after;
    }
}

/// A blank within a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// The name at the start of the text, and the text behind its sign. Where no sign follows to the end, all is the value
/// of a variable without a name.
fn name(text: &str) -> Result<(&str, &str), &'static str> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with(is_blank) => after.trim_start_matches(is_blank),
        _ => text,
    };
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'=' | b':' => return Ok((text[..at].trim_end(), text[at + 1..].trim_start_matches(is_blank))),
            // Names are looked at byte by byte, each as a character of its own.
            byte if is_blank(char::from(byte)) || byte == b'_' || byte == b'.' => {}
            byte if char::from(byte).is_alphanumeric() => {}
            _ => return Err(NO_VARIABLE),
        }
    }
    if text.is_empty() {
        return Err(NO_VARIABLE);
    }
    Ok(("", text.trim_start_matches(is_blank)))
}

/// The value at the start of the text, and the text behind it.
fn value<'t>(text: &'t str, found: &Env) -> Result<(String, &'t str), &'static str> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let (line, rest) = text.split_at(text.find(['\n', '\r']).unwrap_or(text.len()));
        // A comment needs a blank in front; otherwise # belongs to the value.
        let comment = line.rmatch_indices('#').map(|(at, _)| at).find(|&at| line[..at].ends_with(is_blank));
        let value = line[..comment.unwrap_or(line.len())].trim_matches(is_blank);
        return Ok((replace(value, found), rest));
    };
    let end = text.match_indices(quote).map(|(at, _)| at).skip(1).find(|&at| !text[..at].ends_with('\\'));
    let end = end.ok_or("opens a quote that is never closed")?;
    let inner = text[..end].trim_matches(quote);
    let value = if quote == '\'' { inner.to_owned() } else { replace(&unescape(inner), found) };
    Ok((value, &text[end + 1..]))
}

static ESCAPE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\.").expect("a constant pattern"));

static ESCAPED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\([^$])").expect("a constant pattern"));

static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\\)?\$\(?\{?([A-Z0-9_]+)?\}?").expect("a constant pattern"));

/// `\n` and `\r` first, then every backslash that is not before a dollar: that one is for [`replace`].
fn unescape(text: &str) -> String {
    let breaks = ESCAPE.replace_all(text, |found: &Captures<'_>| match &found[0] {
        "\\n" => "\n".to_owned(),
        "\\r" => "\r".to_owned(),
        other => other.to_owned(),
    });
    ESCAPED.replace_all(&breaks, "$1").into_owned()
}

/// Replaces variables; one that is not defined further up is empty.
fn replace(text: &str, found: &Env) -> String {
    let replaced = VARIABLE.replace_all(text, |variable: &Captures<'_>| match (variable.get(1), variable.get(2)) {
        (Some(_), _) => variable[0][1..].to_owned(),
        (None, Some(name)) => found.get(name.as_str()).cloned().unwrap_or_default(),
        (None, None) => variable[0].to_owned(),
    });
    replaced.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(content: &str, expected: &[(&str, &str)]) {
        let found = parse(content).unwrap_or_else(|error| panic!("{content:?}: {error}"));
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{content:?}");
    }

    /// Each row as `godotenv.Unmarshal` answers it.
    #[test]
    fn the_forms_of_variables() {
        check("A=1\nB = two words \n", &[("A", "1"), ("B", "two words")]);
        check("export A=1\nB: 2", &[("A", "1"), ("B", "2")]);
        check("export\tA=1\nexportB=2", &[("A", "1"), ("exportB", "2")]);
        check("# c\n\nA=x#y # z\r\nB=", &[("A", "x#y"), ("B", "")]);
        check("A=x # y # z", &[("A", "x # y")]);
        check("A= # c", &[("A", "# c")]);
        check("A=#c\nB=1", &[("A", "#c"), ("B", "1")]);
        check("A=\nB=1", &[("A", ""), ("B", "1")]);
        check("A=\"\" # c\nB=1", &[("A", ""), ("B", "1")]);
        check("A='$B \\n' # c", &[("A", "$B \\n")]);
        check("A=\"a\\nb\\\"c\"", &[("A", "a\nb\"c")]);
        check("A=\"a\\\"\"", &[("A", "a\\")]);
        check("A=\"\\t\\\\n\\r|\"", &[("A", "t\\n\r|")]);
        check("A='it\\'s'", &[("A", "it\\'s")]);
        check("A='it\\''", &[("A", "it\\")]);
        check("A=1\nB=${A}2$A", &[("A", "1"), ("B", "121")]);
        check("A=1\nB=\"\\$A$ ${A}$(A)${A\"", &[("A", "1"), ("B", "$A$ 11)1")]);
        check("A=1\nB='$A'", &[("A", "1"), ("B", "$A")]);
        check("B=$A\nA=1", &[("A", "1"), ("B", "")]);
        check("A=$a${b}$", &[("A", "$a${b}$")]);
        check("A=\\$B", &[("A", "$B")]);
        check("A=1\nA=2", &[("A", "2")]);
        check("A='two\nlines'\nB=3", &[("A", "two\nlines"), ("B", "3")]);
        check("A=\"two\nlines\"\nB=3", &[("A", "two\nlines"), ("B", "3")]);
        check("A='x'B=2", &[("A", "x"), ("B", "2")]);
        check("A=1\rB=2", &[("A", "1"), ("B", "2")]);
        check("A B=1", &[("A B", "1")]);
        check("A.b_1=1", &[("A.b_1", "1")]);
        check("=x", &[("", "x")]);
        check("A=1\nwhat", &[("", "what"), ("A", "1")]);
        check("A=a=b:c", &[("A", "a=b:c")]);
        check("A=\"x\" # \"y\"", &[("A", "x")]);
        check("A=x \"y\"", &[("A", "x \"y\"")]);
    }

    #[test]
    fn what_upstream_refuses() {
        for content in [
            "A=1\nwhat\n",
            "A-B=1",
            "A=1\n\nB='open",
            "A=\"open",
            "A=\"a\\\\\"",
            "A='x' y\n",
            "export ",
            "\"A\"=1",
            "@",
            "é=1",
            "Ã=\u{a0}x\u{a0}",
            "A='a''b'",
        ] {
            assert!(parse(content).is_err(), "{content:?}");
        }
    }

    #[test]
    fn the_environment_wins() {
        let mut env = Env::from([("A".to_owned(), "old".to_owned())]);
        merge("A=new\nB=new\n=none", &mut env).unwrap();
        assert_eq!((env["A"].as_str(), env["B"].as_str(), env.len()), ("old", "new", 2));
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (content, line, words) in
            [("A=1\nwhat\n", 2, "is not of the form"), ("A=1\n\nB='open", 3, "a quote that is never closed")]
        {
            let message = parse(content).unwrap_err().to_string();
            assert!(message.starts_with(&format!(".env: line {line} ")) && message.contains(words), "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(content in "[A-C =:#'\"$\\\\{}\u{e9}\r\n]{0,24}") {
            let _ = parse(&content);
        }
    }
}
