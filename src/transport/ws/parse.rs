//! The header of one client frame: its bytes, checked.

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::header::MAX_CONTROL;
use super::violation::{HeaderFaults, Violation};

/// The longest header of a client frame, in bytes.
pub const MAX_CLIENT_HEADER: usize = 14;

/// A header that keeps the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the frame carries.
    pub opcode: OpCode,
    /// The last frame of its message.
    pub fin: bool,
    /// Bytes of payload.
    pub len: u64,
    /// The payload's mask.
    pub key: [u8; 4],
    /// Bytes of the header itself.
    pub size: usize,
}

/// Reads the header at the start of `bytes`; nothing when it is not complete yet. Faults of the first two bytes
/// are found as soon as these are there. `open` tells that a fragmented message waits for its continuation.
pub fn parse(bytes: &[u8], open: bool) -> Result<Option<Header>, Violation> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let opcode = OpCode::from(first & 0x0f);
    let fin = first & 0x80 != 0;
    let short = usize::from(second & 0x7f);
    check(first, second, opcode, open)?;
    let (len, rest) = match short {
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest),
            None => return Ok(None),
        },
        len => (len as u64, rest),
    };
    if i64::try_from(len).is_err() {
        return Err(Violation::Length);
    }
    let Some((key, rest)) = rest.split_first_chunk() else {
        return Ok(None);
    };
    Ok(Some(Header { opcode, fin, len, key: *key, size: bytes.len() - rest.len() }))
}

fn check(first: u8, second: u8, opcode: OpCode, open: bool) -> Result<(), Violation> {
    let mut faults = HeaderFaults {
        reserved: [first & 0x40 != 0, first & 0x20 != 0, first & 0x10 != 0],
        unmasked: second & 0x80 == 0,
        ..HeaderFaults::default()
    };
    match opcode {
        OpCode::Control(Control::Reserved(code)) | OpCode::Data(Data::Reserved(code)) => faults.opcode = Some(code),
        OpCode::Control(_) => {
            faults.long_control = usize::from(second & 0x7f) > MAX_CONTROL;
            faults.split_control = first & 0x80 == 0;
        }
        OpCode::Data(Data::Continue) => faults.continuation_after_fin = !open,
        OpCode::Data(_) => faults.data_before_fin = open,
    }
    if faults.any() { Err(Violation::Header(faults)) } else { Ok(()) }
}
