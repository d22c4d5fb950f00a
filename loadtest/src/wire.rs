//! What the server says, in both encodings: messages are told apart and the few results that matter are read. Pure.

use crate::Failure;
use crate::target::Protocol;

/// What a message from the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// Answer it with [`crate::commands::pong`].
    Ping,
    /// A reply that went well: the command's id, and the whole message.
    Reply(u64, &'a [u8]),
    /// A push, as bytes.
    Push(&'a [u8]),
    /// A reply with an error, as bytes.
    Error(&'a [u8]),
}

/// Cuts a frame's payload into messages.
pub fn each_message<'a>(
    protocol: Protocol,
    mut frame: &'a [u8],
    mut on: impl FnMut(Incoming<'a>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match protocol {
        Protocol::Json => {
            while !frame.is_empty() {
                let end = memchr::memchr(b'\n', frame).unwrap_or(frame.len());
                if end > 0 {
                    on(json_kind(&frame[..end]))?;
                }
                frame = frame.get(end + 1..).unwrap_or_default();
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
    if line.starts_with(b"{\"push\"") {
        Incoming::Push(line)
    } else if line == b"{}" {
        Incoming::Ping
    } else {
        let id = json_number(line, b"\"id\":").unwrap_or(0);
        let is_error = memchr::memmem::find(&line[..line.len().min(40)], b"\"error\":").is_some();
        if is_error { Incoming::Error(line) } else { Incoming::Reply(id, line) }
    }
}

/// Field 1 of a reply is its id, 2 an error, 4 a push.
fn protobuf_kind(message: &[u8]) -> Option<Incoming<'_>> {
    let mut id = 0;
    let mut kind = None;
    each_field(message, |number, field| match (number, field) {
        (1, Field::Number(value)) => id = value,
        (2, Field::Bytes(value)) => kind = Some(Incoming::Error(value)),
        (4, Field::Bytes(value)) => kind = Some(Incoming::Push(value)),
        _ => {}
    })?;
    Some(kind.unwrap_or(if message.is_empty() { Incoming::Ping } else { Incoming::Reply(id, message) }))
}

/// What a subscription's reply says that a client must remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribed {
    /// Epoch of the stream.
    pub epoch: String,
    /// Offset that the client was at before, or is at now.
    pub offset: u64,
    /// Everything missed came with the reply.
    pub recovered: bool,
}

/// Reads the reply to a subscribe command; `None` when it is something else.
pub fn subscribed(protocol: Protocol, reply: &[u8]) -> Option<Subscribed> {
    let mut found = Subscribed::default();
    if protocol == Protocol::Json {
        let value: serde_json::Value = serde_json::from_slice(reply).ok()?;
        let result = value.get("subscribe")?;
        found.epoch = result.get("epoch").and_then(|epoch| epoch.as_str()).unwrap_or_default().to_owned();
        found.offset = result.get("offset").and_then(serde_json::Value::as_u64).unwrap_or(0);
        found.recovered = result.get("recovered").and_then(serde_json::Value::as_bool).unwrap_or(false);
        return Some(found);
    }
    let result = protobuf_member(reply, 6)?;
    each_field(result, |number, field| match (number, field) {
        (6, Field::Bytes(epoch)) => found.epoch = String::from_utf8_lossy(epoch).into_owned(),
        (8, Field::Number(recovered)) => found.recovered = recovered != 0,
        (9, Field::Number(offset)) => found.offset = offset,
        _ => {}
    })?;
    Some(found)
}

/// Whether the reply to a subscribe command says that everything missed came with it; cheaper than [`subscribed`].
pub fn is_recovered(protocol: Protocol, reply: &[u8]) -> bool {
    if protocol == Protocol::Json {
        return memchr::memmem::rfind(reply, b"\"recovered\":true").is_some();
    }
    let mut recovered = false;
    let read = protobuf_member(reply, 6).and_then(|result| {
        each_field(result, |number, field| {
            if let (8, Field::Number(value)) = (number, field) {
                recovered = value != 0;
            }
        })
    });
    read.is_some() && recovered
}

/// Number of clients in the reply to a presence statistics command.
pub fn present(protocol: Protocol, reply: &[u8]) -> Option<u64> {
    if protocol == Protocol::Json {
        return json_number(reply, b"\"num_clients\":");
    }
    let mut clients = 0;
    each_field(protobuf_member(reply, 10)?, |number, field| {
        if let (1, Field::Number(value)) = (number, field) {
            clients = value;
        }
    })?;
    Some(clients)
}

/// Code and message of an error.
pub fn error(protocol: Protocol, bytes: &[u8]) -> (u64, String) {
    if protocol == Protocol::Json {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        let error = &value["error"];
        return (error["code"].as_u64().unwrap_or(0), error["message"].as_str().unwrap_or_default().to_owned());
    }
    let (mut code, mut message) = (0, String::new());
    // What could not be read stays empty.
    let _ = each_field(bytes, |number, field| match (number, field) {
        (1, Field::Number(value)) => code = value,
        (2, Field::Bytes(text)) => message = String::from_utf8_lossy(text).into_owned(),
        _ => {}
    });
    (code, message)
}

fn json_number(text: &[u8], key: &[u8]) -> Option<u64> {
    let digits = &text[memchr::memmem::find(text, key)? + key.len()..];
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn protobuf_member(message: &[u8], wanted: u64) -> Option<&[u8]> {
    let mut member = None;
    each_field(message, |number, field| {
        if let (true, Field::Bytes(bytes)) = (number == wanted, field) {
            member = Some(bytes);
        }
    })?;
    member
}

fn each_field<'a>(mut rest: &'a [u8], mut on: impl FnMut(u64, Field<'a>)) -> Option<()> {
    while !rest.is_empty() {
        let (tag, after) = varint(rest)?;
        let (value, after) = varint(after)?;
        if tag & 7 == 0 {
            on(tag >> 3, Field::Number(value));
            rest = after;
        } else if tag & 7 == 2 {
            let length = usize::try_from(value).ok()?;
            on(tag >> 3, Field::Bytes(after.get(..length)?));
            rest = &after[length..];
        } else {
            return None;
        }
    }
    Some(())
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
    use crate::commands;

    fn kinds(protocol: Protocol, frame: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        each_message(protocol, frame, |message| {
            seen.push(match message {
                Incoming::Push(_) => "push".to_owned(),
                Incoming::Error(bytes) => format!("error {}", error(protocol, bytes).0),
                Incoming::Reply(id, _) => format!("reply {id}"),
                Incoming::Ping => "ping".to_owned(),
            });
            Ok(())
        })
        .expect("a whole frame");
        seen
    }

    #[test]
    fn frames_hold_several_messages() {
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            let mut frame = commands::push(protocol, "c", b"{\"a\":\"error\"}");
            if protocol == Protocol::Json {
                frame.push(b'\n');
            }
            frame.extend_from_slice(commands::pong(protocol));
            assert_eq!(kinds(protocol, &frame), ["push", "ping"]);
        }
        assert_eq!(
            kinds(Protocol::Json, b"{\"id\":1,\"error\":{\"code\":100}}\n{\"id\":2,\"subscribe\":{}}"),
            ["error 100", "reply 2"]
        );
        // id 1 with error code 100; id 2 with an empty subscribe result.
        assert_eq!(kinds(Protocol::Protobuf, &[6, 8, 1, 18, 2, 8, 100, 4, 8, 2, 50, 0]), ["error 100", "reply 2"]);
        assert!(each_message(Protocol::Protobuf, &[9, 8], |_| Ok(())).is_err());
    }

    #[test]
    fn results_are_read() {
        let expected = Subscribed { epoch: "ab".to_owned(), offset: 7, recovered: true };
        let text = b"{\"id\":2,\"subscribe\":{\"epoch\":\"ab\",\"recovered\":true,\"offset\":7}}";
        assert_eq!(subscribed(Protocol::Json, text), Some(expected.clone()));
        let bytes = [8, 2, 50, 8, 50, 2, b'a', b'b', 64, 1, 72, 7];
        assert_eq!(subscribed(Protocol::Protobuf, &bytes), Some(expected));
        assert_eq!(subscribed(Protocol::Json, b"{\"id\":1,\"connect\":{}}"), None);
        assert_eq!(
            present(Protocol::Json, b"{\"id\":3,\"presence_stats\":{\"num_clients\":12,\"num_users\":1}}"),
            Some(12)
        );
        assert_eq!(present(Protocol::Protobuf, &[8, 3, 82, 4, 8, 12, 16, 1]), Some(12));
    }
}
