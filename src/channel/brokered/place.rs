//! Where a brokered channel stands on this node: which publication comes next, and which came already.
//!
//! The broker keeps the stream; its messages may be late, missing after a lost connection, or overtaken by what was
//! read from the stream. A place puts them in line, so that everything behind it sees each publication once, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::mutation::{Mutation, is_on};
use crate::channel::publication::{Position, Publication};

/// Publications that are kept while a read is under way, in case it was carried out before they were published.
const RECENT: usize = 256;

/// Messages that wait at most while a gap is being filled. Beyond, positions are given up.
const HELD: usize = 1024;

/// A message that came, with the base of its patch.
pub(super) type Arrival = (Arc<Publication>, Option<Arc<Publication>>);

/// What to do with a message that came.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Deliver it.
    Deliver(Arrival),
    /// It was delivered already, or waits until what is missing before it was read.
    Keep,
    /// It waits, and what is missing must be read.
    Gap,
    /// Too many messages wait for what is missing.
    TooMany,
}

/// What a read of the stream, begun at the place, says about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// These were missing, all of them.
    Whole,
    /// These were missing, and more is.
    Partly,
    /// What is missing is not kept any more, or the stream is another one.
    Lost,
}

/// See [`Place::moment`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment(u64);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Positioned subscribers have everything up to here; none before the stream was first read.
    at: Option<Position>,
    /// Subscribers without a position have everything up to here that they ever get.
    seen: Position,
    /// The newest publications, while reads are under way.
    recent: VecDeque<Arc<Publication>>,
    /// Publications that were remembered and are not any more.
    forgotten: u64,
    reads: u32,
    /// Messages behind a gap, while it is being filled.
    held: Option<Vec<Arrival>>,
    /// So many of them came before the read began.
    held_before: usize,
}

impl Place {
    /// Where positioned subscribers are.
    pub fn at(&self) -> Option<Position> {
        self.at
    }

    /// Whether a gap is being filled.
    pub fn is_filling(&self) -> bool {
        self.held.is_some()
    }

    /// Somebody begins to read the stream; what is delivered until the end of it is remembered.
    pub fn begin_read(&mut self) {
        self.reads += 1;
    }

    /// The moment between two publications, for those that ask later what came since.
    pub fn moment(&self) -> Moment {
        Moment(self.forgotten + self.recent.len() as u64)
    }

    /// See [`Place::begin_read`].
    pub fn end_read(&mut self) {
        self.reads -= 1;
        if self.reads == 0 {
            self.forgotten += self.recent.len() as u64;
            self.recent = VecDeque::new();
        }
    }

    /// A message came.
    pub fn arrive(&mut self, arrival: Arrival) -> Verdict {
        let publication = &arrival.0;
        if publication.offset == 0 {
            return Verdict::Deliver(arrival);
        }
        if let Some(held) = &mut self.held {
            held.push(arrival);
            return if held.len() <= HELD { Verdict::Keep } else { Verdict::TooMany };
        }
        let (arrived, Some(at)) = (position_of(publication), self.at) else {
            self.seen = position_of(publication);
            self.remember(publication.clone());
            return Verdict::Deliver(arrival);
        };
        if arrived.epoch == at.epoch && arrived.offset <= at.offset {
            if self.is_seen(publication) && !is_on(Mutation::DeliverTwice) {
                return Verdict::Keep;
            }
            self.seen = arrived;
            return Verdict::Deliver(arrival);
        }
        if arrived == (Position { offset: at.offset + 1, ..at }) || is_on(Mutation::PassOverGap) {
            self.advance(publication);
            return Verdict::Deliver(arrival);
        }
        self.held = Some(vec![arrival]);
        Verdict::Gap
    }

    /// From now on messages wait: something before them may be missing. Those that wait already came before the read
    /// that now begins.
    pub fn begin_fill(&mut self) {
        self.held_before = self.held.get_or_insert_default().len();
    }

