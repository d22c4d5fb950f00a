//! Publications and clients as they are kept in Redis: messages of the client protocol in Protobuf.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::Unreadable;
use crate::base::ids::ClientId;
use crate::channel::broker_op::KeyVersion;
use crate::channel::convert::IdText;
use crate::channel::publication::{ClientInfo, Epoch, MapEntry, Publication, Tags};
use crate::protocol::client;
use crate::protocol::proto::{decode, encode};
use crate::protocol::raw::Raw;

/// Appends a publication, without its place in the stream, which goes beside it.
pub fn write_publication(publication: &Publication, delta: bool, out: &mut Vec<u8>) {
    let mut id: IdText = [0; 36];
    encode(&client::Publication { delta, ..message(publication, &mut id) }, out);
}

/// Appends a version of a key of a shared-poll channel.
pub fn write_key(version: &KeyVersion, out: &mut Vec<u8>) {
    encode(&key_message(version, &mut [0; 36]), out);
}

/// The same as a part of another message.
pub(super) fn key_message<'v>(version: &'v KeyVersion, id: &'v mut IdText) -> client::Publication<'v> {
    client::Publication { epoch: Cow::Borrowed(&version.epoch), ..message(&version.publication, id) }
}

/// A version of a key, if the message that was read from `whole` is one: other publications have no key. What else
/// the message has is nobody's business (upstream: `handlePublishedData`).
pub(super) fn key_version(
    whole: &Bytes,
    message: client::Publication<'_>,
) -> Result<Result<KeyVersion, Stored>, Unreadable> {
    if message.key.is_empty() {
        return publication(whole, message).map(Err);
    }
    let publication = Publication {
        entry: MapEntry::set(&message.key),
        version: message.version,
        unix_ms: u64::try_from(message.time).unwrap_or(0),
        ..Publication::bare(slice(whole, &message.data))
    };
    // Unlike epochs of streams, those of publishers are any text.
    Ok(Ok(KeyVersion { publication, epoch: message.epoch.into() }))
}

/// Appends a publication of a map: its version stands beside the map, not in the message.
pub(super) fn write_map_publication(publication: &Publication, out: &mut Vec<u8>) {
    let mut id: IdText = [0; 36];
    encode(&client::Publication { version: 0, ..message(publication, &mut id) }, out);
}

/// Without its place.
pub(super) fn message<'p>(publication: &'p Publication, id: &'p mut IdText) -> client::Publication<'p> {
    client::Publication {
        offset: 0,
        epoch: Cow::Borrowed(""),
        time: publication.unix_ms as i64,
        ..client::Publication::with(publication, id)
    }
}

/// A publication that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// With offset and epoch as far as they are in the message.
    pub publication: Publication,
    /// The payload before it; empty when it did not come along.
    pub previous: Bytes,
}

/// Reads a publication. Payloads stay slices of the input, nothing else does.
pub fn read_publication(bytes: &Bytes) -> Result<Stored, Unreadable> {
    publication(bytes, decode(bytes)?)
}

/// The publication of a message that was read from `whole`.
pub(super) fn publication(whole: &Bytes, message: client::Publication<'_>) -> Result<Stored, Unreadable> {
    let entry = MapEntry { key: message.key.into(), removed: message.removed };
    let publication = Publication {
        data: slice(whole, &message.data),
        info: message.info.map(|info| client_info(whole, info)).transpose()?.map(Arc::new),
        tags: tags(message.tags),
        entry: (!entry.key.is_empty()).then(|| Box::new(entry)),
        channel: None,
        version: message.version,
        offset: message.offset,
        epoch: Epoch::parse(&message.epoch)
            .ok_or(Unreadable("a publication's epoch is neither short ASCII text nor a UUID"))?,
        unix_ms: u64::try_from(message.time).unwrap_or(0),
        taken_us: 0,
    };
    Ok(Stored { publication, previous: slice(whole, &message.prev_data) })
}

/// Appends a client.
pub fn write_info(info: &ClientInfo, out: &mut Vec<u8>) {
    encode(&client::ClientInfo::with(info, &mut [0; 36]), out);
}

