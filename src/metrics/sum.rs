//! Adding up the metrics of several shards.

use super::labels::{Api, Command, Suppressed};

/// Something that can be added up over shards.
pub trait Sum {
    /// Adds another shard's.
    fn add(&mut self, other: &Self);
}

impl Sum for u64 {
    fn add(&mut self, other: &Self) {
        *self += other;
    }
}

impl<T: Sum, const N: usize> Sum for [T; N] {
    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(a, b)| a.add(b));
    }
}

/// A number that goes up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge(pub i64);

impl Sum for Gauge {
    fn add(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

/// A key of [`Counters`].
pub trait Key: Copy + Ord {
    /// The key for everything beyond the bound.
    fn other(self) -> Self;
}

impl Key for u32 {
    fn other(self) -> Self {
        0
    }
}

impl Key for (Command, u32) {
    fn other(self) -> Self {
        (self.0, 0)
    }
}

impl Key for (Suppressed, &'static str) {
    fn other(self) -> Self {
        (self.0, "other")
    }
}

impl Key for (Api, u32) {
    fn other(self) -> Self {
        (self.0, 0)
    }
}

impl Key for (super::labels::Transport, u32) {
    fn other(self) -> Self {
        (self.0, 0)
    }
}

/// Counters by codes, which backends choose: in order of their keys, and bounded. Beyond the bound codes are
/// counted together under code 0.
#[derive(Clone, Debug)]
pub struct Counters<K> {
    rows: Vec<(K, u64)>,
}

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

impl<K: Key> Counters<K> {
    /// Most keys told apart.
    pub const MOST: usize = 256;

    /// Counts one.
    pub fn count(&mut self, key: K) {
        self.add_to(key, 1);
    }

    /// The keys counted so far with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> {
        self.rows.iter().copied()
    }

    fn add_to(&mut self, key: K, number: u64) {
        match self.rows.binary_search_by_key(&key, |row| row.0) {
            Ok(at) => self.rows[at].1 += number,
            Err(at) if self.rows.len() < Self::MOST || key == key.other() => self.rows.insert(at, (key, number)),
            Err(_) => self.add_to(key.other(), number),
        }
    }
}

impl<K: Key> Sum for Counters<K> {
    fn add(&mut self, other: &Self) {
        other.rows.iter().for_each(|(key, number)| self.add_to(*key, *number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_beyond_the_bound_are_counted_together() {
        let mut counters = Counters::<u32>::default();
        for code in 1..=300 {
            counters.count(code);
            counters.count(7);
        }
        let rows: Vec<_> = counters.iter().collect();
        assert_eq!(rows.len(), Counters::<u32>::MOST + 1);
        assert_eq!(rows[0], (0, 300 - Counters::<u32>::MOST as u64));
        assert_eq!(rows[7], (7, 301));
        assert_eq!(rows.iter().map(|row| row.1).sum::<u64>(), 600);
    }

    #[test]
    fn counters_of_shards_add_up_in_order() {
        let mut one = Counters::<u32>::default();
        one.count(3);
        let mut two = one.clone();
        two.count(3);
        two.count(1);
        one.add(&two);
        assert_eq!(one.iter().collect::<Vec<_>>(), [(1, 1), (3, 3)]);
    }
}
