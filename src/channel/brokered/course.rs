//! A brokered channel's messages: in line, checked against the stream, and made whole where they have gaps.

use std::collections::VecDeque;

use super::place::{Arrival, Filled, Mark, Place, Verdict};
use super::reading::Readers;
use super::source::Source;
use super::task::Task;
use super::{Brokered, Out, task};
use crate::base::ids::{ConnId, ShardId};
use crate::base::mutation::{Mutation, is_on};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Ticket};
use crate::channel::dispatch::{self, respond};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, ReplyTo};
use crate::channel::publication::Position;
use crate::protocol::error::Error;

/// Publications that one read brings to fill a gap.
const FILL: i32 = 512;

/// How often a gap is read before it is given up.
const TRIES: u8 = 3;

/// A channel whose subscribers have positions.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) place: Place,
    /// Subscribers that wait until a gap is filled.
    pub(super) parked: Vec<Ticket>,
    /// Subscribers that wait until the stream was read, while that is under way.
    pub(super) readers: Option<Box<Readers>>,
    /// Who asked where the stream stands.
    checks: Vec<(ShardId, ReplyTo)>,
    /// A check is under way, begun here.
    checked_at: Option<Position>,
    /// The read that fills the gap.
    fill: Option<Ticket>,
    /// It is not its turn yet to be read for that.
    awaits_fill: bool,
    /// Reads for it that failed one after the other.
    failed_fills: u8,
    /// Messages were missed while it was under way.
    fills_again: bool,
    source: Source,
    /// How often messages came again after a while without.
    pub(super) resumptions: u32,
}

impl Course {
    /// `left` = where it was when it was left the last time.
    pub(super) fn new(source: Source, left: Option<Mark>) -> Self {
        let (parked, checks) = (Vec::new(), Vec::new());
        Self {
            place: left.map_or_else(Place::default, Place::remembered),
            parked,
            readers: None,
            checks,
            checked_at: None,
            fill: None,
            awaits_fill: false,
            failed_fills: 0,
            fills_again: false,
            source,
            resumptions: 0,
        }
    }
}

/// The reads of a shard that fill gaps: after a lost connection each of its channels may have one, and if all were read
/// at once, everything else would wait behind that.
#[derive(Debug)]
pub(super) struct Fills {
    /// Most that are under way.
    limit: usize,
    under_way: usize,
    /// Channels whose turn comes later; some may be gone by then.
    waiting: VecDeque<ConnId>,
}

impl Fills {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, under_way: 0, waiting: VecDeque::new() }
    }
}

impl Brokered {
    /// A message came.
    pub(super) fn arrive(&mut self, slot: u32, arrival: Arrival, out: &mut Out<'_>) {
        let Some(channel) = self.table.get(slot) else { return };
        let verdict = match &mut channel.course {
            None => Verdict::Deliver(arrival),
            Some(course) => course.place.arrive(arrival),
        };
        match verdict {
            Verdict::Keep => {}
            Verdict::Deliver(arrival) => self.deliver(slot, arrival, out),
            Verdict::Gap => self.begin_fill(slot, out),
            Verdict::TooMany => {
                if let Some(course) = self.table.course(slot) {
                    course.fills_again = true;
                }
            }
        }
    }

    /// Messages did not come for a while.
    pub(super) fn resume(&mut self, name: &ChannelName, out: &mut Out<'_>) {
        let Some(slot) = self.table.find(name).filter(|_| !is_on(Mutation::ResumeSilently)) else { return };
        let Some(course) = self.table.course(slot) else { return };
        course.resumptions += 1;
        if course.place.fill_since().is_some() {
            course.fills_again |= course.fill.is_some();
            self.begin_fill(slot, out);
        }
    }

