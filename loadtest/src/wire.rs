//! The few messages of the client protocol that a load needs, in both encodings.

use crate::Failure;
use crate::target::Protocol;

/// What a message from the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// Answer it with [`pong`].
    Ping,
    /// A reply that went well.
    Reply,
    /// A push, as bytes.
    Push(&'a [u8]),
    /// A reply with an error, as bytes.
    Error(&'a [u8]),
}

/// Connect and subscribe, as one frame's worth of commands.
pub fn hello(protocol: Protocol, token: &str, channels: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Json => {
            let text = |value: &str| serde_json::Value::from(value).to_string();
            out.extend_from_slice(format!("{{\"id\":1,\"connect\":{{\"token\":{}}}}}", text(token)).as_bytes());
            for (i, channel) in channels.iter().enumerate() {
                let command = format!("\n{{\"id\":{},\"subscribe\":{{\"channel\":{}}}}}", i + 2, text(channel));
                out.extend_from_slice(command.as_bytes());
            }
        }
        Protocol::Protobuf => {
            delimited(&mut out, &request(1, 4, token));
            for (i, channel) in channels.iter().enumerate() {
                delimited(&mut out, &request(i as u64 + 2, 5, channel));
            }
        }
    }
    out
}

/// The answer to a ping.
pub fn pong(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Json => b"{}",
        Protocol::Protobuf => &[0],
    }
}

/// A push of one publication as a server without history sends it.
pub fn push(protocol: Protocol, channel: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Json => {
            let channel = serde_json::Value::from(channel).to_string();
            out.extend_from_slice(format!("{{\"push\":{{\"channel\":{channel},\"pub\":{{\"data\":").as_bytes());
            out.extend_from_slice(data);
            out.extend_from_slice(b"}}}");
        }
        Protocol::Protobuf => {
            let mut publication = Vec::new();
            field(&mut publication, 4, data);
            let mut push = Vec::new();
            field(&mut push, 2, channel.as_bytes());
            field(&mut push, 4, &publication);
            let mut reply = Vec::new();
            field(&mut reply, 4, &push);
            delimited(&mut out, &reply);
        }
    }
    out
}

/// Cuts a frame's payload into messages.
pub fn each_message<'a>(
    protocol: Protocol,
    mut frame: &'a [u8],
    mut on: impl FnMut(Incoming<'a>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match protocol {
        Protocol::Json => {
            for line in frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                on(json_kind(line))?;
            }
        }
        Protocol::Protobuf => {
            while !frame.is_empty() {
                let (length, rest) = varint(frame).ok_or("a message without its length")?;
                let message = rest.get(..length as usize).ok_or("a message cut off")?;
                on(protobuf_kind(message).ok_or("a message that is no reply")?)?;
                frame = &rest[length as usize..];
            }
        }
    }
    Ok(())
}

fn json_kind(line: &[u8]) -> Incoming<'_> {
    if line == b"{}" {
        Incoming::Ping
    } else if line.starts_with(b"{\"push\"") {
        Incoming::Push(line)
    } else if memchr::memmem::find(line, b"\"error\":").is_some() {
        Incoming::Error(line)
    } else {
        Incoming::Reply
    }
}

/// Field 1 of a reply is its id, 2 an error, 4 a push.
fn protobuf_kind(message: &[u8]) -> Option<Incoming<'_>> {
    let mut rest = message;
    let mut kind = if message.is_empty() { Incoming::Ping } else { Incoming::Reply };
    while !rest.is_empty() {
        let (tag, after) = varint(rest)?;
        match (tag >> 3, tag & 7) {
            (_, 0) => rest = varint(after)?.1,
            (number, 2) => {
                let (length, body) = varint(after)?;
                let value = body.get(..length as usize)?;
                match number {
                    2 => kind = Incoming::Error(value),
                    4 => kind = Incoming::Push(value),
                    _ => {}
                }
                rest = &body[length as usize..];
            }
            _ => return None,
        }
    }
    Some(kind)
}

/// A command whose request (field `number`) has one text as field 1.
fn request(id: u64, number: u64, text: &str) -> Vec<u8> {
    let mut inner = Vec::new();
    if !text.is_empty() {
        field(&mut inner, 1, text.as_bytes());
    }
    let mut command = vec![8];
    put_varint(&mut command, id);
    field(&mut command, number, &inner);
    command
}

fn field(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn delimited(out: &mut Vec<u8>, message: &[u8]) {
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(protocol: Protocol, frame: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        each_message(protocol, frame, |message| {
            seen.push(match message {
                Incoming::Push(_) => "push".to_owned(),
                Incoming::Error(_) => "error".to_owned(),
                other => format!("{other:?}"),
            });
            Ok(())
        })
        .expect("a whole frame");
        seen
    }

    #[test]
    fn frames_hold_several_messages() {
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            let mut frame = push(protocol, "c", b"{\"a\":\"error\"}");
            if protocol == Protocol::Json {
                frame.push(b'\n');
            }
            frame.extend_from_slice(pong(protocol));
            assert_eq!(kinds(protocol, &frame), ["push", "Ping"]);
        }
        assert_eq!(
            kinds(Protocol::Json, b"{\"id\":1,\"error\":{\"code\":100}}\n{\"id\":2,\"subscribe\":{}}"),
            ["error", "Reply"]
        );
        // id 1 with error code 100; id 2 with an empty subscribe result.
        assert_eq!(kinds(Protocol::Protobuf, &[6, 8, 1, 18, 2, 8, 100, 4, 8, 2, 50, 0]), ["error", "Reply"]);
        assert!(each_message(Protocol::Protobuf, &[9, 8], |_| Ok(())).is_err());
    }

    #[test]
    fn one_frame_connects_and_subscribes() {
        let channels = ["a".to_owned()];
        assert_eq!(
            hello(Protocol::Json, "t", &channels),
            b"{\"id\":1,\"connect\":{\"token\":\"t\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}"
        );
        assert_eq!(hello(Protocol::Protobuf, "", &channels), [4, 8, 1, 34, 0, 7, 8, 2, 42, 3, 10, 1, b'a']);
    }
}
