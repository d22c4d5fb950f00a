//! The channels that are at home here, found by name: what is kept for each, and where.

use crate::base::ids::ConnId;
use crate::base::index::Index;
use crate::base::slab::Slab;
use crate::base::time::{NEVER, Now};
use crate::channel::interest::Interest;
use crate::channel::map::Map;
use crate::channel::name::ChannelName;
use crate::channel::presence::Presence;
use crate::channel::retired::Retired;
use crate::channel::stream::Stream;

/// One channel at its home. Most channels are interest alone; the rest is boxed.
#[derive(Debug)]
pub struct Home {
    /// The channel, under the name that all its deliveries share.
    pub name: ChannelName,
    /// Shards with subscribers.
    pub interest: Interest,
    /// History, once it was used.
    pub stream: Option<Box<Stream>>,
    /// Who is present, while somebody is.
    pub presence: Option<Box<Presence>>,
    /// Keys and changes of a map, once it was used.
    pub map: Option<Box<Map>>,
}

impl Home {
    /// Whether nothing is kept and nobody listens.
    pub fn is_idle(&self) -> bool {
        self.interest.is_empty() && self.stream.is_none() && self.presence.is_none() && self.map.is_none()
    }

    /// When something kept here expires.
    pub fn deadline_ms(&self) -> u64 {
        let stream = self.stream.as_ref().map_or(NEVER, |stream| stream.deadline_ms());
        let presence = self.presence.as_ref().map_or(NEVER, |presence| presence.deadline_ms());
        stream.min(presence).min(self.map.as_ref().map_or(NEVER, |map| map.deadline_ms()))
    }

    /// Drops publications that are past their time, or the whole stream.
    pub fn expire_stream(&mut self, now: Now, retired: &mut Retired) {
        let Some(stream) = &mut self.stream else { return };
        if stream.is_over(now) {
            retired.take(stream.clear());
            self.stream = None;
        } else if stream.is_stale(now) {
            retired.take(stream.clear());
        }
    }

    /// Forgets a map that is past its time.
    pub fn end_map_if_over(&mut self, now: Now, retired: &mut Retired) {
        if self.map.as_ref().is_some_and(|map| map.is_over(now))
            && let Some(map) = self.map.take()
        {
            retired.take_map(*map);
        }
    }

    /// Visits up to `budget` presence entries that may have expired; gives the number of visits.
    pub fn sweep_presence(&mut self, now: Now, budget: usize) -> usize {
        let Some(presence) = &mut self.presence else { return 0 };
        let visits = presence.sweep(now, budget);
        if presence.is_empty() {
            self.presence = None;
        }
        visits
    }
}

/// What a [`Table`] keeps for a channel.
pub trait Entry {
    /// The beginning of a channel.
    fn begin(name: ChannelName) -> Self;
    /// The channel.
    fn name(&self) -> &ChannelName;
}

impl Entry for Home {
    fn begin(name: ChannelName) -> Self {
        Self { name, interest: Interest::default(), stream: None, presence: None, map: None }
    }

    fn name(&self) -> &ChannelName {
        &self.name
    }
}

/// All channels of a home shard. A slot stays with its channel until that is removed.
#[derive(Debug)]
pub struct Table<T = Home> {
    homes: Slab<T>,
    index: Index,
}

impl<T: Entry> Table<T> {
    /// An empty table for at most `limit` channels.
    pub fn new(limit: u32) -> Self {
        Self { homes: Slab::new(limit), index: Index::new() }
    }

    /// Channels held.
    pub fn len(&self) -> usize {
        self.homes.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.homes.is_empty()
    }

    /// The channel's slot, if it is held.
    #[inline]
    pub fn find(&self, name: &ChannelName) -> Option<u32> {
        self.index.find(name.hash(), |slot| self.homes.peek(slot).is_some_and(|home| home.name() == name))
    }

    /// The channel's slot, new if need be; nothing when the table is full.
    pub fn find_or_insert(&mut self, name: &ChannelName) -> Option<u32> {
        if let Some(slot) = self.find(name) {
            return Some(slot);
        }
        let slot = self.homes.insert(T::begin(name.clone())).ok()?.slot;
        self.index.insert(name.hash(), slot);
        Some(slot)
    }

    /// The channel in a slot.
    #[inline]
    pub fn get(&mut self, slot: u32) -> Option<&mut T> {
        self.homes.at(slot).map(|(_, home)| home)
    }

    /// Names the channel in a slot for as long as it is held; another one in the same slot has another key.
    pub fn key(&mut self, slot: u32) -> Option<ConnId> {
        self.homes.at(slot).map(|(key, _)| key)
    }

    /// The slot of the channel with this key, if it is still held.
    pub fn slot(&self, key: ConnId) -> Option<u32> {
        self.homes.get(key).map(|_| key.slot)
    }

    /// Slots ever used: the bound for walks by [`Table::get`].
    pub fn slots(&self) -> u32 {
        self.homes.slots()
    }

    /// Removes the channel in a slot.
    pub fn remove(&mut self, slot: u32) {
        let Some((key, home)) = self.homes.at(slot) else { return };
        self.index.remove(home.name().hash(), slot);
        self.homes.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_channel_costs_less_than_100_bytes() {
        // In the slab (with its generation), the index (with its control byte), and the places of deadlines.
        let slab = size_of::<Home>() + 8;
        let index = Index::ENTRY * 16 / 7;
        assert!(slab + index + size_of::<u32>() <= 100, "{slab} + {index}");
    }

    #[test]
    fn slots_are_found_removed_and_bounded() {
        let mut table = Table::<Home>::new(100);
        let names: Vec<_> = (0..101).map(|n| ChannelName::new(&format!("channel:{n}"))).collect();
        let slots: Vec<_> = names[..100].iter().map(|name| table.find_or_insert(name).unwrap()).collect();
        assert_eq!(table.find_or_insert(&names[0]), Some(slots[0]));
        assert_eq!((table.len(), table.find_or_insert(&names[100])), (100, None));
        for (name, slot) in names.iter().zip(&slots).step_by(2) {
            assert_eq!(table.get(*slot).map(|home| home.name.clone()).as_ref(), Some(name));
            table.remove(*slot);
            assert!(table.find(name).is_none() && table.get(*slot).is_none());
        }
        assert_eq!(table.len(), 50);
        assert!(names[..100].iter().skip(1).step_by(2).all(|name| table.find(name).is_some()));
        assert!(table.find_or_insert(&names[100]).is_some());
    }
}
