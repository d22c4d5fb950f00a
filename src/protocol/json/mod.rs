//! JSON for messages: reading, writing, validating (upstream: segmentio/encoding and easyjson for the client protocol,
//! encoding/json for the server API).

pub mod scan;
pub(crate) mod text;
pub mod valid;
pub mod write;

pub use valid::{compact_html, is_object, is_valid};

use crate::protocol::message::Message;
use crate::protocol::{Malformed, NotJson};
use scan::Scanner;
use write::{Style, Writer};

/// Longest key that is folded to lower case; every known key is shorter.
const LONGEST_KEY: usize = 32;

/// Decodes the first value of the input. What follows it is not looked at.
pub fn decode_first<'a, M: Message<'a>>(input: &'a [u8]) -> Result<M, Malformed> {
    let mut scan = Scanner::new(input);
    decode_value(&mut scan)
}

/// Decodes an input that holds one value and nothing else. `null` is an empty message.
pub fn decode_whole<'a, M: Message<'a>>(input: &'a [u8]) -> Result<M, Malformed> {
    let mut scan = Scanner::new(input);
    let message = decode_value(&mut scan)?;
    scan.end()?;
    Ok(message)
}

fn decode_value<'a, M: Message<'a>>(scan: &mut Scanner<'a>) -> Result<M, Malformed> {
    let mut message = M::default();
    scan.blanks();
    if !scan.take_null()? {
        read_object(&mut message, scan)?;
    }
    Ok(message)
}

/// Appends the message as an object. On error the buffer is left as it was.
pub fn encode<'a, M: Message<'a>>(message: &M, style: Style, out: &mut Vec<u8>) -> Result<(), NotJson> {
    let start = out.len();
    let mut writer = Writer::new(out, style);
    writer.open(b'{');
    message.json_fields(&mut writer);
    writer.close(b'}');
    if writer.is_valid() {
        return Ok(());
    }
    out.truncate(start);
    Err(NotJson)
}

/// Reads an object into the message. Keys match exactly or without regard to case; unknown ones are passed over.
pub(crate) fn read_object<'a, M: Message<'a>>(message: &mut M, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
    scan.open(b'{')?;
    scan.enter()?;
    let mut first = true;
    while let Some(key) = scan.next_key(first)? {
        first = false;
        if !message.json_field(key.as_bytes(), scan)? && !read_folded(message, &key, scan)? {
            scan.skip()?;
        }
    }
    scan.leave();
    message.finish();
    Ok(())
}

/// The case-insensitive second look. U+017F and U+212A fold to `s` and `k`, as in Go.
#[cold]
fn read_folded<'a, M: Message<'a>>(message: &mut M, key: &str, scan: &mut Scanner<'a>) -> Result<bool, Malformed> {
    let mut folded = [0u8; LONGEST_KEY];
    let mut len = 0;
    for letter in key.chars() {
        let byte = match letter {
            '\u{17F}' => b's',
            '\u{212A}' => b'k',
            _ if letter.is_ascii() => (letter as u8).to_ascii_lowercase(),
            _ => return Ok(false),
        };
        let Some(slot) = folded.get_mut(len) else {
            return Ok(false);
        };
        *slot = byte;
        len += 1;
    }
    message.json_field(&folded[..len], scan)
}
