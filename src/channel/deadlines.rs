//! The next deadline of each slot of a table: a heap that knows where every slot stands.
//!
//! One entry per slot, so nothing stale piles up however often deadlines move. Owners may leave an entry
//! earlier than the true deadline (raising is lazy): it comes due, is looked at, and is set anew.

use crate::base::time::NEVER;

/// Children of a heap node: a flat heap costs fewer cache misses than a binary one.
const ARITY: usize = 4;

/// The slot has no deadline.
const ABSENT: u32 = u32::MAX;

/// Deadlines by slot. All operations are O(log n) at most.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: Vec<Due>,
    /// Where each slot stands in the heap.
    place: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    at_ms: u64,
    slot: u32,
}

impl Deadlines {
    /// Slots that have a deadline.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no slot has one.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The earliest deadline and its slot.
    #[inline]
    pub fn first(&self) -> Option<(u64, u32)> {
        self.heap.first().map(|due| (due.at_ms, due.slot))
    }

    /// The slot's deadline, or [`NEVER`].
    #[inline]
    pub fn get(&self, slot: u32) -> u64 {
        self.place_of(slot).map_or(NEVER, |at| self.heap[at].at_ms)
    }

    /// Sets the slot's deadline; [`NEVER`] takes it out.
    pub fn set(&mut self, slot: u32, at_ms: u64) {
        match self.place_of(slot) {
            Some(at) if at_ms == NEVER => {
                self.place[slot as usize] = ABSENT;
                let last = self.heap.len() - 1;
                self.heap.swap_remove(at);
                if at != last {
                    self.settle(at);
                }
            }
            Some(at) => {
                self.heap[at].at_ms = at_ms;
                self.settle(at);
            }
            None if at_ms == NEVER => {}
            None => {
                if self.place.len() <= slot as usize {
                    self.place.resize(slot as usize + 1, ABSENT);
                }
                self.heap.push(Due { at_ms, slot });
                self.settle(self.heap.len() - 1);
            }
        }
    }

    /// Brings the slot's deadline forward; a later one changes nothing.
    #[inline]
    pub fn lower(&mut self, slot: u32, at_ms: u64) {
        if at_ms < self.get(slot) {
            self.set(slot, at_ms);
        }
    }

    fn place_of(&self, slot: u32) -> Option<usize> {
        self.place.get(slot as usize).filter(|at| **at != ABSENT).map(|at| *at as usize)
    }

    /// Moves the entry up or down to where it belongs, and notes the places.
    fn settle(&mut self, mut at: usize) {
        let due = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.heap[parent].at_ms <= due.at_ms {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        loop {
            let children = at * ARITY + 1..(at * ARITY + 1 + ARITY).min(self.heap.len());
            let Some(child) = children.min_by_key(|child| self.heap[*child].at_ms) else {
                break;
            };
            if self.heap[child].at_ms >= due.at_ms {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, due);
    }

    fn put(&mut self, at: usize, due: Due) {
        self.heap[at] = due;
        self.place[due.slot as usize] = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_earliest_comes_first(
            steps in prop::collection::vec((0u32..40, prop_oneof![4 => 0u64..100, 1 => Just(NEVER)], any::<bool>()), 0..300),
        ) {
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeMap::new());
            for (slot, at_ms, lower) in steps {
                let old = model.get(&slot).copied().unwrap_or(NEVER);
                let new = if lower { old.min(at_ms) } else { at_ms };
                if lower { deadlines.lower(slot, at_ms) } else { deadlines.set(slot, at_ms) }
                if new == NEVER { model.remove(&slot); } else { model.insert(slot, new); }
                prop_assert_eq!(deadlines.get(slot), new);
                prop_assert_eq!(deadlines.len(), model.len());
                prop_assert_eq!(deadlines.is_empty(), model.is_empty());
                prop_assert_eq!(deadlines.first().map(|(at_ms, _)| at_ms), model.values().copied().min());
            }
            let mut left = Vec::new();
            while let Some((at_ms, slot)) = deadlines.first() {
                left.push((at_ms, slot));
                deadlines.set(slot, NEVER);
            }
            prop_assert!(left.is_sorted_by_key(|(at_ms, _)| *at_ms));
            left.sort_unstable();
            let mut expected: Vec<_> = model.into_iter().map(|(slot, at_ms)| (at_ms, slot)).collect();
            expected.sort_unstable();
            prop_assert_eq!(left, expected);
        }
    }
}
