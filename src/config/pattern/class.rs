//! Characters and classes of characters, from Go's grammar to the `regex` crate's.

use super::parse::{Flags, Refused};
use regex::Regex;

const DIGIT: &str = "0-9";
const SPACE: &str = r"\t\n\x{c}\r\x{20}";
const WORD: &str = "0-9A-Za-z_";

/// What matches nothing: the complement of everything.
const NOTHING: &str = r"[^\x{0}-\x{10ffff}]";
const EVERYTHING: &str = r"[\x{0}-\x{10ffff}]";

/// Names of the ASCII classes such as `[:alpha:]`; the crate has the same.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Scripts whose full name has four letters. The crate knows four-letter codes for all others too, Go does not.
const SHORT_SCRIPTS: [&str; 9] = ["ahom", "cham", "kawi", "lisu", "miao", "modi", "newa", "thai", "toto"];

/// One character as a pattern.
pub fn literal(c: u32, flags: Flags) -> String {
    match char::from_u32(c) {
        // Half of a surrogate pair, which no text holds.
        None => NOTHING.to_owned(),
        Some(c) if c.is_ascii_alphanumeric() && flags.fold => format!("(?i:{c})"),
        Some(c) if c.is_ascii_alphanumeric() => c.to_string(),
        Some(c) if flags.fold && !c.is_ascii() => format!("(?i:{})", hex(c)),
        Some(c) => hex(c),
    }
}

fn hex(c: char) -> String {
    format!(r"\x{{{:x}}}", u32::from(c))
}

fn with_flags(text: String, flags: Flags) -> String {
    if flags.fold { format!("(?i:{text})") } else { text }
}

/// A class of its own at the start of the text (`\d`, `\pL`), as a pattern, and what follows; none when it is another
/// escape.
pub fn escaped(text: &str, flags: Flags) -> Result<Option<(String, &str)>, Refused> {
    Ok(member(text)?.map(|(member, rest)| (with_flags(format!("[{member}]"), flags), rest)))
}

/// A class at the start of the text, as it is written inside of brackets, and what follows.
fn member(text: &str) -> Result<Option<(String, &str)>, Refused> {
    let perl = match text.as_bytes() {
        [b'\\', b'd', ..] => DIGIT.to_owned(),
        [b'\\', b'D', ..] => format!("[^{DIGIT}]"),
        [b'\\', b's', ..] => SPACE.to_owned(),
        [b'\\', b'S', ..] => format!("[^{SPACE}]"),
        [b'\\', b'w', ..] => WORD.to_owned(),
        [b'\\', b'W', ..] => format!("[^{WORD}]"),
        [b'\\', b'p' | b'P', ..] => return unicode(text).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((perl, &text[2..])))
}

/// `\pL`, `\p{Greek}`, `\P{^Lu}` at the start of the text.
fn unicode(text: &str) -> Result<(String, &str), Refused> {
    let is_upper = text.as_bytes().get(1) == Some(&b'P');
    let refused = || "invalid character class range".to_owned();
    let after = &text[2..];
    let (name, rest) = match after.strip_prefix('{') {
        Some(inner) => inner.split_once('}').ok_or_else(refused)?,
        None => after.split_at(after.chars().next().ok_or_else(refused)?.len_utf8()),
    };
    let (is_negated, name) = match name.strip_prefix('^') {
        Some(name) => (!is_upper, name),
        None => (is_upper, name),
    };
    let name: String = name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).collect::<String>().to_ascii_lowercase();
    if matches!(&*name, "cs" | "surrogate") {
        let class = if is_negated { EVERYTHING } else { NOTHING };
        return Ok((class.to_owned(), rest));
    }
    let class = unicode_class(name).ok_or_else(refused)?;
    Ok((format!(r"\{}{{{class}}}", if is_negated { 'P' } else { 'p' }), rest))
}

/// The crate's name of a class; none when Go has no such name. The name comes without blanks, `-` and `_`, and in lower
/// case, as they do not count.
fn unicode_class(name: String) -> Option<String> {
    // The crate would pass over a leading `is`.
    if name.is_empty() || name.starts_with("is") || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    if matches!(&*name, "any" | "ascii" | "assigned") {
        return Some(name);
    }
    let known = |class: String| Regex::new(&format!(r"\p{{{class}}}")).is_ok().then_some(class);
    let script = |name: &str| known(format!("sc={name}")).filter(|_| name.len() != 4 || SHORT_SCRIPTS.contains(&name));
    known(format!("gc={name}")).or_else(|| script(&name))
}

