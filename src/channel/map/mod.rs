//! A map: keys with what they were set to, and the stream of their changes.
//!
//! Upstream: centrifuge map_broker_memory.go (`mapHub`). Like there, a key that has expired stays until the removal of
//! it is made, so that whoever reads keys and then changes sees one or the other.

pub mod home;
pub mod keys;
pub mod subscribing;

use std::sync::Arc;

use bytes::Bytes;

use self::keys::{Keys, Limits, Version, Visit};
use crate::base::time::{NEVER, Now, deadline};
use crate::channel::map_op::{KeyMode, MapOptions, MapPublishOp, MapState, StatePage, Suppression};
use crate::channel::op::Since;
use crate::channel::publication::{Epoch, MapEntry, Position, Publication};
use crate::channel::stream::Stream;
use crate::protocol::error::Error;

/// A map without a stream and without keys is kept so long after its last use. Upstream keeps it for ever.
const IDLE_MS: u64 = 600_000;

/// One map at its home.
#[derive(Clone, Debug)]
pub struct Map {
    keys: Keys,
    /// The changes; its offsets and epoch are the map's. Without a stream it stays empty.
    stream: Stream,
    /// As of the last use.
    options: MapOptions,
    /// New: nothing was asked of it before.
    is_new: bool,
}

/// What a change of a key came to.
#[derive(Clone, Debug)]
pub enum Update {
    /// It is to be delivered.
    Changed(Arc<Publication>, Option<Arc<Publication>>),
    /// Nothing changed.
    Suppressed(Suppression),
}

impl Map {
    /// A map without keys, in a new epoch.
    pub fn new(epoch: Epoch, options: MapOptions, now: Now) -> Self {
        let mut map = Self { keys: Keys::default(), stream: Stream::new(epoch), options, is_new: true };
        map.touch(now);
        map
    }

    /// The map is used under these options: it is kept for as long as they say.
    pub fn use_as(&mut self, options: MapOptions, now: Now) {
        self.is_new = false;
        self.options = options;
        self.touch(now);
    }

    /// Offset of the newest change, and the epoch.
    pub fn position(&self) -> Position {
        self.stream.position()
    }

    /// Keys held.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The changes.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Sets a key (upstream: `mapHub.add`). Checks in upstream's order: version, key mode.
    ///
    /// # Errors
    /// [`Error::LIMIT_EXCEEDED`] at the bounds, [`Error::INTERNAL`] when a version is given without a stream.
    pub fn publish(&mut self, op: MapPublishOp, limits: Limits, now: Now) -> Result<Update, Error> {
        let MapPublishOp { options, mut publication, key_mode, refresh_ttl, version, version_epoch, delta, .. } = op;
        let key = publication.entry.as_ref().map(|entry| entry.key.clone()).unwrap_or_default();
        let expires_ms = deadline(now.mono_ms, options.key_ttl_ms);
        if version > 0 && options.stream.is_none() {
            return Err(Error::INTERNAL);
        }
        if self.keys.is_outdated(&key, version, &version_epoch) {
            return Ok(Update::Suppressed(Suppression::Version));
        }
        match (key_mode, self.keys.get(&key).is_some()) {
            (KeyMode::IfNew, true) => {
                if refresh_ttl {
                    self.keys.prolong(&key, expires_ms);
                    self.use_as(options, now);
                }
                return Ok(Update::Suppressed(Suppression::KeyExists));
            }
            (KeyMode::IfExists, false) => return Ok(Update::Suppressed(Suppression::KeyNotFound)),
            _ => {}
        }
        let previous = self.keys.get(&key).filter(|_| delta).cloned();
        self.keys.check(&key, &publication, limits).map_err(|_| Error::LIMIT_EXCEEDED)?;
        self.use_as(options, now);
        publication.unix_ms = now.unix_ms;
        publication.taken_us = now.mono_us;
        let publication = self.record(publication, now, true);
        let version = (version > 0).then_some(Version { number: version, epoch: version_epoch });
        self.keys.set(publication.clone(), expires_ms, version);
        Ok(Update::Changed(publication, previous))
    }

    /// Removes a key (upstream: `mapHub.remove`).
    pub fn remove(&mut self, options: MapOptions, key: &str, now: Now) -> Update {
        match self.keys.remove(key) {
            Some(removed) => {
                self.use_as(options, now);
                Update::Changed(self.record(removal(&removed, now), now, true), None)
            }
            None => Update::Suppressed(Suppression::KeyNotFound),
        }
    }

