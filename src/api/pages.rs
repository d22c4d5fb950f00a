//! Reads that may be long: the keys or changes of a map, a channel's history. They are asked of the home page by page,
//! each within the budget of a turn, and written as they come; only the text of the answer is held.
//!
//! The answer's position is where the home stood at the first page. What changes meanwhile lies behind that position, so
//! that whoever goes on reading from there misses nothing, as with pages that a caller asks for himself. When the rest
//! cannot be told any more (another epoch, or publications gone that were not read yet), all is read anew.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::request::ApiCx;
use super::step::{Ops, Outcome, Step, Wait, write};
use crate::channel::map_op::{MapOp, MapOptions, StatePage};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op, Since};
use crate::channel::publication::{Position, Publication};
use crate::config::snapshot::Broker;
use crate::protocol::api::{self, HistoryResult, MapReadStateResult, MapReadStreamResult};
use crate::protocol::error::Error;

/// Entries of a first page: most answers have no more.
const FIRST_PAGE: usize = 256;

/// Entries of a history at a broker that are asked for at once: a page costs a round trip.
const FAR_PAGE: RangeInclusive<i32> = 0..=1024;

/// Times that a read begins anew before it fails with [`Error::INTERNAL`]. Each time takes a map that is cleared, or a
/// stream that loses entries faster than they are read.
const MOST_RESTARTS: u8 = 8;

/// A read that is under way.
#[derive(Debug)]
pub(super) struct Pages {
    channel: ChannelName,
    what: What,
    /// Most entries; negative = all.
    limit: i32,
    /// All is asked for at once.
    is_whole: bool,
    /// Entries of the page that is asked for.
    asked: i32,
    /// Where the home stood at the first page; none before it.
    top: Option<Position>,
    /// The last key read, and the last offset.
    cursor: Box<str>,
    last: u64,
    /// Entries written.
    count: usize,
    /// Where the result begins in the buffer.
    begin: usize,
    restarts: u8,
    goes_on: bool,
}

/// What is read.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// Keys behind a key.
    State { options: MapOptions, cursor: Box<str>, revision: Option<Since> },
    /// Changes of keys behind a position, or before it.
    Changes { options: MapOptions, since: Option<Since>, reverse: bool },
    /// Publications behind a position, or before it.
    History { meta_ttl_s: u32, since: Option<Since>, reverse: bool },
}

/// What came of a page.
enum Read {
    /// There may be more.
    Goes,
    /// All is written.
    Done,
    /// The rest cannot be told any more.
    Broke,
}

/// Begins to read.
pub(super) fn read(cx: &ApiCx<'_>, channel: &str, what: What, limit: i32) -> Step {
    let is_whole = match &what {
        What::History { .. } => cx.streams_are_far && (FAR_PAGE.contains(&limit) || keeps_lists(&cx.config.broker)),
        What::State { .. } | What::Changes { .. } => cx.maps_are_far,
    };
    let mut pages = Pages {
        channel: ChannelName::new(channel),
        what,
        limit,
        is_whole,
        asked: 0,
        top: None,
        cursor: Box::default(),
        last: 0,
        count: 0,
        begin: 0,
        restarts: 0,
        goes_on: false,
    };
    let mut ops = Ops::new();
    ops.push(pages.ask(&mut { FIRST_PAGE }));
    Step::Ops(ops, Wait::Pages(Box::new(pages)))
}

/// Whether history is kept in lists, which are read whole whatever is asked for.
fn keeps_lists(broker: &Broker) -> bool {
    match broker {
        Broker::Redis(redis) | Broker::RedisNats(redis, _) => redis.uses_lists,
        Broker::Memory | Broker::Nats(_) => false,
    }
}

impl Pages {
    /// Whether more than one page may be asked for. Others' requests to the home may then come in between.
    pub(super) fn may_go_on(&self) -> bool {
        !self.is_whole && usize::try_from(self.limit).map_or(true, |limit| limit > FIRST_PAGE)
    }

    /// Whether [`Pages::ask`] is to be called.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// The request for the next page, of as many entries as there is budget for.
    pub(super) fn ask(&mut self, budget: &mut usize) -> (ChannelName, Op) {
        self.goes_on = false;
        let left = usize::try_from(self.limit).map_or(usize::MAX, |limit| limit - self.count);
        let page = left.min(*budget);
        *budget -= page;
        self.asked = if self.is_whole { self.limit } else { i32::try_from(page).unwrap_or(i32::MAX) };
        (self.channel.clone(), self.op())
    }

    fn op(&self) -> Op {
        let limit = self.asked;
        let read = self.top.map(|top| Since { offset: self.last, epoch: top.epoch.as_str().into() });
        let behind = |since: Option<Since>| read.clone().or(since);
        match self.what.clone() {
            What::State { options, cursor, revision } => {
                let cursor = if self.top.is_some() { self.cursor.clone() } else { cursor };
                let page = StatePage { cursor, limit, revision: behind(revision) };
                Op::Map(Box::new(MapOp::ReadState { options, key: None, page }))
            }
            What::Changes { options, since, reverse } => {
                Op::Map(Box::new(MapOp::ReadStream { options, since: behind(since), limit, reverse }))
            }
            What::History { meta_ttl_s, since, reverse } => {
                Op::History { since: behind(since), limit, reverse, meta_ttl_s }
            }
        }
    }

