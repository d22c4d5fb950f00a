//! Messages on a channel's PUB/SUB channel (upstream: centrifuge broker_redis.go `extractPushData`).
//!
//! | frame | what it is |
//! |---|---|
//! | `__p1:OFFSET:EPOCH__` publication | published with history; in lists history looks like this, too |
//! | `__d1:OFFSET:EPOCH:LENGTH:` publication before `:LENGTH:` publication | the same, with delta |
//! | publication | published without history, or by a map; perhaps with offset, epoch and the payload before it |
//! | publication with a key | a version of a key of a shared-poll channel, with the epoch that its publisher named |
//! | `__j__` client, `__l__` client | joined, left |
//!
//! No publication in Protobuf begins with an underscore: that would be a wire type which does not exist.

use bytes::Bytes;
use memchr::memmem;

use super::stored::{self, Stored};
use super::value::{epoch, number};
use super::{Call, Unreadable};
use crate::channel::broker_op::KeyVersion;
use crate::channel::publication::{ClientInfo, Position, Publication};
use crate::protocol::proto::decode;

use super::name::Names;

/// What happened in a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A publication, and the one before it when there is a patch to be made; of that one perhaps only the payload.
    Publication(Publication, Option<Publication>),
    /// A version of a key of a shared-poll channel, which is told on a channel of the key's own.
    Key(Box<KeyVersion>),
    /// A client joined.
    Join(ClientInfo),
    /// A client left.
    Leave(ClientInfo),
}

const JOIN: &[u8] = b"__j__";
const LEAVE: &[u8] = b"__l__";
const MARK: &[u8] = b"__";

const CUT: Unreadable = Unreadable("a frame ends within its head");

/// Tells all nodes that a client joined.
pub fn join(names: &Names, channel: &str, info: &ClientInfo) -> Call {
    presence_event(names, channel, JOIN, info)
}

/// Tells all nodes that a client left.
pub fn leave(names: &Names, channel: &str, info: &ClientInfo) -> Call {
    presence_event(names, channel, LEAVE, info)
}

/// Tells all nodes of a version of a key, which is named as [`crate::channel::poll::key_name`] does.
pub fn key_version(names: &Names, key: &str, version: &KeyVersion) -> Call {
    Call::command(names.publish_command()).key(names.messages(key)).written(|out| stored::write_key(version, out))
}

fn presence_event(names: &Names, channel: &str, mark: &[u8], info: &ClientInfo) -> Call {
    Call::command(names.publish_command()).key(names.messages(channel)).written(|out| {
        out.extend_from_slice(mark);
        stored::write_info(info, out);
    })
}

/// Reads a message. Payloads stay slices of it.
pub fn read(frame: &Bytes) -> Result<Message, Unreadable> {
    if let Some(info) = frame.strip_prefix(JOIN) {
        return Ok(Message::Join(stored::read_info(&frame.slice_ref(info))?));
    }
    if let Some(info) = frame.strip_prefix(LEAVE) {
        return Ok(Message::Leave(stored::read_info(&frame.slice_ref(info))?));
    }
    let parts = Parts::of(frame)?;
    let Stored { publication, previous } = match stored::key_version(&parts.publication, decode(&parts.publication)?)? {
        Ok(version) => return Ok(Message::Key(Box::new(version))),
        Err(stored) => stored,
    };
    let publication = placed(publication, parts.position);
    // Centrifugo keeps lists of frames, and sends the one before along as it is.
    let before = match parts.before {
        Some(before) if !before.is_empty() => Parts::of(&before)?.publication,
        _ if !previous.is_empty() => return Ok(Message::Publication(publication, Some(Publication::bare(previous)))),
        _ => return Ok(Message::Publication(publication, None)),
    };
    let before = stored::read_publication(&before)?.publication;
    Ok(Message::Publication(publication, Some(before)))
}

/// Reads what stands in a list. Payloads stay slices of it.
pub(super) fn read_listed(frame: &Bytes) -> Result<Publication, Unreadable> {
    let parts = Parts::of(frame)?;
    Ok(placed(stored::read_publication(&parts.publication)?.publication, parts.position))
}

/// A place in the message counts more than the one beside it: maps tell theirs so.
fn placed(publication: Publication, beside: Position) -> Publication {
    let offset = if publication.offset == 0 { beside.offset } else { publication.offset };
    let epoch = if publication.epoch.is_none() { beside.epoch } else { publication.epoch };
    Publication { offset, epoch, ..publication }
}

/// A frame with a publication, taken apart.
struct Parts {
    position: Position,
    before: Option<Bytes>,
    publication: Bytes,
}

impl Parts {
    fn of(frame: &Bytes) -> Result<Self, Unreadable> {
        if !frame.starts_with(MARK) {
            return Ok(Self { position: Position::default(), before: None, publication: frame.clone() });
        }
        if let Some(rest) = frame.strip_prefix(b"__p1:") {
            let end = memmem::find(rest, MARK).ok_or(CUT)?;
            let (offset, epoch) = split(&rest[..end])?;
            let publication = frame.slice_ref(&rest[end + MARK.len()..]);
            return Ok(Self { position: position(offset, epoch)?, before: None, publication });
        }
        let rest = frame.strip_prefix(b"__d1:").ok_or(Unreadable("a frame of an unknown kind"))?;
        let (offset, rest) = split(rest)?;
        let (epoch, rest) = split(rest)?;
        let (before, rest) = counted(rest)?;
        let rest = rest.strip_prefix(b":").ok_or(CUT)?;
        let (publication, _) = counted(rest)?;
        Ok(Self {
            position: position(offset, epoch)?,
            before: Some(frame.slice_ref(before)),
            publication: frame.slice_ref(publication),
        })
    }
}

