//! Reads JSON from a slice, as strictly as upstream's decoders: no recursion, no copy unless a string has escapes.

use std::borrow::Cow;

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
        Self {
            input,
            pos: 0,
            messages: 0,
        }
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
        if self.pos == self.input.len() {
            Ok(())
        } else {
            Err(Malformed("something follows the JSON value"))
        }
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
        if self.messages > MAX_MESSAGE_DEPTH {
            Err(Malformed("messages nest too deep"))
        } else {
            Ok(())
        }
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
        Ok(if has_escapes {
            Cow::Owned(unescape(body))
        } else {
            text(body)
        })
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
        if self.pos == start {
            Err(Malformed("a number without digits"))
        } else {
            Ok(())
        }
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
        self.number()?
            .parse()
            .map_err(|_| Malformed("no whole number, or out of range"))
    }

    /// A number without fraction and exponent.
    #[inline]
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        self.number()?
            .parse()
            .map_err(|_| Malformed("no whole number, or out of range"))
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

    /// Passes over a value that nests at most so deep.
    pub fn skip_bounded(&mut self, max_depth: usize) -> Result<(), Malformed> {
        let mut open = Open::default();
        loop {
            // Here a value begins.
            match self.peek()? {
                b'{' => {
                    self.pos += 1;
                    self.blanks();
                    if self.peek()? != b'}' {
                        open.push(true, max_depth)?;
                        self.skip_key()?;
                        continue;
                    }
                    self.pos += 1;
                }
                b'[' => {
                    self.pos += 1;
                    self.blanks();
                    if self.peek()? != b']' {
                        open.push(false, max_depth)?;
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
    fn push(&mut self, is_object: bool, max_depth: usize) -> Result<(), Malformed> {
        if self.depth >= max_depth {
            return Err(Malformed("JSON nests too deep"));
        }
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.innermost = self.innermost << 1 | u64::from(is_object);
        self.depth += 1;
        Ok(())
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

/// How many bytes in front need no look inside a string: no quote, no backslash, no control character.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
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
    let tail = bytes[at..]
        .iter()
        .position(|byte| matches!(byte, ..0x20 | b'"' | b'\\'));
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
        chunk
            .invalid()
            .iter()
            .for_each(|_| out.push(char::REPLACEMENT_CHARACTER));
    }
}

/// Resolves the escapes of a string that was found well-formed. Half of a surrogate pair becomes U+FFFD.
#[cold]
fn unescape(body: &[u8]) -> String {
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
    digits.iter().take(4).fold(0, |value, digit| {
        value << 4 | char::from(*digit).to_digit(16).unwrap_or(0)
    })
}
