//! Reads JSON from a slice, as strictly as upstream's decoders: no recursion, no copy unless a string has escapes.

use std::borrow::Cow;

use crate::protocol::json::text::{plain_prefix, text, unescape};
use crate::protocol::{MAX_JSON_DEPTH, MAX_MESSAGE_DEPTH, Malformed};

const CUT: Malformed = Malformed("the JSON ends early");

/// A place in a JSON text.
pub struct Scanner<'a> {
    input: &'a [u8],
    pos: usize,
    messages: u32,
}

impl<'a> Scanner<'a> {
    /// Starts at the front.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, pos: 0, messages: 0 }
    }

    #[inline]
    fn peek(&self) -> Result<u8, Malformed> {
        self.input.get(self.pos).copied().ok_or(CUT)
    }

    /// Passes over blanks.
    #[inline]
    pub fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.input.get(self.pos) {
            self.pos += 1;
        }
    }

    /// Fails unless only blanks are left.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.blanks();
        if self.pos == self.input.len() { Ok(()) } else { Err(Malformed("something follows the JSON value")) }
    }

    #[inline]
    fn take(&mut self, byte: u8, otherwise: Malformed) -> Result<(), Malformed> {
        if self.peek()? == byte {
            self.pos += 1;
            Ok(())
        } else {
            Err(otherwise)
        }
    }

    /// A message within a message begins.
    #[inline]
    pub fn enter(&mut self) -> Result<(), Malformed> {
        self.messages += 1;
        if self.messages > MAX_MESSAGE_DEPTH { Err(Malformed("messages nest too deep")) } else { Ok(()) }
    }

    /// The message ends.
    #[inline]
    pub fn leave(&mut self) {
        self.messages -= 1;
    }

    /// Passes over `{` or `[`.
    #[inline]
    pub fn open(&mut self, bracket: u8) -> Result<(), Malformed> {
        self.take(bracket, Malformed("another type than the field's"))
    }

    /// Within an object: passes over the key and the colon, to the value; none at the closing brace, passed over.
    #[inline]
    pub fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Malformed> {
        self.blanks();
        if self.peek()? == b'}' {
            self.pos += 1;
            return Ok(None);
        }
        if !first {
            self.take(b',', Malformed("no comma behind an object's member"))?;
            self.blanks();
        }
        let key = self.string()?;
        self.blanks();
        self.take(b':', Malformed("no colon behind a key"))?;
        self.blanks();
        Ok(Some(key))
    }

    /// Within an array: goes on to the next value; false at the closing bracket, passed over.
    #[inline]
    pub fn next_element(&mut self, first: bool) -> Result<bool, Malformed> {
        self.blanks();
        if self.peek()? == b']' {
            self.pos += 1;
            return Ok(false);
        }
        if !first {
            self.take(b',', Malformed("no comma behind an array's element"))?;
            self.blanks();
        }
        Ok(true)
    }

    /// Passes over `null`, if that is the value.
    #[inline]
    pub fn take_null(&mut self) -> Result<bool, Malformed> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.literal(b"null")?;
        Ok(true)
    }

    #[inline]
    fn literal(&mut self, literal: &[u8]) -> Result<(), Malformed> {
        if self.input[self.pos..].starts_with(literal) {
            self.pos += literal.len();
            Ok(())
        } else {
            Err(Malformed("no JSON value"))
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.peek()? {
            b't' => self.literal(b"true").map(|()| true),
            b'f' => self.literal(b"false").map(|()| false),
            _ => Err(Malformed("another type than the field's")),
        }
    }

    /// A string's text; borrowed when it holds no escapes and is UTF-8.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let start = self.pos + 1;
        let has_escapes = self.skip_string()?;
        let body = &self.input[start..self.pos - 1];
        Ok(if has_escapes { Cow::Owned(unescape(body)) } else { text(body) })
    }

    /// Passes over a string; tells whether it holds escapes.
    #[inline]
    fn skip_string(&mut self) -> Result<bool, Malformed> {
        self.take(b'"', Malformed("another type than the field's, or no string as key"))?;
        let mut has_escapes = false;
        loop {
            self.pos += plain_prefix(&self.input[self.pos..]);
            match self.peek()? {
                b'"' => {
                    self.pos += 1;
                    return Ok(has_escapes);
                }
                b'\\' => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return Err(Malformed("a control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.pos += match self.input.get(self.pos + 1).ok_or(CUT)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = self.input.get(self.pos + 2..self.pos + 6).ok_or(CUT)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Malformed("an escape without four hexadecimal digits"));
                }
                6
            }
            _ => return Err(Malformed("an unknown escape in a string")),
        };
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.pos;
        while let Some(b'0'..=b'9') = self.input.get(self.pos) {
            self.pos += 1;
        }
        if self.pos == start { Err(Malformed("a number without digits")) } else { Ok(()) }
    }

    /// A number as it is written.
    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.pos;
        if self.peek()? == b'-' {
            self.pos += 1;
        }
        if self.peek()? == b'0' {
            self.pos += 1;
        } else {
            self.digits()?;
        }
        if self.input.get(self.pos) == Some(&b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.input.get(self.pos) {
            self.pos += 1;
            if let Some(b'+' | b'-') = self.input.get(self.pos) {
                self.pos += 1;
            }
            self.digits()?;
        }
        std::str::from_utf8(&self.input[start..self.pos]).map_err(|_| Malformed("no number"))
    }

    /// A number without sign, fraction and exponent.
    #[inline]
    pub fn unsigned(&mut self) -> Result<u64, Malformed> {
        self.number()?.parse().map_err(|_| Malformed("no whole number, or out of range"))
    }

    /// A number without fraction and exponent.
    #[inline]
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        self.number()?.parse().map_err(|_| Malformed("no whole number, or out of range"))
    }

    /// Any number that a double can hold.
    pub fn double(&mut self) -> Result<f64, Malformed> {
        match self.number()?.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(Malformed("number out of range")),
        }
    }

    /// Passes over a value and gives it as it is written. Nesting is bounded by [`MAX_JSON_DEPTH`].
    #[inline]
    pub fn raw(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.pos;
        self.skip()?;
        Ok(&self.input[start..self.pos])
    }

    /// Passes over a value. Nesting is bounded by [`MAX_JSON_DEPTH`].
    #[inline]
    pub fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_bounded(MAX_JSON_DEPTH)
    }

    /// Passes over a value; with the messages around it, it nests at most so deep.
    pub fn skip_bounded(&mut self, max_depth: usize) -> Result<(), Malformed> {
        let mut open = Open::default();
        loop {
            // Here a value begins.
            match self.peek()? {
                b'{' => {
                    self.check_depth(&open, max_depth)?;
                    self.pos += 1;
                    self.blanks();
                    if self.peek()? != b'}' {
                        open.push(true);
                        self.skip_key()?;
                        continue;
                    }
                    self.pos += 1;
                }
                b'[' => {
                    self.check_depth(&open, max_depth)?;
                    self.pos += 1;
                    self.blanks();
                    if self.peek()? != b']' {
                        open.push(false);
                        continue;
                    }
                    self.pos += 1;
                }
                b'"' => drop(self.skip_string()?),
                b'n' => self.literal(b"null")?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'-' | b'0'..=b'9' => drop(self.number()?),
                _ => return Err(Malformed("no JSON value")),
            }
            // Here a value has ended, and with it perhaps the arrays and objects around it.
            loop {
                let Some(is_object) = open.top() else { return Ok(()) };
                self.blanks();
                match (self.peek()?, is_object) {
                    (b',', true) => {
                        self.pos += 1;
                        self.blanks();
                        self.skip_key()?;
                        break;
                    }
                    (b',', false) => {
                        self.pos += 1;
                        self.blanks();
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.pos += 1;
                        open.pop();
                    }
                    _ => return Err(Malformed("no comma and no closing bracket behind a value")),
                }
            }
        }
    }

    #[inline]
    fn check_depth(&self, open: &Open, max_depth: usize) -> Result<(), Malformed> {
        if open.depth + self.messages as usize >= max_depth { Err(Malformed("JSON nests too deep")) } else { Ok(()) }
    }

    #[inline]
    fn skip_key(&mut self) -> Result<(), Malformed> {
        self.skip_string()?;
        self.blanks();
        self.take(b':', Malformed("no colon behind a key"))?;
        self.blanks();
        Ok(())
    }
}

