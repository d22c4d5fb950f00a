//! Names for shards, connections and clients.

use std::fmt;

/// A shard: one core, one thread, one executor. Counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The position in tables that have a row for each shard.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A connection on the shard that owns it: a slot and the generation that tells a reused slot apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    /// Position in the shard's table.
    pub slot: u32,
    /// Changes each time the slot is given to another connection.
    pub generation: u32,
}

/// The public id of a client connection: a random (version 4) UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 16]);

impl ClientId {
    /// A fresh id from 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(*uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes())
    }

    /// Reads the hyphenated form.
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(|id| Self(*id.as_bytes()))
    }

    /// Writes the hyphenated form into the buffer and returns it as text.
    pub fn write<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str {
        uuid::Uuid::from_bytes(self.0).hyphenated().encode_lower(buffer)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; 36]))
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_reads_back_what_it_shows() {
        let id = ClientId::from_random([7; 16]);
        let text = id.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(ClientId::parse(&text), Some(id));
        assert_eq!(ClientId::parse("nonsense"), None);
    }
}
