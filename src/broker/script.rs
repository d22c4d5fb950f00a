//! The scripts that run in Redis. What they leave there is what Centrifugo's leave (upstream: centrifuge
//! internal/redis_lua); text, arguments and replies are our own.

/// A script.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Script {
    /// Publishes with history in a stream.
    StreamPublish,
    /// Publishes with history in a list.
    ListPublish,
    /// Publishes without history, once for an idempotency key.
    PublishOnce,
    /// Reads a stream.
    StreamRead,
    /// Reads a list.
    ListRead,
    /// Has a stream or list go on under another epoch.
    EpochChange,
    /// Adds or renews a presence entry.
    PresenceAdd,
    /// Removes a presence entry.
    PresenceRemove,
    /// Who is present.
    PresenceRead,
    /// How many are present, where users are counted.
    PresenceCount,
    /// Sets or removes a key of a map.
    MapUpdate,
    /// Reads keys of a map.
    MapStateRead,
    /// Reads one key of a map.
    MapKeyRead,
    /// Which maps have keys that may have expired.
    MapDue,
    /// Which keys of a map expired.
    MapExpired,
    /// Removes keys of a map that expired.
    MapExpire,
    /// Has a map go on under another epoch.
    MapEpochChange,
}

impl Script {
    /// All of them; each at the index that is its number.
    pub const ALL: [Script; 17] = [
        Script::StreamPublish,
        Script::ListPublish,
        Script::PublishOnce,
        Script::StreamRead,
        Script::ListRead,
        Script::EpochChange,
        Script::PresenceAdd,
        Script::PresenceRemove,
        Script::PresenceRead,
        Script::PresenceCount,
        Script::MapUpdate,
        Script::MapStateRead,
        Script::MapKeyRead,
        Script::MapDue,
        Script::MapExpired,
        Script::MapExpire,
        Script::MapEpochChange,
    ];

    /// Its Lua text; the comment at its top says what keys and arguments are.
    pub fn text(self) -> &'static str {
        match self {
            Script::StreamPublish => include_str!("lua/stream_publish.lua"),
            Script::ListPublish => include_str!("lua/list_publish.lua"),
            Script::PublishOnce => include_str!("lua/publish_once.lua"),
            Script::StreamRead => include_str!("lua/stream_read.lua"),
            Script::ListRead => include_str!("lua/list_read.lua"),
            Script::EpochChange => include_str!("lua/epoch_change.lua"),
            Script::PresenceAdd => include_str!("lua/presence_add.lua"),
            Script::PresenceRemove => include_str!("lua/presence_remove.lua"),
            Script::PresenceRead => include_str!("lua/presence_read.lua"),
            Script::PresenceCount => include_str!("lua/presence_count.lua"),
            Script::MapUpdate => include_str!("lua/map_update.lua"),
            Script::MapStateRead => include_str!("lua/map_state_read.lua"),
            Script::MapKeyRead => include_str!("lua/map_key_read.lua"),
            Script::MapDue => include_str!("lua/map_due.lua"),
            Script::MapExpired => include_str!("lua/map_expired.lua"),
            Script::MapExpire => include_str!("lua/map_expire.lua"),
            Script::MapEpochChange => include_str!("lua/map_epoch_change.lua"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_at_its_number() {
        for (number, script) in Script::ALL.into_iter().enumerate() {
            assert_eq!(script as usize, number, "{script:?}");
            assert!(script.text().starts_with("-- "), "{script:?}");
        }
    }
}
