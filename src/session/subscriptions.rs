//! The table of a session's subscriptions.
//!
//! The hub interns names, so a subscription is found by its [`LocalChannel`] and no name is stored here. One
//! subscription costs one small allocation; a hash index is kept only when there are many.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::channel::publication::ClientInfo;
use crate::fanout::hub::LocalChannel;
use crate::fanout::member::MemberId;

/// Up to so many subscriptions are searched one by one.
const MAX_SCANNED: usize = 16;

/// What a subscription does, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Traits(u16);

impl Traits {
    /// The client is in the channel's presence.
    pub(super) const PRESENCE: Self = Self(1);
    /// The client's join and leave are published.
    pub(super) const JOIN_LEAVE: Self = Self(1 << 1);
    /// Others' joins and leaves are pushed to the client.
    pub(super) const PUSH_JOIN_LEAVE: Self = Self(1 << 2);
    /// The position is watched.
    pub(super) const POSITIONED: Self = Self(1 << 3);
    /// The client may recover.
    pub(super) const RECOVERABLE: Self = Self(1 << 4);
    /// The server began it.
    pub(super) const SERVER_SIDE: Self = Self(1 << 5);
    /// It stands in the connection's token.
    pub(super) const FROM_TOKEN: Self = Self(1 << 6);
    /// It is to a map.
    pub(super) const MAP: Self = Self(1 << 7);
    /// It keeps keys in maps (see [`keys`](super::keys)).
    pub(super) const KEEPS_KEYS: Self = Self(1 << 8);
    /// It is to a shared-poll channel.
    pub(super) const POLL: Self = Self(1 << 9);
    /// Payloads of tracked keys come as with deltas.
    pub(super) const DELTA: Self = Self(1 << 10);
    /// Versions of keys became void while none was tracked: what the client knows of them may be of before.
    pub(super) const VOID_VERSIONS: Self = Self(1 << 11);

    /// Both together.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Adds or removes the other.
    pub(super) const fn set(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { Self(self.0 & !other.0) }
    }

    /// Whether all of the other is in this.
    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of the other is in this.
    pub(super) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A live subscription. Holds one interest of the hub and is a member of the channel there.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: LocalChannel,
    pub(super) member: MemberId,
    pub(super) special: Option<Box<Special>>,
    pub(super) meta_ttl_s: u32,
    /// Seconds of the monotonic clock: when the position was last known to be right.
    pub(super) checked_at_s: u32,
    /// Tag of the position check that is under way; 0 = none.
    pub(super) check_tag: u32,
    pub(super) traits: Traits,
}

/// What most subscriptions do not have: only a token or the server API gives it.
#[derive(Clone, Debug, Default)]
pub(super) struct Special {
    /// Unix seconds; 0 = never.
    pub(super) expire_at: i64,
    /// The client as this channel sees it, when that differs from the rest of the connection.
    pub(super) info: Option<Arc<ClientInfo>>,
}

impl Special {
    /// Nothing when there is nothing special.
    pub(super) fn of(expire_at: i64, info: Option<Arc<ClientInfo>>) -> Option<Box<Self>> {
        (expire_at != 0 || info.is_some()).then(|| Box::new(Self { expire_at, info }))
    }
}

impl Subscription {
    /// Unix seconds; 0 = never.
    pub(super) fn expire_at(&self) -> i64 {
        self.special.as_ref().map_or(0, |special| special.expire_at)
    }

    /// The client as this channel sees it, when that differs from the rest of the connection.
    pub(super) fn info(&self) -> Option<&Arc<ClientInfo>> {
        self.special.as_ref()?.info.as_ref()
    }
}