    /// Reads what may be missing, or has that wait for its turn; what comes meanwhile waits.
    pub(super) fn begin_fill(&mut self, slot: u32, out: &mut Out<'_>) {
        let Some(channel) = self.table.get(slot) else { return };
        let Some(course) = &mut channel.course else { return };
        let Some(since) = course.place.fill_since() else { return };
        if course.fill.is_some() || course.awaits_fill {
            return;
        }
        course.place.begin_fill();
        if self.fills.under_way >= self.fills.limit {
            course.awaits_fill = true;
            return self.fills.waiting.push_back(channel.key);
        }
        // Where nobody is positioned, it is only to be found whether the stream goes on.
        let limit = if course.place.is_doubtful() { 1 } else { FILL };
        let read = course.source.read(Some(since), limit);
        self.ask_fill(slot, read, out);
    }

    /// Asks for what ends the gap.
    fn ask_fill(&mut self, slot: u32, op: BrokerOp, out: &mut Out<'_>) {
        let Some(channel) = self.table.get(slot) else { return };
        let Some(course) = &mut channel.course else { return };
        let Ok(key) = self.tasks.insert(Task::Fill(channel.key)) else { return self.give_up(slot, out) };
        course.fill = Some(Ticket(key));
        self.fills.under_way += 1;
        let name = channel.name.clone();
        self.request(&name, op, Some(Ticket(key)));
    }

    /// What ends a gap was answered; it is the turn of the next channel, unless more is missing in this one.
    pub(super) fn fill_ended(&mut self, key: ConnId, ticket: Ticket, reply: BrokerReply, out: &mut Out<'_>) {
        self.fills.under_way -= 1;
        if let Some(slot) = self.table.slot(key) {
            self.filled(slot, ticket, reply, out);
        }
        while self.fills.under_way < self.fills.limit
            && let Some(next) = self.fills.waiting.pop_front()
        {
            let Some(slot) = self.table.slot(next) else { continue };
            let waits = self.table.course(slot).is_some_and(|course| std::mem::take(&mut course.awaits_fill));
            if waits {
                self.begin_fill(slot, out);
            }
        }
    }

    /// The stream is not the one that subscribers have seen, and looks as if it were. So that nobody takes it for that,
    /// here or elsewhere, now or when coming back, it goes on under another epoch.
    fn change_epoch(&mut self, slot: u32, out: &mut Out<'_>) {
        let Some(channel) = self.table.get(slot) else { return };
        let Some(course) = &mut channel.course else { return };
        let Some(at) = course.place.at() else { return self.give_up(slot, out) };
        course.place.begin_fill();
        let op = course.source.change_epoch(at.epoch);
        self.ask_fill(slot, op, out);
    }

    /// What may be missing was read.
    pub(super) fn filled(&mut self, slot: u32, ticket: Ticket, reply: BrokerReply, out: &mut Out<'_>) {
        let Some(course) = self.table.course(slot) else { return };
        // Given up, perhaps, and begun anew.
        if course.fill != Some(ticket) {
            return;
        }
        course.fill = None;
        let fills_again = std::mem::take(&mut course.fills_again);
        if !course.place.is_filling() {
            return;
        }
        let BrokerReply::History(read, top) = reply else {
            course.failed_fills = course.failed_fills.saturating_add(1);
            return if course.failed_fills < TRIES { self.begin_fill(slot, out) } else { self.give_up(slot, out) };
        };
        course.failed_fills = 0;
        let (missing, filled) = course.place.fill(read, top);
        missing.into_iter().for_each(|publication| self.deliver(slot, (publication, None), out));
        match filled {
            Filled::Partly => return self.begin_fill(slot, out),
            Filled::Whole => {}
            Filled::Lost => self.lose(slot, out),
            Filled::Diverged => return self.change_epoch(slot, out),
        }
        if fills_again {
            return self.begin_fill(slot, out);
        }
        let course = self.table.course(slot);
        let held = course.map_or_else(Vec::new, |course| course.place.end_fill());
        held.into_iter().for_each(|arrival| self.arrive(slot, arrival, out));
        self.unpark(slot, out);
    }

