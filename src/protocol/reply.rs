//! Encodes what clients receive (upstream: protocol encode.go).

use crate::protocol::client::{Push, Reply};
use crate::protocol::json::write::Style;
use crate::protocol::message::Message;
use crate::protocol::{NotJson, Protocol, json, proto};

/// The application ping of the server in JSON.
pub const PING_JSON: &[u8] = b"{}";

/// The application ping of the server in Protobuf: a message of length zero.
pub const PING_PROTOBUF: &[u8] = b"\0";

/// Appends a reply. JSON: the object, no newline. Protobuf: length and message. On error the buffer is left as it was.
pub fn encode_reply(protocol: Protocol, reply: &Reply<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    encode(protocol, reply, out)
}

/// Appends a push as unidirectional clients receive it, without a reply around it; otherwise as [`encode_reply`].
pub fn encode_push(protocol: Protocol, push: &Push<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    encode(protocol, push, out)
}

fn encode<'a, M: Message<'a>>(protocol: Protocol, message: &M, out: &mut Vec<u8>) -> Result<(), NotJson> {
    match protocol {
        Protocol::Json => json::encode(message, Style::Client, out),
        Protocol::Protobuf => {
            proto::encode_delimited(message, out);
            Ok(())
        }
    }
}
