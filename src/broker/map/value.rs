//! What a key of a map is in Redis: `OFFSET:EPOCH:` and the publication that set it.

use bytes::Bytes;

use crate::broker::value::{epoch, number};
use crate::broker::{Unreadable, stored};
use crate::channel::publication::{Epoch, Publication};

const CUT: Unreadable = Unreadable("a value of a map ends within its head");

/// A place and what is behind it.
pub(super) struct Placed {
    pub(super) offset: u64,
    pub(super) epoch: Epoch,
    pub(super) rest: Bytes,
}

impl Placed {
    /// `OFFSET:EPOCH:` and the rest.
    pub(super) fn read(text: &Bytes) -> Result<Self, Unreadable> {
        let first = memchr::memchr(b':', text).ok_or(CUT)?;
        let second = first + 1 + memchr::memchr(b':', &text[first + 1..]).ok_or(CUT)?;
        Ok(Self {
            offset: number(&text[..first]).ok_or(Unreadable("an offset is no number"))?,
            epoch: epoch(&text[first + 1..second])?,
            rest: text.slice(second + 1..),
        })
    }

    /// The publication at the place.
    pub(super) fn publication(&self) -> Result<Publication, Unreadable> {
        let publication = stored::read_publication(&self.rest)?.publication;
        let offset = if publication.offset == 0 { self.offset } else { publication.offset };
        Ok(Publication { offset, epoch: self.epoch, ..publication })
    }
}
