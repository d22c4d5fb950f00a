//! Publications that nothing reads any more, freed in pieces: dropping a long stream at once would hold up
//! its shard.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::channel::map::Map;
use crate::channel::map::keys::Keys;
use crate::channel::publication::Publication;

/// Rings up to this length are freed on the spot.
const SHORT: usize = 64;

/// What remains to be freed. Bounded by what the streams and maps held.
#[derive(Debug, Default)]
pub struct Retired {
    rings: Vec<VecDeque<Arc<Publication>>>,
    keys: Vec<Keys>,
}

impl Retired {
    /// Takes a stream's publications.
    pub fn take(&mut self, ring: VecDeque<Arc<Publication>>) {
        if ring.len() > SHORT {
            self.rings.push(ring);
        }
    }

    /// Takes a map's keys and changes.
    pub fn take_map(&mut self, map: Map) {
        let (keys, changes) = map.into_parts();
        self.take(changes);
        if keys.len() > SHORT {
            self.keys.push(keys);
        }
    }

    /// Frees up to `budget` publications and keys.
    pub fn free(&mut self, mut budget: usize) {
        while budget > 0
            && let Some(ring) = self.rings.last_mut()
        {
            let freed = budget.min(ring.len());
            ring.truncate(ring.len() - freed);
            budget -= freed;
            if ring.is_empty() {
                self.rings.pop();
            }
        }
        while budget > 0
            && let Some(keys) = self.keys.last_mut()
        {
            budget -= keys.free(budget).clamp(1, budget);
            if keys.is_empty() {
                self.keys.pop();
            }
        }
    }

    /// Whether nothing remains.
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty() && self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn long_rings_go_in_pieces() {
        let publication = Arc::new(Publication::bare(Bytes::new()));
        let mut retired = Retired::default();
        retired.take(std::iter::repeat_n(publication.clone(), SHORT).collect());
        assert!(retired.is_empty() && Arc::strong_count(&publication) == 1);
        for _ in 0..2 {
            retired.take(std::iter::repeat_n(publication.clone(), 100).collect());
        }
        for left in [140, 80, 20, 0] {
            retired.free(60);
            assert_eq!(Arc::strong_count(&publication), 1 + left);
        }
        assert!(retired.is_empty());
    }

    #[test]
    fn keys_of_a_map_go_in_pieces() {
        use crate::channel::map_op::{MapOptions, MapPublishOp};
        use crate::channel::publication::{Epoch, MapEntry};

        let (now, data) = (crate::base::time::Now::default(), Bytes::from(vec![0; 8]));
        let options = MapOptions { key_ttl_ms: 10_000, stream: None };
        let mut map = Map::new(Epoch::from_random([0; 8]), options, now);
        for key in 0..100 {
            let entry = MapEntry::set(&key.to_string());
            let publication = Publication { entry, ..Publication::bare(data.clone()) };
            map.publish(MapPublishOp::plain(options, publication), Default::default(), now).unwrap();
        }
        let entries = map.read(None, &page()).unwrap().entries;
        let held = || entries.iter().filter(|entry| Arc::strong_count(entry) > 1).count();
        let mut retired = Retired::default();
        retired.take_map(map);
        for left in [100, 40, 0] {
            assert_eq!(held(), left);
            retired.free(60);
        }
        assert!(retired.is_empty());
    }

    fn page() -> crate::channel::map_op::StatePage {
        crate::channel::map_op::StatePage { cursor: "".into(), limit: -1, revision: None }
    }
}
