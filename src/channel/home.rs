//! The channels at home on one shard: every request about them is carried out here, one after another.
//!
//! Called by the shard's engine with the [`Op`]s that arrive and with the time; never blocks, never calls
//! back. What it sends out is first in, first out for each shard, which is all the ordering there is.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use rand::Rng;
use rand::rngs::StdRng;

use crate::base::ids::ShardId;
use crate::base::mutation::{Mutation, is_on};
use crate::base::time::{NEVER, Now};
use crate::channel::deadlines::Deadlines;
use crate::channel::dispatch::{self, respond};
use crate::channel::idempotency::{self, Results};
use crate::channel::map::keys::Limits as MapLimits;
use crate::channel::map_op::Suppression;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, Op, PublishOp, ReplyTo, Since, SubscribeOp, Subscribed};
use crate::channel::poll::Polls;
use crate::channel::presence::Presence;
use crate::channel::publication::{ClientInfo, Epoch, Position, Publication};
use crate::channel::recovery;
use crate::channel::retired::Retired;
use crate::channel::stream::Stream;
use crate::channel::table::{Home, Table};
use crate::protocol::error::Error;

/// Bounds of [`Homes`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Channels kept. At the bound, requests that need a further one fail with [`Error::LIMIT_EXCEEDED`];
    /// publishing without history still works.
    pub channels: u32,
    /// Results kept for idempotency keys.
    pub results: idempotency::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels: 1 << 28, results: idempotency::Limits::default() }
    }
}

/// Where deliveries go.
pub(in crate::channel) type Out<'o> = dyn FnMut(ShardId, Delivery) + 'o;

/// An epoch that no stream had before.
pub(in crate::channel) fn new_epoch(rng: &mut StdRng) -> Epoch {
    let mut random = [0; 8];
    rng.fill_bytes(&mut random);
    Epoch::from_random(random)
}

/// All channels whose home is this shard.
#[derive(Debug)]
pub struct Homes {
    pub(in crate::channel) table: Table,
    pub(in crate::channel) map_limits: MapLimits,
    pub(in crate::channel) map_results: Results,
    /// When to look at a slot again: never later than [`Home::deadline_ms`], perhaps earlier.
    deadlines: Deadlines,
    results: Results,
    /// Shared-poll channels.
    pub(in crate::channel) polls: Polls,
    pub(in crate::channel) retired: Retired,
    /// Channels with subscribers.
    interested: usize,
    /// Those of them that are shared-poll channels.
    pub(in crate::channel) polled: HashSet<ChannelName, FixedState>,
    /// Why the last request changed nothing, if so.
    pub(in crate::channel) suppressed: Option<Suppression>,
    pub(in crate::channel) rng: StdRng,
}

impl Homes {
    /// No channels, under the default limits. Epochs are drawn from `rng`.
    pub fn new(rng: StdRng) -> Self {
        Self::with_limits(rng, Limits::default())
    }

    /// No channels, under limits of the caller's.
    pub fn with_limits(rng: StdRng, limits: Limits) -> Self {
        Self {
            table: Table::new(limits.channels),
            map_limits: MapLimits::default(),
            map_results: Results::new(limits.results),
            deadlines: Deadlines::default(),
            results: Results::new(limits.results),
            polls: Polls::new(),
            retired: Retired::default(),
            interested: 0,
            polled: HashSet::default(),
            suppressed: None,
            rng,
        }
    }

    /// Channels kept.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Channels with subscribers on any shard.
    pub fn with_subscribers(&self) -> usize {
        self.interested
    }

    /// Those of them that are listed: shared-poll channels are not (upstream keeps them out of its hub).
    pub fn listed(&self) -> usize {
        self.interested - self.polled.len()
    }

    /// Whether the channel is kept here. Where channels live at a broker, only maps and shared-poll channels are, and
    /// they are nowhere else, presence included.
    pub fn holds(&self, channel: &ChannelName) -> bool {
        self.table.find(channel).is_some()
    }

    /// Whether the channel is a map or a shared-poll channel that is kept here.
    pub fn holds_map(&mut self, channel: &ChannelName) -> bool {
        let is_map = |home: &mut Home| home.map.is_some();
        let slot = self.table.find(channel);
        self.polled.contains(channel) || slot.and_then(|slot| self.table.get(slot)).is_some_and(is_map)
    }

