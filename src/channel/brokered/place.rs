//! Where a brokered channel stands on this node: which publication comes next, and which came already.
//!
//! The broker keeps the stream; its messages may be late, missing after a lost connection, or overtaken by what was
//! read from the stream. A place puts them in line, so that everything behind it sees each publication once, in order.

use std::collections::VecDeque;
use std::sync::Arc;

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
    /// It does not follow from where subscribers are, and cannot be made to: positions are lost. Then deliver these.
    Lost(Vec<Arrival>),
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

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Positioned subscribers have everything up to here; none before the stream was first read.
    at: Option<Position>,
    /// Subscribers without a position have everything up to here that they ever get.
    seen: u64,
    /// The newest publications, while reads are under way.
    recent: VecDeque<Arc<Publication>>,
    reads: u32,
    /// Messages behind a gap, while it is being filled.
    held: Option<Vec<Arrival>>,
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

    /// See [`Place::begin_read`].
    pub fn end_read(&mut self) {
        self.reads -= 1;
        if self.reads == 0 {
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
            return if held.len() <= HELD { Verdict::Keep } else { Verdict::Lost(self.give_up()) };
        }
        let Some(at) = self.at else {
            self.seen = publication.offset;
            self.remember(publication.clone());
            return Verdict::Deliver(arrival);
        };
        if at.epoch != publication.epoch {
            self.settle(position_of(publication));
            return Verdict::Lost(vec![arrival]);
        }
        if publication.offset <= self.seen {
            Verdict::Keep
        } else if publication.offset <= at.offset {
            self.seen = publication.offset;
            Verdict::Deliver(arrival)
        } else if publication.offset == at.offset + 1 {
            self.advance(publication);
            Verdict::Deliver(arrival)
        } else {
            self.held = Some(vec![arrival]);
            Verdict::Gap
        }
    }

    /// From now on messages wait: something before them may be missing.
    pub fn begin_fill(&mut self) {
        self.held.get_or_insert_default();
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

    /// Nothing is missing any more: what waited comes now.
    pub fn end_fill(&mut self) -> Vec<Arrival> {
        self.held.take().unwrap_or_default()
    }

    /// Nobody knows what is missing: positions are unknown until the stream is read again. Gives what waited.
    pub fn give_up(&mut self) -> Vec<Arrival> {
        let held = self.end_fill();
        self.at = None;
        if let Some((last, _)) = held.last() {
            self.seen = last.offset;
        }
        held
    }

    /// From now on here: nobody's position is elsewhere, or all of those were told.
    pub fn settle(&mut self, at: Position) {
        if self.at.is_some_and(|before| before.epoch != at.epoch || before.offset > at.offset) {
            self.seen = at.offset;
            self.recent.clear();
        }
        self.at = Some(at);
    }

    /// The first read: subscribers with a position are from now on where it ended, or where the messages since ended.
    /// None when those do not follow from it: then it must be read again.
    pub fn settle_first(&mut self, top: Position) -> Option<Position> {
        let mut end = top;
        for publication in &self.recent {
            let is_later = publication.epoch != top.epoch || publication.offset > end.offset;
            if is_later && position_of(publication) != (Position { offset: end.offset + 1, ..end }) {
                return None;
            }
            end.offset = end.offset.max(publication.offset);
        }
        self.at = Some(end);
        self.at
    }

    /// The publications behind `from`, up to where subscribers are, when all of them are remembered.
    pub fn since(&self, from: u64) -> Option<Vec<Arc<Publication>>> {
        let to = self.at?.offset;
        let behind = self.recent.iter().filter(|found| (from + 1..=to).contains(&found.offset));
        let behind: Vec<_> = behind.cloned().collect();
        (behind.len() as u64 == to.saturating_sub(from)).then_some(behind)
    }

    fn advance(&mut self, publication: &Arc<Publication>) {
        self.at = Some(position_of(publication));
        self.seen = publication.offset;
        self.remember(publication.clone());
    }

    fn remember(&mut self, publication: Arc<Publication>) {
        if self.reads == 0 {
            return;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(publication);
    }
}

fn position_of(publication: &Publication) -> Position {
    Position { offset: publication.offset, epoch: publication.epoch }
}
