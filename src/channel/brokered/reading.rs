//! Reads of a stream that subscribers on their way in share.
//!
//! When a crowd comes back to a channel, one read is under way at a time. Whoever comes meanwhile takes part in it if it
//! can tell him what he missed: what came since it began is remembered ([`Place`](super::place::Place)). All others wait
//! for the next one, which is made for as many of them as it can be. Nobody is told less by a read that began before he
//! came than by his own: if it failed, or the stream did not have yet what he has, he waits for the next one, too.

use std::collections::VecDeque;
use std::sync::Arc;

use super::course::Course;
use super::piece::Piece;
use super::place::Moment;
use super::task::Task;
use super::{Brokered, Out, task};
use crate::base::ids::ConnId;
use crate::base::mutation::{Mutation, is_on};
use crate::channel::broker_op::{BrokerReply, Read, Ticket};
use crate::channel::publication::Position;
use crate::protocol::error::Error;

/// Most subscribers of one read: they are answered in one turn.
const SHARED: usize = 256;

/// So many of those who wait are looked at, for as many of them as one read can be made for.
const LOOKED_AT: usize = 4 * SHARED;

/// A read under way, and who takes part in it.
#[derive(Debug)]
pub(super) struct Reading {
    key: ConnId,
    read: Read,
    began: Began,
    readers: Vec<Ticket>,
    /// For so many of them it was made; the others came later.
    prompt: usize,
}

/// How a channel stood when a read began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Began {
    /// [`Course::resumptions`].
    pub(super) resumptions: u32,
    /// Where subscribers were.
    pub(super) at: Option<Position>,
    /// What came since.
    pub(super) moment: Moment,
}

impl Began {
    /// A read begins now.
    pub(super) fn now(course: &Course) -> Self {
        Self { resumptions: course.resumptions, at: course.place.at(), moment: course.place.moment() }
    }
}

/// The read of a channel that is under way, and who waits for the next one.
#[derive(Debug)]
pub(super) struct Readers {
    under_way: Ticket,
    pub(super) waiting: VecDeque<Ticket>,
}

/// What several subscribers want to be read; one read tells each of them what his own would have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// Where the stream stands.
    Top,
    /// So many of the newest; negative = all.
    Newest(i32),
    /// What is behind offsets from `low` to `high`, for each no more than `limit`.
    Behind { low: u64, high: u64, limit: i32 },
    /// All that is behind it.
    All { low: u64 },
}

impl Wanted {
    /// What one subscriber wants: its [wider read](super::joining::Join::wider_read).
    fn by(read: Read, is_top_alone: bool) -> Self {
        match read {
            _ if is_top_alone => Self::Top,
            Read { reverse: true, limit, .. } => Self::Newest(limit),
            Read { since, limit, .. } if limit < 0 => Self::All { low: since.unwrap_or_default() },
            Read { since, limit, .. } => {
                let since = since.unwrap_or_default();
                Self::Behind { low: since, high: since, limit }
            }
        }
    }

    /// None: they cannot share a read.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Top, wanted) | (wanted, Self::Top) => Some(wanted),
            (Self::Newest(one), Self::Newest(other)) => {
                Some(Self::Newest(if one < 0 || other < 0 { -1 } else { one.max(other) }))
            }
            (Self::All { low: one }, Self::All { low: other }) => Some(Self::All { low: one.min(other) }),
            (Self::Behind { low, high, limit }, Self::Behind { low: lower, high: higher, limit: more }) => {
                Some(Self::Behind { low: low.min(lower), high: high.max(higher), limit: limit.max(more) })
            }
            _ => None,
        }
    }

    fn read(self, meta_ttl_s: u32) -> Read {
        let newest = |limit| Read { since: None, limit, reverse: true, meta_ttl_s };
        match self {
            Self::Top => newest(1),
            Self::Newest(limit) => newest(limit),
            Self::All { low } => Read { since: Some(low), limit: -1, reverse: false, meta_ttl_s },
            Self::Behind { low, high, limit } => match i32::try_from(high - low) {
                Ok(spread) if spread <= limit => {
                    Read { since: Some(low), limit: limit.saturating_add(spread), reverse: false, meta_ttl_s }
                }
                // Who recovers no more than the limit finds it among the newest, wherever he is.
                _ => newest(limit),
            },
        }
    }
}

