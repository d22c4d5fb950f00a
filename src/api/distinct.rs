//! How many different users there are on all shards, from the hashes of their names.

/// Hashes are told apart by their high bits first, so that each step sorts few of them.
const BUCKETS: usize = 4096;

/// Counts different hashes that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    /// None before the first hash.
    buckets: Vec<Vec<u64>>,
    /// Buckets that are counted.
    done: usize,
    count: u64,
}

impl Distinct {
    /// Takes a piece.
    pub(super) fn add(&mut self, hashes: &[u64]) {
        if self.buckets.is_empty() && !hashes.is_empty() {
            self.buckets.resize_with(BUCKETS, Vec::new);
        }
        for hash in hashes {
            self.buckets[(hash >> 52) as usize].push(*hash);
        }
    }

    /// Goes on counting within the budget, once everything was added. None while some are left.
    pub(super) fn count(&mut self, budget: &mut usize) -> Option<u64> {
        while let Some(bucket) = self.buckets.get_mut(self.done) {
            if *budget == 0 {
                return None;
            }
            let mut hashes = std::mem::take(bucket);
            *budget = budget.saturating_sub(hashes.len().max(1));
            hashes.sort_unstable();
            hashes.dedup();
            self.count += hashes.len() as u64;
            self.done += 1;
        }
        Some(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::name::hash_of;

    #[test]
    fn each_hash_counts_once() {
        let mut distinct = Distinct::default();
        assert_eq!(distinct.count(&mut 0), Some(0), "nobody");
        let hashes: Vec<u64> = (0..10_000).map(|n| hash_of(&n.to_string())).chain([0, 1, u64::MAX]).collect();
        for piece in hashes.chunks(77).chain(hashes.chunks(1000).skip(3)) {
            distinct.add(piece);
        }
        let mut steps = 1;
        let count = loop {
            match distinct.count(&mut 500) {
                Some(count) => break count,
                None => steps += 1,
            }
        };
        assert_eq!(count, 10_003);
        assert!(steps > 10_000 / 500, "{steps} steps");
        assert_eq!(distinct.count(&mut 0), Some(10_003), "it stays");
    }
}
