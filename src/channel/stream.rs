//! A channel's stream in memory: the newest publications, their offsets, and the epoch they belong to.
//!
//! Upstream: centrifuge internal/memstream and the history part of broker_memory.go. Expiry is looked at
//! whenever the stream is used, so an answer never depends on how promptly expired things are dropped.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::base::time::{NEVER, Now, deadline};
use crate::channel::op::HistoryOptions;
use crate::channel::publication::{Epoch, Position, Publication};

/// Publications under consecutive offsets that end at the top.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Offsets `top - len + 1 ..= top`.
    ring: VecDeque<Arc<Publication>>,
    top: u64,
    epoch: Epoch,
    version: u64,
    version_epoch: Box<str>,
    publications_end_ms: u64,
    stream_ends_ms: u64,
}

/// Publications to be read: places in the ring, to be walked backwards when `reverse`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    range: Range<usize>,
    reverse: bool,
}

impl Stream {
    /// An empty stream in a new epoch. It never ends before [`Stream::touch`] says otherwise.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            ring: VecDeque::new(),
            top: 0,
            epoch,
            version: 0,
            version_epoch: Box::default(),
            publications_end_ms: NEVER,
            stream_ends_ms: NEVER,
        }
    }

    /// It goes on under another epoch, and keeps its publications: as a broker's does that lost some. Costs a copy of each.
    pub fn change_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        for kept in &mut self.ring {
            *kept = Arc::new(Publication { epoch, ..(**kept).clone() });
        }
    }

    /// Offset of the newest publication, and the epoch.
    #[inline]
    pub fn position(&self) -> Position {
        Position { offset: self.top, epoch: self.epoch }
    }

    /// Publications kept.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether no publication is kept.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// The stream is in use: its offset and epoch are kept for another `meta_ttl_s` seconds (0 = for ever).
    pub fn touch(&mut self, meta_ttl_s: u32, now: Now) {
        self.touch_ms(u64::from(meta_ttl_s) * 1000, now);
    }

    /// As [`Stream::touch`], in milliseconds.
    pub fn touch_ms(&mut self, meta_ttl_ms: u64, now: Now) {
        self.stream_ends_ms = deadline(now.mono_ms, meta_ttl_ms);
    }

    /// The publications are kept for another `ttl_ms` milliseconds.
    pub fn keep_ms(&mut self, ttl_ms: u64, now: Now) {
        self.publications_end_ms = now.mono_ms.saturating_add(ttl_ms);
    }

    /// When the publications are dropped.
    pub fn publications_end_ms(&self) -> u64 {
        self.publications_end_ms
    }

    /// A publication arrives, kept or suppressed: both prolong the stream as the options say.
    pub fn prolong(&mut self, history: &HistoryOptions, now: Now) {
        self.keep_ms(u64::from(history.ttl_s) * 1000, now);
        self.touch(history.meta_ttl_s, now);
    }

    /// Whether a publication of this version is to be suppressed: it has one, and it is not above the stored
    /// version of the same (or an empty) version epoch.
    pub fn is_outdated(&self, version: u64, version_epoch: &str) -> bool {
        version > 0 && version <= self.version && (version_epoch.is_empty() || version_epoch == &*self.version_epoch)
    }

    /// Appends a publication under the next offset, and drops the oldest ones beyond `size` (at least 1). Its
    /// version is stored in place of the last one's, also when it has none (version 0).
    pub fn append(&mut self, mut publication: Publication, size: u32, version_epoch: Box<str>) -> Arc<Publication> {
        self.top += 1;
        publication.offset = self.top;
        publication.epoch = self.epoch;
        let publication = Arc::new(publication);
        // Room is made first, so that a full ring does not grow for a moment.
        while self.ring.len() >= size.max(1) as usize {
            self.ring.pop_front();
        }
        self.ring.push_back(publication.clone());
        self.version = publication.version;
        self.version_epoch = version_epoch;
        publication
    }

    /// Chooses what a read answers. `since` is an offset: forwards, what comes behind it, or everything kept
    /// when that place is not kept any more; backwards, what lies before it, and nothing when that is not
    /// kept. A negative limit is none. Offsets wrap like the unsigned integers upstream uses.
    pub fn select(&self, since: Option<u64>, limit: i32, reverse: bool) -> Selection {
        let len = self.ring.len();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let start = match since {
            None => Some(if reverse { len.saturating_sub(1) } else { 0 }),
            Some(offset) => {
                let offset = if reverse { offset.wrapping_sub(1) } else { offset.wrapping_add(1) };
                match self.place(offset) {
                    Some(at) => Some(at),
                    None if reverse || offset > self.top => None,
                    None => Some(0),
                }
            }
        };
        let range = match start {
            _ if len == 0 || limit == 0 => 0..0,
            None => 0..0,
            Some(at) if reverse => (at + 1).saturating_sub(limit)..at + 1,
            Some(at) => at..at.saturating_add(limit).min(len),
        };
        Selection { range, reverse }
    }

    /// First and last offset of the selection, in the order of reading.
    pub fn offsets(&self, selection: &Selection) -> Option<(u64, u64)> {
        let Range { start, end } = selection.range;
        let offset = |at: usize| self.top - (self.ring.len() - 1 - at) as u64;
        (start < end).then(|| match selection.reverse {
            true => (offset(end - 1), offset(start)),
            false => (offset(start), offset(end - 1)),
        })
    }

    /// The selected publications.
    pub fn read(&self, selection: &Selection) -> Vec<Arc<Publication>> {
        let range = self.ring.range(selection.range.clone());
        if selection.reverse { range.rev().cloned().collect() } else { range.cloned().collect() }
    }

    /// The newest publication kept.
    pub fn newest(&self) -> Option<&Arc<Publication>> {
        self.ring.back()
    }

    /// Drops the publications; offset, epoch and version stay. They are handed out so that the caller decides
    /// when a long ring is freed.
    pub fn clear(&mut self) -> VecDeque<Arc<Publication>> {
        self.publications_end_ms = NEVER;
        std::mem::take(&mut self.ring)
    }

    /// Whether offset and epoch are past their time, so that the next use begins a new epoch.
    #[inline]
    pub fn is_over(&self, now: Now) -> bool {
        self.stream_ends_ms <= now.mono_ms
    }

    /// Whether the publications are past their time.
    #[inline]
    pub fn is_stale(&self, now: Now) -> bool {
        self.publications_end_ms <= now.mono_ms
    }

    /// When [`Stream::is_over`] or [`Stream::is_stale`] next becomes true.
    pub fn deadline_ms(&self) -> u64 {
        self.stream_ends_ms.min(self.publications_end_ms)
    }

    fn place(&self, offset: u64) -> Option<usize> {
        let back = usize::try_from(self.top.checked_sub(offset)?).ok()?;
        self.ring.len().checked_sub(1)?.checked_sub(back)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