/// Whether a read can be expected to tell what another one would.
fn tells(read: Read, wanted: Read) -> bool {
    match (read.reverse, wanted.reverse) {
        _ if wanted.limit == 0 => true,
        (_, true) => read.reverse && (read.limit < 0 || wanted.limit >= 0 && read.limit >= wanted.limit),
        (true, false) => read.limit < 0 || wanted.limit >= 0 && read.limit > wanted.limit,
        // Unless it ends at its limit.
        (false, false) => read.since <= wanted.since && (read.limit < 0 || read.limit >= wanted.limit),
    }
}

impl Brokered {
    /// Reads the stream for a subscriber, and for others.
    pub(super) fn read_stream(&mut self, ticket: Ticket, out: &mut Out<'_>) {
        let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { return };
        let (key, wanted, may_be_late) = (join.key, join.read_op(), join.may_be_late());
        let Some(course) = self.table.slot(key).and_then(|slot| self.table.course(slot)) else {
            return self.fail_join(ticket, Error::INTERNAL, out);
        };
        if join.begin_read() {
            course.place.begin_read();
        }
        let Some(readers) = &mut course.readers else { return self.begin_reading(key, [ticket].into(), out) };
        match self.tasks.get_mut(readers.under_way.0) {
            Some(Task::Read(reading))
                if may_be_late && reading.readers.len() < SHARED && tells(reading.read, wanted) =>
            {
                reading.readers.push(ticket);
            }
            _ => readers.waiting.push_back(ticket),
        }
    }

    /// Reads for as many of these as one read can be made for, the first one among them; the others wait for the next
    /// one.
    fn begin_reading(&mut self, key: ConnId, mut waiting: VecDeque<Ticket>, out: &mut Out<'_>) {
        let (mut readers, mut others, mut all, mut source) = (Vec::new(), Vec::new(), Wanted::Top, None);
        while readers.len() < SHARED
            && readers.len() + others.len() < LOOKED_AT
            && let Some(ticket) = waiting.pop_front()
        {
            let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { continue };
            let wanted = Wanted::by(join.wider_read(), join.read_op().limit == 0);
            match all.and(wanted) {
                Some(common) => {
                    all = common;
                    source = source.or(Some((join.source, join.read_op().meta_ttl_s)));
                    readers.push(ticket);
                }
                None => others.push(ticket),
            }
        }
        others.into_iter().rev().for_each(|ticket| waiting.push_front(ticket));
        let channel = self.table.slot(key).and_then(|slot| self.table.get(slot));
        let found = channel.and_then(|channel| Some((channel.name.clone(), channel.course.as_mut()?)));
        let (Some((name, course)), Some((source, meta_ttl_s))) = (found, source) else {
            return readers.into_iter().chain(waiting).for_each(|ticket| self.fail_join(ticket, Error::INTERNAL, out));
        };
        let (read, began, prompt) = (all.read(meta_ttl_s), Began::now(course), readers.len());
        match self.tasks.insert(Task::Read(Box::new(Reading { key, read, began, readers, prompt }))) {
            Ok(under_way) => {
                let under_way = Ticket(under_way);
                course.readers = Some(Box::new(Readers { under_way, waiting }));
                self.request(&name, source.op(read), Some(under_way));
            }
            Err(Task::Read(reading)) => {
                course.readers = None;
                let all = reading.readers.into_iter().chain(waiting);
                all.for_each(|ticket| self.fail_join(ticket, Error::INTERNAL, out));
            }
            Err(_) => {}
        }
    }

