//! What a step of a session wants written: encoded messages back to back, and where each ends.

use crate::protocol::client::Reply;
use crate::protocol::reply::encode_reply;
use crate::protocol::{NotJson, Protocol};

/// Bytes that an [`Output`] keeps for the next step; a larger buffer (after a long recovery) is given back.
const KEPT_CAPACITY: usize = 64 << 10;

/// Encoded messages in the order in which they go to the client. One per shard, reused by all its sessions.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The first message goes in front of everything that the connection is owed.
    is_first: bool,
}

impl Output {
    /// Nothing to write.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), is_first: false }
    }

    /// Encodes a reply behind the others. Nothing is added when a payload in it is no JSON for a JSON client.
    pub fn reply(&mut self, protocol: Protocol, reply: &Reply<'_>) -> Result<(), NotJson> {
        encode_reply(protocol, reply, &mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Adds a message that is encoded already.
    pub fn encoded(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len());
    }

    /// Says that the first message goes in front of everything that the connection is owed: it is the reply to
    /// connect, and pushes for the server-side subscriptions in it may wait already
    /// (see [`Session::holds_pushes`](super::Session::holds_pushes)).
    pub(super) fn put_first(&mut self) {
        self.is_first = true;
    }

    /// Whether the first message goes in front of everything that the connection is owed.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// The messages, without separators.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets the messages.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
        self.ends.clear();
        self.is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::client::RPCResult;
    use crate::protocol::raw::Raw;

    fn reply(data: &str) -> Reply<'_> {
        Reply { id: 1, rpc: Some(RPCResult { data: Raw::from(data) }), ..Reply::default() }
    }

    #[test]
    fn messages_keep_their_boundaries() {
        let mut out = Output::new();
        assert!(out.is_empty());
        out.reply(Protocol::Json, &reply("1")).unwrap();
        assert_eq!(out.reply(Protocol::Json, &reply("{")), Err(NotJson));
        out.encoded(b"{}");
        out.reply(Protocol::Json, &reply("[2]")).unwrap();
        let messages: Vec<_> = out.messages().map(|message| str::from_utf8(message).unwrap()).collect();
        assert_eq!(messages, [r#"{"id":1,"rpc":{"data":1}}"#, "{}", r#"{"id":1,"rpc":{"data":[2]}}"#]);
        out.clear();
        assert!(out.is_empty() && out.messages().next().is_none());
    }
}
