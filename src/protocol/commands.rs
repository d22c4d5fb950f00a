//! Cuts a client's frame into commands (upstream: protocol decode_stream.go, centrifuge HandleReadFrame).

use crate::protocol::client::Command;
use crate::protocol::proto::Reader;
use crate::protocol::{Malformed, Protocol, json, proto};

/// The commands of one frame, in order. Behind the first malformed one comes no more.
pub struct Commands<'a> {
    protocol: Protocol,
    rest: &'a [u8],
    /// A frame without any command is malformed; one that goes on had some before.
    started: bool,
}

impl<'a> Commands<'a> {
    /// Reads a frame from its front.
    pub fn new(protocol: Protocol, frame: &'a [u8]) -> Self {
        Self {
            protocol,
            rest: frame,
            started: false,
        }
    }

    /// Goes on with what [`Commands::rest`] gave after a command.
    pub fn resume(protocol: Protocol, rest: &'a [u8]) -> Self {
        Self {
            protocol,
            rest,
            started: true,
        }
    }

    /// What is left of the frame.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next command; none at the end of the frame.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator here would be collected, which allocates"
    )]
    pub fn next(&mut self) -> Option<Result<Command<'a>, Malformed>> {
        let command = match self.protocol {
            Protocol::Json => self.next_json(),
            Protocol::Protobuf => self.next_protobuf(),
        };
        match command {
            Ok(Some(command)) => {
                self.started = true;
                Some(Ok(command))
            }
            Ok(None) if self.started => None,
            Ok(None) => {
                self.started = true;
                Some(Err(Malformed("a frame without commands")))
            }
            Err(malformed) => {
                self.started = true;
                self.rest = &[];
                Some(Err(malformed))
            }
        }
    }

    /// One line is one command: the line's first value. What follows on the line is dropped, as upstream does.
    fn next_json(&mut self) -> Result<Option<Command<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line = match memchr::memchr(b'\n', self.rest) {
            Some(end) => {
                let line = &self.rest[..end];
                self.rest = &self.rest[end + 1..];
                line
            }
            None => std::mem::take(&mut self.rest),
        };
        json::decode_first(line).map(Some)
    }

    /// Each command stands behind its length. A length with nothing at all behind it ends the frame, as upstream does.
    fn next_protobuf(&mut self) -> Result<Option<Command<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(self.rest);
        let len = reader.varint()?;
        let body = reader.rest();
        if body.is_empty() && len > 0 {
            self.rest = body;
            return Ok(None);
        }
        let len = usize::try_from(len).ok().filter(|len| *len <= body.len());
        let (command, rest) = body.split_at(len.ok_or(Malformed("a command longer than its frame"))?);
        self.rest = rest;
        proto::decode(command).map(Some)
    }
}
