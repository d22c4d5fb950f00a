//! The text within JSON strings: finding its end, resolving escapes, repairing what is not UTF-8.

use std::borrow::Cow;

/// How many bytes in front need no look inside a string: no quote, no backslash, no control character.
#[inline]
pub(crate) fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Marks the bytes that are zero; above the first such byte marks may be wrong.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let marks = control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let tail = bytes[at..].iter().position(|byte| matches!(byte, ..0x20 | b'"' | b'\\'));
    tail.map_or(bytes.len(), |index| at + index)
}

/// Bytes as text; each byte that is not UTF-8 becomes U+FFFD, as in Go.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len() + 8);
            push_text(bytes, &mut text);
            Cow::Owned(text)
        }
    }
}

fn push_text(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| out.push(char::REPLACEMENT_CHARACTER));
    }
}

/// Resolves the escapes of a string that was found well-formed. Half of a surrogate pair becomes U+FFFD.
#[cold]
pub(crate) fn unescape(body: &[u8]) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        push_text(&rest[..at], &mut out);
        rest = &rest[at + 1..];
        let Some((kind, after)) = rest.split_first() else {
            return out;
        };
        rest = after;
        let letter = match kind {
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = hex(rest);
                rest = rest.get(4..).unwrap_or_default();
                match (unit, rest.strip_prefix(b"\\u")) {
                    (0xD800..0xDC00, Some(second)) if (0xDC00..0xE000).contains(&hex(second)) => {
                        let code = 0x1_0000 + ((unit - 0xD800) << 10) + (hex(second) - 0xDC00);
                        rest = second.get(4..).unwrap_or_default();
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                    _ => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            other => char::from(*other),
        };
        out.push(letter);
    }
    push_text(rest, &mut out);
    out
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().take(4).fold(0, |value, digit| value << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::json::scan::Scanner;

    #[track_caller]
    fn check_text(json: &[u8], expect: &str) {
        let mut scan = Scanner::new(json);
        let text = scan.string().unwrap();
        assert_eq!(text, expect);
        let plain = !json.contains(&b'\\') && std::str::from_utf8(json).is_ok();
        assert_eq!(matches!(text, Cow::Borrowed(_)), plain, "borrowed");
        assert!(scan.end().is_ok());
    }

    #[test]
    fn strings() {
        check_text(br#""""#, "");
        check_text(br#""chat:index""#, "chat:index");
        check_text("\"кириллица и далее\"".as_bytes(), "кириллица и далее");
        check_text(br#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{C}\n\r\tz");
        check_text(br#""\u0041\u00e9\u20AC""#, "Aé€");
        check_text(br#""\ud83d\ude00""#, "😀");
        check_text(br#""\ud83d""#, "\u{FFFD}");
        check_text(br#""\ud83d\u0041""#, "\u{FFFD}A");
        check_text(br#""\ude00\ud83d\ude00""#, "\u{FFFD}😀");
        check_text(b"\"a\xE2\x82b\xFF\"", "a\u{FFFD}\u{FFFD}b\u{FFFD}");
        check_text(b"\"\\n\xFF\"", "\n\u{FFFD}");
    }

    proptest! {
        #[test]
        fn strings_read_what_serde_json_wrote(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(Scanner::new(json.as_bytes()).string().unwrap(), text);
        }

        #[test]
        fn plain_prefix_finds_the_first_byte_that_matters(bytes: Vec<u8>) {
            let first = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(plain_prefix(&bytes), first.unwrap_or(bytes.len()));
        }
    }
}
