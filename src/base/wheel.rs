//! A hierarchical timing wheel: very many deadlines, none of which costs an allocation or is ever searched for.
//!
//! There is no cancelling. An entry whose owner changed its mind comes out as any other and the owner, who is named
//! by a generational key, sees that it is stale. Owners keep one live entry each, which bounds the wheel.

use std::fmt;

/// Length of a tick in milliseconds. An entry comes out with the first [`Wheel::advance`] at or after its deadline
/// rounded up to a tick: never early, and less than this late besides what the caller is late.
pub const TICK_MS: u64 = 8;

/// Each level has 64 slots, each as long as the whole level below: 512 ms, 33 s, 35 min, 37 h, 99 days, 17 years.
const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// The last tick there is; later deadlines come due then.
const LAST_TICK: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - 1;

const NIL: u32 = u32::MAX;

/// Deadlines in milliseconds, each with a value. Time starts at 0.
pub struct Wheel<T> {
    levels: [Level; LEVELS],
    nodes: Vec<Node<T>>,
    vacant: u32,
    len: usize,
    /// All ticks before this one are done; this one may be done in part.
    tick: u64,
}

struct Level {
    /// A bit for each slot that is not empty.
    occupied: u64,
    heads: [u32; SLOTS],
}

struct Node<T> {
    due: u64,
    next: u32,
    /// Empty while the node is vacant.
    value: Option<T>,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Wheel<T> {
    /// An empty wheel at time 0.
    pub const fn new() -> Self {
        Self {
            levels: [const { Level { occupied: 0, heads: [NIL; SLOTS] } }; LEVELS],
            nodes: Vec::new(),
            vacant: NIL,
            len: 0,
            tick: 0,
        }
    }

    /// Entries that have not come out yet, stale ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry. A deadline in the past comes out with the next [`Wheel::advance`]. O(1).
    pub fn insert(&mut self, at_ms: u64, value: T) {
        let due = at_ms.div_ceil(TICK_MS).clamp(self.tick, LAST_TICK.max(self.tick));
        let node = Node { due, next: NIL, value: Some(value) };
        let at = match self.nodes.get_mut(self.vacant as usize) {
            Some(vacant) => {
                let at = self.vacant;
                self.vacant = vacant.next;
                *vacant = node;
                at
            }
            None => {
                let at =
                    u32::try_from(self.nodes.len()).expect("one entry for each owner, and fewer than 2^32 of them");
                self.nodes.push(node);
                at
            }
        };
        self.place(at, due);
        self.len += 1;
    }

    /// Hands over every entry that is due at `now_ms`, in no order within a tick, until none is left or `budget`
    /// steps are taken; a step hands over one entry or moves one a level down. True when steps are left to take:
    /// call again, later.
    pub fn advance(&mut self, now_ms: u64, mut budget: usize, mut on: impl FnMut(T)) -> bool {
        let now = now_ms / TICK_MS;
        while let Some(next) = self.next_tick() {
            if next > now {
                break;
            }
            self.tick = next;
            if !self.run_tick(&mut budget, &mut on) {
                return true;
            }
        }
        // Nothing is due up to and including `now`. It is not over, though: more may be inserted for it.
        self.tick = self.tick.max(now);
        false
    }

    /// A time in milliseconds up to which nothing comes out, so that the caller may sleep until then; nothing when
    /// the wheel is empty. Exact for deadlines of the next 512 ms. For later ones it may be early (the wheel then
    /// sorts them more finely), but never by so much that it repeats more often than once in 512 ms.
    pub fn next_expiry(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick * TICK_MS)
    }

    /// The first tick at which an entry comes out or moves a level down.
    fn next_tick(&self) -> Option<u64> {
        let mut first: Option<u64> = None;
        for (level, slots) in self.levels.iter().enumerate() {
            if slots.occupied == 0 {
                continue;
            }
            let shift = SLOT_BITS * level as u32;
            // A level holds only what lies within the current slot of the level above, so its first slot in use is
            // the first of the occupied ones: none is behind the wheel.
            let slot = u64::from(slots.occupied.trailing_zeros());
            let above = (self.tick >> shift) & !(SLOTS as u64 - 1);
            let start = ((above | slot) << shift).max(self.tick);
            first = Some(first.map_or(start, |first| first.min(start)));
        }
        first
    }

    /// Runs the current tick. False when the budget ended first.
    fn run_tick(&mut self, budget: &mut usize, on: &mut impl FnMut(T)) -> bool {
        for level in (0..LEVELS).rev() {
            let slot = slot_of(self.tick, level);
            while self.levels[level].occupied & (1 << slot) != 0 {
                if *budget == 0 {
                    return false;
                }
                *budget -= 1;
                let at = self.pop(level, slot);
                let due = self.nodes[at as usize].due;
                if level > 0 {
                    self.place(at, due);
                } else if let Some(value) = self.free(at) {
                    on(value);
                }
            }
        }
        true
    }

    /// Puts a node into the finest slot that its due tick and the current one do not share.
    fn place(&mut self, at: u32, due: u64) {
        let differing = due ^ self.tick;
        let level = (63 - (differing | 1).leading_zeros()) / SLOT_BITS;
        let level = (level as usize).min(LEVELS - 1);
        let slot = slot_of(due, level);
        let slots = &mut self.levels[level];
        self.nodes[at as usize].next = std::mem::replace(&mut slots.heads[slot], at);
        slots.occupied |= 1 << slot;
    }