    /// Keys that clients of any shard track.
    pub fn polled_keys(&self) -> usize {
        self.polls.keys
    }

    /// Whether no channel is kept.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Why the last request changed nothing, where it was a publication or removal that was suppressed. Asked once.
    pub fn take_suppressed(&mut self) -> Option<Suppression> {
        self.suppressed.take()
    }

    /// Carries out a request of the shard `from`, and sends everything that follows from it to `out`, in order.
    pub fn handle(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: Op,
        reply: ReplyTo,
        now: Now,
        out: &mut impl FnMut(ShardId, Delivery),
    ) {
        let answer = match op {
            Op::Publish(op) => self.publish(channel, *op, now, out),
            Op::Subscribe(op) => return self.subscribe(from, channel, *op, reply, now, out),
            Op::Unsubscribe { last, presence, leave } => {
                self.unsubscribe(channel, last.then_some(from), presence, leave, out)
            }
            Op::PresenceUpdate { info, ttl_ms } => self.renew_presence(channel, info, ttl_ms, now),
            Op::Presence => Answer::Presence(self.presence(channel).map_or_else(Vec::new, Presence::list)),
            Op::PresenceStats => {
                let (clients, users) =
                    self.presence(channel).map_or((0, 0), |presence| (presence.clients(), presence.users()));
                Answer::PresenceStats { clients, users }
            }
            Op::History { since, limit, reverse, meta_ttl_s } => {
                self.history(channel, since, limit, reverse, meta_ttl_s, now)
            }
            Op::HistoryRemove => self.remove_history(channel),
            Op::Position { meta_ttl_s } => match self.stream(channel, now) {
                Some((slot, stream)) => {
                    stream.touch(meta_ttl_s, now);
                    let position = stream.position();
                    self.reschedule(slot);
                    Answer::Position(position)
                }
                None => Answer::Failed(Error::LIMIT_EXCEEDED),
            },
            Op::Map(op) => return self.handle_map(from, channel, *op, reply, now, out),
            Op::Poll(op) => return self.handle_poll(from, channel, *op, reply, now, out),
        };
        respond(from, reply, answer, out);
    }

    /// Drops what is past its time; at most `budget` entries are looked at. Called every turn.
    pub fn expire(&mut self, now: Now, budget: usize, out: &mut impl FnMut(ShardId, Delivery)) {
        let mut left = budget;
        while left > 0
            && let Some((at_ms, slot)) = self.deadlines.first()
            && at_ms <= now.mono_ms
        {
            left -= self.revisit(slot, now, left, out).clamp(1, left);
        }
        left -= self.results.expire(now, left);
        left -= self.map_results.expire(now, left);
        self.retired.free(left);
    }

    /// When [`Homes::expire`] or [`Homes::tell_refreshed`] next has work to do, on the clock of [`Now::mono_ms`]; 0 = at once.
    pub fn next_expiry(&self) -> Option<u64> {
        if !self.retired.is_empty() {
            return Some(0);
        }
        let channels = self.deadlines.first().map(|(at_ms, _)| at_ms);
        let results = self.results.next_expiry().into_iter().chain(self.map_results.next_expiry());
        channels.into_iter().chain(results).chain(self.polls.next_ms()).min()
    }

    /// Upstream: `MemoryBroker.Publish`. The delivery goes out before the answer, so a publisher that is
    /// subscribed sees its own publication first.
    fn publish(
        &mut self,
        channel: &ChannelName,
        op: PublishOp,
        now: Now,
        out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
    ) -> Answer {
        let PublishOp { mut publication, history, delta, idempotency_key, version_epoch } = op;
        if let Some(key) = &idempotency_key
            && let Some(position) = self.results.find(channel, key, now)
        {
            self.suppressed = Some(Suppression::Idempotency);
            return Answer::Published(position);
        }
        publication.unix_ms = now.unix_ms;
        publication.taken_us = now.mono_us;
        let position = if history.is_on() {
            let Some((slot, stream)) = self.stream(channel, now) else {
                return Answer::Failed(Error::LIMIT_EXCEEDED);
            };
            stream.prolong(&history, now);
            let outdated = stream.is_outdated(publication.version, &version_epoch);
            let previous = stream.newest().filter(|_| delta).cloned();
            let publication = (!outdated).then(|| stream.append(publication, history.size, version_epoch));
            let position = stream.position();
            self.reschedule(slot);
            match publication {
                None => {
                    self.suppressed = Some(Suppression::Version);
                    return Answer::Published(position);
                }
                Some(publication) => self.deliver(slot, publication, previous, out),
            }
            position
        } else {
            publication.offset = 0;
            publication.epoch = Epoch::NONE;
            if let Some(slot) = self.table.find(channel) {
                self.deliver(slot, Arc::new(publication), None, out);
            }
            Position::default()
        };
        if let Some(key) = idempotency_key {
            self.results.insert(channel, key, position, now);
        }
        Answer::Published(position)
    }

