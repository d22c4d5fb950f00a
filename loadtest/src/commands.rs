//! What a client says, in both encodings. Pure.

use crate::target::Protocol;

/// Where a client was in a channel, to be told what it missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Epoch of the stream.
    pub epoch: String,
    /// Offset of the last publication it has.
    pub offset: u64,
}

/// Ids of commands after the hello; so large that their width is fixed.
pub const FIRST_ID: u64 = 1_000_000_000;

/// A subscribe command's wishes.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The channel.
    pub channel: String,
    /// Whether to recover, and from where.
    pub from: Option<Position>,
}

/// Connect (id 1) and subscribe (ids from 2), as one message's worth of commands.
pub fn hello(protocol: Protocol, token: &str, subscriptions: &[Subscribe]) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Json => {
            out.extend_from_slice(format!("{{\"id\":1,\"connect\":{{\"token\":{}}}}}", quoted(token)).as_bytes());
            for (i, wish) in subscriptions.iter().enumerate() {
                let from = wish.from.as_ref().map_or(String::new(), |position| {
                    format!(",\"recover\":true,\"epoch\":{},\"offset\":{}", quoted(&position.epoch), position.offset)
                });
                let id = i + 2;
                let channel = quoted(&wish.channel);
                let command = format!("\n{{\"id\":{id},\"subscribe\":{{\"channel\":{channel}{from}}}}}");
                out.extend_from_slice(command.as_bytes());
            }
        }
        Protocol::Protobuf => {
            let mut connect = Vec::new();
            if !token.is_empty() {
                bytes_field(&mut connect, 1, token.as_bytes());
            }
            delimited(&mut out, &command(1, 4, &connect));
            for (i, wish) in subscriptions.iter().enumerate() {
                let mut request = Vec::new();
                bytes_field(&mut request, 1, wish.channel.as_bytes());
                if let Some(position) = &wish.from {
                    number_field(&mut request, 3, 1);
                    bytes_field(&mut request, 6, position.epoch.as_bytes());
                    number_field(&mut request, 7, position.offset);
                }
                delimited(&mut out, &command(i as u64 + 2, 5, &request));
            }
        }
    }
    out
}

/// A publish command.
pub fn publish(protocol: Protocol, id: u64, channel: &str, data: &str) -> Vec<u8> {
    match protocol {
        Protocol::Json => {
            let channel = quoted(channel);
            format!("{{\"id\":{id},\"publish\":{{\"channel\":{channel},\"data\":{data}}}}}").into_bytes()
        }
        Protocol::Protobuf => {
            let mut request = Vec::new();
            bytes_field(&mut request, 1, channel.as_bytes());
            bytes_field(&mut request, 2, data.as_bytes());
            framed(&command(id, 7, &request))
        }
    }
}

/// A command for presence statistics.
pub fn presence_stats(protocol: Protocol, id: u64, channel: &str) -> Vec<u8> {
    match protocol {
        Protocol::Json => {
            format!("{{\"id\":{id},\"presence_stats\":{{\"channel\":{}}}}}", quoted(channel)).into_bytes()
        }
        Protocol::Protobuf => {
            let mut request = Vec::new();
            bytes_field(&mut request, 1, channel.as_bytes());
            framed(&command(id, 9, &request))
        }
    }
}

/// The answer to a ping.
pub fn pong(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Json => b"{}",
        Protocol::Protobuf => &[0],
    }
}

/// Leaves a channel that it is not on, with `padding` bytes in a field that no server knows: read to its end, done at
/// once, and answered briefly.
pub fn padded_unsubscribe(protocol: Protocol, id: u64, padding: usize) -> Vec<u8> {
    let padding = "x".repeat(padding);
    match protocol {
        Protocol::Json => {
            format!("{{\"id\":{id},\"unsubscribe\":{{\"channel\":\"-\",\"padding\":\"{padding}\"}}}}").into_bytes()
        }
        Protocol::Protobuf => {
            let mut request = Vec::new();
            bytes_field(&mut request, 1, b"-");
            bytes_field(&mut request, 1000, padding.as_bytes());
            framed(&command(id, 6, &request))
        }
    }
}

/// A push of one publication as a server without history sends it: what the floor sends.
pub fn push(protocol: Protocol, channel: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Json => {
            let head = format!("{{\"push\":{{\"channel\":{},\"pub\":{{\"data\":", quoted(channel));
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(data);
            out.extend_from_slice(b"}}}");
        }
        Protocol::Protobuf => {
            let mut publication = Vec::new();
            bytes_field(&mut publication, 4, data);
            let mut push = Vec::new();
            bytes_field(&mut push, 2, channel.as_bytes());
            bytes_field(&mut push, 4, &publication);
            let mut reply = Vec::new();
            bytes_field(&mut reply, 4, &push);
            delimited(&mut out, &reply);
        }
    }
    out
}

/// Text as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn command(id: u64, request_number: u64, request: &[u8]) -> Vec<u8> {
    let mut command = Vec::new();
    number_field(&mut command, 1, id);
    bytes_field(&mut command, request_number, request);
    command
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 3);
    delimited(&mut out, message);
    out
}

fn bytes_field(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number_field(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_connects_and_subscribes() {
        let fresh = [Subscribe { channel: "a".to_owned(), from: None }];
        assert_eq!(
            hello(Protocol::Json, "t", &fresh),
            b"{\"id\":1,\"connect\":{\"token\":\"t\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}"
        );
        assert_eq!(hello(Protocol::Protobuf, "", &fresh), [4, 8, 1, 34, 0, 7, 8, 2, 42, 3, 10, 1, b'a']);
        let position = Position { epoch: "e".to_owned(), offset: 300 };
        let back = [Subscribe { channel: "a".to_owned(), from: Some(position) }];
        assert!(hello(Protocol::Json, "", &back).ends_with(b"\"a\",\"recover\":true,\"epoch\":\"e\",\"offset\":300}}"));
        assert!(hello(Protocol::Protobuf, "", &back).ends_with(&[10, 1, b'a', 24, 1, 50, 1, b'e', 56, 0xac, 2]));
    }

    #[test]
    fn commands_keep_their_width() {
        for protocol in [Protocol::Json, Protocol::Protobuf] {
            let (first, last) = (publish(protocol, FIRST_ID, "c", "{}"), publish(protocol, 4_000_000_000, "c", "{}"));
            assert_eq!(first.len(), last.len());
        }
        assert_eq!(
            presence_stats(Protocol::Json, 3, "a\"b"),
            b"{\"id\":3,\"presence_stats\":{\"channel\":\"a\\\"b\"}}"
        );
        assert_eq!(presence_stats(Protocol::Protobuf, 3, "a"), [7, 8, 3, 74, 3, 10, 1, b'a']);
    }
}
