//! One event of a channel in each form that its subscribers understand: encoded when the first of them needs it,
//! and once for all of them.

use std::sync::Arc;

use super::frame::{Frame, FrameBuilder};
use super::member::MemberFlags;
use crate::channel::convert::IdText;
use crate::channel::name::ChannelName;
use crate::channel::publication::{ClientInfo, Publication};
use crate::protocol::reply::encode_reply;
use crate::protocol::{NotJson, Protocol, client};
use crate::transport::ws::opcode_of;

/// What happened in the channel.
#[derive(Clone, Copy, Debug)]
enum Event<'e> {
    Publication(&'e Publication),
    Join(&'e ClientInfo),
    Leave(&'e ClientInfo),
}

/// The frames of one event on one shard. Made for each delivery, dropped when it is fanned out.
#[derive(Debug)]
pub struct Variants<'e> {
    channel: &'e str,
    event: Event<'e>,
    json: Option<Result<Frame, NotJson>>,
    protobuf: Option<Result<Frame, NotJson>>,
}

impl<'e> Variants<'e> {
    /// A publication, for every member.
    pub fn publication(channel: &'e ChannelName, publication: &'e Publication) -> Self {
        Self::new(channel, Event::Publication(publication))
    }

    /// A join, for the members that want it.
    pub fn join(channel: &'e ChannelName, info: &'e Arc<ClientInfo>) -> Self {
        Self::new(channel, Event::Join(info))
    }

    /// A leave, for the members that want it.
    pub fn leave(channel: &'e ChannelName, info: &'e Arc<ClientInfo>) -> Self {
        Self::new(channel, Event::Leave(info))
    }

    fn new(channel: &'e ChannelName, event: Event<'e>) -> Self {
        Self { channel: channel.as_str(), event, json: None, protobuf: None }
    }

    /// The event as a WebSocket frame in the protocol of a member with these flags. Fails for JSON clients when a
    /// payload in it is no JSON: such a client speaks the wrong protocol and is disconnected (upstream: hub.go,
    /// `DisconnectInappropriateProtocol`).
    #[inline]
    pub fn frame(&mut self, flags: MemberFlags, builder: &mut FrameBuilder) -> Result<Frame, NotJson> {
        let protocol = flags.protocol();
        let (channel, event) = (self.channel, self.event);
        let slot = match protocol {
            Protocol::Json => &mut self.json,
            Protocol::Protobuf => &mut self.protobuf,
        };
        slot.get_or_insert_with(|| encode(protocol, channel, event, builder)).clone()
    }
}

fn encode(protocol: Protocol, channel: &str, event: Event<'_>, builder: &mut FrameBuilder) -> Result<Frame, NotJson> {
    let mut id: IdText = [0; 36];
    let mut push = client::Push { channel: channel.into(), ..client::Push::default() };
    match event {
        Event::Publication(publication) => push.r#pub = Some(client::Publication::with(publication, &mut id)),
        Event::Join(info) => {
            push.join = Some(client::Join { info: Some(client::ClientInfo::with(info, &mut id)) });
        }
        Event::Leave(info) => {
            push.leave = Some(client::Leave { info: Some(client::ClientInfo::with(info, &mut id)) });
        }
    }
    frame_of(protocol, push, builder)
}

/// The frame of a push, to be shared by all who understand it.
pub(super) fn frame_of(
    protocol: Protocol,
    push: client::Push<'_>,
    builder: &mut FrameBuilder,
) -> Result<Frame, NotJson> {
    let reply = client::Reply { push: Some(push), ..client::Reply::default() };
    builder.websocket(opcode_of(protocol), |out| encode_reply(protocol, &reply, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ClientId;
    use crate::channel::publication::Epoch;
    use bytes::Bytes;

    fn publication(data: &'static [u8]) -> Publication {
        Publication { offset: 2, epoch: Epoch::from_random([1; 8]), ..Publication::bare(Bytes::from_static(data)) }
    }

    fn info() -> Arc<ClientInfo> {
        Arc::new(ClientInfo {
            user: "u".into(),
            client: ClientId([0; 16]),
            conn_info: Bytes::new(),
            chan_info: Bytes::new(),
        })
    }

    #[track_caller]
    fn check(mut variants: Variants<'_>, json: &str) {
        let mut builder = FrameBuilder::new();
        let frame = variants.frame(MemberFlags::NONE, &mut builder).unwrap();
        assert_eq!((frame.as_bytes()[0], frame.as_bytes()[1] as usize), (0x81, json.len()));
        assert_eq!(std::str::from_utf8(&frame.as_bytes()[2..]).unwrap(), json);
    }

    #[test]
    fn events_read_as_pushes() {
        let (name, publication, info) = (ChannelName::new("a"), publication(b"{}"), info());
        check(Variants::publication(&name, &publication), r#"{"push":{"channel":"a","pub":{"data":{},"offset":2}}}"#);
        let who = r#"{"info":{"user":"u","client":"00000000-0000-0000-0000-000000000000"}}"#;
        check(Variants::join(&name, &info), &format!(r#"{{"push":{{"channel":"a","join":{who}}}}}"#));
        check(Variants::leave(&name, &info), &format!(r#"{{"push":{{"channel":"a","leave":{who}}}}}"#));
    }

    #[test]
    fn each_protocol_is_encoded_once_and_only_when_asked_for() {
        let (name, publication) = (ChannelName::new("a"), publication(b"{}"));
        let (mut variants, mut builder) = (Variants::publication(&name, &publication), FrameBuilder::new());
        let first = variants.frame(MemberFlags::PROTOBUF, &mut builder).unwrap();
        assert!(variants.json.is_none());
        assert_eq!(first.as_bytes()[0], 0x82);
        // Length, push (4), channel (2), publication (4), data (4), offset (6).
        assert_eq!(first.as_bytes()[2..], *b"\x0d\x22\x0b\x12\x01a\x22\x06\x22\x02{}\x30\x02");
        let second = variants.frame(MemberFlags::PROTOBUF, &mut builder).unwrap();
        assert!(std::ptr::eq(first.as_bytes(), second.as_bytes()));
    }

    #[test]
    fn what_is_no_json_goes_to_protobuf_clients_only() {
        let (name, publication) = (ChannelName::new("a"), publication(b"\x00\x01"));
        let (mut variants, mut builder) = (Variants::publication(&name, &publication), FrameBuilder::new());
        for _ in 0..2 {
            assert_eq!(variants.frame(MemberFlags::NONE, &mut builder).err(), Some(NotJson));
        }
        assert!(variants.frame(MemberFlags::PROTOBUF, &mut builder).is_ok());
    }
}