/// A character written with a backslash, and what follows.
pub fn escaped_char(text: &str) -> Result<(u32, &str), Refused> {
    let mut rest = text[1..].chars();
    let c = rest.next().ok_or("trailing backslash at end of expression")?;
    let after = rest.as_str();
    let found = match c {
        'a' => Some((7, after)),
        'f' => Some((12, after)),
        'n' => Some((10, after)),
        'r' => Some((13, after)),
        't' => Some((9, after)),
        'v' => Some((11, after)),
        'x' => hexadecimal(after),
        '0' => Some(octal(0, after)),
        // One digit alone would refer back to a group.
        '1'..='7' if after.starts_with(is_octal) => Some(octal(c as u32 - u32::from(b'0'), after)),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some((u32::from(c), after)),
        _ => None,
    };
    found.ok_or_else(|| "invalid escape sequence".to_owned())
}

fn is_octal(c: char) -> bool {
    matches!(c, '0'..='7')
}

/// Up to two more octal digits.
fn octal(first: u32, text: &str) -> (u32, &str) {
    let len = text.bytes().take(2).take_while(|&byte| is_octal(char::from(byte))).count();
    let value = text.bytes().take(len).fold(first, |value, byte| value * 8 + u32::from(byte - b'0'));
    (value, &text[len..])
}

/// Two digits, or any number in braces.
fn hexadecimal(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = match text.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => text.split_at_checked(2)?,
    };
    let mut value = 0_u32;
    for digit in digits.chars() {
        value = value * 16 + digit.to_digit(16)?;
        if value > u32::from(char::MAX) {
            return None;
        }
    }
    (!digits.is_empty()).then_some((value, rest))
}

/// A class in brackets at the start of the text, as a pattern, and what follows.
pub fn bracketed(text: &str, flags: Flags) -> Result<(String, &str), Refused> {
    let mut rest = &text[1..];
    let is_negated = rest.starts_with('^');
    rest = &rest[usize::from(is_negated)..];
    let mut members = String::new();
    let mut is_first = true;
    // A bracket at once, or a dash anywhere, is a plain character.
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if let Some((posix, after)) = posix(rest)? {
            members.push_str(&posix);
            rest = after;
            continue;
        }
        if let Some((class, after)) = member(rest)? {
            members.push_str(&class);
            rest = after;
            continue;
        }
        let (low, after) = class_char(rest)?;
        let mut high = low;
        rest = after;
        if let Some(after) = rest.strip_prefix('-')
            && !after.is_empty()
            && !after.starts_with(']')
        {
            (high, rest) = class_char(after)?;
            if high < low {
                return Err("invalid character class range".to_owned());
            }
        }
        push_range(low, high, &mut members);
    }
    let pattern = match (is_negated, members.is_empty()) {
        (false, true) => NOTHING.to_owned(),
        (true, true) => EVERYTHING.to_owned(),
        (false, false) => format!("[{members}]"),
        (true, false) => format!("[^{members}]"),
    };
    Ok((with_flags(pattern, flags), &rest[1..]))
}

/// `[:alpha:]` or `[:^alpha:]` at the start of the text, inside of brackets.
fn posix(text: &str) -> Result<Option<(String, &str)>, Refused> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|inner| inner.split_once(":]")) else {
        return Ok(None);
    };
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err("invalid character class range".to_owned());
    }
    Ok(Some((format!("[:{name}:]"), rest)))
}

fn class_char(text: &str) -> Result<(u32, &str), Refused> {
    match text.chars().next() {
        None => Err("missing closing ]".to_owned()),
        Some('\\') => escaped_char(text),
        Some(c) => Ok((u32::from(c), &text[c.len_utf8()..])),
    }
}

/// Writes a range without the surrogates at its ends, which are no characters.
fn push_range(low: u32, high: u32, out: &mut String) {
    let low = char::from_u32(low).unwrap_or('\u{e000}');
    let high = char::from_u32(high).unwrap_or('\u{d7ff}');
    if low == high {
        out.push_str(&hex(low));
    } else if low < high {
        out.push_str(&format!("{}-{}", hex(low), hex(high)));
    }
}
