//! What travels through a channel: publications and the clients behind them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::ids::ClientId;

/// Names one life of a channel's stream; empty for a channel without history. Ours are eight random letters. Centrifugo
/// gives maps in Redis also milliseconds, and ids of nodes: up to 16 characters or a UUID are held in the same space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Epoch([u8; 16]);

impl Epoch {
    /// No epoch: the channel keeps no history.
    pub const NONE: Epoch = Epoch([0; 16]);

    /// An epoch from eight random bytes, as letters `a-zA-Z` (upstream: centrifuge internal/epoch).
    pub fn from_random(random: [u8; 8]) -> Self {
        const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut text = [0; 16];
        for (letter, byte) in text.iter_mut().zip(random) {
            *letter = LETTERS[usize::from(byte) % LETTERS.len()];
        }
        Self(text)
    }

    /// Reads what [`Epoch::as_str`] gives; none for text that is neither of up to 16 visible ASCII characters nor a UUID
    /// as they are written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        if let Some(front) = bytes.get_mut(..text.len()) {
            front.copy_from_slice(text.as_bytes());
            return text.bytes().all(|byte| byte.is_ascii_graphic()).then_some(Self(bytes));
        }
        let epoch = Self(*uuid::Uuid::try_parse(text).ok()?.as_bytes());
        (epoch.is_uuid() && epoch.as_str() == text).then_some(epoch)
    }

    /// The bits of a UUID that say so would be no ASCII.
    fn is_uuid(&self) -> bool {
        self.0[8] & 0xC0 == 0x80
    }

    /// The epoch as text; empty for [`Epoch::NONE`]. Allocates for a UUID only.
    pub fn as_str(&self) -> Cow<'_, str> {
        if self.is_uuid() {
            return Cow::Owned(uuid::Uuid::from_bytes(self.0).to_string());
        }
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        Cow::Borrowed(std::str::from_utf8(&self.0[..len]).unwrap_or(""))
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.as_str())
    }
}

/// A place in a channel's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Offset of the newest publication; 0 when nothing was published in this epoch.
    pub offset: u64,
    /// The stream's epoch.
    pub epoch: Epoch,
}

/// Who published, joined, left, or is present.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientInfo {
    /// User id; empty for an anonymous user.
    pub user: Box<str>,
    /// The connection.
    pub client: ClientId,
    /// Raw `info` of the connection; empty when absent.
    pub conn_info: Bytes,
    /// Raw `info` of the subscription; empty when absent.
    pub chan_info: Bytes,
}

/// Key-value tags of a publication, in the order they were given.
pub type Tags = Box<[(Box<str>, Box<str>)]>;

/// What a publication means for the map that it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapEntry {
    /// The key that is set or removed.
    pub key: Arc<str>,
    /// Whether the key is removed; the publication has no data then, and the tags of what it removes.
    pub removed: bool,
}

impl MapEntry {
    /// For a publication that sets the key.
    pub fn set(key: &str) -> Option<Box<Self>> {
        Some(Box::new(Self { key: key.into(), removed: false }))
    }
}

/// One publication, immutable once its home gave it an offset, and shared by all shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// Payload exactly as published.
    pub data: Bytes,
    /// The publishing client; absent for publications over the server API.
    pub info: Option<Arc<ClientInfo>>,
    /// Tags, if any.
    pub tags: Option<Arc<Tags>>,
    /// What it means for a map; none elsewhere.
    pub entry: Option<Box<MapEntry>>,
    /// The channel it was published to, where its subscribers may have subscribed to several at once by wildcards.
    pub channel: Option<Box<str>>,
    /// Version of what it tells, as the publisher counts; 0 = none.
    pub version: u64,
    /// Place in the stream; 0 without history.
    pub offset: u64,
    /// Epoch of the stream; none without history.
    pub epoch: Epoch,
    /// When the home took it, milliseconds since the Unix epoch. Never sent to clients.
    pub unix_ms: u64,
    /// The same moment by the process's clock, microseconds: how long it took to reach the sockets.
    pub taken_us: u64,
}

impl Publication {
    /// A payload that nobody is named for and that no home took yet.
    pub fn bare(data: Bytes) -> Self {
        Self {
            data,
            info: None,
            tags: None,
            entry: None,
            channel: None,
            version: 0,
            offset: 0,
            epoch: Epoch::NONE,
            unix_ms: 0,
            taken_us: 0,
        }
    }

    /// The tags; none for a publication without.
    pub fn tags(&self) -> &[(Box<str>, Box<str>)] {
        self.tags.as_deref().map_or(&[], |tags| &**tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_read_back() {
        let uuid = "63c105b8-a677-45af-bb72-f152be9f4002";
        for text in ["", "a", "abcdEFGH", "1764327600000", "1234567890123456", uuid] {
            assert_eq!(Epoch::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(Epoch::parse(""), Some(Epoch::NONE));
        let ours = Epoch::from_random([0, 25, 26, 51, 52, 255, 1, 2]);
        assert_eq!((ours.as_str(), Epoch::parse("azAZaVbc")), ("azAZaVbc".into(), Some(ours)));
        // A UUID in other letters, one of another variant, and none.
        let strange = [&uuid.to_uppercase(), "63c105b8-a677-45af-0b72-f152be9f4002", "12345678901234567", "a b", "é"];
        for text in strange {
            assert_eq!(Epoch::parse(text), None, "{text:?}");
        }
    }
}
