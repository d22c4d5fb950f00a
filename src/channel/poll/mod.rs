//! The tracked keys of a shared-poll channel at its home: which shards track each, in which version it is known, the
//! epoch the versions count in, and when the backend is asked (upstream: centrifuge shared_poll.go).
//!
//! Data is not kept. A version counts only in the life it was learned in: a new epoch begins a new life, so that it
//! costs the same however many keys there are.

mod home;
mod link;
pub mod op;
mod refresh;
mod rounds;
mod table;

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use crate::base::ids::ShardId;
use crate::base::mutation::{Mutation, is_on};
use crate::base::time::NEVER;
use crate::channel::interest::Interest;
use crate::channel::name::ChannelName;
use crate::config::snapshot::PollPlan;

use link::Link;
use op::PollTally;
use rounds::Rounds;
pub(in crate::channel) use table::Polls;

/// Keys tracked at one home shard at most, of all channels together. At the bound tracking fails.
pub const MAX_KEYS: usize = 1 << 24;

/// Keys among the wanted that are not tracked any more, at most. At the bound a key waits for the next round.
const MAX_STALE: usize = 4096;

/// The name under which a key of a channel is known beside the channels: the length of the channel's name, a colon,
/// the channel, the key.
pub fn key_name(channel: &str, key: &str) -> ChannelName {
    ChannelName::new(&format!("{}:{channel}{key}", channel.len()))
}

/// The channel in a name that [`key_name`] may have made; none when it did not.
pub fn channel_of(name: &str) -> Option<&str> {
    let (len, rest) = name.split_once(':')?;
    rest.get(..len.parse().ok()?)
}

/// The key of a name that [`key_name`] made.
pub fn key_of<'n>(channel: &str, name: &'n ChannelName) -> &'n str {
    name.as_str().split_once(':').and_then(|(_, rest)| rest.get(channel.len()..)).unwrap_or_default()
}

fn fingerprint(data: &[u8]) -> u64 {
    FixedState::default().hash_one(data)
}

/// The keys of one channel. Without any it is forgotten after a while.
#[derive(Debug)]
pub(in crate::channel) struct Poll {
    pub(in crate::channel) name: ChannelName,
    plan: PollPlan,
    epoch: Box<str>,
    life: u32,
    /// The newest version of those that are numbered here.
    counter: u64,
    keys: BTreeMap<ByHash, Key>,
    rounds: Rounds,
    /// Keys that somebody waits for, in order; those that are not tracked any more are passed over.
    wanted: VecDeque<ChannelName>,
    /// The next question is about the first of them alone.
    asks_alone: bool,
    /// Such a question is under way.
    is_asking: bool,
    /// When it is forgotten, for want of keys.
    ends_at: u64,
    /// Stands in line to ask.
    is_in_line: bool,
}

/// Keys in an order that is cheap to keep. It serves only to go on where one stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ByHash(ChannelName);

#[derive(Debug, Default)]
struct Key {
    version: u64,
    life: u32,
    interest: Interest,
    /// Fingerprint of that version's data: tells what has changed where versions are numbered here, and to what a
    /// patch may be made.
    data: u64,
    /// Somebody tracks it who does not know the version: it is told again.
    is_wanted: bool,
    /// Stands among the wanted.
    is_listed: bool,
    /// Published since the last round, which so passes it over.
    is_fresh: bool,
    /// Held for a client that is not answered yet, and was not tracked before.
    is_bare: bool,
    link: Link,
}

impl Poll {
    fn new(name: ChannelName, plan: PollPlan, epoch: Box<str>, now_ms: u64) -> Self {
        Self {
            name,
            plan,
            epoch,
            life: 0,
            counter: 0,
            keys: BTreeMap::new(),
            rounds: Rounds::new(now_ms + plan.interval_ms),
            wanted: VecDeque::new(),
            asks_alone: false,
            is_asking: false,
            ends_at: now_ms + plan.shutdown_delay_ms,
            is_in_line: false,
        }
    }

