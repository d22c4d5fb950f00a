//! A table of values under generational keys: a key that outlives its value finds nothing.

use super::ids::ConnId;

/// Slots in a chunk.
const CHUNK: usize = 1024;

/// No further vacant slot.
const NONE: u32 = u32::MAX;

/// A table whose slots are reused and whose keys are not.
///
/// A slot's generation moves on each time it is vacated, so a key repeats only after 2^32 reuses of one slot;
/// no key is kept that long. Insertion, look-up and removal are O(1); the table grows up to its limit and
/// keeps its memory.
#[derive(Debug)]
pub struct Slab<T> {
    /// Slots in chunks of [`CHUNK`], so that a table which grows never moves what it holds: copying a million
    /// connections would stall the shard.
    chunks: Vec<Vec<Slot<T>>>,
    vacant: u32,
    len: u32,
    limit: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Vacant { next: u32 },
    Occupied(T),
}

impl<T> Slab<T> {
    /// An empty table for at most `limit` values. Allocates nothing yet.
    pub const fn new(limit: u32) -> Self {
        Self { chunks: Vec::new(), vacant: NONE, len: 0, limit: if limit == NONE { NONE - 1 } else { limit } }
    }

    /// Values held.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no value is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots ever used: the bound for walks by [`Slab::at`].
    pub fn slots(&self) -> u32 {
        let whole = self.chunks.len().saturating_sub(1) * CHUNK;
        (whole + self.chunks.last().map_or(0, Vec::len)) as u32
    }

    #[inline]
    fn slot(&self, at: u32) -> Option<&Slot<T>> {
        self.chunks.get(at as usize / CHUNK)?.get(at as usize % CHUNK)
    }

