//! Writes JSON, byte for byte as upstream does.

use crate::protocol::json::text::text;
use crate::protocol::json::valid::{compact_html, is_valid};

/// Whose JSON is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// The client protocol (easyjson): payloads as they are, newlines dropped.
    Client,
    /// The server API (Go encoding/json): payloads compacted and HTML-escaped.
    Api,
}

/// Appends JSON to a buffer.
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    style: Style,
    valid: bool,
}

impl<'b> Writer<'b> {
    /// Appends to the buffer.
    pub fn new(out: &'b mut Vec<u8>, style: Style) -> Self {
        Self { out, style, valid: true }
    }

    /// Whether all payloads so far were JSON.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// Appends `{` or `[`.
    #[inline]
    pub fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
    }

    /// Appends `}` or `]`.
    #[inline]
    pub fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
    }

    /// Appends a comma, unless this is the first within the bracket. No value ends with an opening bracket.
    #[inline]
    pub fn comma(&mut self, bracket: u8) {
        if self.out.last() != Some(&bracket) {
            self.out.push(b',');
        }
    }

    /// Appends a key, given with quotes and colon, and the comma before it.
    #[inline]
    pub fn key(&mut self, key: &'static str) {
        self.comma(b'{');
        self.out.extend_from_slice(key.as_bytes());
    }

    /// Appends what needs no escaping.
    #[inline]
    pub fn token(&mut self, token: &str) {
        self.out.extend_from_slice(token.as_bytes());
    }

    /// Appends text in quotes, escaped so that it may stand within HTML.
    pub fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = text.as_bytes();
        self.out.push(b'"');
        let mut written = 0;
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if !NEEDS_LOOK[usize::from(byte)] {
                at += 1;
                continue;
            }
            let mut len = 1;
            let unicode;
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                0x08 if self.style == Style::Api => b"\\b",
                0x0C if self.style == Style::Api => b"\\f",
                0xE2 => match &bytes[at..] {
                    [_, 0x80, 0xA8, ..] => {
                        len = 3;
                        b"\\u2028"
                    }
                    [_, 0x80, 0xA9, ..] => {
                        len = 3;
                        b"\\u2029"
                    }
                    _ => {
                        at += 1;
                        continue;
                    }
                },
                _ => {
                    unicode = [b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    &unicode
                }
            };
            self.out.extend_from_slice(&bytes[written..at]);
            self.out.extend_from_slice(escape);
            at += len;
            written = at;
        }
        self.out.extend_from_slice(&bytes[written..]);
        self.out.push(b'"');
    }

    /// Appends a payload. What is no JSON makes the whole message invalid.
    pub fn raw(&mut self, payload: &[u8]) {
        match self.style {
            Style::Client => {
                let start = self.out.len();
                let mut rest = payload;
                while let Some(at) = memchr::memchr(b'\n', rest) {
                    self.out.extend_from_slice(&rest[..at]);
                    rest = &rest[at + 1..];
                }
                self.out.extend_from_slice(rest);
                if self.out.len() == start && !payload.is_empty() {
                    // Nothing but newlines.
                    self.token("null");
                }
                // What is written is validated, not what was given: dropping newlines may repair a string.
                self.valid = self.valid && is_valid(&self.out[start..]);
            }
            Style::Api => {
                self.valid = self.valid && is_valid(payload);
                if self.valid {
                    compact_html(payload, self.out);
                }
            }
        }
    }

    /// Appends a number the way Go's encoding/json writes float64. Infinities and NaN make the message invalid.
    pub fn double(&mut self, number: f64) {
        use std::io::Write as _;
        if !number.is_finite() {
            self.valid = false;
            return;
        }
        let size = number.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{number:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            self.token(digits);
            self.token(if exponent.starts_with('-') { "e" } else { "e+" });
            self.token(exponent);
        } else {
            // Writing to a Vec cannot fail.
            let _ = write!(self.out, "{number}");
        }
    }
}

/// Bytes as text in quotes, as [`Writer::string`] writes it; each byte that is not UTF-8 becomes U+FFFD.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4 + 2);
    Writer::new(&mut out, Style::Client).string(&text(bytes));
    out
}

/// Bytes of a string that may have to be escaped.
const NEEDS_LOOK: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, ..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xE2);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(style: Style, write: impl FnOnce(&mut Writer<'_>)) -> (String, bool) {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, style);
        write(&mut writer);
        let valid = writer.is_valid();
        (String::from_utf8(out).unwrap(), valid)
    }

    #[test]
    fn strings_are_safe_within_html() {
        let check = |style, text: &str, expect: &str| {
            assert_eq!(written(style, |writer| writer.string(text)).0, format!("\"{expect}\""));
        };
        for style in [Style::Client, Style::Api] {
            check(style, "", "");
            check(style, "<a&b>", "\\u003ca\\u0026b\\u003e");
            check(style, "\"\\/\n\r\t\u{1f}\u{7f}", "\\\"\\\\/\\n\\r\\t\\u001f\u{7f}");
            check(style, "\u{2028}\u{2029}\u{2027}â", "\\u2028\\u2029\u{2027}â");
        }
        check(Style::Client, "\u{8}\u{c}", "\\u0008\\u000c");
        check(Style::Api, "\u{8}\u{c}", "\\b\\f");
    }

    #[test]
    fn payloads() {
        let check = |style, payload: &str, expect: &str| {
            assert_eq!(written(style, |writer| writer.raw(payload.as_bytes())), (expect.to_owned(), true));
        };
        check(Style::Client, "{ \"a\":\r\n\t\"<\" }\n", "{ \"a\":\r\t\"<\" }");
        check(Style::Api, "{ \"a\":\r\n\t\"<\" }\n", "{\"a\":\"\\u003c\"}");
        // Upstream validates behind the dropping of newlines.
        check(Style::Client, "\"a\nb\"", "\"ab\"");
        check(Style::Client, "\n\n", "null");
        for payload in ["", " ", "{", "1 2", "\u{1}", "\"a\tb\"", "\\"] {
            for style in [Style::Client, Style::Api] {
                assert!(!written(style, |writer| writer.raw(payload.as_bytes())).1, "{payload}");
            }
        }
    }

    #[test]
    fn doubles_look_like_those_of_go() {
        let check = |number: f64, expect: &str| {
            assert_eq!(written(Style::Api, |writer| writer.double(number)), (expect.to_owned(), true));
        };
        check(0.0, "0");
        check(60.0, "60");
        check(-1.5, "-1.5");
        check(1e20, "100000000000000000000");
        check(1e21, "1e+21");
        check(1.25e-6, "0.00000125");
        check(1.25e-7, "1.25e-7");
        check(f64::MAX, "1.7976931348623157e+308");
        assert!(!written(Style::Api, |writer| writer.double(f64::NAN)).1);
    }

    proptest! {
        #[test]
        fn serde_json_reads_what_is_written(text: String, number in proptest::num::f64::NORMAL) {
            for style in [Style::Client, Style::Api] {
                let json = written(style, |writer| writer.string(&text)).0;
                prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text.as_str());
                let json = written(style, |writer| writer.double(number)).0;
                serde_json::from_str::<f64>(&json).unwrap();
                prop_assert_eq!(json.parse(), Ok(number));
            }
        }
    }
}