    pub(in crate::channel) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The shard tracks the key from now on, for a client that knows this version. True when nobody did before.
    ///
    /// The backend is asked at once for what nobody knows, or the client does not. Upstream: the cold and warm keys of
    /// `handleTrack`.
    fn track(&mut self, name: ChannelName, known: u64, shard: ShardId, now_ms: u64, tally: &mut PollTally) -> bool {
        let is_new = self.hold(name.clone(), shard, now_ms);
        let (life, room) = (self.life, self.keys.len() + MAX_STALE);
        let Some(key) = self.keys.get_mut(&ByHash(name.clone())) else { return is_new };
        let version = key.version_in(life);
        let must_ask = if std::mem::take(&mut key.is_bare) && version == 0 {
            known == 0
        } else if (known == 0 || version > known) && !key.is_wanted && !is_on(Mutation::PollForgetsWanted) {
            key.is_wanted = true;
            version > 0
        } else {
            false
        };
        if must_ask && self.plan.asks_backend && !key.is_listed {
            if self.wanted.len() >= room {
                tally.dropped += 1;
                return is_new;
            }
            tally.noted += 1;
            key.is_listed = true;
            self.asks_alone |= self.wanted.is_empty() && !self.is_asking;
            self.wanted.push_back(name);
        }
        is_new
    }

    /// The shard is told of the key from now on; whoever wants it there begins to track it later. True when nobody did
    /// before.
    fn hold(&mut self, name: ChannelName, shard: ShardId, now_ms: u64) -> bool {
        self.ends_at = NEVER;
        if self.keys.is_empty() {
            self.rounds.wake(now_ms, self.plan.interval_ms);
        }
        let (is_new, key) = match self.keys.entry(ByHash(name)) {
            Entry::Vacant(vacant) => (true, vacant.insert(Key { is_bare: true, ..Key::default() })),
            Entry::Occupied(occupied) => (false, occupied.into_mut()),
        };
        key.interest.insert(shard);
        is_new
    }

    /// Whether the broker sends the key's messages.
    fn link(&mut self, name: &ChannelName) -> Option<&mut Link> {
        self.keys.get_mut(&ByHash(name.clone())).map(|key| &mut key.link)
    }

    /// Whether the shard is told of the key, by the broker, too.
    fn is_held(&self, name: &ChannelName, shard: ShardId) -> bool {
        let key = self.keys.get(&ByHash(name.clone()));
        key.is_some_and(|key| key.link == Link::Up && key.interest.contains(shard))
    }

    /// The shard does not track the key any more. True when nobody does.
    fn untrack(&mut self, name: &ChannelName, shard: ShardId, now_ms: u64) -> bool {
        let name = ByHash(name.clone());
        let Some(key) = self.keys.get_mut(&name) else { return false };
        key.interest.remove(shard);
        let is_gone = key.interest.is_empty() && !is_on(Mutation::PollKeepsKey);
        if is_gone {
            self.keys.remove(&name);
            self.end_if_empty(now_ms);
        }
        is_gone
    }

    fn end_if_empty(&mut self, now_ms: u64) {
        if self.keys.is_empty() {
            self.ends_at = now_ms + self.plan.shutdown_delay_ms;
        }
    }

    /// Versions count in this epoch from now on. True when it is another one: all versions known are void.
    fn enter(&mut self, epoch: &str) -> bool {
        let is_new = *self.epoch != *epoch;
        if is_new {
            self.epoch = Box::from(epoch);
            self.life = self.life.wrapping_add(1);
        }
        is_new
    }

    /// Notes a version of a key, with its data. The shards to tell when it is newer than what is known of a tracked key; else whether
    /// the key is tracked.
    fn advance(&mut self, name: &ChannelName, version: u64, data: &[u8]) -> Result<&Interest, bool> {
        let life = self.life;
        let key = self.keys.get_mut(&ByHash(name.clone())).ok_or(false)?;
        if version <= key.version_in(life) {
            return Err(true);
        }
        (key.version, key.life, key.data, key.is_fresh) = (version, life, fingerprint(data), true);
        Ok(&key.interest)
    }
}

impl Key {
    /// What is known in this life.
    fn version_in(&self, life: u32) -> u64 {
        if self.life == life { self.version } else { 0 }
    }

    /// What to ask the backend with.
    fn version_to_ask(&self, plan: PollPlan, life: u32) -> u64 {
        if !plan.is_versioned || self.is_wanted { 0 } else { self.version_in(life) }
    }
}

impl Ord for ByHash {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.hash().cmp(&other.0.hash()).then_with(|| self.0.as_str().cmp(other.0.as_str()))
    }
}

impl PartialOrd for ByHash {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod tests;
