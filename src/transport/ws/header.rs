//! Writing of server frames: headers, and whole control frames. Server frames are not masked.

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::protocol::Protocol;

/// The longest header of a server frame, in bytes.
pub const MAX_HEADER: usize = 10;

/// The longest payload of a control frame, in bytes.
pub const MAX_CONTROL: usize = 125;

/// What messages of a client protocol are framed as.
pub fn opcode_of(protocol: Protocol) -> OpCode {
    match protocol {
        Protocol::Json => OpCode::Data(Data::Text),
        Protocol::Protobuf => OpCode::Data(Data::Binary),
    }
}

/// The header of one final frame with a payload of `len` bytes, and the header's own length.
pub fn header(opcode: OpCode, len: usize) -> ([u8; MAX_HEADER], usize) {
    let mut bytes = [0; MAX_HEADER];
    bytes[0] = 0x80 | u8::from(opcode);
    let size = if len <= MAX_CONTROL {
        bytes[1] = len as u8;
        2
    } else if let Ok(len) = u16::try_from(len) {
        bytes[1] = 126;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        4
    } else {
        bytes[1] = 127;
        bytes[2..10].copy_from_slice(&(len as u64).to_be_bytes());
        10
    };
    (bytes, size)
}

/// Appends the header of one final frame with a payload of `len` bytes.
pub fn write_header(out: &mut Vec<u8>, opcode: OpCode, len: usize) {
    let (bytes, size) = header(opcode, len);
    out.extend_from_slice(&bytes[..size]);
}

/// Appends a ping frame. The payload is cut to what a control frame can hold.
pub fn write_ping(out: &mut Vec<u8>, payload: &[u8]) {
    write_control(out, Control::Ping, payload);
}

/// Appends a pong frame with the ping's payload.
pub fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    write_control(out, Control::Pong, payload);
}

/// Appends a close frame; no code means no payload. The reason is cut, between characters, to what a control
/// frame can hold.
pub fn write_close(out: &mut Vec<u8>, close: Option<(u16, &str)>) {
    let Some((code, reason)) = close else {
        return write_control(out, Control::Close, &[]);
    };
    let cut = (0..=reason.len().min(MAX_CONTROL - 2)).rev().find(|at| reason.is_char_boundary(*at));
    let reason = &reason[..cut.unwrap_or(0)];
    write_header(out, OpCode::Control(Control::Close), 2 + reason.len());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

fn write_control(out: &mut Vec<u8>, control: Control, payload: &[u8]) {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    write_header(out, OpCode::Control(control), payload.len());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use tungstenite::protocol::frame::FrameHeader;
    use tungstenite::protocol::frame::coding::Data;

    #[test]
    fn headers_read_back() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40] {
            for opcode in [Data::Text, Data::Binary] {
                let mut out = Vec::new();
                write_header(&mut out, OpCode::Data(opcode), len);
                let mut cursor = Cursor::new(&out);
                let (parsed, parsed_len) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
                let expected = FrameHeader { opcode: OpCode::Data(opcode), ..FrameHeader::default() };
                assert_eq!((parsed, parsed_len), (expected, len as u64));
                assert_eq!(cursor.position(), out.len() as u64);
            }
        }
    }

    #[test]
    fn control_frames_keep_to_their_limit() {
        let mut out = Vec::new();
        write_close(&mut out, Some((3501, "bad request")));
        assert_eq!(out, b"\x88\x0d\x0d\xadbad request");
        out.clear();
        write_close(&mut out, None);
        assert_eq!(out, [0x88, 0]);
        out.clear();
        write_close(&mut out, Some((1000, &"\u{e4}".repeat(100))));
        assert_eq!((out[1], out.len()), (2 + 122, 2 + 2 + 122));
        assert!(std::str::from_utf8(&out[4..]).is_ok());
        out.clear();
        write_ping(&mut out, b"");
        write_pong(&mut out, &[7; 200]);
        assert_eq!(out[..4], [0x89, 0, 0x8a, 125]);
        assert_eq!(out.len(), 2 + 2 + 125);
    }
}
