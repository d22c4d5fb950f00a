//! What is on NATS: subjects and messages (upstream: centrifugo internal/natsbroker, internal/redisnatsbroker). NATS
//! keeps nothing; history may be in Redis beside it, and then the place goes along with the publication.

use std::borrow::Cow;

use bytes::Bytes;

use super::frame::Message;
use super::{Unreadable, stored, value};
use crate::channel::convert::IdText;
use crate::channel::publication::{ClientInfo, Position, Publication};
use crate::protocol::client::{self, Join, Leave, Push};
use crate::protocol::proto::{decode, encode};

/// The tag that has the epoch of a publication with a place. Clients never see it.
const EPOCH_TAG: &str = "__centrifugo_epoch";

/// Messages are payloads and nothing else, on subjects that others choose (`raw_mode`): no joins, no leaves, no places.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raw {
    prefix: Box<str>,
    replacements: Box<[(Box<str>, Box<str>)]>,
}

impl Raw {
    /// Subjects are the prefix and the channel with its replacements made. Where two of them may be made the longer one
    /// is; Centrifugo makes any. Empty ones are never made.
    pub fn new(prefix: &str, replacements: impl IntoIterator<Item = (Box<str>, Box<str>)>) -> Self {
        let mut replacements: Vec<_> = replacements.into_iter().filter(|(from, _)| !from.is_empty()).collect();
        replacements.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        Self { prefix: prefix.into(), replacements: replacements.into() }
    }

    fn subject(&self, channel: &str) -> String {
        let mut subject = self.prefix.to_string();
        let mut rest = channel;
        while let Some(first) = rest.chars().next() {
            match self.replacements.iter().find(|(from, _)| rest.starts_with(&**from)) {
                Some((from, to)) => {
                    subject.push_str(to);
                    rest = &rest[from.len()..];
                }
                None => {
                    subject.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        subject
    }
}

/// Makes and reads what is on NATS.
#[derive(Clone, Debug)]
pub struct Nats {
    prefix: Box<str>,
    raw: Option<Raw>,
    wildcards: bool,
}

/// A message that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told<'a> {
    /// Whose subscribers are told.
    pub channel: Cow<'a, str>,
    /// The channel of the publication, where that may be another one (`Publication.channel`).
    pub specific: Option<Cow<'a, str>>,
    /// What happened.
    pub message: Message,
}

impl Nats {
    /// Below a prefix (`broker.nats.prefix`); `wildcards` = channels with `*` and `>` may be subscribed to
    /// (`allow_wildcards`).
    pub fn new(prefix: &str, raw: Option<Raw>, wildcards: bool) -> Self {
        Self { prefix: prefix.into(), raw, wildcards }
    }

    /// For all nodes.
    pub fn control(&self) -> String {
        format!("{}.control", self.prefix)
    }

    /// For one node.
    pub fn node(&self, uid: &str) -> String {
        format!("{}.node.{uid}", self.prefix)
    }

    /// For what happens in a channel.
    pub fn subject(&self, channel: &str) -> String {
        match &self.raw {
            Some(raw) => raw.subject(channel),
            None => format!("{}.client.{channel}", self.prefix),
        }
    }

    /// Whether the channel may be published to. Centrifugo takes blanks, too; then the server ends the connection.
    pub fn can_publish(&self, channel: &str) -> bool {
        !channel.is_empty() && !channel.bytes().any(|byte| matches!(byte, b'*' | b'>' | ..=b' ' | 0x7F))
    }

    /// Whether the channel may be subscribed to.
    pub fn can_subscribe(&self, channel: &str) -> bool {
        let bare = if self.wildcards { channel.replace(['*', '>'], "x") } else { channel.into() };
        self.can_publish(&bare)
    }

    /// A publication, with its place when it has history elsewhere.
    pub fn publication(
        &self,
        channel: &str,
        publication: &Publication,
        delta: bool,
        place: Option<Position>,
    ) -> Vec<u8> {
        if self.raw.is_some() {
            return publication.data.to_vec();
        }
        let mut id: IdText = [0; 36];
        let mut message = stored::message(publication, &mut id);
        // Maps and versions are not for NATS.
        (message.key, message.removed, message.version) = (Cow::Borrowed(""), false, 0);
        message.delta = delta;
        if let Some(place) = place {
            message.offset = place.offset;
            message.time = 0;
            message.tags.push((EPOCH_TAG.into(), place.epoch.as_str().into_owned().into()));
        }
        encoded(&Push { channel: channel.into(), r#pub: Some(message), ..Push::default() })
    }

    /// A client joined; nothing in raw mode.
    pub fn join(&self, channel: &str, info: &ClientInfo) -> Option<Vec<u8>> {
        let join = Join { info: Some(client::ClientInfo::of(info)) };
        self.raw.is_none().then(|| encoded(&Push { channel: channel.into(), join: Some(join), ..Push::default() }))
    }

    /// A client left; nothing in raw mode.
    pub fn leave(&self, channel: &str, info: &ClientInfo) -> Option<Vec<u8>> {
        let leave = Leave { info: Some(client::ClientInfo::of(info)) };
        self.raw.is_none().then(|| encoded(&Push { channel: channel.into(), leave: Some(leave), ..Push::default() }))
    }

    /// Reads what came on a subject to a subscription of a channel. Payloads stay slices of the message.
    pub fn read<'a>(&self, subscribed: &'a str, subject: &'a str, bytes: &'a Bytes) -> Result<Told<'a>, Unreadable> {
        if let Some(raw) = &self.raw {
            let specific = subject.strip_prefix(&*raw.prefix).unwrap_or(subject);
            let message = Message::Publication(Publication::bare(bytes.clone()), None);
            return Ok(Told { channel: subscribed.into(), specific: Some(specific.into()), message });
        }
        let push: Push<'a> = decode(bytes)?;
        if let Some(mut message) = push.r#pub {
            let at = message.tags.iter().position(|(key, _)| key == EPOCH_TAG);
            let epoch = at.map(|at| message.tags.remove(at).1);
            let mut publication = stored::publication(bytes, message)?.publication;
            match epoch {
                Some(epoch) if publication.offset > 0 => publication.epoch = value::epoch(epoch.as_bytes())?,
                _ => publication.offset = 0,
            }
            let message = Message::Publication(publication, None);
            return Ok(match self.wildcards {
                true => Told { channel: subscribed.into(), specific: Some(push.channel), message },
                false => Told { channel: push.channel, specific: None, message },
            });
        }
        let info = |info: Option<client::ClientInfo<'a>>| {
            stored::client_info(bytes, info.ok_or(Unreadable("nobody joined or left"))?)
        };
        let message = match (push.join, push.leave) {
            (Some(join), _) => Message::Join(info(join.info)?),
            (None, Some(leave)) => Message::Leave(info(leave.info)?),
            (None, None) => return Err(Unreadable("a message of an unknown kind")),
        };
        Ok(Told { channel: push.channel, specific: None, message })
    }
}

