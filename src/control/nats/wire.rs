//! The protocol of NATS as bytes: lines are appended to a buffer, operations are cut from one.
//!
//! Our own, because every publication passes here twice: the crate async-nats has a channel and a task behind every
//! subscription and several allocations for a message, and there may be a million subscriptions. This reads in place,
//! and finds a subscription by its number.

use bytes::{Buf, BytesMut};

use crate::base::ids::ConnId;
use crate::control::link::Inlet;

/// Longest line, bytes; a server tells of all others of its cluster in one.
const MAX_LINE: usize = 256 << 10;

/// Longest payload, bytes: no server can be set to take longer ones (`max_payload`).
pub const MAX_PAYLOAD: usize = 64 << 20;

/// What came is not the protocol of NATS, or longer than it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken(pub &'static str);

/// What a server says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said<'b> {
    /// What the server is, as JSON.
    Info(&'b [u8]),
    /// A message.
    Message {
        /// The subject that it was told on.
        subject: &'b [u8],
        /// The subscription that it came by.
        by: ConnId,
        /// What was told.
        payload: &'b [u8],
    },
    /// It wants to know whether we are there.
    Ping,
    /// It is there, and did everything that was sent before the question.
    Pong,
    /// It took something.
    Ok,
    /// It did not take something, in its words.
    Failed(&'b [u8]),
}

/// Publishes a payload.
pub fn publish(subject: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(subject.as_bytes());
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(payload.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Subscribes to a subject, under this number.
pub fn subscribe(subject: &str, as_number: ConnId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"SUB ");
    out.extend_from_slice(subject.as_bytes());
    out.push(b' ');
    number(as_number, out);
}

/// Ends the subscription with this number.
pub fn unsubscribe(as_number: ConnId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"UNSUB ");
    number(as_number, out);
}

fn number(id: ConnId, out: &mut Vec<u8>) {
    let number = u64::from(id.generation) << 32 | u64::from(id.slot);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Asks whether the server is there.
pub const PING: &[u8] = b"PING\r\n";

/// We are.
pub const PONG: &[u8] = b"PONG\r\n";

/// What came from a connection and was not taken yet.
#[derive(Debug, Default)]
pub struct Incoming {
    buffer: BytesMut,
    /// The line at the front has no end before this.
    looked: usize,
    /// The message at the front, once its line is there.
    head: Option<Head>,
}

/// The line of a message.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Where the subject is.
    subject: (usize, usize),
    by: ConnId,
    /// Where the payload begins, and its length.
    payload: (usize, usize),
}

impl Inlet for Incoming {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }
}

impl Incoming {
    /// The next thing that the server says, handed to `take` in place.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub fn next<T>(&mut self, take: impl FnOnce(Said<'_>) -> T) -> Result<Option<T>, Broken> {
        let head = match self.head {
            Some(head) => head,
            None => {
                let Some(end) = self.line()? else { return Ok(None) };
                let line = trimmed(&self.buffer[..end]);
                match said(line)? {
                    Line::Whole(said) => {
                        let taken = take(said);
                        self.buffer.advance(end);
                        return Ok(Some(taken));
                    }
                    Line::Message { subject, by, len } => *self.head.insert(Head { subject, by, payload: (end, len) }),
                }
            }
        };
        let (begin, len) = head.payload;
        let Some(after) = self.buffer.get(begin + len..begin + len + 2) else { return Ok(None) };
        if after != b"\r\n" {
            return Err(Broken("a message is longer than it says"));
        }
        let subject = &self.buffer[head.subject.0..head.subject.1];
        let taken = take(Said::Message { subject, by: head.by, payload: &self.buffer[begin..begin + len] });
        self.buffer.advance(begin + len + 2);
        self.head = None;
        Ok(Some(taken))
    }

    /// Where the line at the front ends, if it does.
    fn line(&mut self) -> Result<Option<usize>, Broken> {
        match memchr::memchr(b'\n', &self.buffer[self.looked..]) {
            Some(at) if self.looked + at < MAX_LINE => {
                let end = std::mem::take(&mut self.looked) + at + 1;
                Ok(Some(end))
            }
            None if self.buffer.len() < MAX_LINE => {
                self.looked = self.buffer.len();
                Ok(None)
            }
            _ => Err(Broken("a line is too long")),
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

enum Line<'b> {
    Whole(Said<'b>),
    Message { subject: (usize, usize), by: ConnId, len: usize },
}

fn said(line: &[u8]) -> Result<Line<'_>, Broken> {
    let len = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    // Servers write it like this; others may, in any way.
    let mut word = [0; 5];
    let word = word.get_mut(..len).ok_or(UNKNOWN)?;
    word.copy_from_slice(&line[..len]);
    word.make_ascii_uppercase();
    let rest = line[len..].trim_ascii();
    Ok(Line::Whole(match &*word {
        b"MSG" => return message(line, len),
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        b"+OK" => Said::Ok,
        b"INFO" => Said::Info(rest),
        b"-ERR" => Said::Failed(unquoted(rest)),
        _ => return Err(UNKNOWN),
    }))
}

const UNKNOWN: Broken = Broken("the server says something that is not the protocol of NATS");

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Subject, number of the subscription, perhaps a subject for answers, length of the payload.
fn message(line: &[u8], mut at: usize) -> Result<Line<'_>, Broken> {
    let mut parts = [(0, 0); 4];
    let mut count = 0;
    loop {
        while line.get(at).is_some_and(|byte| is_blank(*byte)) {
            at += 1;
        }
        if at == line.len() {
            break;
        }
        let begin = at;
        while line.get(at).is_some_and(|byte| !is_blank(*byte)) {
            at += 1;
        }
        *parts.get_mut(count).ok_or(Broken("a message has too many parts"))? = (begin, at);
        count += 1;
    }
    if count < 3 {
        return Err(Broken("a message has too few parts"));
    }
    let text = |(begin, end): (usize, usize)| &line[begin..end];
    let by = decimal(text(parts[1])).ok_or(Broken("a subscription has a number that is none of ours"))?;
    let len = decimal(text(parts[count - 1])).ok_or(Broken("a message has a length that is none"))?;
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_PAYLOAD).ok_or(Broken("a message is too long"))?;
    Ok(Line::Message { subject: parts[0], by: ConnId { slot: by as u32, generation: (by >> 32) as u32 }, len })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn unquoted(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"'").unwrap_or(text);
    text.strip_suffix(b"'").unwrap_or(text)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