fn position(offset: &[u8], text: &[u8]) -> Result<Position, Unreadable> {
    let offset = number(offset).ok_or(Unreadable("an offset is no number"))?;
    Ok(Position { offset, epoch: epoch(text)? })
}

/// What is before the first colon, and what is behind it.
fn split(text: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let colon = memchr::memchr(b':', text).ok_or(CUT)?;
    Ok((&text[..colon], &text[colon + 1..]))
}

/// A length, a colon and so many bytes; and what is behind them.
pub(super) fn counted(text: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let (len, rest) = split(text)?;
    let len = number(len).and_then(|len| usize::try_from(len).ok());
    len.and_then(|len| rest.split_at_checked(len)).ok_or(Unreadable("a length is beyond the frame's end"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::broker::stored::tests::{a_client, a_publication};
    use crate::broker::{Layout, Names};
    use crate::channel::publication::Epoch;

    fn stored(publication: &Publication) -> Vec<u8> {
        let mut out = Vec::new();
        stored::write_publication(publication, false, &mut out);
        out
    }

    /// As scripts make them.
    fn frame(place: Position, before: Option<&[u8]>, publication: &[u8]) -> Bytes {
        let head = format!("{}:{}", place.offset, place.epoch.as_str());
        match before {
            None => [format!("__p1:{head}__").as_bytes(), publication].concat().into(),
            Some(before) => {
                let (head, len) = (format!("__d1:{head}:{}:", before.len()), format!(":{}:", publication.len()));
                [head.as_bytes(), before, len.as_bytes(), publication].concat().into()
            }
        }
    }

    fn a_place() -> impl Strategy<Value = Position> {
        (1u64.., any::<[u8; 8]>()).prop_map(|(offset, epoch)| Position { offset, epoch: Epoch::from_random(epoch) })
    }

    proptest! {
        #[test]
        fn publications_come_back(
            publication in a_publication(),
            place in a_place(),
            before in prop::option::of(a_publication()),
            is_listed: bool,
        ) {
            let placed = Publication { offset: place.offset, epoch: place.epoch, ..publication.clone() };
            let (bytes, before_bytes) = (stored(&publication), before.as_ref().map(stored));
            let before_frame = before_bytes.clone().map(|bytes| {
                if is_listed { frame(Position { offset: place.offset - 1, ..place }, None, &bytes).to_vec() } else { bytes }
            });
            let bytes = frame(place, before_frame.as_deref(), &bytes);
            // Publications without any field are empty, and stand for none.
            let before = before.filter(|_| before_frame.is_some_and(|bytes| !bytes.is_empty()));
            prop_assert_eq!(read(&bytes), Ok(Message::Publication(placed, before)));
        }

        #[test]
        fn bare_publications_come_back(publication in a_publication()) {
            prop_assert_eq!(read(&stored(&publication).into()), Ok(Message::Publication(publication, None)));
        }

        #[test]
        fn clients_come_back(info in a_client()) {
            let names = Names::new("p", Layout::Plain, false);
            let payload = |call: Call| Bytes::copy_from_slice(call.args().next().unwrap());
            prop_assert_eq!(read(&payload(join(&names, "a", &info))), Ok(Message::Join(info.clone())));
            prop_assert_eq!(read(&payload(leave(&names, "a", &info))), Ok(Message::Leave(info)));
        }

        #[test]
        fn cut_frames_do_no_harm(publication in a_publication(), place in a_place(), cut: prop::sample::Index) {
            let bytes = stored(&publication);
            for frame in [frame(place, None, &bytes), frame(place, Some(&bytes), &bytes)] {
                let _ = read(&frame.slice(..cut.index(frame.len())));
            }
        }
    }

    #[track_caller]
    fn refused(frame: &'static [u8]) {
        assert!(read(&Bytes::from_static(frame)).is_err(), "{}", frame.escape_ascii());
    }

    #[test]
    fn broken_frames_are_refused() {
        refused(b"__");
        refused(b"__x__");
        refused(b"__j");
        refused(b"__j__\x12\x01x");
        refused(b"__p1:1:aaaa");
        refused(b"__p1:1__");
        refused(b"__p1::aaaa__");
        refused(b"__p1:-1:aaaa__");
        refused(b"__p1:+1:aaaa__");
        refused(b"__p1:18446744073709551616:aaaa__");
        refused(b"__p1:1:12345678901234567__");
        refused(b"__p2:1:aaaa__");
        refused(b"__d1:1:aaaa");
        refused(b"__d1:1:aaaa:0:");
        refused(b"__d1:1:aaaa:1:a");
        refused(b"__d1:1:aaaa:5:a:0:");
        refused(b"__d1:1:aaaa:-1:a:0:");
        refused(b"__d1:1:aaaa:18446744073709551615:a:0:");
        refused(b"__d1:1:aaaa:0::9:abc");
        refused(b"_");
    }

    #[test]
    fn a_map_tells_its_place_and_the_payload_before_in_the_message() {
        let frame = Bytes::from_static(b"\x22\x01b\x30\x05\x72\x02ab\x7a\x01a");
        let Ok(Message::Publication(publication, Some(before))) = read(&frame) else { panic!("no publication") };
        assert_eq!((publication.offset, publication.epoch.as_str(), &*publication.data), (5, "ab".into(), &b"b"[..]));
        assert_eq!(before, Publication::bare("a".into()));
    }
}