    /// A page of keys.
    ///
    /// # Errors
    /// [`Error::UNRECOVERABLE_POSITION`] when the page is of another epoch.
    pub fn read(&mut self, key: Option<&str>, page: &StatePage) -> Result<MapState, Error> {
        let position = self.position();
        // A map that begins with this request takes a revision without epoch for its own.
        let is_same =
            |since: &Since| *since.epoch == position.epoch.as_str() || (self.is_new && since.epoch.is_empty());
        if page.revision.as_ref().is_some_and(|since| !is_same(since)) {
            return Err(Error::UNRECOVERABLE_POSITION);
        }
        if let Some(key) = key {
            let entries = self.keys.get(key).cloned().into_iter().collect();
            return Ok(MapState { entries, position, cursor: Box::default(), keys: 0, newest: None });
        }
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let (entries, more) = if limit == 0 { (Vec::new(), false) } else { self.keys.page(&page.cursor, limit) };
        let last = entries.last().and_then(|publication: &Arc<Publication>| publication.entry.as_ref());
        let cursor = last.filter(|_| more).map_or_else(Box::default, |entry| Box::from(&*entry.key));
        Ok(MapState { entries, position, cursor, keys: self.keys.len() as u32, newest: None })
    }

    /// Changes behind a position (upstream: `Node.MapStreamRead`).
    ///
    /// # Errors
    /// [`Error::UNRECOVERABLE_POSITION`] when it is of another epoch, or changes right behind it are not kept.
    pub fn changes(&self, since: Option<&Since>, limit: i32, reverse: bool) -> Result<Vec<Arc<Publication>>, Error> {
        if since.is_some_and(|since| !since.matches(self.position().epoch)) {
            return Err(Error::UNRECOVERABLE_POSITION);
        }
        let selection = self.stream.select(since.map(|since| since.offset), limit, reverse);
        if let (Some(since), Some((first, _))) = (since, self.stream.offsets(&selection))
            && !reverse
            && since.offset > 0
            && first > since.offset + 1
        {
            return Err(Error::UNRECOVERABLE_POSITION);
        }
        Ok(self.stream.read(&selection))
    }

    /// Removes up to `budget` expired keys, each to be delivered to `out`. Gives the number of keys looked at.
    pub fn expire(&mut self, now: Now, budget: usize, out: &mut impl FnMut(Arc<Publication>)) -> usize {
        let mut visits = 0;
        while visits < budget {
            match self.keys.take_expired(now.mono_ms) {
                Visit::Idle => break,
                Visit::Kept => {}
                // Upstream keeps the stream no longer for it.
                Visit::Expired(publication) => out(self.record(removal(&publication, now), now, false)),
            }
            visits += 1;
        }
        visits
    }

    /// Whether the map is past its time, so that the next use begins a new epoch. Keys that expire do so first.
    pub fn is_over(&self, now: Now) -> bool {
        self.stream.is_over(now) && self.keys.due_ms() == NEVER
    }

    /// It goes on under another epoch, and keeps its keys and changes. For brokers that are played.
    pub fn change_epoch(&mut self, epoch: Epoch) {
        self.stream.change_epoch(epoch);
    }

    /// When [`Map::expire`], [`Map::is_over`] or [`Map::drop_stale`] has something to do.
    pub fn deadline_ms(&self) -> u64 {
        let due_ms = self.keys.due_ms();
        let stream_ms = if due_ms == NEVER { self.stream.deadline_ms() } else { self.stream.publications_end_ms() };
        stream_ms.min(due_ms)
    }

    /// Takes out the changes that are past their time.
    pub fn drop_stale(&mut self, now: Now) -> std::collections::VecDeque<Arc<Publication>> {
        if self.stream.is_stale(now) { self.stream.clear() } else { Default::default() }
    }

    /// What remains to be freed.
    pub fn into_parts(mut self) -> (Keys, std::collections::VecDeque<Arc<Publication>>) {
        let changes = self.stream.clear();
        (self.keys, changes)
    }

    fn touch(&mut self, now: Now) {
        self.stream.touch_ms(self.options.stream.map_or(IDLE_MS, |stream| stream.meta_ttl_ms), now);
    }

    /// Puts a change into the stream if there is one.
    fn record(&mut self, mut publication: Publication, now: Now, prolong: bool) -> Arc<Publication> {
        let Some(stream) = self.options.stream else {
            publication.offset = 0;
            publication.epoch = Epoch::NONE;
            return Arc::new(publication);
        };
        if prolong {
            self.stream.keep_ms(stream.ttl_ms, now);
        }
        self.stream.append(publication, stream.size, Box::default())
    }
}

/// Tells that a key is gone: no data, no info, the tags of what it was.
fn removal(removed: &Publication, now: Now) -> Publication {
    let entry = removed.entry.as_ref().map(|entry| Box::new(MapEntry { key: entry.key.clone(), removed: true }));
    Publication {
        tags: removed.tags.clone(),
        entry,
        unix_ms: now.unix_ms,
        taken_us: now.mono_us,
        ..Publication::bare(Bytes::new())
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod model_tests;
