//! The keys of a map: what each was set to, in the order of their bytes, and when they expire.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::base::time::NEVER;
use crate::channel::publication::Publication;

/// Bounds of a map. At either bound keys can be removed, and set to what takes no more room, but requests that need
/// more fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most keys.
    pub keys: u32,
    /// Most bytes in keys, data, tags and infos.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { keys: 1 << 22, bytes: 1 << 30 }
    }
}

/// The map is at its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// See the module. Setting, removing and looking up cost O(log n).
#[derive(Clone, Debug, Default)]
pub struct Keys {
    entries: BTreeMap<Arc<str>, Entry>,
    /// When to look at which key: one entry for each key that expires, at [`Entry::due_ms`].
    due: BTreeSet<(u64, Arc<str>)>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    publication: Arc<Publication>,
    /// [`NEVER`] for keys that stay.
    expires_ms: u64,
    /// Not later than `expires_ms`: a key that is set again and again is not moved each time.
    due_ms: u64,
    version: Option<Box<Version>>,
}

/// A key's version, as its publisher counts it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Not 0.
    pub number: u64,
    /// Numbers count within it.
    pub epoch: Box<str>,
}

impl Keys {
    /// Keys held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the key was set to.
    pub fn get(&self, key: &str) -> Option<&Arc<Publication>> {
        self.entries.get(key).map(|entry| &entry.publication)
    }

    /// Whether a publication of this version is to be suppressed: the key's is not below it, in the same (or an empty)
    /// version epoch.
    pub fn is_outdated(&self, key: &str, version: u64, version_epoch: &str) -> bool {
        let stored = self.entries.get(key).and_then(|entry| entry.version.as_deref());
        let (number, epoch) = stored.map_or((0, ""), |stored| (stored.number, &*stored.epoch));
        version > 0 && version <= number && (version_epoch.is_empty() || version_epoch == epoch)
    }

    /// Whether the publication's key can be set to it.
    ///
    /// # Errors
    /// When a bound stands against it.
    pub fn check(&self, key: &str, publication: &Publication, limits: Limits) -> Result<(), Full> {
        let old = self.entries.get(key);
        let bytes = self.bytes - old.map_or(0, |old| size(&old.publication)) + size(publication);
        let fits =
            (old.is_some() || self.entries.len() < limits.keys as usize) && bytes <= limits.bytes.max(self.bytes);
        if fits { Ok(()) } else { Err(Full) }
    }

    /// Sets the publication's key to it, until `expires_ms`. Without a version the key keeps the one it has.
    pub fn set(&mut self, publication: Arc<Publication>, expires_ms: u64, version: Option<Version>) {
        let Some(key) = publication.entry.as_ref().map(|entry| &entry.key) else { return };
        self.bytes += size(&publication);
        match self.entries.get_mut(&**key) {
            Some(entry) => {
                if let Some(version) = version {
                    entry.version = Some(Box::new(version));
                }
                let old = std::mem::replace(&mut entry.publication, publication);
                self.bytes -= size(&old);
                let key = old.entry.as_ref().map(|entry| &*entry.key).unwrap_or_default();
                self.prolong(key, expires_ms);
            }
            None => {
                if expires_ms != NEVER {
                    self.due.insert((expires_ms, key.clone()));
                }
                let version = version.map(Box::new);
                let key = key.clone();
                self.entries.insert(key, Entry { publication, expires_ms, due_ms: expires_ms, version });
            }
        }
    }

    /// The key expires at this time, and no other.
    pub fn prolong(&mut self, key: &str, expires_ms: u64) {
        let Some((name, _)) = self.entries.get_key_value(key) else { return };
        let name = name.clone();
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.expires_ms = expires_ms;
        if expires_ms < entry.due_ms {
            self.due.remove(&(entry.due_ms, name.clone()));
            entry.due_ms = expires_ms;
            self.due.insert((expires_ms, name));
        }
    }

    /// Takes a key out; gives what it was set to.
    pub fn remove(&mut self, key: &str) -> Option<Arc<Publication>> {
        let (name, entry) = self.entries.remove_entry(key)?;
        self.due.remove(&(entry.due_ms, name));
        self.bytes -= size(&entry.publication);
        Some(entry.publication)
    }

    /// When [`Keys::take_expired`] has something to look at; [`NEVER`] when no key expires.
    pub fn due_ms(&self) -> u64 {
        self.due.first().map_or(NEVER, |(due_ms, _)| *due_ms)
    }

    /// Looks at the key that is due first, if one is: takes it out when it has expired.
    pub fn take_expired(&mut self, now_ms: u64) -> Visit {
        if self.due_ms() > now_ms {
            return Visit::Idle;
        }
        let Some((_, key)) = self.due.pop_first() else { return Visit::Idle };
        match self.entries.get_mut(&key) {
            Some(entry) if entry.expires_ms > now_ms => {
                entry.due_ms = entry.expires_ms;
                if entry.expires_ms != NEVER {
                    self.due.insert((entry.expires_ms, key));
                }
                Visit::Kept
            }
            _ => self.remove(&key).map_or(Visit::Kept, Visit::Expired),
        }
    }

    /// Up to `limit` keys behind `cursor` (empty = from the first), and whether more are left behind them. No key is
    /// empty: clients, presence and the server API are refused such a key.
    pub fn page(&self, cursor: &str, limit: usize) -> (Vec<Arc<Publication>>, bool) {
        let start = if cursor.is_empty() { Bound::Unbounded } else { Bound::Excluded(cursor) };
        let mut entries = self.entries.range::<str, _>((start, Bound::Unbounded));
        let page = entries.by_ref().take(limit).map(|(_, entry)| entry.publication.clone()).collect();
        (page, entries.next().is_some())
    }

    /// Frees up to `budget` keys, nothing else; gives their number.
    pub fn free(&mut self, budget: usize) -> usize {
        let mut freed = 0;
        while freed < budget && (self.entries.pop_first().is_some() | self.due.pop_first().is_some()) {
            freed += 1;
        }
        freed
    }
}

/// What [`Keys::take_expired`] found.
#[derive(Debug)]
pub enum Visit {
    /// No key is due.
    Idle,
    /// The key lives on.
    Kept,
    /// The key is gone.
    Expired(
        /// What it was set to.
        Arc<Publication>,
    ),
}

/// Bytes a key takes that its publisher chose.
fn size(publication: &Publication) -> usize {
    let key = publication.entry.as_ref().map_or(0, |entry| entry.key.len());
    let tags =
        publication.tags.as_ref().map_or(0, |tags| tags.iter().map(|(key, value)| key.len() + value.len()).sum());
    let info = publication.info.as_ref().map_or(0, |info| info.conn_info.len() + info.chan_info.len());
    key + tags + info + publication.data.len()
}
