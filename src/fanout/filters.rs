//! The tags filters of a shard's members: equal ones are kept once, and asked once a publication.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::member::MemberId;
use crate::base::mutation::{Mutation, is_on};
use crate::base::slab::Slab;
use crate::channel::filter::Filter;

/// Memory of all different filters together at which no further one is taken, bytes. It also bounds how long matching
/// a publication may take.
const MAX_BYTES: usize = 32 << 20;

/// See the module. Empty, it owns no memory.
#[derive(Debug)]
pub struct Filters {
    shared: Slab<Shared>,
    by_filter: HashMap<Arc<Filter>, u32, FixedState>,
    by_member: HashMap<MemberId, u32, FixedState>,
    bytes: usize,
    /// Publications so far that a filter was asked about.
    round: u64,
}

#[derive(Debug)]
struct Shared {
    filter: Arc<Filter>,
    members: u32,
    /// The publication that was asked about last, and the answer.
    round: u64,
    fits: bool,
}

impl Filters {
    pub(super) const fn new() -> Self {
        Self {
            shared: Slab::new(u32::MAX),
            by_filter: HashMap::with_hasher(FixedState::with_seed(0)),
            by_member: HashMap::with_hasher(FixedState::with_seed(0)),
            bytes: 0,
            round: 0,
        }
    }

    /// Whether a member with this filter may still be taken. Subscriptions that are under way are not counted, so the
    /// bound may be passed by as many filters as are under way.
    pub fn has_room(&self, filter: &Filter) -> bool {
        self.by_filter.contains_key(filter) || self.bytes + filter.bytes() <= MAX_BYTES
    }

    /// Different filters.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether no member has a filter.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty()
    }

    pub(super) fn insert(&mut self, member: MemberId, filter: Arc<Filter>) {
        let slot = match self.by_filter.get(&filter) {
            Some(slot) => *slot,
            None => {
                self.bytes += filter.bytes();
                let shared = Shared { filter: filter.clone(), members: 0, round: 0, fits: false };
                let Ok(key) = self.shared.insert(shared) else { unreachable!("fewer filters than members") };
                self.by_filter.insert(filter, key.slot);
                key.slot
            }
        };
        if let Some((_, shared)) = self.shared.at(slot) {
            shared.members += 1;
        }
        self.by_member.insert(member, slot);
    }

    pub(super) fn remove(&mut self, member: MemberId) {
        let Some(slot) = self.by_member.remove(&member) else { return };
        let Some((key, shared)) = self.shared.at(slot) else { return };
        shared.members -= 1;
        if shared.members == 0
            && let Some(Shared { filter, .. }) = self.shared.remove(key)
        {
            self.bytes -= filter.bytes();
            self.by_filter.remove(&filter);
        }
        if self.by_member.is_empty() {
            *self = Self { round: self.round, ..Self::new() };
        }
    }

    /// Another publication begins.
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }

    /// Whether the member wants the publication, which has these tags.
    pub(super) fn fits(&mut self, member: MemberId, tags: &[(Box<str>, Box<str>)]) -> bool {
        if is_on(Mutation::IgnoreFilter) {
            return true;
        }
        let Some((_, shared)) = self.by_member.get(&member).and_then(|slot| self.shared.at(*slot)) else { return true };
        if shared.round != self.round {
            (shared.round, shared.fits) = (self.round, shared.filter.matches(tags));
        }
        shared.fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::client::FilterNode;

    fn filter(value: &str) -> Arc<Filter> {
        let node = FilterNode { key: "k".into(), cmp: "eq".into(), val: value.into(), ..FilterNode::default() };
        Arc::new(Filter::compile(&node).unwrap())
    }

    fn tags(value: &str) -> [(Box<str>, Box<str>); 1] {
        [("k".into(), value.into())]
    }

    #[test]
    fn equal_filters_are_kept_once_and_forgotten_with_their_last_member() {
        let mut filters = Filters::new();
        for (member, value) in [(1, "a"), (2, "b"), (3, "a")] {
            filters.insert(MemberId(member), filter(value));
        }
        assert_eq!((filters.len(), filters.bytes), (2, 2 * filter("a").bytes()));
        filters.begin();
        assert_eq!([1, 2, 3].map(|member| filters.fits(MemberId(member), &tags("a"))), [true, false, true]);
        filters.begin();
        assert_eq!([1, 2, 3].map(|member| filters.fits(MemberId(member), &tags("b"))), [false, true, false]);
        filters.remove(MemberId(1));
        assert_eq!(filters.len(), 2);
        filters.remove(MemberId(3));
        assert_eq!(filters.len(), 1);
        filters.remove(MemberId(2));
        filters.remove(MemberId(2));
        assert_eq!((filters.len(), filters.bytes, filters.by_member.capacity()), (0, 0, 0));
    }

    #[test]
    fn different_filters_are_bounded_and_known_ones_are_always_taken() {
        let mut filters = Filters::new();
        filters.insert(MemberId(0), filter("a"));
        filters.bytes = MAX_BYTES;
        assert!(filters.has_room(&filter("a")));
        assert!(!filters.has_room(&filter("b")));
        filters.bytes -= filter("b").bytes();
        assert!(filters.has_room(&filter("b")));
    }
}