    /// Registers interest, adds presence, reads the position and recovers, answers, and then tells of the
    /// join: the subscriber's own join follows its answer.
    fn subscribe(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: SubscribeOp,
        reply: ReplyTo,
        now: Now,
        out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
    ) {
        let Some(slot) = self.table.find_or_insert(channel) else {
            return respond(from, reply, Answer::Failed(Error::LIMIT_EXCEEDED), out);
        };
        let mut subscribed = Subscribed { position: Position::default(), recovered: false, publications: Vec::new() };
        let mut is_refused = false;
        if let Some(home) = self.table.get(slot)
            && (op.position || op.recover.is_some())
        {
            let stream = current_stream(home, &mut self.retired, &mut self.rng, now);
            stream.touch(op.meta_ttl_s, now);
            subscribed.position = stream.position();
            if let Some(recover) = &op.recover {
                subscribed = recovery::recover(stream, recover);
                is_refused = recover.or_fail && !recover.cache && !subscribed.recovered;
            }
        }
        self.register(slot, from, op.presence.filter(|_| !is_refused), now);
        self.reschedule(slot);
        if is_refused {
            // The shard takes its interest back as it does for any subscriber that leaves.
            return respond(from, reply, Answer::Failed(Error::UNRECOVERABLE_POSITION), out);
        }
        respond(from, reply, Answer::Subscribed(Box::new(subscribed)), out);
        if let Some(info) = op.join {
            self.broadcast(slot, |name| Delivery::Join(name, info.clone()), out);
        }
    }

    /// The leave goes to the shards that still listen, the asking one included if it does.
    fn unsubscribe(
        &mut self,
        channel: &ChannelName,
        last_on: Option<ShardId>,
        present: Option<Arc<ClientInfo>>,
        leave: Option<Arc<ClientInfo>>,
        out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
    ) -> Answer {
        let Some(slot) = self.table.find(channel) else {
            return Answer::Done;
        };
        if let Some(home) = self.table.get(slot) {
            if let Some(shard) = last_on
                && home.interest.remove(shard)
                && home.interest.is_empty()
            {
                self.interested -= 1;
                self.polled.remove(channel);
            }
            if let (Some(info), Some(presence)) = (present, &mut home.presence) {
                presence.remove(info.client);
                if presence.is_empty() {
                    home.presence = None;
                }
            }
        }
        if let Some(info) = leave.filter(|_| !is_on(Mutation::ForgetLeave)) {
            self.broadcast(slot, |name| Delivery::Leave(name, info.clone()), out);
        }
        self.forget_if_idle(slot);
        Answer::Done
    }

    fn renew_presence(&mut self, channel: &ChannelName, info: Arc<ClientInfo>, ttl_ms: u64, now: Now) -> Answer {
        let Some(slot) = self.table.find_or_insert(channel) else {
            return Answer::Failed(Error::LIMIT_EXCEEDED);
        };
        if let Some(home) = self.table.get(slot) {
            home.presence.get_or_insert_default().set(info, ttl_ms, now);
        }
        self.reschedule(slot);
        Answer::Done
    }

    fn presence(&mut self, channel: &ChannelName) -> Option<&Presence> {
        let slot = self.table.find(channel)?;
        self.table.get(slot)?.presence.as_deref()
    }

    /// Upstream: `Node.history` over `historyHub.getLocked`. The stream begins with its first reader, also
    /// with one that is refused for its epoch.
    fn history(
        &mut self,
        channel: &ChannelName,
        since: Option<Since>,
        limit: i32,
        reverse: bool,
        meta_ttl_s: u32,
        now: Now,
    ) -> Answer {
        if reverse && since.as_ref().is_some_and(|since| since.offset == 0) {
            return Answer::Failed(Error::BAD_REQUEST);
        }
        let Some((slot, stream)) = self.stream(channel, now) else {
            return Answer::Failed(Error::LIMIT_EXCEEDED);
        };
        stream.touch(meta_ttl_s, now);
        let position = stream.position();
        let answer = if since.as_ref().is_some_and(|since| !since.matches(position.epoch)) {
            Answer::Failed(Error::UNRECOVERABLE_POSITION)
        } else {
            let selection = stream.select(since.map(|since| since.offset), limit, reverse);
            Answer::History(stream.read(&selection), position)
        };
        self.reschedule(slot);
        answer
    }

