//! Values as text, the form they have in the environment and on the command line.
//!
//! Mirrors `processField` of the reference (`internal/config/envconfig`): switches as `strconv.ParseBool`, numbers in
//! any base of Go, durations with a unit, lists with single spaces between entries.

use super::duration;
use super::option::Kind;
use super::value::Value;

/// The value that a text stands for; `None` when it is none of this kind. Maps and lists of sections are JSON and not
/// handled here.
pub fn parse(kind: Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Bool => parse_bool(text).map(Value::Bool),
        Kind::Int { min, max } => parse_int(text).filter(|value| (min..=max).contains(value)).map(Value::Int),
        Kind::Duration => duration::parse(text).map(Value::Duration),
        Kind::Text => Some(Value::Text(text.to_owned())),
        Kind::Texts if text.trim().is_empty() => Some(Value::Texts(Some(Vec::new()))),
        Kind::Texts => Some(Value::Texts(Some(text.split(' ').map(str::to_owned).collect()))),
        Kind::Map | Kind::Section(_) | Kind::List { .. } | Kind::Inline(_) => None,
    }
}

/// What a text of this kind must look like, for messages.
pub fn expected(kind: Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Int { min: i64::MIN, max: i64::MAX } => "a whole number".to_owned(),
        Kind::Int { min, max: i64::MAX } => format!("a whole number of at least {min}"),
        Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Duration => "a duration such as 25s or 1m30s".to_owned(),
        Kind::Text => "a text".to_owned(),
        Kind::Texts => "a list of texts".to_owned(),
        Kind::Map => "an object of texts, or a list of objects with key and value".to_owned(),
        Kind::Section(_) | Kind::Inline(_) => "an object with options".to_owned(),
        Kind::List { .. } => "a list of objects".to_owned(),
    }
}

/// A switch as `strconv.ParseBool` reads it.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A number as `strconv.ParseInt` reads it in base 0: decimal, or with `0x`, `0b`, `0o` or `0` in front; underscores
/// may stand between digits.
pub fn parse_int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let loose = body.starts_with('_') && radix == 10 || body.ends_with('_') || body.contains("__");
    if body.starts_with(['-', '+']) || loose {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{}", body.replace('_', "")), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_base_of_go() {
        for (text, value) in [
            ("12", Some(12)),
            ("-12", Some(-12)),
            ("+5", Some(5)),
            ("0x1F", Some(31)),
            ("0b11", Some(3)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("1_000", Some(1000)),
            ("0x_ff", Some(255)),
            ("0", Some(0)),
            ("", None),
            ("many", None),
            ("08", None),
            ("1__0", None),
            ("_1", None),
            ("--1", None),
            ("-+1", None),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
        ] {
            assert_eq!(parse_int(text), value, "{text}");
        }
    }

    #[test]
    fn lists_are_split_at_every_space() {
        let texts = |text| match parse(Kind::Texts, text) {
            Some(Value::Texts(Some(texts))) => texts,
            _ => panic!("not a list"),
        };
        assert_eq!(texts("a b"), ["a", "b"]);
        assert_eq!(texts("a  b"), ["a", "", "b"]);
        assert!(texts("  ").is_empty());
    }

    #[test]
    fn switches_as_go_reads_them() {
        for text in ["1", "t", "TRUE", "true", "True", "T"] {
            assert_eq!(parse_bool(text), Some(true));
        }
        for text in ["0", "f", "FALSE", "false", "False", "F"] {
            assert_eq!(parse_bool(text), Some(false));
        }
        for text in ["yes", "on", "tRUE", ""] {
            assert_eq!(parse_bool(text), None);
        }
    }
}