    /// A page came. The outcome when it was the last one.
    pub(super) fn on_answer(&mut self, answer: Answer, out: &mut Vec<u8>) -> Option<Outcome> {
        if self.top.is_none() && self.restarts == 0 {
            self.begin = out.len();
        }
        let read = match answer {
            Answer::MapState(state) => {
                self.cursor = state.cursor;
                self.take_keys(&state.entries, state.position, state.keys as usize, out)
            }
            Answer::History(entries, top) => self.take_changes(&entries, top, out),
            Answer::Failed(error) if error.code == Error::UNRECOVERABLE_POSITION.code => {
                if self.top.is_none() {
                    return Some(Err(Error::UNRECOVERABLE_POSITION.into()));
                }
                Ok(Read::Broke)
            }
            // Clients are told of a bad request; here upstream knows no error but this.
            _ => return Some(Err(Error::INTERNAL.into())),
        };
        match read {
            Err(failed) => Some(Err(failed)),
            Ok(Read::Done) => Some(self.end(out)),
            Ok(Read::Broke) if self.restarts == MOST_RESTARTS => Some(Err(Error::INTERNAL.into())),
            Ok(Read::Broke) => {
                (self.top, self.count) = (None, 0);
                self.restarts += 1;
                out.truncate(self.begin);
                self.goes_on = true;
                None
            }
            Ok(Read::Goes) => {
                self.goes_on = true;
                None
            }
        }
    }

    fn take_keys(
        &mut self,
        entries: &[Arc<Publication>],
        top: Position,
        keys: usize,
        out: &mut Vec<u8>,
    ) -> Result<Read, super::step::Failed> {
        self.top.get_or_insert(top);
        self.write(entries, out)?;
        if self.cursor.is_empty() || self.is_full() {
            return Ok(Read::Done);
        }
        self.make_room(keys.saturating_sub(self.count), out);
        Ok(Read::Goes)
    }

    fn take_changes(
        &mut self,
        entries: &[Arc<Publication>],
        top: Position,
        out: &mut Vec<u8>,
    ) -> Result<Read, super::step::Failed> {
        let is_forward =
            matches!(self.what, What::Changes { reverse: false, .. } | What::History { reverse: false, .. });
        let continues = entries.first().is_some_and(|first| first.offset == self.last + 1);
        if self.top.is_some() && is_forward && !continues {
            return Ok(Read::Broke);
        }
        let top = *self.top.get_or_insert(top);
        let kept = if is_forward { entries.partition_point(|entry| entry.offset <= top.offset) } else { entries.len() };
        self.write(&entries[..kept], out)?;
        let Some(last) = entries[..kept].last() else { return Ok(Read::Done) };
        self.last = last.offset;
        let left = if is_forward { top.offset - self.last } else { self.last - 1 };
        if left == 0 || self.is_full() || self.asked < 0 || entries.len() < self.asked as usize {
            return Ok(Read::Done);
        }
        if !is_forward {
            // Nobody knows how many are kept.
            return Ok(Read::Goes);
        }
        self.make_room(usize::try_from(left).unwrap_or(usize::MAX), out);
        Ok(Read::Goes)
    }

    /// Whether as many entries are written as were wanted, or all that the home was asked for at once.
    fn is_full(&self) -> bool {
        self.is_whole || usize::try_from(self.limit).is_ok_and(|limit| self.count >= limit)
    }

    fn write(&mut self, entries: &[Arc<Publication>], out: &mut Vec<u8>) -> Outcome {
        for entry in entries {
            out.extend_from_slice(match self.count {
                0 if matches!(self.what, What::History { .. }) => b"{\"publications\":[",
                0 => b"{\"entries\":[",
                _ => b",",
            });
            match self.what {
                What::History { .. } => write(&api::Publication::of(entry), out)?,
                _ => write(&api::MapEntry::of(entry), out)?,
            }
            self.count += 1;
        }
        Ok(())
    }

    /// So that the text need not move while it grows: as much again for each of so many entries, and an eighth.
    fn make_room(&mut self, entries: usize, out: &mut Vec<u8>) {
        let wanted = usize::try_from(self.limit).map_or(entries, |limit| entries.min(limit - self.count));
        let each = (out.len() - self.begin) / self.count.max(1);
        let room = wanted.saturating_mul(each + each / 8);
        if self.restarts == 0 && out.capacity() - out.len() < room / 2 {
            // Without it the text moves.
            let _ = out.try_reserve(room);
        }
    }

    /// Writes what stands behind the entries.
    fn end(&self, out: &mut Vec<u8>) -> Outcome {
        let top = self.top.unwrap_or_default();
        let (offset, epoch) = (top.offset, top.epoch.as_str());
        let mut rest = Vec::new();
        let result = if self.count == 0 { &mut *out } else { &mut rest };
        let head: &[u8] = match &self.what {
            What::State { .. } => {
                let cursor = (&*self.cursor).into();
                write(&MapReadStateResult { entries: Vec::new(), offset, epoch, cursor }, result)?;
                b"{"
            }
            What::Changes { .. } => {
                write(&MapReadStreamResult { entries: Vec::new(), offset, epoch }, result)?;
                b"{"
            }
            What::History { .. } => {
                write(&HistoryResult { publications: Vec::new(), epoch, offset }, result)?;
                b"{\"publications\":[],"
            }
        };
        if let Some(rest) = rest.strip_prefix(head) {
            out.extend_from_slice(if rest == b"}" { b"]" } else { b"]," });
            out.extend_from_slice(rest);
        }
        Ok(())
    }
}
