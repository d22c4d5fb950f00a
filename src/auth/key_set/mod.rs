//! Keys that are found in a key set (JWKS) by the `kid` of a token.
//!
//! A set stands behind a URL, and may hold any number of keys. The control plane reads it and keeps its keys
//! ([`KeyStore`]); each shard keeps those that it has asked for ([`KeyCache`]), so that a key in use costs nothing. In
//! both a key is forgotten when nobody used it for an hour. Upstream: centrifugo internal/jwks.

mod cache;
mod read;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use super::public_key::PublicKey;

pub use cache::KeyCache;
pub use read::{BadKeySet, read};

/// Which key is looked for, and where.
#[derive(Clone)]
pub struct KeyQuery {
    store: Arc<KeyStore>,
    url: Box<str>,
    kid: Box<str>,
}

/// What was found: nothing when the set has no such key, or there is no set.
pub type Found = Option<Arc<PublicKey>>;

/// The keys that were read for one configuration. A reload begins with an empty one, so that keys are read again.
#[derive(Default)]
pub struct KeyStore(Mutex<KeyCache>);

impl KeyQuery {
    pub(super) fn new(store: &Arc<KeyStore>, url: Box<str>, kid: &str) -> Self {
        Self { store: store.clone(), url, kid: kid.into() }
    }

    pub(super) fn is_for(&self, store: &Arc<KeyStore>) -> bool {
        Arc::ptr_eq(&self.store, store)
    }

    /// Where the set stands.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the control plane knows already, at a time in milliseconds.
    pub fn look_up(&self, now_ms: u64) -> Found {
        self.store.0.lock().unwrap_or_else(PoisonError::into_inner).get(&self.url, &self.kid, now_ms)
    }

    /// Keeps the keys of the set, at a time in milliseconds, and gives the one that is looked for. Of keys with the same
    /// `kid` the last counts.
    pub fn keep(&self, keys: Vec<(Box<str>, PublicKey)>, now_ms: u64) -> Found {
        let mut cache = self.store.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (kid, key) in keys {
            let key = Arc::new(key);
            cache.add(&self.url, &kid, &key, now_ms);
            if kid == self.kid {
                found = Some(key);
            }
        }
        found
    }

    /// Keeps a key that was found, for one shard.
    pub fn keep_in(&self, cache: &mut KeyCache, key: &Arc<PublicKey>, now_ms: u64) {
        cache.add(&self.url, &self.kid, key, now_ms);
    }
}

impl PartialEq for KeyQuery {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.store, &other.store) && self.url == other.url && self.kid == other.kid
    }
}

impl Eq for KeyQuery {}

impl Hash for KeyQuery {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.url, &self.kid).hash(state);
    }
}

impl fmt::Debug for KeyQuery {
    /// Addresses may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyQuery").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").finish_non_exhaustive()
    }
}
