//! What is on NATS: subjects and messages (upstream: centrifugo internal/natsbroker, internal/redisnatsbroker). NATS
//! keeps nothing; history may be in Redis beside it, and then the place goes along with the publication.

use std::borrow::Cow;

use bytes::Bytes;

use super::frame::Message;
use super::{Unreadable, stored, value};
use crate::channel::broker_op::KeyVersion;
use crate::channel::convert::IdText;
use crate::channel::publication::{ClientInfo, Position, Publication};
use crate::protocol::client::{self, Join, Leave, Push};
use crate::protocol::proto::{decode, encode};

/// The tag that has the epoch of a publication with a place. Clients never see it.
const EPOCH_TAG: &str = "__centrifugo_epoch";

/// Longest subject: servers take lines of 4,096 bytes.
const MAX_SUBJECT: usize = 4_000;

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

    fn write_subject(&self, channel: &str, subject: &mut String) {
        subject.push_str(&self.prefix);
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
    }
}

/// Makes and reads what is on NATS.
#[derive(Clone, Debug)]
pub struct Nats {
    prefix: Box<str>,
    raw: Option<Raw>,
    wildcards: bool,
}

/// Why a channel has no subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// It has wildcards where none may be.
    Wildcards,
    /// No server takes it.
    Malformed,
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

    /// Writes the subject for what happens in a channel, in place of what is there.
    pub fn write_subject(&self, channel: &str, subject: &mut String) {
        subject.clear();
        match &self.raw {
            Some(raw) => raw.write_subject(channel, subject),
            None => subject.extend([&*self.prefix, ".client.", channel]),
        }
    }

    /// Whether messages are payloads and nothing else.
    pub fn is_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// Writes the subject for publishing to the channel, in place of what is there.
    ///
    /// # Errors
    /// Why there is none.
    pub fn publishing(&self, channel: &str, subject: &mut String) -> Result<(), Unfit> {
        if has_wildcards(channel) {
            return Err(Unfit::Wildcards);
        }
        self.write_subject(channel, subject);
        if is_told_whole(subject) { Ok(()) } else { Err(Unfit::Malformed) }
    }

    /// Writes the subject for subscribing to the channel, in place of what is there.
    ///
    /// # Errors
    /// Why there is none.
    pub fn subscribing(&self, channel: &str, subject: &mut String) -> Result<(), Unfit> {
        // A server takes no words behind such a one.
        let is_odd = || channel.rsplit('.').skip(1).any(|word| word == ">");
        if has_wildcards(channel) && (!self.wildcards || is_odd()) {
            return Err(Unfit::Wildcards);
        }
        self.write_subject(channel, subject);
        let is_whole = is_told_whole(subject) && subject.split('.').all(|word| !word.is_empty());
        if is_whole { Ok(()) } else { Err(Unfit::Malformed) }
    }

    /// Appends a publication, with its place when it has history elsewhere.
    pub fn publication(
        &self,
        channel: &str,
        publication: &Publication,
        delta: bool,
        place: Option<Position>,
        out: &mut Vec<u8>,
    ) {
        if self.raw.is_some() {
            return out.extend_from_slice(&publication.data);
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
        encode(&Push { channel: channel.into(), r#pub: Some(message), ..Push::default() }, out);
    }

    /// Appends a version of a key, which is named as [`crate::channel::poll::key_name`] does; false in raw mode, where
    /// there is no room for it. Centrifugo sends neither key nor version, so that nobody is told.
    pub fn key_version(&self, key: &str, version: &KeyVersion, out: &mut Vec<u8>) -> bool {
        let mut id: IdText = [0; 36];
        let message = stored::key_message(version, &mut id);
        encode(&Push { channel: key.into(), r#pub: Some(message), ..Push::default() }, out);
        self.raw.is_none()
    }

    /// Appends that a client joined; false in raw mode, where nobody is told.
    pub fn join(&self, channel: &str, info: &ClientInfo, out: &mut Vec<u8>) -> bool {
        let join = Join { info: Some(client::ClientInfo::of(info)) };
        encode(&Push { channel: channel.into(), join: Some(join), ..Push::default() }, out);
        self.raw.is_none()
    }

    /// Appends that a client left; false in raw mode, where nobody is told.
    pub fn leave(&self, channel: &str, info: &ClientInfo, out: &mut Vec<u8>) -> bool {
        let leave = Leave { info: Some(client::ClientInfo::of(info)) };
        encode(&Push { channel: channel.into(), leave: Some(leave), ..Push::default() }, out);
        self.raw.is_none()
    }

    /// Reads what came on a subject to a subscription of a channel; nothing when it is about another channel. Payloads
    /// stay slices of the message.
    pub fn read(&self, subscribed: &str, subject: &str, bytes: &Bytes) -> Result<Option<Message>, Unreadable> {
        let publication = |publication| Ok(Some(Message::Publication(publication, None)));
        if let Some(raw) = &self.raw {
            let channel = subject.strip_prefix(&*raw.prefix).unwrap_or(subject);
            return publication(Publication { channel: Some(channel.into()), ..Publication::bare(bytes.clone()) });
        }
        let push: Push<'_> = decode(bytes)?;
        let is_own = push.channel == subscribed;
        if let Some(mut message) = push.r#pub {
            let at = message.tags.iter().position(|(key, _)| key == EPOCH_TAG);
            let epoch = at.map(|at| message.tags.remove(at).1);
            let mut found = match stored::key_version(bytes, message)? {
                Ok(version) => return Ok(Some(Message::Key(Box::new(version))).filter(|_| is_own)),
                Err(stored) => stored.publication,
            };
            match epoch {
                Some(epoch) if found.offset > 0 => found.epoch = value::epoch(epoch.as_bytes())?,
                _ => found.offset = 0,
            }
            if self.wildcards {
                found.channel = Some(push.channel.into());
            } else if !is_own {
                return Ok(None);
            }
            return publication(found);
        }
        let info = |info: Option<client::ClientInfo<'_>>| {
            stored::client_info(bytes, info.ok_or(Unreadable("nobody joined or left"))?)
        };
        let message = match (push.join, push.leave) {
            (Some(join), _) => Message::Join(info(join.info)?),
            (None, Some(leave)) => Message::Leave(info(leave.info)?),
            (None, None) => return Err(Unreadable("a message of an unknown kind")),
        };
        Ok(Some(message).filter(|_| is_own))
    }
}

fn has_wildcards(channel: &str) -> bool {
    channel.contains(['*', '>'])
}

/// Whether a server takes the subject for one word of a line that it reads.
fn is_told_whole(subject: &str) -> bool {
    let is_word = |byte| byte > b' ' && byte != 0x7F;
    !subject.is_empty() && subject.len() <= MAX_SUBJECT && subject.bytes().all(is_word)
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

    fn subject(nats: &Nats, channel: &str) -> String {
        let mut subject = "something that was there".to_owned();
        nats.write_subject(channel, &mut subject);
        subject
    }

    #[test]
    fn subjects() {
        let plain = nats(false);
        assert_eq!((plain.control(), plain.node("1-2")), ("p.control".into(), "p.node.1-2".into()));
        assert_eq!(subject(&plain, "a.b"), "p.client.a.b");
        let raw = raw(&[("/", "."), ("ab", "1"), ("abc", "2"), ("", "x")]);
        assert_eq!(subject(&raw, "x/é/abcab*"), "raw.x.é.21*");
    }

    #[test]
    fn channels() {
        let (fits, wildcards, malformed) = (Ok(()), Err(Unfit::Wildcards), Err(Unfit::Malformed));
        for (channel, publish, subscribe, with_wildcards) in [
            ("a.b", fits, fits, fits),
            ("é/#", fits, fits, fits),
            ("a.*", wildcards, wildcards, fits),
            ("a.>", wildcards, wildcards, fits),
            ("a.>.b", wildcards, wildcards, wildcards),
            ("a>", wildcards, wildcards, fits),
            // Whoever publishes there is heard by nobody.
            ("a..b", fits, malformed, malformed),
            ("a.", fits, malformed, malformed),
            ("", fits, malformed, malformed),
            ("a b", malformed, malformed, malformed),
            ("a\r\nPUB x 0\r\n", malformed, malformed, malformed),
            (&*"x".repeat(MAX_SUBJECT), malformed, malformed, malformed),
        ] {
            let mut subject = String::new();
            assert_eq!(nats(true).publishing(channel, &mut subject), publish, "{channel:?}");
            assert_eq!(nats(false).subscribing(channel, &mut subject), subscribe, "{channel:?}");
            assert_eq!(nats(true).subscribing(channel, &mut subject), with_wildcards, "{channel:?}");
        }
        let mut subject = String::new();
        assert_eq!(raw(&[("/", " ")]).publishing("a/b", &mut subject), malformed);
        assert_eq!((raw(&[("/", ".")]).subscribing("a/*", &mut subject), &*subject), (fits, "raw.a.*"));
    }

    const JOIN: &[u8] = b"\x12\x03a.b*5\n3\n\x01u\x12$9da44049-71c5-4f0a-aa55-12840183b0e9\x1a\x08{\"i\": 1}";
    const LEAVE: &[u8] = b"\x12\x03a.b25\n3\n\x01u\x12$9da44049-71c5-4f0a-aa55-12840183b0e9\x1a\x08{\"i\": 1}";

    /// A publication to the channel `a.b`.
    fn made(nats: &Nats, publication: &Publication, delta: bool, place: Option<Position>) -> Bytes {
        let mut out = Vec::new();
        nats.publication("a.b", publication, delta, place, &mut out);
        out.into()
    }

    /// Recorded of Centrifugo: the message comes of the publication, and the publication of the message.
    #[track_caller]
    fn recorded(publication: Publication, delta: bool, expected: &'static [u8]) {
        let bytes = made(&nats(false), &publication, delta, None);
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
        let (subject, bytes) = ("p.client.a.b", Bytes::from_static(expected));
        let message = |publication| Ok(Some(Message::Publication(publication, None)));
        assert_eq!(nats(false).read("a.b", subject, &bytes), message(publication.clone()));
        assert_eq!(nats(false).read("a.c", subject, &bytes), Ok(None));
        let named = Publication { channel: Some("a.b".into()), ..publication };
        assert_eq!(nats(true).read("a.*", subject, &bytes), message(named));
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
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        assert!(nats(true).join("a.b", &info(), &mut join) && nats(true).leave("a.b", &info(), &mut leave));
        assert_eq!((&join[..], &leave[..]), (JOIN, LEAVE));
        for (bytes, message) in [(JOIN, Message::Join(info())), (LEAVE, Message::Leave(info()))] {
            let bytes = Bytes::from_static(bytes);
            assert_eq!(nats(true).read("a.b", "p.client.a.b", &bytes), Ok(Some(message)));
            assert_eq!(nats(true).read("a.*", "p.client.a.b", &bytes), Ok(None), "whose subscribers are told");
        }
        assert!(!raw(&[]).join("a", &info(), &mut join) && !raw(&[]).leave("a", &info(), &mut leave));
    }

    #[test]
    fn a_place_goes_along() {
        let place = Position { offset: 7, epoch: Epoch::from_random([0; 8]) };
        let told = |place| {
            let bytes = made(&nats(false), &publication("1", 5), false, Some(place));
            nats(false).read("a.b", "p.client.a.b", &bytes).unwrap()
        };
        let expected = Publication { offset: 7, epoch: place.epoch, ..publication("1", 0) };
        assert_eq!(told(place), Some(Message::Publication(expected, None)));
        // Remembered by its idempotency key alone, without history.
        assert_eq!(told(Position::default()), Some(Message::Publication(publication("1", 0), None)));
    }

    #[test]
    fn raw_messages_are_payloads() {
        let nats = raw(&[("/", ".")]);
        let bytes = made(&nats, &publication("{}", 5), true, None);
        assert_eq!(&bytes[..], b"{}");
        let named = Publication { channel: Some("a.b".into()), ..publication("{}", 0) };
        assert_eq!(nats.read("a/*", "raw.a.b", &bytes), Ok(Some(Message::Publication(named, None))));
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