fn encoded(push: &Push<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(push, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::ids::ClientId;
    use crate::channel::publication::Epoch;

    fn nats(wildcards: bool) -> Nats {
        Nats::new("p", None, wildcards)
    }

    fn raw(replacements: &[(&str, &str)]) -> Nats {
        let replacements = replacements.iter().map(|(from, to)| ((*from).into(), (*to).into()));
        Nats::new("p", Some(Raw::new("raw.", replacements)), true)
    }

    fn info() -> ClientInfo {
        ClientInfo {
            user: "u".into(),
            client: ClientId::parse("9da44049-71c5-4f0a-aa55-12840183b0e9").unwrap(),
            conn_info: Bytes::from_static(br#"{"i": 1}"#),
            chan_info: Bytes::new(),
        }
    }

    fn publication(data: &'static str, unix_ms: u64) -> Publication {
        Publication { unix_ms, ..Publication::bare(data.into()) }
    }

    #[test]
    fn subjects() {
        let plain = nats(false);
        assert_eq!((plain.control(), plain.node("1-2")), ("p.control".into(), "p.node.1-2".into()));
        assert_eq!(plain.subject("a.b"), "p.client.a.b");
        let raw = raw(&[("/", "."), ("ab", "1"), ("abc", "2"), ("", "x")]);
        assert_eq!(raw.subject("x/é/abcab*"), "raw.x.é.21*");
    }

    #[test]
    fn channels() {
        for (channel, publish, subscribe, with_wildcards) in [
            ("a.b", true, true, true),
            ("é/#", true, true, true),
            ("a.*", false, false, true),
            ("a.>", false, false, true),
            ("", false, false, false),
            ("a b", false, false, false),
            ("a\r\nPUB x 0\r\n", false, false, false),
        ] {
            assert_eq!(nats(true).can_publish(channel), publish, "{channel:?}");
            assert_eq!(nats(false).can_subscribe(channel), subscribe, "{channel:?}");
            assert_eq!(nats(true).can_subscribe(channel), with_wildcards, "{channel:?}");
        }
    }

    const JOIN: &[u8] = b"\x12\x03a.b*5\n3\n\x01u\x12$9da44049-71c5-4f0a-aa55-12840183b0e9\x1a\x08{\"i\": 1}";
    const LEAVE: &[u8] = b"\x12\x03a.b25\n3\n\x01u\x12$9da44049-71c5-4f0a-aa55-12840183b0e9\x1a\x08{\"i\": 1}";

    /// Recorded of Centrifugo: the message comes of the publication, and the publication of the message.
    #[track_caller]
    fn recorded(publication: Publication, delta: bool, expected: &'static [u8]) {
        let bytes = nats(false).publication("a.b", &publication, delta, None);
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
        let (subject, bytes) = ("p.client.a.b", Bytes::from_static(expected));
        let message = Message::Publication(publication, None);
        let told = Told { channel: "a.b".into(), specific: None, message: message.clone() };
        assert_eq!(nats(false).read("a.b", subject, &bytes), Ok(told));
        let told = Told { channel: "a.*".into(), specific: Some("a.b".into()), message };
        assert_eq!(nats(true).read("a.*", subject, &bytes), Ok(told));
    }

    #[test]
    fn publications() {
        let tags: crate::channel::publication::Tags = Box::new([("k".into(), "v".into())]);
        let tagged = Publication { tags: Some(Arc::new(tags)), ..publication(r#"{"a": 1}"#, 0x0001_a211_edbb_f86a) };
        let moment = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7F));
        let tagged = Publication { unix_ms: moment(b"\xea\xf0\xed\x8f\xa24"), ..tagged };
        recorded(tagged, false, b"\x12\x03a.b\"\x19\"\x08{\"a\": 1}:\x06\n\x01k\x12\x01vH\xea\xf0\xed\x8f\xa24");
        let second = publication("2", moment(b"\x99\xf3\xed\x8f\xa24"));
        recorded(second, true, b"\x12\x03a.b\"\x0c\"\x012@\x01H\x99\xf3\xed\x8f\xa24");
        let third = publication(r#"{"by": "u"}"#, moment(b"\xc8\xf5\xed\x8f\xa24"));
        let third = Publication { info: Some(Arc::new(info())), ..third };
        recorded(
            third,
            false,
            b"\x12\x03a.b\"I\"\x0b{\"by\": \"u\"}*3\n\x01u\x12$9da44049-71c5-4f0a-aa55-12840183b0e9\x1a\x08{\"i\": 1}H\xc8\xf5\xed\x8f\xa24",
        );
    }

    #[test]
    fn joins_and_leaves() {
        let nats = nats(true);
        assert_eq!(nats.join("a.b", &info()).unwrap(), JOIN);
        assert_eq!(nats.leave("a.b", &info()).unwrap(), LEAVE);
        for (bytes, message) in [(JOIN, Message::Join(info())), (LEAVE, Message::Leave(info()))] {
            let told = Told { channel: "a.b".into(), specific: None, message };
            assert_eq!(nats.read("a.*", "p.client.a.b", &Bytes::from_static(bytes)), Ok(told));
        }
        assert_eq!((raw(&[]).join("a", &info()), raw(&[]).leave("a", &info())), (None, None));
    }

    #[test]
    fn a_place_goes_along() {
        let place = Position { offset: 7, epoch: Epoch::from_random([0; 8]) };
        let bytes = nats(false).publication("a", &publication("1", 5), false, Some(place)).into();
        let told = nats(false).read("a", "p.client.a", &bytes).unwrap();
        let expected = Publication { offset: 7, epoch: place.epoch, ..publication("1", 0) };
        assert_eq!(told.message, Message::Publication(expected, None));
        // Remembered by its idempotency key alone, without history.
        let bytes = nats(false).publication("a", &publication("1", 5), false, Some(Position::default())).into();
        let told = nats(false).read("a", "p.client.a", &bytes).unwrap();
        assert_eq!(told.message, Message::Publication(publication("1", 0), None));
    }

    #[test]
    fn raw_messages_are_payloads() {
        let nats = raw(&[("/", ".")]);
        let bytes = Bytes::from(nats.publication("a/b", &publication("{}", 5), true, None));
        assert_eq!(&bytes[..], b"{}");
        let told = nats.read("a/b", "raw.a.b", &bytes).unwrap();
        assert_eq!((told.channel, told.specific), ("a/b".into(), Some("a.b".into())));
        assert_eq!(told.message, Message::Publication(publication("{}", 0), None));
    }

    #[test]
    fn strange_messages_are_refused() {
        for bytes in [&b""[..], b"\x12\x01a", b"\x2a\x00", b"\x22\x02ab", b"\x2a\x05\n\x03\x12\x01x"] {
            assert!(
                nats(false).read("a", "p.client.a", &Bytes::from_static(bytes)).is_err(),
                "{}",
                bytes.escape_ascii()
            );
        }
    }
}