    /// The stream was read, or not.
    pub(super) fn was_read(&mut self, reading: Reading, reply: BrokerReply, out: &mut Out<'_>) {
        let Reading { key, read, began, readers, prompt } = reading;
        let piece = match reply {
            BrokerReply::History(found, top) => Ok(Arc::new(Piece::new(read, found, top))),
            reply => Err(task::failure(reply).unwrap_or(Error::INTERNAL)),
        };
        let mut late = Vec::new();
        for (n, ticket) in readers.into_iter().enumerate() {
            let Some(Task::Join(join)) = self.tasks.get_mut(ticket.0) else { continue };
            let is_told = |piece: &Arc<Piece>| !join.is_ahead_of(piece.top) && join.found_in(piece).is_some();
            if n < prompt || piece.as_ref().is_ok_and(is_told) || is_on(Mutation::ShareAnyRead) {
                join.take(piece.clone(), began);
                // Who must read again waits: the read under way is this one still.
                self.go_on(ticket, out);
            } else {
                late.push(ticket);
            }
        }
        let readers = self.table.slot(key).and_then(|slot| self.table.course(slot)).map(|course| course.readers.take());
        let mut waiting = readers.flatten().map_or_else(VecDeque::new, |readers| readers.waiting);
        waiting.extend(late);
        if !waiting.is_empty() {
            self.begin_reading(key, waiting, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::joining::Join;
    use super::super::source::Source;
    use super::*;
    use crate::base::ids::ShardId;
    use crate::channel::name::ChannelName;
    use crate::channel::op::{Recover, ReplyTo, Since};
    use crate::channel::publication::{Epoch, Publication};
    use crate::channel::recovery;
    use crate::channel::stream::Stream;

    fn join(wish: (Option<u64>, u32, bool)) -> Join {
        let source = Source::Stream { meta_ttl_s: 0 };
        let mut join = Join::new(ShardId(0), &ChannelName::new("news"), ReplyTo::None, source);
        let (since, limit, cache) = wish;
        let recover = |offset| {
            let since = Since { offset, epoch: "".into() };
            Recover { since, limit, cache, filter: None, or_fail: false }
        };
        join.recover = since.map(recover);
        join
    }

    /// What subscribers want: the top, the newest, or what is behind an offset.
    fn wishes() -> impl Strategy<Value = Vec<(Option<u64>, u32, bool)>> {
        prop::collection::vec((prop::option::of(0u64..30), 0u32..6, prop::bool::weighted(0.1)), 1..8)
    }

    proptest! {
        /// A read made for several tells each of them what his own would have, or that he missed too much.
        #[test]
        fn all_are_told(count in 0u64..25, kept in 1u32..25, wishes in wishes()) {
            let mut stream = Stream::new(Epoch::from_random([1; 8]));
            for n in 1..=count {
                stream.append(Publication::bare(Bytes::from(n.to_string())), kept, Box::default());
            }
            let find = |read: Read| stream.read(&stream.select(read.since, read.limit, read.reverse));
            let joins: Vec<_> = wishes.into_iter().map(join).collect();
            let (mut all, mut sharing) = (Wanted::Top, Vec::new());
            for join in &joins {
                if let Some(common) = all.and(Wanted::by(join.wider_read(), join.read_op().limit == 0)) {
                    all = common;
                    sharing.push(join);
                }
            }
            let read = all.read(0);
            let piece = Piece::new(read, find(read), stream.position());
            for join in sharing {
                let (own, found) = (find(join.read_op()), join.found_in(&piece));
                let found = found.ok_or_else(|| TestCaseError::fail(format!("{read:?} {join:?}")))?;
                let offsets = |found: &[Arc<Publication>]| found.iter().map(|it| it.offset).collect::<Vec<_>>();
                if found.is_empty() && !own.is_empty() {
                    let recover = join.recover.as_ref().expect("only who recovers misses too much");
                    prop_assert!(!recovery::from_read(own, stream.position(), recover).recovered);
                } else {
                    prop_assert_eq!(offsets(&found), offsets(&own), "{:?} {:?}", read, join);
                }
            }
        }
    }
}
