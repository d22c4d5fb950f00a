//! A client's side of the wire: masked frames out, server frames in.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, OpCode};

use crate::protocol::client::{Command, Reply};
use crate::protocol::json::write::Style;
use crate::protocol::{Protocol, json, proto};
use crate::transport::ws::opcode_of;

/// A mask that is no palindrome of itself, so that unmasking at the wrong offset shows.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// One frame with the commands.
pub fn frame(protocol: Protocol, commands: &[Command<'_>]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        match protocol {
            Protocol::Json => {
                if index > 0 {
                    payload.push(b'\n');
                }
                json::encode(command, Style::Client, &mut payload).expect("the simulator's payloads are JSON");
            }
            Protocol::Protobuf => proto::encode_delimited(command, &mut payload),
        }
    }
    masked(opcode_of(protocol), payload)
}

/// The answer to a ping of the server.
pub fn pong(protocol: Protocol) -> Vec<u8> {
    let payload: &[u8] = match protocol {
        Protocol::Json => b"{}",
        Protocol::Protobuf => &[0],
    };
    masked(opcode_of(protocol), payload.to_vec())
}

fn masked(opcode: OpCode, mut payload: Vec<u8>) -> Vec<u8> {
    let header = FrameHeader { opcode, mask: Some(MASK), ..FrameHeader::default() };
    let mut out = Vec::new();
    header.format(payload.len() as u64, &mut out).expect("a vector takes everything");
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= MASK[index % 4];
    }
    out.extend_from_slice(&payload);
    out
}

/// What a server frame holds.
pub enum Received<'a> {
    /// A ping of the protocol.
    Ping,
    /// A reply or a push.
    Reply(Reply<'a>),
    /// The connection ends.
    Close(u16),
}

/// Takes whole frames from the front of the buffer, one after another, and hands over what they hold.
///
/// # Errors
/// What is wrong with a frame or message of the server.
pub fn receive(
    protocol: Protocol,
    buffer: &mut Vec<u8>,
    mut on: impl FnMut(Received<'_>) -> Result<(), String>,
) -> Result<(), String> {
    loop {
        let mut cursor = Cursor::new(&buffer[..]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|error| error.to_string())? else {
            return Ok(());
        };
        let start = cursor.position() as usize;
        let end = start + length as usize;
        if buffer.len() < end {
            return Ok(());
        }
        if header.mask.is_some() || !header.is_final {
            return Err(format!("a server frame must be whole and not masked: {header:?}"));
        }
        let frame: Vec<u8> = buffer.drain(..end).skip(start).collect();
        match header.opcode {
            OpCode::Control(Control::Close) => {
                let code = frame.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                on(Received::Close(code))?;
            }
            OpCode::Data(_) => message(protocol, &frame, &mut on)?,
            other => return Err(format!("unexpected frame {other:?}")),
        }
    }
}

fn message(
    protocol: Protocol,
    message: &[u8],
    on: &mut impl FnMut(Received<'_>) -> Result<(), String>,
) -> Result<(), String> {
    match protocol {
        Protocol::Json if message == b"{}" => on(Received::Ping),
        Protocol::Json => on(Received::Reply(json::decode_whole(message).map_err(|error| error.to_string())?)),
        Protocol::Protobuf => {
            let mut reader = proto::Reader::new(message);
            let reply = reader.bytes().map_err(|error| error.to_string())?;
            if !reader.rest().is_empty() {
                return Err("bytes behind a Protobuf reply".to_owned());
            }
            if reply.is_empty() {
                return on(Received::Ping);
            }
            on(Received::Reply(proto::decode(reply).map_err(|error| error.to_string())?))
        }
    }
}
