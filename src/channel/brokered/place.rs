//! Where a brokered channel stands on this node: which publication comes next, and which came already.
//!
//! The broker keeps the stream; its messages may be late, missing after a lost connection, or overtaken by what was
//! read from the stream. A place puts them in line, so that everything behind it sees each publication once, in order.
//!
//! A replica that takes over, or a server that comes back, may lack the last publications, and gives their offsets to
//! others. So a place knows the publication that it stands at, and whatever is read of the stream to go on from there
//! must have the very same one.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::base::mutation::{Mutation, is_on};
use crate::channel::publication::{Position, Publication};

/// Publications that are kept while a read is under way, in case it was carried out before they were published.
const RECENT: usize = 256;

/// Messages that wait at most while a gap is being filled. Beyond, they are dropped and read from the stream.
const HELD: usize = 1024;

/// A place and the fingerprint of the publication that is there.
pub(super) type Mark = (Position, Print);

/// Tells a publication from another one that got the same offset later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Print {
    /// When it was published; 0 = unknown, as with messages over NATS of what is kept in Redis.
    unix_ms: u64,
    data: u64,
}

impl Print {
    fn of(publication: &Publication) -> Self {
        let entry = publication.entry.as_ref().map(|entry| (&entry.key, entry.removed));
        if entry.is_some() && is_on(Mutation::TrustMapOffsets) {
            return Self { unix_ms: 0, data: 0 };
        }
        let data = foldhash::quality::FixedState::default().hash_one((&publication.data, entry));
        Self { unix_ms: publication.unix_ms, data }
    }

    #[cfg(test)]
    pub fn with_data(data: u64) -> Self {
        Self { unix_ms: 0, data }
    }

    fn is_of_another(self, publication: &Publication) -> bool {
        let other = Self::of(publication);
        let are_known = self.unix_ms > 0 && other.unix_ms > 0;
        self.data != other.data || are_known && self.unix_ms != other.unix_ms
    }
}

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
    /// Too many messages waited for what is missing. It and they are gone, and must be read, too.
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
    /// The stream lost publications that subscribers have. It says so only under another epoch.
    Diverged,
}

/// See [`Place::moment`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    /// So many publications had been remembered.
    count: u64,
    jumps: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Positioned subscribers have everything up to here; none before the stream was first read.
    at: Option<Position>,
    /// The fingerprint of the publication that is there, where it is known.
    print: Option<Print>,
    /// Nobody was subscribed for a while, or the stream could not be read and subscribers were told that they may miss
    /// something. Before anybody is positioned here again, the stream must be found to go on from here.
    is_doubtful: bool,
    /// Subscribers without a position have everything up to here that they ever get.
    seen: Position,
    /// The newest publications, while reads are under way.
    recent: VecDeque<Arc<Publication>>,
    /// Publications that were remembered and are not any more.
    forgotten: u64,
    /// How often it did not go on from one publication to the next. What was read before that says nothing any more.
    jumps: u32,
    reads: u32,
    /// Messages behind a gap, while it is being filled.
    held: Option<Vec<Arrival>>,
    /// So many of them came before the read began.
    held_before: usize,
}

impl Place {
    /// Where positioned subscribers are, if there can be any.
    pub fn at(&self) -> Option<Position> {
        self.at.filter(|_| !self.is_doubtful)
    }

    /// Whether the stream must be read before anybody is positioned here.
    pub fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Where it was when the last subscriber left, and it is to be found whether the stream goes on from there.
    pub fn left_at(&self) -> Option<Position> {
        self.at.filter(|_| self.is_doubtful)
    }

    /// A place that was left.
    pub fn remembered((at, print): Mark) -> Self {
        Self { at: Some(at), print: Some(print), is_doubtful: true, ..Self::default() }
    }

    /// What to remember of a place that is being left.
    pub fn mark(&self) -> Option<Mark> {
        self.at.zip(self.print)
    }

