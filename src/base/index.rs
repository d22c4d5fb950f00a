//! Slots of a table by the hash of a name. The names stay with the table, which knows how to compare them.

use hashbrown::HashTable;

/// Parts that grow on their own. Growing one table of a million entries takes tens of milliseconds, in which a shard
/// serves nobody; a part of it takes a hundredth of a millisecond.
const PARTS: usize = 256;

/// See the module. Half the hash stands beside the slot, so that growing, and all but one in 2^32 misses, look at
/// nothing else.
#[derive(Debug, Default)]
pub struct Index {
    /// None at first, then [`PARTS`].
    parts: Vec<HashTable<Place>>,
    len: usize,
}

#[derive(Debug)]
struct Place {
    hash: u32,
    slot: u32,
}

impl Index {
    /// Bytes of an entry, its control byte included; at a load of 7/16 to 7/8.
    pub const ENTRY: usize = size_of::<Place>() + 1;

    /// An index without entries and memory.
    pub const fn new() -> Self {
        Self { parts: Vec::new(), len: 0 }
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot under the hash for which `is` holds.
    #[inline]
    pub fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let half = half(hash);
        let part = self.parts.get(part_of(half))?;
        part.find(spread(half), |place| place.hash == half && is(place.slot)).map(|place| place.slot)
    }

    /// Adds a slot. It must not be there.
    pub fn insert(&mut self, hash: u64, slot: u32) {
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, HashTable::new);
        }
        let half = half(hash);
        let place = Place { hash: half, slot };
        self.parts[part_of(half)].insert_unique(spread(half), place, |place| spread(place.hash));
        self.len += 1;
    }

    /// Takes a slot out, if it is there.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        let half = half(hash);
        let Some(part) = self.parts.get_mut(part_of(half)) else { return };
        if let Ok(found) = part.find_entry(spread(half), |place| place.slot == slot) {
            found.remove();
            self.len -= 1;
        }
    }
}

/// The lower half: the upper bits chose the shard and are much the same in all names of a home.
fn half(hash: u64) -> u32 {
    hash as u32
}

/// Bits for a part's table, which takes the lowest and the highest ones.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn part_of(half: u32) -> usize {
    (spread(half) >> 44) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_are_spread_over_parts() {
        let mut index = Index::new();
        (0..25_600u32).for_each(|n| index.insert(u64::from(n).wrapping_mul(0xD134_2543_DE82_EF95) >> 8, n));
        let lens: Vec<_> = index.parts.iter().map(HashTable::len).collect();
        assert!(lens.iter().all(|len| (50..150).contains(len)), "{lens:?}");
    }

    proptest! {
        /// Few hashes and few bits of them, so that they collide.
        #[test]
        fn it_is_a_multimap(steps in prop::collection::vec((any::<bool>(), 0u64..8, 0u32..6), 0..200)) {
            let (mut index, mut model) = (Index::new(), BTreeMap::new());
            for (add, hash, slot) in steps {
                let hash = hash << 31;
                match (add, model.get(&slot).copied()) {
                    (true, None) => {
                        index.insert(hash, slot);
                        model.insert(slot, hash);
                    }
                    (false, Some(hash)) => {
                        index.remove(hash, slot);
                        model.remove(&slot);
                    }
                    _ => {}
                }
                prop_assert_eq!((index.len(), index.is_empty()), (model.len(), model.is_empty()));
                for slot in 0..6 {
                    for hash in (0..8).map(|hash| hash << 31) {
                        let is_there = model.get(&slot).is_some_and(|own| *own as u32 == hash as u32);
                        prop_assert_eq!(index.find(hash, |found| found == slot).is_some(), is_there);
                    }
                }
            }
        }
    }
}