/// Reads a client. Payloads stay slices of the input.
pub fn read_info(bytes: &Bytes) -> Result<ClientInfo, Unreadable> {
    client_info(bytes, decode(bytes)?)
}

pub(super) fn client_info(whole: &Bytes, info: client::ClientInfo<'_>) -> Result<ClientInfo, Unreadable> {
    Ok(ClientInfo {
        user: info.user.into(),
        client: ClientId::parse(&info.client).ok_or(Unreadable("a client's id is no UUID"))?,
        conn_info: slice(whole, &info.conn_info),
        chan_info: slice(whole, &info.chan_info),
    })
}

fn tags(tags: Vec<(Cow<'_, str>, Cow<'_, str>)>) -> Option<Arc<Tags>> {
    if tags.is_empty() {
        return None;
    }
    Some(Arc::new(tags.into_iter().map(|(key, value)| (key.into(), value.into())).collect()))
}

/// The payload as a part of what it was read from.
fn slice(whole: &Bytes, payload: &Raw<'_>) -> Bytes {
    match &payload.0 {
        Cow::Borrowed(part) => whole.slice_ref(part),
        Cow::Owned(part) => Bytes::copy_from_slice(part),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn a_client() -> impl Strategy<Value = ClientInfo> {
        (".{0,8}", any::<[u8; 16]>(), prop::collection::vec(any::<u8>(), 0..8)).prop_map(|(user, id, info)| {
            ClientInfo { user: user.into(), client: ClientId(id), conn_info: info.into(), chan_info: Bytes::new() }
        })
    }

    pub fn a_publication() -> impl Strategy<Value = Publication> {
        let data = prop::collection::vec(any::<u8>(), 0..20);
        let tags = prop::collection::btree_map(".{0,4}", ".{0,4}", 0..3);
        (data, prop::option::of(a_client()), tags, any::<u64>(), 0..=i64::MAX).prop_map(
            |(data, info, tags, version, time)| Publication {
                info: info.map(Arc::new),
                tags: super::tags(tags.into_iter().map(|(key, value)| (key.into(), value.into())).collect()),
                version,
                unix_ms: time as u64,
                ..Publication::bare(data.into())
            },
        )
    }

    proptest! {
        #[test]
        fn publications_come_back(publication in a_publication(), delta: bool) {
            let mut out = Vec::new();
            write_publication(&publication, delta, &mut out);
            let stored = read_publication(&out.into()).unwrap();
            prop_assert_eq!(stored, Stored { publication, previous: Bytes::new() });
        }

        #[test]
        fn clients_come_back(info in a_client()) {
            let mut out = Vec::new();
            write_info(&info, &mut out);
            prop_assert_eq!(read_info(&out.into()), Ok(info));
        }
    }

    #[test]
    fn versions_of_keys_come_back() {
        let publication =
            Publication { entry: MapEntry::set("k"), version: 7, unix_ms: 5, ..Publication::bare("1".into()) };
        let version = KeyVersion { publication, epoch: "any text, however long it is".into() };
        let mut out = Vec::new();
        write_key(&version, &mut out);
        let bytes = Bytes::from(out);
        assert_eq!(key_version(&bytes, decode(&bytes).unwrap()), Ok(Ok(version)));
    }

    #[test]
    fn the_place_is_not_in_the_message() {
        let placed = Publication { offset: 1, epoch: Epoch::from_random([0; 8]), ..Publication::bare("x".into()) };
        let mut out = Vec::new();
        write_publication(&placed, false, &mut out);
        assert_eq!(out, b"\x22\x01x");
    }

    #[test]
    fn payloads_are_not_copied() {
        let bytes = Bytes::from_static(b"\x22\x03abc");
        let stored = read_publication(&bytes).unwrap();
        assert_eq!(stored.publication.data.as_ptr(), bytes[2..].as_ptr());
    }

    #[test]
    fn what_cannot_be_ours_is_refused() {
        // Cut; an id that is no UUID; an epoch of 17 bytes.
        for bytes in [&b"\x22\x03ab"[..], b"\x2a\x03\x12\x01x", b"\x72\x1112345678901234567"] {
            assert!(read_publication(&Bytes::copy_from_slice(bytes)).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
