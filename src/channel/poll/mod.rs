//! The tracked keys of a shared-poll channel at its home: which shards track each, in which version it is known, and
//! the epoch the versions count in (upstream: centrifuge shared_poll.go).
//!
//! Data is not kept. A version counts only in the life it was learned in: a new epoch begins a new life, so that it
//! costs the same however many keys there are.

mod home;
pub mod op;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::base::ids::ShardId;
use crate::channel::interest::Interest;
use crate::channel::name::ChannelName;

/// Keys tracked at one home shard at most, of all channels together. At the bound tracking fails.
pub const MAX_KEYS: usize = 1 << 24;

/// The name under which a key of a channel is known beside the channels: the length of the channel's name, a colon,
/// the channel, the key.
pub fn key_name(channel: &str, key: &str) -> ChannelName {
    ChannelName::new(&format!("{}:{channel}{key}", channel.len()))
}

/// The keys of one channel; forgotten with the last of them.
#[derive(Debug, Default)]
pub(in crate::channel) struct Poll {
    epoch: Box<str>,
    life: u32,
    keys: HashMap<ChannelName, Key, FixedState>,
}

#[derive(Debug, Default)]
struct Key {
    version: u64,
    life: u32,
    interest: Interest,
}

impl Poll {
    pub(in crate::channel) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(in crate::channel) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The shard tracks the key from now on. True when nobody did before.
    pub(in crate::channel) fn track(&mut self, key: ChannelName, shard: ShardId) -> bool {
        let before = self.keys.len();
        self.keys.entry(key).or_default().interest.insert(shard);
        self.keys.len() > before
    }

    /// The shard does not track the key any more. True when nobody does.
    pub(in crate::channel) fn untrack(&mut self, key: &ChannelName, shard: ShardId) -> bool {
        let Some(found) = self.keys.get_mut(key) else { return false };
        found.interest.remove(shard);
        found.interest.is_empty() && self.keys.remove(key).is_some()
    }

    /// Versions count in this epoch from now on. True when it is another one: all versions known are void.
    pub(in crate::channel) fn enter(&mut self, epoch: &str) -> bool {
        let is_new = *self.epoch != *epoch;
        if is_new {
            self.epoch = Box::from(epoch);
            self.life = self.life.wrapping_add(1);
        }
        is_new
    }

    /// Notes a version of a key. The shards to tell when it is newer than what is known of a tracked key.
    pub(in crate::channel) fn advance(&mut self, key: &ChannelName, version: u64) -> Option<&Interest> {
        let found = self.keys.get_mut(key)?;
        let known = if found.life == self.life { found.version } else { 0 };
        if version <= known {
            return None;
        }
        found.version = version;
        found.life = self.life;
        Some(&found.interest)
    }
}

#[cfg(test)]
mod tests;