    #[inline]
    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(at as usize / CHUNK)?.get_mut(at as usize % CHUNK)
    }

    fn push(&mut self, slot: Slot<T>) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(slot),
            // Only the first chunk grows, for tables that stay small.
            last => {
                let mut chunk = Vec::with_capacity(if last.is_some() { CHUNK } else { 1 });
                chunk.push(slot);
                self.chunks.push(chunk);
            }
        }
    }

    /// The key that the next [`Slab::insert`] gives out, or nothing at the limit.
    pub fn next_key(&self) -> Option<ConnId> {
        match self.slot(self.vacant) {
            Some(slot) => Some(ConnId { slot: self.vacant, generation: slot.generation }),
            None => (self.slots() < self.limit).then(|| ConnId { slot: self.slots(), generation: 0 }),
        }
    }

    /// Takes the value in; at the limit it is given back.
    pub fn insert(&mut self, value: T) -> Result<ConnId, T> {
        let Some(key) = self.next_key() else { return Err(value) };
        match self.slot_mut(key.slot) {
            Some(slot) => {
                let was = std::mem::replace(&mut slot.state, State::Occupied(value));
                if let State::Vacant { next } = was {
                    self.vacant = next;
                }
            }
            None => self.push(Slot { generation: 0, state: State::Occupied(value) }),
        }
        self.len += 1;
        Ok(key)
    }

    /// The value under the key, unless it was removed.
    #[inline]
    pub fn get(&self, key: ConnId) -> Option<&T> {
        match self.slot(key.slot) {
            Some(Slot { generation, state: State::Occupied(value) }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value under the key, to change it.
    #[inline]
    pub fn get_mut(&mut self, key: ConnId) -> Option<&mut T> {
        match self.slot_mut(key.slot) {
            Some(Slot { generation, state: State::Occupied(value) }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the value out and makes its key stale.
    pub fn remove(&mut self, key: ConnId) -> Option<T> {
        self.get(key)?;
        let next = self.vacant;
        let slot = self.slot_mut(key.slot)?;
        slot.generation = slot.generation.wrapping_add(1);
        let state = std::mem::replace(&mut slot.state, State::Vacant { next });
        self.vacant = key.slot;
        self.len -= 1;
        match state {
            State::Occupied(value) => Some(value),
            State::Vacant { .. } => None,
        }
    }

    /// The value in a slot, for those who know that they hold it.
    #[inline]
    pub fn peek(&self, slot: u32) -> Option<&T> {
        match &self.slot(slot)?.state {
            State::Occupied(value) => Some(value),
            State::Vacant { .. } => None,
        }
    }

    /// The value in a slot and its key, for walks that spread over several turns.
    pub fn at(&mut self, slot: u32) -> Option<(ConnId, &mut T)> {
        match self.slot_mut(slot) {
            Some(Slot { generation, state: State::Occupied(value) }) => {
                Some((ConnId { slot, generation: *generation }, value))
            }
            _ => None,
        }
    }

    /// All values with their keys, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.chunks.iter().flatten().enumerate().filter_map(|(at, slot)| match &slot.state {
            State::Occupied(value) => Some((ConnId { slot: at as u32, generation: slot.generation }, value)),
            State::Vacant { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::new(2);
        let first = slab.insert("first").unwrap();
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second").unwrap();
        assert_eq!(first.slot, second.slot);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn at_the_limit_values_are_refused() {
        let mut slab = Slab::new(1);
        let key = slab.insert(1).unwrap();
        assert_eq!(slab.next_key(), None);
        assert_eq!(slab.insert(2), Err(2));
        slab.remove(key);
        assert!(slab.insert(3).is_ok());
    }

    #[test]
    fn values_stay_where_they_are_while_the_table_grows() {
        let mut slab = Slab::new(u32::MAX);
        let keys: Vec<_> = (0..3 * CHUNK).map(|n| slab.insert(n).unwrap()).collect();
        assert_eq!(slab.slots() as usize, 3 * CHUNK);
        let place = std::ptr::from_ref(slab.get(keys[CHUNK]).unwrap());
        let more: Vec<_> = (0..5 * CHUNK).map(|n| slab.insert(n).unwrap()).collect();
        assert!(std::ptr::eq(place, slab.get(keys[CHUNK]).unwrap()));
        assert!(keys.iter().enumerate().all(|(n, key)| slab.get(*key) == Some(&n)));
        assert_eq!(slab.remove(more[7]), Some(7));
        assert_eq!(slab.insert(0).unwrap().slot, more[7].slot);
    }

    proptest! {
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200)) {
            let mut slab = Slab::new(20);
            let mut live: Vec<(ConnId, usize)> = Vec::new();
            let mut dead: Vec<ConnId> = Vec::new();
            for (n, (insert, which)) in steps.into_iter().enumerate() {
                if insert {
                    let expected = slab.next_key();
                    match slab.insert(n) {
                        Ok(key) => {
                            prop_assert_eq!(Some(key), expected);
                            live.push((key, n));
                        }
                        Err(_) => prop_assert_eq!(live.len(), 20),
                    }
                } else if !live.is_empty() {
                    let (key, value) = live.swap_remove(which.index(live.len()));
                    prop_assert_eq!(slab.remove(key), Some(value));
                    dead.push(key);
                }
                prop_assert_eq!(slab.len(), live.len());
                prop_assert_eq!(slab.is_empty(), live.is_empty());
                prop_assert!(live.iter().all(|(key, value)| slab.get(*key) == Some(value)));
                prop_assert!(dead.iter().all(|key| slab.get(*key).is_none()));
                let mut seen: Vec<_> = slab.iter().map(|(key, value)| (key, *value)).collect();
                let mut walked: Vec<_> = (0..slab.slots()).filter_map(|s| slab.at(s).map(|(k, v)| (k, *v))).collect();
                live.sort_by_key(|(key, _)| key.slot);
                prop_assert_eq!(&seen, &live);
                prop_assert_eq!(&walked, &live);
                seen.clear();
                walked.clear();
            }
        }
    }
}
