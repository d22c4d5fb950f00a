//! A channel's stream as the simulated broker keeps it, and as a replica has it that lacks the last publications.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::channel::broker_op::Read;
use crate::channel::publication::{Epoch, Position, Publication};

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    publications: VecDeque<Publication>,
    pub(super) top: Position,
}

impl Kept {
    /// Nothing, in this epoch.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { publications: VecDeque::new(), top: Position { offset: 0, epoch } }
    }

    /// The newest publication.
    pub(super) fn newest(&self) -> Option<&Publication> {
        self.publications.back()
    }

    /// One more publication; no more than `size` are kept.
    pub(super) fn append(&mut self, publication: Publication, size: usize) -> Publication {
        self.top.offset += 1;
        let publication = Publication { offset: self.top.offset, epoch: self.top.epoch, ..publication };
        self.publications.push_back(publication.clone());
        self.publications.drain(..self.publications.len().saturating_sub(size));
        publication
    }

    /// What a read finds, under the epoch of now.
    pub(super) fn read(&self, read: Read) -> Vec<Arc<Publication>> {
        let is_wanted = |publication: &&Publication| match read.since {
            None => true,
            Some(since) if read.reverse => publication.offset < since,
            Some(since) => publication.offset > since,
        };
        let mut found: Vec<_> = self.publications.iter().filter(is_wanted).collect();
        if read.reverse {
            found.reverse();
        }
        found.truncate(usize::try_from(read.limit).unwrap_or(usize::MAX));
        let at_top = |found: &Publication| Arc::new(Publication { epoch: self.top.epoch, ..found.clone() });
        found.into_iter().map(at_top).collect()
    }

    /// Nothing is kept any more; offset and epoch stay.
    pub(super) fn clear(&mut self) {
        self.publications.clear();
    }

    /// The last publications are gone, and their offsets will be given again. The oldest one that is kept stays.
    pub(super) fn fall_back(&mut self, count: usize) -> Vec<Publication> {
        let left = self.publications.len().saturating_sub(count).max(1).min(self.publications.len());
        let gone: Vec<_> = self.publications.drain(left..).collect();
        self.top.offset -= gone.len() as u64;
        gone
    }
}
