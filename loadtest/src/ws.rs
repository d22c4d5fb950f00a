//! The client side of a WebSocket: the upgrade request, frames out, frames in.

use std::io::Cursor;

use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::Failure;
use crate::advice;
use crate::target::Protocol;

/// The upgrade: a request that all connections send alike, and the answer that they wait for.
#[derive(Clone)]
pub struct Upgrade {
    request: Vec<u8>,
    accept: String,
}

impl Upgrade {
    /// The upgrade at `host` (`name:port`).
    pub fn new(host: &str, protocol: Protocol) -> Upgrade {
        let key = generate_key();
        let subprotocol = match protocol {
            Protocol::Json => "",
            Protocol::Protobuf => "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n",
        };
        let request = format!(
            "GET /connection/websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{subprotocol}\r\n"
        );
        Upgrade { request: request.into_bytes(), accept: derive_accept_key(key.as_bytes()) }
    }

    /// The request's bytes.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Looks at the answer so far. `Some` = accepted, with the number of bytes the answer took.
    pub fn answered(&self, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return if bytes.len() > 16 * 1024 { Err("an endless answer to the upgrade".into()) } else { Ok(None) };
        };
        let head = &bytes[..end];
        if !head.starts_with(b"HTTP/1.1 101 ") || memchr::memmem::find(head, self.accept.as_bytes()).is_none() {
            let status = String::from_utf8_lossy(head).lines().next().unwrap_or_default().to_owned();
            return Err(advice::upgrade_refused(&status));
        }
        Ok(Some(end + 4))
    }
}

/// Appends one whole message as a client's frame. The mask is zero: it changes nothing and costs nothing.
pub fn write_message(out: &mut Vec<u8>, protocol: Protocol, payload: &[u8]) {
    write_frame(out, data_opcode(protocol), Some([0; 4]), payload);
}

/// Appends one whole message as a server's frame.
pub fn write_server_message(out: &mut Vec<u8>, protocol: Protocol, payload: &[u8]) {
    write_frame(out, data_opcode(protocol), None, payload);
}

/// Appends a client's pong.
pub fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    write_frame(out, OpCode::Control(Control::Pong), Some([0; 4]), payload);
}

fn data_opcode(protocol: Protocol) -> OpCode {
    match protocol {
        Protocol::Json => OpCode::Data(Data::Text),
        Protocol::Protobuf => OpCode::Data(Data::Binary),
    }
}

fn write_frame(out: &mut Vec<u8>, opcode: OpCode, mask: Option<[u8; 4]>, payload: &[u8]) {
    let header = FrameHeader { is_final: true, rsv1: false, rsv2: false, rsv3: false, opcode, mask };
    header.format(payload.len() as u64, out).expect("a vector takes every byte");
    out.extend_from_slice(payload);
}

/// What a server's frame carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole message.
    Message(&'a [u8]),
    /// A WebSocket ping.
    Ping(&'a [u8]),
    /// The server says goodbye: code and reason, as bytes.
    Close(&'a [u8]),
}

/// The first whole frame of `bytes`, with its length; `None` = more bytes are needed.
#[inline]
pub fn read_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Failure> {
    // A short whole data message, as nearly all are.
    if let [0x81 | 0x82, length @ ..=126, rest @ ..] = bytes {
        let (start, length) = match (*length, rest) {
            (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            (126, _) => return Ok(None),
            (length, _) => (2, usize::from(length)),
        };
        return Ok(bytes.get(start..start + length).map(|payload| (Frame::Message(payload), start + length)));
    }
    read_any_frame(bytes)
}

#[cold]
fn read_any_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Failure> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor)? else {
        return Ok(None);
    };
    let start = cursor.position() as usize;
    let Some(end) = start.checked_add(usize::try_from(length)?).filter(|end| *end <= bytes.len()) else {
        return Ok(None);
    };
    if header.mask.is_some() || header.rsv1 || !header.is_final {
        return Err("a frame that is masked, compressed or fragmented".into());
    }
    let payload = &bytes[start..end];
    let frame = match header.opcode {
        OpCode::Data(_) => Frame::Message(payload),
        OpCode::Control(Control::Ping) => Frame::Ping(payload),
        OpCode::Control(Control::Close) => Frame::Close(payload),
        OpCode::Control(_) => return Err("a control frame that nobody asked for".into()),
    };
    Ok(Some((frame, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole() {
        for size in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; size];
            let mut bytes = Vec::new();
            write_server_message(&mut bytes, Protocol::Json, &payload);
            let whole = bytes.len();
            for cut in [0, 1, 2, whole - 1] {
                if cut < whole {
                    assert_eq!(read_frame(&bytes[..cut]).expect("no violation"), None, "{cut} of {whole}");
                }
            }
            bytes.push(0x81);
            assert_eq!(read_frame(&bytes).expect("a frame"), Some((Frame::Message(&payload), whole)));
        }
    }

    #[test]
    fn upgrades_are_checked() {
        let upgrade = Upgrade::new("127.0.0.1:8000", Protocol::Protobuf);
        assert!(String::from_utf8_lossy(upgrade.request()).contains("centrifuge-protobuf"));
        assert!(matches!(upgrade.answered(b"HTTP/1.1 101 Switching"), Ok(None)));
        assert!(upgrade.answered(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
        assert!(upgrade.answered(b"HTTP/1.1 101 S\r\nSec-WebSocket-Accept: other\r\n\r\n").is_err());
        let good = format!("HTTP/1.1 101 S\r\nSec-WebSocket-Accept: {}\r\n\r\nxx", upgrade.accept);
        assert_eq!(upgrade.answered(good.as_bytes()).expect("accepted"), Some(good.len() - 2));
    }
}