    fn pop(&mut self, level: usize, slot: usize) -> u32 {
        let slots = &mut self.levels[level];
        let at = slots.heads[slot];
        let next = self.nodes[at as usize].next;
        slots.heads[slot] = next;
        if next == NIL {
            slots.occupied &= !(1 << slot);
        }
        at
    }

    fn free(&mut self, at: u32) -> Option<T> {
        let node = &mut self.nodes[at as usize];
        node.next = std::mem::replace(&mut self.vacant, at);
        self.len -= 1;
        node.value.take()
    }
}

fn slot_of(tick: u64, level: usize) -> usize {
    (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel").field("len", &self.len).field("tick", &self.tick).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;
    use proptest::prelude::*;

    fn due(wheel: &mut Wheel<u64>, now_ms: u64) -> Vec<u64> {
        let mut out = Vec::new();
        assert!(!wheel.advance(now_ms, usize::MAX, |at| out.push(at)));
        out.sort_unstable();
        out
    }

    #[test]
    fn deadlines_are_kept_to_the_tick_at_every_distance() {
        for at_ms in [1, 511, 512, 513, 25_000, 32_768, 40_000, 3_600_000, 90_000_000, 8_000_000_000, 90_000_000_000] {
            let mut wheel = Wheel::new();
            wheel.insert(at_ms, at_ms);
            assert!(due(&mut wheel, at_ms - 1).is_empty());
            assert_eq!(due(&mut wheel, at_ms.next_multiple_of(TICK_MS)), [at_ms]);
            assert!(wheel.is_empty());
        }
    }

    #[test]
    fn the_past_comes_out_at_once_and_never_does_not() {
        let mut wheel = Wheel::new();
        assert!(due(&mut wheel, 10_000).is_empty());
        wheel.insert(5, 5);
        wheel.insert(u64::MAX, 6);
        assert_eq!(due(&mut wheel, 10_000), [5]);
        assert!(due(&mut wheel, 1 << 38).is_empty());
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn a_budget_spreads_a_crowd_over_several_turns() {
        let mut wheel = Wheel::new();
        for n in 0..1000 {
            wheel.insert(25_000 + n % 8, n);
        }
        let (mut out, mut turns) = (Vec::new(), 0);
        while wheel.advance(26_000, 64, |n| out.push(n)) {
            turns += 1;
            assert!(out.len() <= turns * 64);
        }
        // Each entry costs one step down from the second level and one step out.
        assert_eq!((out.len(), turns), (1000, 2000 / 64));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert { in_ms: u64 },
        Advance { by_ms: u64, budget: usize },
        Sleep,
    }

    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![0..40u64, 0..2_000u64, 0..100_000u64, 0..10_000_000u64, 0..3_000_000_000u64]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => span().prop_map(|in_ms| Step::Insert { in_ms }),
            2 => (span(), prop_oneof![0..5usize, Just(usize::MAX)])
                .prop_map(|(by_ms, budget)| Step::Advance { by_ms, budget }),
            1 => Just(Step::Sleep),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_heap(steps in prop::collection::vec(step(), 0..150)) {
            let mut wheel = Wheel::new();
            let mut heap = BinaryHeap::new();
            let mut now = 0;
            for step in steps {
                let budget = match step {
                    Step::Insert { in_ms } => {
                        wheel.insert(now + in_ms, now + in_ms);
                        heap.push(Reverse(now + in_ms));
                        continue;
                    }
                    Step::Advance { by_ms, budget } => {
                        now += by_ms;
                        budget
                    }
                    Step::Sleep => {
                        let next = wheel.next_expiry();
                        prop_assert_eq!(next.is_none(), heap.is_empty());
                        now = next.map_or(now, |next| next.max(now));
                        usize::MAX
                    }
                };
                let mut out = Vec::new();
                let more = wheel.advance(now, budget, |at| out.push(at));
                prop_assert!(out.len() <= budget);
                out.sort_unstable();
                if more {
                    // Which entries of one tick come first is not said; take them out of the model one by one.
                    let mut rest = heap.into_vec();
                    for at in out {
                        prop_assert!(at <= now, "early");
                        let found = rest.iter().position(|Reverse(expected)| *expected == at);
                        prop_assert!(found.is_some());
                        rest.swap_remove(found.unwrap());
                    }
                    heap = BinaryHeap::from(rest);
                } else {
                    let mut expected = Vec::new();
                    while heap.peek().is_some_and(|Reverse(at)| at.next_multiple_of(TICK_MS) <= now) {
                        expected.extend(heap.pop().map(|Reverse(at)| at));
                    }
                    prop_assert_eq!(out, expected);
                }
                prop_assert_eq!(wheel.len(), heap.len());
                if let (Some(next), Some(Reverse(first))) = (wheel.next_expiry(), heap.peek()) {
                    prop_assert!(next <= first.next_multiple_of(TICK_MS).max(now), "oversleeps");
                    prop_assert!(more || next > now, "sleeps not at all");
                }
            }
        }
    }
}
