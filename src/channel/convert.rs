//! From the types of the server to the messages of the wire.

use std::borrow::Cow;

use crate::channel::publication;
use crate::protocol::raw::Raw;
use crate::protocol::{api, client, error};

/// Room for the text of a client id.
pub type IdText = [u8; 36];

impl<'a> client::ClientInfo<'a> {
    /// Copies the client id's text to the heap; see [`client::ClientInfo::with`].
    pub fn of(info: &'a publication::ClientInfo) -> Self {
        Self { client: Cow::Owned(info.client.to_string()), ..Self::without_client(info) }
    }

    /// Writes the client id's text into the buffer.
    pub fn with(info: &'a publication::ClientInfo, id: &'a mut IdText) -> Self {
        Self { client: Cow::Borrowed(info.client.write(id)), ..Self::without_client(info) }
    }

    fn without_client(info: &'a publication::ClientInfo) -> Self {
        Self {
            user: Cow::Borrowed(&info.user),
            client: Cow::Borrowed(""),
            conn_info: Raw(Cow::Borrowed(&info.conn_info)),
            chan_info: Raw(Cow::Borrowed(&info.chan_info)),
        }
    }
}

impl<'a> client::Publication<'a> {
    /// As clients receive it: the time stays here, the epoch goes along with offset 1 only (upstream: centrifuge
    /// pubToProto). Copies the publisher's id to the heap; see [`client::Publication::with`].
    pub fn of(publication: &'a publication::Publication) -> Self {
        Self { info: publication.info.as_deref().map(client::ClientInfo::of), ..Self::without_info(publication) }
    }

    /// As [`client::Publication::of`], without allocation unless there are tags.
    pub fn with(publication: &'a publication::Publication, id: &'a mut IdText) -> Self {
        let info = publication.info.as_deref().map(|info| client::ClientInfo::with(info, id));
        Self { info, ..Self::without_info(publication) }
    }

    fn without_info(publication: &'a publication::Publication) -> Self {
        Self {
            data: Raw(Cow::Borrowed(&publication.data)),
            offset: publication.offset,
            tags: tags(publication),
            epoch: if publication.offset == 1 { publication.epoch.as_str() } else { "".into() },
            key: publication.entry.as_ref().map_or("".into(), |entry| Cow::Borrowed(&*entry.key)),
            removed: publication.entry.as_ref().is_some_and(|entry| entry.removed),
            channel: Cow::Borrowed(publication.channel.as_deref().unwrap_or("")),
            version: publication.version,
            ..Self::default()
        }
    }
}

impl<'a> client::Error<'a> {
    /// As clients receive it.
    pub fn of(error: &'a error::Error) -> Self {
        Self { code: error.code, message: Cow::Borrowed(&error.message), temporary: error.temporary }
    }
}

impl<'a> api::Error<'a> {
    /// As callers of the server API receive it.
    pub fn of(error: &'a error::Error) -> Self {
        Self { code: error.code, message: Cow::Borrowed(&error.message) }
    }
}

impl<'a> api::ClientInfo<'a> {
    /// As callers of the server API receive it.
    pub fn of(info: &'a publication::ClientInfo) -> Self {
        Self {
            user: Cow::Borrowed(&info.user),
            client: Cow::Owned(info.client.to_string()),
            conn_info: Raw(Cow::Borrowed(&info.conn_info)),
            chan_info: Raw(Cow::Borrowed(&info.chan_info)),
        }
    }
}

impl<'a> api::Publication<'a> {
    /// As callers of the server API receive it: never with an epoch.
    pub fn of(publication: &'a publication::Publication) -> Self {
        Self {
            data: Raw(Cow::Borrowed(&publication.data)),
            info: publication.info.as_deref().map(api::ClientInfo::of),
            offset: publication.offset,
            tags: tags(publication),
        }
    }
}

impl<'a> api::MapEntry<'a> {
    /// A publication of a map as callers of the server API receive it.
    pub fn of(publication: &'a publication::Publication) -> Self {
        let entry = publication.entry.as_deref();
        Self {
            key: Cow::Borrowed(entry.map_or("", |entry| &entry.key)),
            data: Raw(Cow::Borrowed(&publication.data)),
            tags: tags(publication),
            offset: publication.offset,
            score: 0,
            removed: entry.is_some_and(|entry| entry.removed),
            time: publication.unix_ms as i64,
        }
    }
}

fn tags(publication: &publication::Publication) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let tags = publication.tags();
    tags.iter().map(|(key, value)| (Cow::Borrowed(&**key), Cow::Borrowed(&**value))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::base::ids::ClientId;
    use crate::channel::publication::{ClientInfo, Epoch, Publication};

    fn publication(offset: u64) -> Publication {
        let info = ClientInfo {
            user: "u".into(),
            client: ClientId([7; 16]),
            conn_info: Bytes::from_static(b"{}"),
            chan_info: Bytes::new(),
        };
        let tags: publication::Tags = Box::new([("k".into(), "v".into())]);
        Publication {
            data: Bytes::from_static(b"1"),
            info: Some(Arc::new(info)),
            tags: Some(Arc::new(tags)),
            entry: None,
            channel: None,
            version: 3,
            offset,
            epoch: Epoch::from_random([0; 8]),
            unix_ms: 1_700_000_000_000,
            taken_us: 0,
        }
    }

    #[test]
    fn the_epoch_goes_along_with_the_first_publication() {
        for (offset, epoch) in [(0, ""), (1, "aaaaaaaa"), (2, "")] {
            let publication = publication(offset);
            let wire = client::Publication::of(&publication);
            assert_eq!((wire.offset, &*wire.epoch, wire.time), (offset, epoch, 0));
        }
    }

    #[test]
    fn all_forms_say_the_same() {
        let publication = publication(1);
        let wire = client::Publication::of(&publication);
        assert_eq!(client::Publication::with(&publication, &mut [0; 36]), wire);
        let info = wire.info.unwrap();
        assert_eq!((&*info.user, &*info.client), ("u", "07070707-0707-0707-0707-070707070707"));
        assert_eq!((info.conn_info, info.chan_info), ("{}".into(), "".into()));
        assert_eq!(wire.tags, [("k".into(), "v".into())]);
        assert_eq!(wire.version, 3);
        let wire = api::Publication::of(&publication);
        assert_eq!((wire.data, wire.offset, wire.tags.len()), ("1".into(), 1, 1));
        assert_eq!(wire.info.unwrap().client, info.client);
    }
}
