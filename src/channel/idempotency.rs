//! Results of publications by idempotency key, so that a repeated publish is answered and not done again.
//!
//! Upstream: centrifuge broker_memory.go (`resultCache`). All results of a home live equally long, so they
//! expire in the order they came: a queue, and an index into it.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::base::time::Now;
use crate::channel::name::{ChannelName, hash_of};
use crate::channel::publication::Position;

/// How long a result is remembered, milliseconds.
pub const RESULT_TTL_MS: u64 = 300_000;

/// Bounds of [`Results`]. At either bound the oldest result is forgotten early, and its key publishes again.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most results.
    pub results: usize,
    /// Most bytes in their keys.
    pub key_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { results: 1 << 20, key_bytes: 64 << 20 }
    }
}

/// The results of all channels of a home.
#[derive(Debug)]
pub struct Results {
    limits: Limits,
    queue: VecDeque<Remembered>,
    /// Numbers of results, counted from the first ever.
    index: HashTable<u64>,
    /// The number of the queue's front.
    first: u64,
    key_bytes: usize,
}

#[derive(Debug)]
struct Remembered {
    hash: u64,
    channel: ChannelName,
    key: Box<str>,
    position: Position,
    expires_ms: u64,
}

impl Results {
    /// No results.
    pub fn new(limits: Limits) -> Self {
        Self { limits, queue: VecDeque::new(), index: HashTable::new(), first: 0, key_bytes: 0 }
    }

    /// The position that the first publication under this key was answered with.
    pub fn find(&self, channel: &ChannelName, key: &str, now: Now) -> Option<Position> {
        let number = self.index.find(hash(channel, key), |number| self.is(*number, channel, key))?;
        let result = &self.queue[(number - self.first) as usize];
        (result.expires_ms > now.mono_ms).then_some(result.position)
    }

    /// Remembers a result. Results must come in the order of time.
    pub fn insert(&mut self, channel: &ChannelName, key: Box<str>, position: Position, now: Now) {
        while self.queue.len() >= self.limits.results.max(1)
            || (!self.queue.is_empty() && self.key_bytes + key.len() > self.limits.key_bytes)
        {
            self.forget_oldest();
        }
        let hash = hash(channel, &key);
        let number = self.first + self.queue.len() as u64;
        let (queue, first) = (&self.queue, self.first);
        let of = |number: u64| &queue[(number - first) as usize];
        // An expired result under the same key may still be queued: the index moves on to the new one.
        match self.index.find_mut(hash, |old| of(*old).channel == *channel && of(*old).key == key) {
            Some(old) => *old = number,
            None => {
                self.index.insert_unique(hash, number, |number| of(*number).hash);
            }
        }
        self.key_bytes += key.len();
        let expires_ms = now.mono_ms + RESULT_TTL_MS;
        self.queue.push_back(Remembered { hash, channel: channel.clone(), key, position, expires_ms });
    }

    /// Results remembered.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When the oldest result expires.
    pub fn next_expiry(&self) -> Option<u64> {
        self.queue.front().map(|result| result.expires_ms)
    }

    /// Forgets up to `budget` expired results; gives their number.
    pub fn expire(&mut self, now: Now, budget: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < budget && self.next_expiry().is_some_and(|at_ms| at_ms <= now.mono_ms) {
            self.forget_oldest();
            forgotten += 1;
        }
        if forgotten > 0 && self.queue.is_empty() {
            self.queue = VecDeque::new();
            self.index = HashTable::new();
        }
        forgotten
    }

    fn forget_oldest(&mut self) {
        let Some(result) = self.queue.pop_front() else { return };
        // Not found when the key was used again.
        if let Ok(found) = self.index.find_entry(result.hash, |number| *number == self.first) {
            found.remove();
        }
        self.first += 1;
        self.key_bytes -= result.key.len();
    }

    fn is(&self, number: u64, channel: &ChannelName, key: &str) -> bool {
        let result = &self.queue[(number - self.first) as usize];
        result.channel == *channel && &*result.key == key
    }
}

fn hash(channel: &ChannelName, key: &str) -> u64 {
    channel.hash().rotate_left(1) ^ hash_of(key)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, ..Now::default() }
    }

    fn offset(offset: u64) -> Position {
        Position { offset, ..Position::default() }
    }

    #[test]
    fn a_result_counts_for_its_channel_and_time() {
        let mut results = Results::new(Limits::default());
        let (a, b) = (ChannelName::new("a"), ChannelName::new("b"));
        results.insert(&a, "key".into(), offset(1), at(0));
        assert_eq!(results.find(&a, "key", at(RESULT_TTL_MS - 1)), Some(offset(1)));
        assert_eq!(results.find(&b, "key", at(0)), None);
        assert_eq!(results.find(&a, "other", at(0)), None);
        assert_eq!(results.find(&a, "key", at(RESULT_TTL_MS)), None);
        results.insert(&a, "key".into(), offset(2), at(RESULT_TTL_MS));
        assert_eq!(results.expire(at(RESULT_TTL_MS), 10), 1);
        assert_eq!(results.find(&a, "key", at(RESULT_TTL_MS)), Some(offset(2)));
        assert_eq!(results.expire(at(2 * RESULT_TTL_MS), 10), 1);
        assert!(results.is_empty() && results.index.is_empty() && results.key_bytes == 0);
    }

    #[test]
    fn at_a_bound_the_oldest_is_forgotten() {
        let a = ChannelName::new("a");
        for limits in [Limits { results: 2, key_bytes: 100 }, Limits { results: 100, key_bytes: 2 }] {
            let mut results = Results::new(limits);
            for (n, key) in ["1", "2", "3"].into_iter().enumerate() {
                results.insert(&a, key.into(), offset(n as u64), at(0));
            }
            assert_eq!(results.len(), 2);
            assert_eq!(results.find(&a, "1", at(0)), None);
            assert_eq!(results.find(&a, "3", at(0)), Some(offset(2)));
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map_with_expiry(steps in prop::collection::vec((0u8..3, 0u8..4, 0u64..200_000, 0usize..3), 0..60)) {
            let (mut results, mut now) = (Results::new(Limits::default()), at(0));
            let mut model: HashMap<(u8, u8), (Position, u64)> = HashMap::new();
            for (n, (channel, key, wait_ms, budget)) in steps.into_iter().enumerate() {
                now.mono_ms += wait_ms;
                prop_assert!(results.expire(now, budget) <= budget);
                model.retain(|_, (_, expires_ms)| *expires_ms > now.mono_ms);
                let name = ChannelName::new(&channel.to_string());
                let known = results.find(&name, &key.to_string(), now);
                prop_assert_eq!(known, model.get(&(channel, key)).map(|(position, _)| *position));
                if known.is_none() {
                    results.insert(&name, key.to_string().into(), offset(n as u64), now);
                    model.insert((channel, key), (offset(n as u64), now.mono_ms + RESULT_TTL_MS));
                }
            }
            results.expire(at(now.mono_ms + RESULT_TTL_MS), usize::MAX);
            prop_assert!(results.is_empty() && results.index.is_empty() && results.key_bytes == 0);
        }
    }
}
