//! What a client can do wrong on the level of frames, and how the connection is closed for it.

use std::fmt;

use super::header::write_close;

/// A breach of the protocol. The connection is over: nothing more is read from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// The first two bytes of a frame are not allowed.
    Header(HeaderFaults),
    /// A close frame with a code that may not be sent.
    CloseCode(u16),
    /// A close frame whose reason is not UTF-8.
    CloseReason,
    /// The message is longer than the limit.
    TooLong,
    /// A length beyond 2^63 - 1. Closed without a close frame, as upstream does.
    Length,
}

/// All that is wrong with the first two bytes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeaderFaults {
    /// Reserved bits set, no extension being agreed: RSV1, RSV2, RSV3.
    pub reserved: [bool; 3],
    /// A control frame above 125 bytes.
    pub long_control: bool,
    /// A control frame in fragments.
    pub split_control: bool,
    /// A new message before the last one ended.
    pub data_before_fin: bool,
    /// A continuation of nothing.
    pub continuation_after_fin: bool,
    /// An opcode that means nothing.
    pub opcode: Option<u8>,
    /// The frame is not masked.
    pub unmasked: bool,
}

impl HeaderFaults {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl Violation {
    /// The code for the close frame; none when the socket is closed without one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Violation::Header(_) | Violation::CloseCode(_) | Violation::CloseReason => Some(1002),
            Violation::TooLong => Some(1009),
            Violation::Length => None,
        }
    }

    /// Appends the close frame that answers the breach, if there is one to send.
    pub fn write_close(&self, out: &mut Vec<u8>) {
        if let Some(code) = self.code() {
            let reason = if *self == Violation::TooLong { String::new() } else { self.to_string() };
            write_close(out, Some((code, &reason)));
        }
    }
}

impl fmt::Display for HeaderFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut say = |f: &mut fmt::Formatter<'_>, wrong: bool, what: fmt::Arguments<'_>| {
            if !wrong {
                return Ok(());
            }
            f.write_str(std::mem::replace(&mut separator, ", "))?;
            f.write_fmt(what)
        };
        for (at, set) in self.reserved.iter().enumerate() {
            say(f, *set, format_args!("RSV{} set", at + 1))?;
        }
        say(f, self.long_control, format_args!("len > 125 for control"))?;
        say(f, self.split_control, format_args!("FIN not set on control"))?;
        say(f, self.data_before_fin, format_args!("data before FIN"))?;
        say(f, self.continuation_after_fin, format_args!("continuation after FIN"))?;
        if let Some(opcode) = self.opcode {
            say(f, true, format_args!("bad opcode {opcode}"))?;
        }
        say(f, self.unmasked, format_args!("bad MASK"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Header(faults) => faults.fmt(f),
            Violation::CloseCode(code) => write!(f, "bad close code {code}"),
            Violation::CloseReason => f.write_str("invalid utf8 payload in close frame"),
            Violation::TooLong => f.write_str("message above the size limit"),
            Violation::Length => f.write_str("frame length out of range"),
        }
    }
}

impl std::error::Error for Violation {}
