//! Which shards have subscribers of a channel: a set of shards of at most [`MAX_SHARDS`].

use crate::base::ids::ShardId;

/// Shards a set can name.
pub const MAX_SHARDS: usize = 1024;

const WORDS: usize = MAX_SHARDS / 64;

/// A set of shards. Up to 64 shards it is one inline word; a shard beyond takes one allocation of 120 bytes,
/// given back when the last such shard leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    first: u64,
    rest: Option<Box<[u64; WORDS - 1]>>,
}

impl Interest {
    /// Adds a shard; false when it was there.
    ///
    /// # Panics
    /// On a shard that is not below [`MAX_SHARDS`].
    pub fn insert(&mut self, shard: ShardId) -> bool {
        let (word, bit) = place(shard);
        let word = match word.checked_sub(1) {
            None => &mut self.first,
            Some(at) => &mut self.rest.get_or_insert_default()[at],
        };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes a shard out; false when it was not there.
    pub fn remove(&mut self, shard: ShardId) -> bool {
        let (word, bit) = place(shard);
        let (word, beyond) = match (word.checked_sub(1), &mut self.rest) {
            (None, _) => (&mut self.first, false),
            (Some(_), None) => return false,
            (Some(at), Some(rest)) => (&mut rest[at], true),
        };
        let was = *word & bit != 0;
        *word &= !bit;
        if beyond && self.rest.as_ref().is_some_and(|rest| rest.iter().all(|word| *word == 0)) {
            self.rest = None;
        }
        was
    }

    /// Whether a shard is in.
    pub fn contains(&self, shard: ShardId) -> bool {
        let (word, bit) = place(shard);
        let word = match word.checked_sub(1) {
            None => self.first,
            Some(at) => self.rest.as_ref().map_or(0, |rest| rest[at]),
        };
        word & bit != 0
    }

    /// Whether no shard is in.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.rest.is_none()
    }

    /// The shards, lowest first.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = ShardId> + '_ {
        let rest = self.rest.iter().flat_map(|words| words.iter().enumerate());
        bits(self.first, 0).chain(rest.flat_map(|(at, word)| bits(*word, (at as u16 + 1) * 64)))
    }
}

fn place(shard: ShardId) -> (usize, u64) {
    (shard.index() / 64, 1 << (shard.index() % 64))
}

fn bits(mut word: u64, base: u16) -> impl Iterator<Item = ShardId> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as u16)?;
        word &= word - 1;
        Some(ShardId(base + bit))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_set_owns_no_memory() {
        assert_eq!(size_of::<Interest>(), 16);
        let mut interest = Interest::default();
        assert!(interest.insert(ShardId(63)) && interest.rest.is_none());
        assert!(interest.insert(ShardId(64)) && interest.rest.is_some());
        assert!(interest.remove(ShardId(64)) && interest.rest.is_none());
    }

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((any::<bool>(), 0..MAX_SHARDS as u16), 0..200)) {
            let (mut interest, mut model) = (Interest::default(), BTreeSet::new());
            for (insert, shard) in steps {
                if insert {
                    prop_assert_eq!(interest.insert(ShardId(shard)), model.insert(ShardId(shard)));
                } else {
                    prop_assert_eq!(interest.remove(ShardId(shard)), model.remove(&ShardId(shard)));
                }
                prop_assert!(interest.iter().eq(model.iter().copied()));
                prop_assert_eq!(interest.is_empty(), model.is_empty());
            }
        }
    }
}
