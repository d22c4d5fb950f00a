//! The incremental reader of client frames: bytes as they come from the socket, whole messages out.

use std::ops::ControlFlow;

use tungstenite::protocol::frame::coding::{CloseCode, Control, OpCode};

use super::mask::unmask;
use super::parse::{Header, MAX_CLIENT_HEADER, parse};
use super::violation::Violation;

/// What a client sent. Borrowed for the time of the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A whole message, text or binary: the client's protocol does not depend on it.
    Message(&'a [u8]),
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The peer closes, perhaps with a code and a reason. To be answered by a close frame with the same code.
    /// What follows on the socket is meaningless.
    Close(Option<(u16, &'a str)>),
}

/// Reads one connection's frames. One word; holds memory only while a frame or message is incomplete, and then
/// no more than what has arrived of it, doubling at most.
#[derive(Debug, Default)]
pub struct Reader(Option<Box<Carry>>);

/// What has arrived of something incomplete.
#[derive(Debug, Default)]
struct Carry {
    /// The first bytes of a header.
    head: [u8; MAX_CLIENT_HEADER],
    head_len: u8,
    /// A fragmented message waits for its continuation.
    open: bool,
    /// The frame whose payload is arriving, and how much of it has.
    frame: Option<(Header, u64)>,
    /// The message so far, unmasked; behind it the control frame that is arriving.
    buffer: Vec<u8>,
    /// Where the message so far ends.
    message_len: usize,
}

impl Reader {
    /// A reader at the start of a connection.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Memory held for something incomplete, in bytes of payload.
    pub fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |carry| carry.buffer.capacity())
    }

    /// Reads on. Payloads are unmasked in place, and a message that lies in one frame and wholly in the input is
    /// not copied. `limit` is the longest message, in bytes of payload.
    ///
    /// Returns how much of the input was used: all of it, unless `on` broke off. Then the rest stays as it came
    /// and is the input of the next call. After a violation or [`Event::Close`] there is nothing more to read.
    pub fn read(
        &mut self,
        input: &mut [u8],
        limit: usize,
        mut on: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<usize, Violation> {
        let mut used = 0;
        while used < input.len() {
            let rest = &mut input[used..];
            let flow = match self.0.as_deref_mut() {
                Some(carry) => {
                    let flow;
                    (used, flow) = carry.read(rest, limit, &mut on).map(|(took, flow)| (used + took, flow))?;
                    if carry.is_done() {
                        self.0 = None;
                    }
                    flow
                }
                None => match parse(rest, false)? {
                    Some(header) if header.is_whole(rest.len()) => {
                        check_len(&header, 0, limit)?;
                        let end = header.size + header.len as usize;
                        used += end;
                        let payload = &mut rest[header.size..end];
                        unmask(payload, header.key, 0);
                        on(event(header.opcode, payload)?)
                    }
                    _ => {
                        self.0 = Some(Box::default());
                        ControlFlow::Continue(())
                    }
                },
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(used)
    }
}

impl Header {
    fn is_control(&self) -> bool {
        matches!(self.opcode, OpCode::Control(_))
    }

    /// The frame needs no memory: it is a message or control frame of its own and lies within `available` bytes.
    fn is_whole(&self, available: usize) -> bool {
        self.fin && self.len <= (available - self.size) as u64
    }
}

impl Carry {
    /// Takes a piece of a header or of a payload. Returns how many bytes it took.
    fn read(
        &mut self,
        input: &mut [u8],
        limit: usize,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(usize, ControlFlow<()>), Violation> {
        if let Some((header, arrived)) = self.frame {
            let took = usize::try_from(header.len - arrived).unwrap_or(usize::MAX).min(input.len());
            self.append(&header, arrived, &mut input[..took]);
            self.frame = Some((header, arrived + took as u64));
            let flow = self.end_frame(on)?;
            return Ok((took, flow));
        }
        let before = usize::from(self.head_len);
        let took = input.len().min(MAX_CLIENT_HEADER - before);
        self.head[before..before + took].copy_from_slice(&input[..took]);
        match parse(&self.head[..before + took], self.open)? {
            Some(header) => {
                check_len(&header, self.message_len, limit)?;
                self.head_len = 0;
                self.frame = Some((header, 0));
                let flow = self.end_frame(on)?;
                Ok((header.size - before, flow))
            }
            None => {
                self.head_len = (before + took) as u8;
                Ok((took, ControlFlow::Continue(())))
            }
        }
    }

    fn append(&mut self, header: &Header, arrived: u64, piece: &mut [u8]) {
        unmask(piece, header.key, arrived);
        let needed = self.buffer.len() + piece.len();
        if needed > self.buffer.capacity() {
            // Grows with what arrives, not with what is announced, and not beyond what is announced.
            let announced = self.buffer.len() + usize::try_from(header.len - arrived).unwrap_or(usize::MAX);
            let capacity = needed.max(self.buffer.capacity() * 2).min(announced);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(piece);
    }

    /// Ends the frame if its payload is complete.
    fn end_frame(&mut self, on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>) -> Result<ControlFlow<()>, Violation> {
        let Some((header, _)) = self.frame.take_if(|(header, arrived)| *arrived == header.len) else {
            return Ok(ControlFlow::Continue(()));
        };
        if header.is_control() {
            let flow = on(event(header.opcode, &self.buffer[self.message_len..])?);
            self.buffer.truncate(self.message_len);
            return Ok(flow);
        }
        self.open = !header.fin;
        if self.open {
            self.message_len = self.buffer.len();
            return Ok(ControlFlow::Continue(()));
        }
        let flow = on(Event::Message(&self.buffer));
        self.buffer.clear();
        self.message_len = 0;
        Ok(flow)
    }

    /// Nothing is incomplete.
    fn is_done(&self) -> bool {
        self.head_len == 0 && !self.open && self.frame.is_none()
    }
}

/// The limit holds for whole messages; control frames have their own, in the header's checks.
fn check_len(header: &Header, message_len: usize, limit: usize) -> Result<(), Violation> {
    if header.is_control() {
        return Ok(());
    }
    let total = (message_len as u64).checked_add(header.len).filter(|total| i64::try_from(*total).is_ok());
    match total {
        None => Err(Violation::Length),
        Some(total) if total > limit as u64 => Err(Violation::TooLong),
        Some(_) => Ok(()),
    }
}

fn event(opcode: OpCode, payload: &[u8]) -> Result<Event<'_>, Violation> {
    match opcode {
        OpCode::Control(Control::Ping) => Ok(Event::Ping(payload)),
        OpCode::Control(Control::Pong) => Ok(Event::Pong),
        OpCode::Control(_) => close(payload).map(Event::Close),
        OpCode::Data(_) => Ok(Event::Message(payload)),
    }
}

/// A payload too short for a code counts as none, as upstream.
fn close(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Ok(None);
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(Violation::CloseCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReason)?;
    Ok(Some((code, reason)))
}

#[cfg(test)]
mod tests;