    /// Whether what was read, in a read begun at `began`, shows that the stream goes on from a place in doubt. Then
    /// subscribers are from now on where it ended.
    pub fn goes_on_in(&mut self, read: &[Arc<Publication>], top: Position, began: Moment) -> bool {
        let Some(at) = self.at.filter(|at| at.epoch == top.epoch && began.jumps == self.jumps) else { return false };
        let known = read.iter().find(|found| found.offset == at.offset).zip(self.print);
        let is_same = known.is_some_and(|(here, print)| !print.is_of_another(here) || is_on(Mutation::TrustOffsets));
        if is_same {
            self.stand_at(top, read);
        }
        is_same
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
        Moment { count: self.forgotten + self.recent.len() as u64, jumps: self.jumps }
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
            self.remember(publication.clone());
            return Verdict::Deliver(arrival);
        }
        if let Some(held) = &mut self.held {
            if held.len() < HELD {
                held.push(arrival);
                return Verdict::Keep;
            }
            held.clear();
            return Verdict::TooMany;
        }
        if self.is_doubtful {
            self.held = Some(vec![arrival]);
            return Verdict::Gap;
        }
        let (arrived, Some(at)) = (position_of(publication), self.at) else {
            self.seen = position_of(publication);
            self.remember(publication.clone());
            return Verdict::Deliver(arrival);
        };
        if arrived.epoch == at.epoch && arrived.offset <= at.offset {
            if self.is_another(publication) {
                self.held = Some(vec![arrival]);
                return Verdict::Gap;
            }
            if arrived == at {
                self.know(std::slice::from_ref(&arrival.0));
            }
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

    /// From which offset on the stream is to be read: the publication at the place is read again.
    pub fn fill_since(&self) -> Option<u64> {
        Some(self.at?.offset.saturating_sub(1))
    }

    /// The stream was read from [`Place::fill_since`] on. Gives what is to be delivered of it, and what that means.
    pub fn fill(&mut self, read: Vec<Arc<Publication>>, top: Position) -> (Vec<Arc<Publication>>, Filled) {
        let was_doubtful = std::mem::take(&mut self.is_doubtful);
        let Some(at) = self.at.filter(|at| at.epoch == top.epoch) else {
            self.settle(top, &read);
            return (Vec::new(), Filled::Lost);
        };
        let here = read.iter().find(|found| found.offset == at.offset);
        match (self.print, here) {
            _ if at.offset > top.offset => return (Vec::new(), Filled::Diverged),
            (Some(print), Some(here)) if print.is_of_another(here) && !is_on(Mutation::TrustOffsets) => {
                return (Vec::new(), Filled::Diverged);
            }
            // Nobody can tell whether earlier reads found the same one there.
            (None, here) => {
                self.print = here.map(|here| Print::of(here));
                self.jumps = self.jumps.wrapping_add(1);
            }
            // Whether what is there follows from here cannot be known any more.
            (Some(_), None) if top.offset > at.offset => {
                self.settle(top, &read);
                return (Vec::new(), Filled::Lost);
            }
            _ => {}
        }
        if was_doubtful {
            // Nobody is positioned here, and all others were told messages as they came.
            self.settle(top, &read);
            return (Vec::new(), Filled::Whole);
        }
        let mut next = at.offset;
        let mut follows = |publication: &Arc<Publication>| {
            next += 1;
            publication.offset == next
        };
        let behind = read.iter().skip_while(|found| found.offset <= at.offset);
        let missing: Vec<_> = behind.take_while(|found| follows(found)).cloned().collect();
        for publication in &missing {
            self.advance(publication);
        }
        match self.at {
            Some(now) if now.offset >= top.offset => (missing, Filled::Whole),
            _ if !missing.is_empty() => (missing, Filled::Partly),
            _ => {
                self.settle(top, &read);
                (missing, Filled::Lost)
            }
        }
    }

    /// Nothing is missing any more up to where subscribers are: what waited comes now. Messages that came before the
    /// read and are not in the stream that it found are of a stream that is gone.
    pub fn end_fill(&mut self) -> Vec<Arrival> {
        let held = self.held.take().unwrap_or_default();
        let is_there = |publication: &Publication| {
            let is_behind = self.at.is_some_and(|at| publication.epoch == at.epoch && publication.offset <= at.offset);
            is_behind && !self.is_another(publication)
        };
        let waited = held.into_iter().enumerate();
        waited.filter(|(n, (found, _))| *n >= self.held_before || is_there(found)).map(|(_, arrival)| arrival).collect()
    }

    /// Nobody knows what is missing: nobody is positioned until the stream is read again. Gives what waited.
    pub fn doubt(&mut self) -> Vec<Arrival> {
        let mut held = self.held.take().unwrap_or_default();
        self.is_doubtful = self.at.is_some();
        self.jumps = self.jumps.wrapping_add(1);
        held.retain(|(publication, _)| !self.is_seen(publication));
        for (publication, _) in &held {
            self.seen = position_of(publication);
            self.remember(publication.clone());
        }
        held
    }

    /// From now on here, where a part of the stream was read: nobody's position is elsewhere, or all of those are told.
    pub fn settle(&mut self, at: Position, read: &[Arc<Publication>]) {
        self.jumps = self.jumps.wrapping_add(1);
        self.stand_at(at, read);
    }

    fn stand_at(&mut self, at: Position, read: &[Arc<Publication>]) {
        if self.seen.epoch == at.epoch {
            self.seen.offset = self.seen.offset.min(at.offset);
        }
        (self.at, self.print, self.is_doubtful) = (Some(at), None, false);
        self.know(read);
    }

    /// Looks in what was read for the publication that stands at the place, unless it is known.
    pub fn know(&mut self, read: &[Arc<Publication>]) {
        if self.print.is_none() {
            let here = read.iter().find(|found| Some(position_of(found)) == self.at);
            self.print = here.map(|found| Print::of(found));
        }
    }

    /// The first read, begun at `began`: subscribers with a position are from now on where it ended, or where the
    /// messages since ended. None when those do not follow from it: then it must be read again.
    pub fn settle_first(&mut self, top: Position, read: &[Arc<Publication>], began: Moment) -> Option<Position> {
        let (mut end, mut last) = (top, None);
        for publication in self.remembered_since(began)? {
            if publication.offset == 0 {
                continue;
            }
            if publication.epoch == end.epoch && publication.offset <= end.offset {
                // Back again: the stream is another one since.
                if end.offset > top.offset {
                    return None;
                }
                if publication.offset == end.offset {
                    last = Some(Print::of(publication));
                }
                continue;
            }
            end.offset += 1;
            if position_of(publication) != end {
                return None;
            }
            last = Some(Print::of(publication));
        }
        (self.at, self.print) = (Some(end), last);
        self.know(read);
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
        // Before the stream was first read messages were remembered as they came, in whichever order.
        let follows = behind.iter().map(|found| found.offset).eq(from + 1..=at.offset);
        let is_another = behind.last().is_some_and(|newest| self.is_another(newest));
        (follows && !is_another).then_some(behind)
    }

    /// Whether the newest publication that was read, in a read begun at `began`, is the one that came under its offset,
    /// if any did. It is not when the stream fell back after the read.
    pub fn agrees(&self, read: &[Arc<Publication>], began: Moment) -> bool {
        if began.jumps != self.jumps {
            return false;
        }
        let Some(newest) = read.last() else { return true };
        let mut came = self.remembered_since(began).into_iter().flatten();
        let place = position_of(newest);
        let is_other = came.any(|found| position_of(found) == place && Print::of(found).is_of_another(newest));
        !is_other && !self.is_another(newest)
    }

    /// All publications that came since `began`, for subscribers of what has no positions.
    pub fn all_since(&self, began: Moment) -> Option<Vec<Arc<Publication>>> {
        let all: Vec<_> = self.remembered_since(began)?.cloned().collect();
        Some(if is_on(Mutation::ForgetSince) { Vec::new() } else { all })
    }

    fn remembered_since(&self, began: Moment) -> Option<impl Iterator<Item = &Arc<Publication>>> {
        if began.jumps != self.jumps {
            return None;
        }
        let skipped = usize::try_from(began.count.checked_sub(self.forgotten)?).ok()?;
        Some(self.recent.iter().skip(skipped))
    }

    /// Whether another publication is known to stand where this one says that it stands.
    fn is_another(&self, publication: &Publication) -> bool {
        let is_here = self.at == Some(position_of(publication));
        is_here && self.print.is_some_and(|print| print.is_of_another(publication))
    }

    fn is_seen(&self, publication: &Publication) -> bool {
        publication.epoch == self.seen.epoch && publication.offset <= self.seen.offset
    }

    fn advance(&mut self, publication: &Arc<Publication>) {
        (self.at, self.print) = (Some(position_of(publication)), Some(Print::of(publication)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// What came while the stream was read for the first time, as a subscriber that has two publications is told it.
    fn check(offsets: &[u64], expected: Option<&[u64]>) {
        let publication = |offset| Arc::new(Publication { offset, ..Publication::bare(Bytes::new()) });
        let mut place = Place::default();
        place.begin_read();
        let began = place.moment();
        for offset in offsets {
            assert!(matches!(place.arrive((publication(*offset), None)), Verdict::Deliver(_)));
        }
        let top = Position { offset: 5, ..Position::default() };
        assert_eq!(place.settle_first(top, &[publication(5)], began), Some(top));
        let since = place.since(2, began);
        let found: Option<Vec<u64>> = since.map(|since| since.iter().map(|publication| publication.offset).collect());
        assert_eq!(found.as_deref(), expected, "{offsets:?}");
    }

    #[test]
    fn only_what_follows_in_order_is_told_as_what_came_since() {
        check(&[3, 4, 5], Some(&[3, 4, 5]));
        check(&[1, 2, 3, 4, 5], Some(&[3, 4, 5]));
        check(&[3, 5, 4], None);
        check(&[3, 3, 5], None);
        check(&[4, 5], None);
    }
}