/// The arrays and objects around a place: one bit each, the first 64 without allocation.
#[derive(Default)]
struct Open {
    depth: usize,
    innermost: u64,
    outer: Vec<u64>,
}

impl Open {
    #[inline]
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.innermost = self.innermost << 1 | u64::from(is_object);
        self.depth += 1;
    }

    #[inline]
    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.innermost & 1 == 1)
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::client::{Command, SubscribeRequest};
    use crate::protocol::json::{decode_first, decode_whole};

    #[track_caller]
    fn check_command(json: &str, expect: Command<'_>) {
        assert_eq!(decode_first::<Command<'_>>(json.as_bytes()), Ok(expect), "{json}");
    }

    #[track_caller]
    fn check_malformed(json: &str) {
        let decoded = decode_first::<Command<'_>>(json.as_bytes());
        assert!(decoded.is_err(), "{json}: {decoded:?}");
    }

    fn with_id(id: u32) -> Command<'static> {
        Command { id, ..Default::default() }
    }

    #[test]
    fn ids() {
        check_command(r#"{"id":4294967295}"#, with_id(u32::MAX));
        check_command(r#"{"id":0}"#, with_id(0));
        for bad in ["4294967296", "-1", "-0", "1.0", "1e2", "01", r#""1""#, "true", "[]", "{}", "18446744073709551617"]
        {
            check_malformed(&format!(r#"{{"id":{bad}}}"#));
        }
    }

    #[test]
    fn keys_blanks_duplicates_and_nulls() {
        check_command(" \t\r{ \"id\" : 2 } ", with_id(2));
        check_command(r#"{"ID":2}"#, with_id(2));
        check_command(r#"{"\u0069d":2}"#, with_id(2));
        check_command(r#"{"id":1,"id":2}"#, with_id(2));
        check_command(r#"{"id":1,"id":null}"#, with_id(1));
        check_command(r#"{"other":{"id":[3,{}]},"id":2,"я":null}"#, with_id(2));
        check_command("null", Command::default());
        check_command("{}", Command::default());
        check_command(r#"{"subscribe":null}"#, Command::default());
        check_command(r#"{"subscribe":{},"subscribe":null}"#, Command::default());
        check_command(r#"{"id":2}trailing"#, with_id(2));
        let both = SubscribeRequest { channel: "a".into(), recover: true, ..Default::default() };
        check_command(
            r#"{"subscribe":{"channel":"a"},"subscribe":{"recover":true}}"#,
            Command { subscribe: Some(Box::new(both)), ..Default::default() },
        );
        // KELVIN SIGN and LONG S fold to k and s.
        let json = "{\"refre\u{17F}h\":{\"to\u{212A}en\":\"t\"}}";
        assert_eq!(decode_first::<Command<'_>>(json.as_bytes()).unwrap().refresh.unwrap().token, "t");
    }

    #[test]
    fn malformed() {
        const CASES: &str = r#"
            { ¦ hello ¦ 5 ¦ [] ¦ [{}] ¦ "x" ¦ nul ¦ {"id" ¦ {"id": ¦ {"id":2 ¦ {"id":2,} ¦ {,} ¦ {"id" 2}
            {id:2} ¦ {"x":[1,]} ¦ {"x":[,1]} ¦ {"x":[1 2]} ¦ {"x":{"y":1,}} ¦ {"x":{"y"}} ¦ {"x":[} ¦ {"x":{]}
            {"x":[1} ¦ {"x":tru} ¦ {"x":1.} ¦ {"x":.5} ¦ {"x":1e} ¦ {"x":1e+} ¦ {"x":-} ¦ {"x":+1} ¦ {"x":01}
            {"x":"\x"} ¦ {"x":"\u12g4"} ¦ {"x":"\u12"} ¦ {"x":" ¦ {"x":'a'} ¦ {"x":"\ ¦ {"subscribe":"x"}
            {"subscribe":[]} ¦ {"subscribe":{"channel":1}} ¦ {"subscribe":{"recover":1}}
            {"subscribe":{"recover":truer}} ¦ {null:1} ¦ {"id":2] ¦ {"connect":{"headers":[]}}
            {"connect":{"headers":{"a":1}}} ¦ {"connect":{"data":}} ¦ {"sub_refresh":{"untrack":[1]}}
            {"sub_refresh":{"untrack":{}}}
        "#;
        for json in CASES.lines().flat_map(|line| line.split('¦')).map(str::trim).filter(|json| !json.is_empty()) {
            check_malformed(json);
        }
        for json in ["", " ", "{\"x\":\"a\nb\"}", "{\"x\":\"\u{1}\"}", "\u{FEFF}{}"] {
            check_malformed(json);
        }
    }

    #[test]
    fn payloads_are_slices_of_the_input() {
        let json = br#"{"publish":{"data": {"b" : [1, 2.50e+01],"a":"\u0041"} ,"channel":"c"}}"#;
        let publish = decode_first::<Command<'_>>(json).unwrap().publish.unwrap();
        let Cow::Borrowed(data) = publish.data.0 else { panic!("a copy") };
        assert_eq!(data, br#"{"b" : [1, 2.50e+01],"a":"\u0041"}"#);
        assert!(json.as_ptr_range().contains(&data.as_ptr()));
        let publish = decode_first::<Command<'_>>(br#"{"publish":{"data":null}}"#).unwrap().publish.unwrap();
        assert_eq!(publish.data, "null".into());
    }

    #[test]
    fn maps_keep_the_last_of_equal_keys() {
        let json = br#"{"connect":{"headers":{"b":"1","a":"2","b":"3"},"headers":{"c":null}}}"#;
        let headers = decode_first::<Command<'_>>(json).unwrap().connect.unwrap().headers;
        assert_eq!(headers, [("a".into(), "2".into()), ("b".into(), "3".into()), ("c".into(), "".into())]);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(decode_first::<Command<'_>>(nested(MAX_JSON_DEPTH - 1).as_bytes()).is_ok());
        assert!(decode_first::<Command<'_>>(nested(MAX_JSON_DEPTH).as_bytes()).is_err());
        let filter = |depth: usize| {
            format!(r#"{{"subscribe":{{"tf":{}{{}}{}}}}}"#, r#"{"nodes":["#.repeat(depth), "]}".repeat(depth))
        };
        // The command, the request and the innermost node are messages too.
        assert!(decode_first::<Command<'_>>(filter(MAX_MESSAGE_DEPTH as usize - 3).as_bytes()).is_ok());
        assert!(decode_first::<Command<'_>>(filter(MAX_MESSAGE_DEPTH as usize - 2).as_bytes()).is_err());
    }

    #[test]
    fn a_body_holds_one_value() {
        let check = |json: &str, valid: bool| {
            let decoded = decode_whole::<crate::protocol::api::PublishRequest<'_>>(json.as_bytes());
            assert_eq!(decoded.is_ok(), valid, "{json}");
        };
        check("null", true);
        check(" {} \n", true);
        check(r#"{"Channel":"a","DATA":null}"#, true);
        check("{}{}", false);
        check("{} x", false);
        check("", false);
        check("nullx", false);
    }

    proptest! {
        #[test]
        fn numbers_read_what_serde_json_wrote(unsigned: u64, signed: i64, double in proptest::num::f64::NORMAL) {
            prop_assert_eq!(Scanner::new(unsigned.to_string().as_bytes()).unsigned(), Ok(unsigned));
            prop_assert_eq!(Scanner::new(signed.to_string().as_bytes()).signed(), Ok(signed));
            let json = serde_json::to_string(&double).unwrap();
            prop_assert_eq!(Scanner::new(json.as_bytes()).double(), Ok(double));
        }
    }
}