    /// The stream could not be read: nobody knows what is missing. Subscribers with a position are told so, and come
    /// back to the place only when the stream is known to go on from there; if a failover lost some of what they have,
    /// that is found then.
    fn give_up(&mut self, slot: u32, out: &mut Out<'_>) {
        let Some(course) = self.table.course(slot) else { return };
        course.fill = None;
        let was_doubtful = course.place.is_doubtful();
        let held = course.place.doubt();
        let (parked, checks) = (std::mem::take(&mut course.parked), std::mem::take(&mut course.checks));
        course.checked_at = None;
        if !was_doubtful {
            self.lose(slot, out);
        }
        held.into_iter().for_each(|arrival| self.deliver(slot, arrival, out));
        parked.into_iter().for_each(|ticket| self.fail_join(ticket, Error::INTERNAL, out));
        for (from, reply) in checks {
            respond(from, reply, Answer::Failed(Error::INTERNAL), out);
        }
    }

    /// Goes on with those that waited for a gap to be filled, unless there is the next one.
    fn unpark(&mut self, slot: u32, out: &mut Out<'_>) {
        let Some(course) = self.table.course(slot) else { return };
        if course.place.is_filling() {
            return;
        }
        let parked = std::mem::take(&mut course.parked);
        if let Some(at) = course.place.at() {
            course.checked_at = None;
            for (from, reply) in std::mem::take(&mut course.checks) {
                respond(from, reply, Answer::Position(at), out);
            }
        }
        parked.into_iter().for_each(|ticket| self.go_on(ticket, out));
    }

    /// Where does the stream stand? Those who ask at the same time share one look.
    pub(super) fn check(
        &mut self,
        name: &ChannelName,
        from: ShardId,
        reply: ReplyTo,
        source: Source,
        out: &mut Out<'_>,
    ) {
        let read = source.read(None, 0);
        let found = self.table.find(name).and_then(|slot| {
            let key = self.table.key(slot)?;
            let course = self.table.course(slot)?;
            let at = course.place.at()?;
            Some((key, course, at))
        });
        let Some((key, course, at)) = found else {
            return self.ask(name, read, Task::Position { from, reply }, out);
        };
        course.checks.push((from, reply));
        if course.place.is_filling() || course.checked_at.is_some() {
            return;
        }
        course.checked_at = Some(at);
        match self.tasks.insert(Task::Check(key)) {
            Ok(ticket) => self.request(name, read, Some(Ticket(ticket))),
            Err(_) => self.checked(key.slot, BrokerReply::Failed, out),
        }
    }

    /// The stream's top was read.
    pub(super) fn checked(&mut self, slot: u32, reply: BrokerReply, out: &mut Out<'_>) {
        let Some(course) = self.table.course(slot) else { return };
        let Some(begun_at) = course.checked_at.take() else { return };
        if course.place.is_filling() {
            return;
        }
        let answer = match (reply, course.place.at()) {
            (BrokerReply::History(_, top), Some(at)) => {
                let is_newer = at != begun_at && at.epoch == top.epoch && at.offset >= top.offset;
                if at != top && !is_newer {
                    return self.begin_fill(slot, out);
                }
                Answer::Position(at)
            }
            (reply, _) => task::position_answer(&reply),
        };
        for (from, reply) in std::mem::take(&mut course.checks) {
            respond(from, reply, answer.clone(), out);
        }
    }

    /// Subscribers with a position cannot go on from it.
    pub(super) fn lose(&mut self, slot: u32, out: &mut Out<'_>) {
        if let Some(channel) = self.table.get(slot) {
            dispatch::to_all(&channel.name, &channel.interest, Delivery::PositionLost, out);
        }
    }

    fn deliver(&mut self, slot: u32, (publication, previous): Arrival, out: &mut Out<'_>) {
        if let Some(channel) = self.table.get(slot) {
            dispatch::publication(&channel.name, &channel.interest, publication, previous, out);
        }
    }
}