    /// The stream was read from here on. Gives what is to be delivered of it, and what that means.
    pub fn fill(&mut self, read: Vec<Arc<Publication>>, top: Position) -> (Vec<Arc<Publication>>, Filled) {
        let Some(at) = self.at.filter(|at| at.epoch == top.epoch && at.offset <= top.offset) else {
            self.settle(top);
            return (Vec::new(), Filled::Lost);
        };
        let mut next = at.offset;
        let follows = |publication: &Arc<Publication>| {
            next += 1;
            publication.offset == next
        };
        let missing: Vec<_> =
            read.into_iter().skip_while(|found| found.offset <= at.offset).take_while(follows).collect();
        for publication in &missing {
            self.advance(publication);
        }
        match self.at {
            Some(now) if now.offset >= top.offset => (missing, Filled::Whole),
            _ if !missing.is_empty() => (missing, Filled::Partly),
            _ => {
                self.settle(top);
                (missing, Filled::Lost)
            }
        }
    }

    /// Nothing is missing any more up to where subscribers are: what waited comes now. Messages that came before the
    /// read and are not in the stream that it found are of a stream that is gone.
    pub fn end_fill(&mut self) -> Vec<Arrival> {
        let held = self.held.take().unwrap_or_default();
        let is_there = |publication: &Publication| {
            self.at.is_some_and(|at| publication.epoch == at.epoch && publication.offset <= at.offset)
        };
        let waited = held.into_iter().enumerate();
        waited.filter(|(n, (found, _))| *n >= self.held_before || is_there(found)).map(|(_, arrival)| arrival).collect()
    }

    /// Nobody knows what is missing: positions are unknown until the stream is read again. Gives what waited.
    pub fn give_up(&mut self) -> Vec<Arrival> {
        let mut held = self.held.take().unwrap_or_default();
        self.at = None;
        held.retain(|(publication, _)| !self.is_seen(publication));
        for (publication, _) in &held {
            self.seen = position_of(publication);
            self.remember(publication.clone());
        }
        held
    }

    /// From now on here: nobody's position is elsewhere, or all of those were told.
    pub fn settle(&mut self, at: Position) {
        if self.seen.epoch == at.epoch {
            self.seen.offset = self.seen.offset.min(at.offset);
        }
        self.at = Some(at);
    }

    /// The first read, begun at `began`: subscribers with a position are from now on where it ended, or where the
    /// messages since ended. None when those do not follow from it: then it must be read again.
    pub fn settle_first(&mut self, top: Position, began: Moment) -> Option<Position> {
        let mut end = top;
        for publication in self.remembered_since(began)? {
            if publication.epoch == end.epoch && publication.offset <= end.offset {
                continue;
            }
            end.offset += 1;
            if position_of(publication) != end {
                return None;
            }
        }
        self.at = Some(end);
        self.at
    }

    /// The publications behind `from`, up to where subscribers are, when all of them came since `began`.
    pub fn since(&self, from: u64, began: Moment) -> Option<Vec<Arc<Publication>>> {
        let at = self.at?;
        let is_wanted =
            |found: &&Arc<Publication>| found.epoch == at.epoch && found.offset > from && found.offset <= at.offset;
        let behind: Vec<_> = self.remembered_since(began)?.filter(is_wanted).cloned().collect();
        if is_on(Mutation::ForgetSince) {
            return Some(Vec::new());
        }
        (behind.len() as u64 == at.offset.saturating_sub(from)).then_some(behind)
    }

    fn remembered_since(&self, began: Moment) -> Option<impl Iterator<Item = &Arc<Publication>>> {
        let skipped = usize::try_from(began.0.checked_sub(self.forgotten)?).ok()?;
        Some(self.recent.iter().skip(skipped))
    }

    fn is_seen(&self, publication: &Publication) -> bool {
        publication.epoch == self.seen.epoch && publication.offset <= self.seen.offset
    }

    fn advance(&mut self, publication: &Arc<Publication>) {
        self.at = Some(position_of(publication));
        self.seen = position_of(publication);
        self.remember(publication.clone());
    }

    fn remember(&mut self, publication: Arc<Publication>) {
        if self.reads == 0 {
            return;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
            self.forgotten += 1;
        }
        self.recent.push_back(publication);
    }
}

fn position_of(publication: &Publication) -> Position {
    Position { offset: publication.offset, epoch: publication.epoch }
}