    fn remove_history(&mut self, channel: &ChannelName) -> Answer {
        if let Some(slot) = self.table.find(channel)
            && let Some(stream) = self.table.get(slot).and_then(|home| home.stream.as_mut())
        {
            self.retired.take(stream.clear());
        }
        Answer::Done
    }

    /// The channel's stream as it is now, begun if there is none; nothing when the table is full.
    fn stream(&mut self, channel: &ChannelName, now: Now) -> Option<(u32, &mut Stream)> {
        let slot = self.table.find_or_insert(channel)?;
        let home = self.table.get(slot)?;
        Some((slot, current_stream(home, &mut self.retired, &mut self.rng, now)))
    }

    /// A client of this shard is subscribed from now on, and perhaps present for so many milliseconds.
    pub(in crate::channel) fn register(
        &mut self,
        slot: u32,
        from: ShardId,
        presence: Option<(Arc<ClientInfo>, u64)>,
        now: Now,
    ) {
        if let Some(home) = self.table.get(slot) {
            self.interested += usize::from(home.interest.is_empty());
            home.interest.insert(from);
            if let Some((info, ttl_ms)) = presence {
                home.presence.get_or_insert_default().set(info, ttl_ms, now);
            }
        }
    }

    /// Sends a publication, and the one before it where patches are wanted, to every interested shard.
    pub(in crate::channel) fn deliver(
        &mut self,
        slot: u32,
        publication: Arc<Publication>,
        previous: Option<Arc<Publication>>,
        out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
    ) {
        let Some(home) = self.table.get(slot) else { return };
        dispatch::publication(&home.name, &home.interest, publication, previous, out);
    }

    pub(in crate::channel) fn broadcast(
        &mut self,
        slot: u32,
        delivery: impl Fn(ChannelName) -> Delivery,
        out: &mut (impl FnMut(ShardId, Delivery) + ?Sized),
    ) {
        let Some(home) = self.table.get(slot) else { return };
        dispatch::to_all(&home.name, &home.interest, delivery, out);
    }

    /// Makes sure that the slot is looked at in time. A deadline that moved back is noticed when it comes due.
    pub(in crate::channel) fn reschedule(&mut self, slot: u32) {
        if let Some(home) = self.table.get(slot) {
            self.deadlines.lower(slot, home.deadline_ms());
        }
    }

    pub(in crate::channel) fn forget_if_idle(&mut self, slot: u32) -> bool {
        let idle = self.table.get(slot).is_some_and(|home| home.is_idle());
        if idle {
            self.table.remove(slot);
            self.deadlines.set(slot, NEVER);
        }
        idle
    }

    /// Looks at a slot whose deadline has come; gives the number of entries visited.
    fn revisit(&mut self, slot: u32, now: Now, budget: usize, out: &mut Out<'_>) -> usize {
        let Some(home) = self.table.get(slot) else {
            self.deadlines.set(slot, NEVER);
            return 1;
        };
        home.expire_stream(now, &mut self.retired);
        let mut visits = home.sweep_presence(now, budget);
        if visits < budget {
            visits += self.sweep_map(slot, now, budget - visits, out);
        }
        let Some(home) = self.table.get(slot) else { return 1 };
        let deadline_ms = home.deadline_ms();
        if !self.forget_if_idle(slot) {
            self.deadlines.set(slot, deadline_ms);
        }
        visits
    }
}

/// The stream without what is past its time; a new one, in a new epoch, when there is none or it is over.
fn current_stream<'h>(home: &'h mut Home, retired: &mut Retired, rng: &mut StdRng, now: Now) -> &'h mut Stream {
    home.expire_stream(now, retired);
    home.stream.get_or_insert_with(|| Box::new(Stream::new(new_epoch(rng))))
}

#[cfg(test)]
#[path = "home_tests.rs"]
pub(in crate::channel) mod tests;

#[cfg(test)]
#[path = "home_model_tests.rs"]
mod model_tests;