/// See the module. Looking up, adding and removing take constant time.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    entries: Vec<Subscription>,
    /// Position of each entry, once there are more than [`MAX_SCANNED`].
    index: Option<Box<HashTable<u32>>>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, channel: LocalChannel) -> Option<&Subscription> {
        self.entries.get(self.position(channel)?)
    }

    pub(super) fn get_mut(&mut self, channel: LocalChannel) -> Option<&mut Subscription> {
        let at = self.position(channel)?;
        self.entries.get_mut(at)
    }

    /// The subscription at a place; places change when subscriptions end.
    pub(super) fn at(&self, place: usize) -> Option<&Subscription> {
        self.entries.get(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.entries.iter_mut()
    }

    /// Adds a subscription to a channel that has none.
    pub(super) fn insert(&mut self, subscription: Subscription) {
        debug_assert!(self.position(subscription.channel).is_none(), "one subscription per channel");
        let channel = subscription.channel;
        if self.entries.len() == self.entries.capacity() {
            // Doubling would leave a quarter of the memory unused on average.
            self.entries.reserve_exact(self.entries.len() / 8 + 1);
        }
        self.entries.push(subscription);
        let Self { entries, index } = self;
        match index {
            Some(index) => {
                index.insert_unique(hash(channel), (entries.len() - 1) as u32, |at| hash_at(entries, *at));
            }
            None if entries.len() > MAX_SCANNED => {
                let mut made = HashTable::with_capacity(entries.len());
                for (at, entry) in entries.iter().enumerate() {
                    made.insert_unique(hash(entry.channel), at as u32, |at| hash_at(entries, *at));
                }
                *index = Some(Box::new(made));
            }
            None => {}
        }
    }

    /// Takes a subscription out; the last one moves into its place.
    pub(super) fn remove(&mut self, channel: LocalChannel) -> Option<Subscription> {
        let at = self.position(channel)?;
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            let moved = self.entries[last].channel;
            if let Ok(found) = index.find_entry(hash(channel), |place| *place == at as u32) {
                found.remove();
            }
            if let Some(place) = index.find_mut(hash(moved), |place| *place == last as u32) {
                *place = at as u32;
            }
        }
        let removed = self.entries.swap_remove(at);
        let len = self.entries.len();
        if len <= MAX_SCANNED / 2 {
            self.index = None;
        }
        if len * 4 <= self.entries.capacity() {
            self.entries.shrink_to(len + len / 8);
        }
        Some(removed)
    }

    /// Takes all subscriptions out.
    pub(super) fn take(&mut self) -> Vec<Subscription> {
        self.index = None;
        std::mem::take(&mut self.entries)
    }

    fn position(&self, channel: LocalChannel) -> Option<usize> {
        match &self.index {
            None => self.entries.iter().position(|entry| entry.channel == channel),
            Some(index) => {
                let entries = &self.entries;
                index.find(hash(channel), |at| entries[*at as usize].channel == channel).map(|at| *at as usize)
            }
        }
    }
}

fn hash(channel: LocalChannel) -> u64 {
    FixedState::default().hash_one(channel)
}

fn hash_at(entries: &[Subscription], at: u32) -> u64 {
    hash(entries[at as usize].channel)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::ids::ConnId;
    use crate::channel::name::ChannelName;
    use crate::fanout::hub::Hub;
    use crate::fanout::member::MemberFlags;

    #[test]
    fn a_subscription_is_small() {
        assert!(size_of::<Subscription>() <= 32, "{}", size_of::<Subscription>());
        assert!(size_of::<Subscriptions>() <= 32);
    }

    #[test]
    fn one_subscription_is_one_exact_allocation() {
        let (mut hub, mut table) = (Hub::new(), Subscriptions::default());
        table.insert(subscription(&mut hub, 0));
        assert_eq!(table.entries.capacity(), 1);
        assert!(table.index.is_none());
    }

    fn subscription(hub: &mut Hub, n: usize) -> Subscription {
        let channel = hub.retain(&ChannelName::new(&n.to_string()));
        let member = hub.join(channel, ConnId { slot: 0, generation: 0 }, MemberFlags::NONE);
        Subscription {
            channel,
            member,
            special: Special::of(n as i64, None),
            meta_ttl_s: 0,
            checked_at_s: 0,
            check_tag: 0,
            traits: Traits::default(),
        }
    }

    proptest! {
        /// Against a plain map, across the bound where the index appears and disappears.
        #[test]
        fn finds_what_is_there(steps in proptest::collection::vec((any::<bool>(), 0usize..60), 0..400)) {
            let (mut hub, mut table) = (Hub::new(), Subscriptions::default());
            let mut model = std::collections::BTreeMap::new();
            for (add, n) in steps {
                match (add, model.get(&n).copied()) {
                    (true, None) => {
                        let subscription = subscription(&mut hub, n);
                        model.insert(n, subscription.channel);
                        table.insert(subscription);
                    }
                    (false, Some(channel)) => {
                        let removed = table.remove(channel).expect("it is there");
                        prop_assert_eq!(removed.expire_at(), n as i64);
                        prop_assert!(table.remove(channel).is_none());
                        model.remove(&n);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), model.len());
                for (n, channel) in &model {
                    prop_assert_eq!(table.get(*channel).map(|found| found.expire_at()), Some(*n as i64));
                }
            }
            prop_assert_eq!(table.take().len(), model.len());
        }
    }
}
