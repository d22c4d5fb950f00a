//! Keys that were found, for as long as they are in use.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::Found;
use crate::auth::public_key::PublicKey;

/// A key is forgotten when it was not used for so long (upstream: `_defaultTTL`).
const TTL_MS: u64 = 3_600_000;

/// Keys at most; beyond it the one goes that was not used for longest. Upstream has no bound.
const MAX_KEYS: usize = 4096;

/// Keys by the URL of their set and their `kid`.
#[derive(Default)]
pub struct KeyCache(HashMap<Box<str>, Entry>);

struct Entry {
    key: Arc<PublicKey>,
    until_ms: Cell<u64>,
}

impl KeyCache {
    /// A key in use at this time.
    pub(in crate::auth) fn get(&self, url: &str, kid: &str, now_ms: u64) -> Found {
        let entry = self.0.get(&*name(url, kid)).filter(|entry| entry.until_ms.get() >= now_ms)?;
        entry.until_ms.set(now_ms + TTL_MS);
        Some(entry.key.clone())
    }

    pub(super) fn add(&mut self, url: &str, kid: &str, key: &Arc<PublicKey>, now_ms: u64) {
        let name = name(url, kid);
        if self.0.len() >= MAX_KEYS && !self.0.contains_key(&name) {
            self.make_room(now_ms);
        }
        self.0.insert(name, Entry { key: key.clone(), until_ms: Cell::new(now_ms + TTL_MS) });
    }

    fn make_room(&mut self, now_ms: u64) {
        self.0.retain(|_, entry| entry.until_ms.get() >= now_ms);
        if self.0.len() < MAX_KEYS {
            return;
        }
        if let Some(first) = self.0.iter().min_by_key(|(_, entry)| entry.until_ms.get()).map(|(name, _)| name.clone()) {
            self.0.remove(&first);
        }
    }
}

/// URLs hold no control characters, so this is without doubt.
fn name(url: &str, kid: &str) -> Box<str> {
    [url, "\0", kid].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Arc<PublicKey> {
        Arc::new(PublicKey::rsa(jsonwebtoken::DecodingKey::from_rsa_raw_components(&[1; 256], &[3])))
    }

    #[test]
    fn a_key_lives_as_long_as_it_is_used() {
        let mut cache = KeyCache::default();
        cache.add("u", "k", &key(), 0);
        assert!(cache.get("u", "k", TTL_MS).is_some());
        assert!(cache.get("u", "k", 2 * TTL_MS).is_some(), "it was used an hour ago");
        assert!(cache.get("u", "k", 3 * TTL_MS + 1).is_none());
        assert!(cache.get("u", "other", 0).is_none() && cache.get("uk", "", 0).is_none());
    }

    #[test]
    fn the_newest_counts() {
        let (mut cache, old, new) = (KeyCache::default(), key(), key());
        cache.add("u", "k", &old, 0);
        cache.add("u", "k", &new, 0);
        assert!(cache.get("u", "k", 0).is_some_and(|found| Arc::ptr_eq(&found, &new)));
    }

    #[test]
    fn beyond_the_bound_the_longest_unused_goes() {
        let (mut cache, key) = (KeyCache::default(), key());
        for number in 0..MAX_KEYS as u64 {
            cache.add("u", &number.to_string(), &key, number);
        }
        assert!(cache.get("u", "0", 10_000).is_some());
        cache.add("u", "more", &key, 10_000);
        assert_eq!(cache.0.len(), MAX_KEYS);
        let is_there = |kid| cache.get("u", kid, 10_000).is_some();
        assert!(is_there("0") && !is_there("1") && is_there("2") && is_there("more"));
        cache.add("u", "late", &key, 3 * TTL_MS);
        assert_eq!(cache.0.len(), 1, "what is over goes first");
    }
}
