//! Requests about shared-poll channels, carried out at their home.

use std::sync::Arc;

use super::MAX_KEYS;
use super::op::{KeyPublication, PollOp, PollSubscribe};
use crate::base::ids::{ConnId, ShardId};
use crate::base::time::Now;
use crate::channel::dispatch::respond;
use crate::channel::home::{Homes, Out, new_epoch};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, ReplyTo};
use crate::channel::publication::Publication;
use crate::config::snapshot::PollPlan;
use crate::protocol::error::Error;

impl Homes {
    /// Carries out a request about the channel's keys.
    pub(in crate::channel) fn handle_poll(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: PollOp,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let answer = match op {
            PollOp::Subscribe(op) => return self.poll_subscribe(from, channel, op, reply, now, out),
            PollOp::Track { plan, keys } => return self.track(from, channel, plan, keys, reply, now, out),
            PollOp::Untrack { keys } => self.untrack(from, channel, &keys, now),
            PollOp::Publish { publication, key, epoch } => {
                self.key_published(channel, key, publication, epoch, now, out);
                Answer::Done
            }
        };
        respond(from, reply, answer, out);
    }

    /// Where versions are numbered here, the channel begins with its first subscriber: so that the epoch it is told
    /// is that of the versions it gets.
    fn poll_subscribe(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: PollSubscribe,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let PollSubscribe { plan, presence, join } = op;
        let poll = if plan.is_versioned { self.polls.find(channel) } else { self.open_poll(channel, plan, now) };
        let slot = self.table.find_or_insert(channel);
        let (Some(slot), true) = (slot, plan.is_versioned || poll.is_some()) else {
            return respond(from, reply, Answer::Failed(Error::LIMIT_EXCEEDED), out);
        };
        self.register(slot, from, presence, now);
        self.polled.insert(channel.clone());
        self.reschedule(slot);
        let epoch = poll.and_then(|id| self.polls.get(id)).map_or("", |poll| poll.epoch());
        respond(from, reply, Answer::PollSubscribed(Box::from(epoch)), out);
        if let Some(info) = join {
            self.broadcast(slot, |name| Delivery::Join(name, info.clone()), out);
        }
    }

    fn open_poll(&mut self, channel: &ChannelName, plan: PollPlan, now: Now) -> Option<ConnId> {
        let Self { polls, rng, .. } = self;
        polls.find_or_open(channel, plan, now.mono_ms, || new_epoch(rng).as_str().into())
    }

    #[expect(clippy::too_many_arguments, reason = "what a request has, taken apart")]
    fn track(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        plan: PollPlan,
        keys: Vec<(ChannelName, u64)>,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        // Keys that are tracked already are counted too: a bound that is met a little early.
        let has_room = keys.len() <= MAX_KEYS - self.polls.keys;
        let id = has_room.then(|| self.open_poll(channel, plan, now)).flatten();
        let is_linked = self.polls.links.is_some();
        let Some((id, (poll, tally))) = id.and_then(|id| Some((id, self.polls.get_and_tally(id)?))) else {
            return respond(from, reply, Answer::Failed(Error::LIMIT_EXCEEDED), out);
        };
        if is_linked && poll.plan.is_published {
            return self.track_linked(from, id, keys, reply, now, out);
        }
        let new = keys
            .into_iter()
            .map(|(key, known)| usize::from(poll.track(key, known, from, now.mono_ms, tally)))
            .sum::<usize>();
        self.polls.keys += new;
        self.polls.reschedule(id);
        respond(from, reply, Answer::Done, out);
    }

    fn untrack(&mut self, from: ShardId, channel: &ChannelName, keys: &[ChannelName], now: Now) -> Answer {
        if let Some(id) = self.polls.find(channel)
            && let Some(poll) = self.polls.get(id)
        {
            let gone: Vec<_> = keys.iter().filter(|key| poll.untrack(key, from, now.mono_ms)).cloned().collect();
            self.polls.reschedule(id);
            self.polls.forget(id, gone);
        }
        Answer::Done
    }

    /// Upstream: `handlePublishedData`. Nothing is kept for a channel that nobody tracks keys of. A new epoch is told
    /// before the publication, also when nobody tracks its key.
    pub(super) fn key_published(
        &mut self,
        channel: &ChannelName,
        key: ChannelName,
        mut publication: Publication,
        epoch: Box<str>,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let Some(id) = self.polls.find(channel) else { return };
        if self.polls.get(id).is_some_and(|poll| poll.enter(&epoch)) {
            self.reset_keys(channel, out);
        }
        let Some((poll, tally)) = self.polls.get_and_tally(id) else { return };
        let interest = match poll.advance(&key, publication.version, &publication.data) {
            Ok(interest) => interest,
            Err(is_tracked) => {
                tally.skipped += u64::from(is_tracked);
                return;
            }
        };
        tally.applied += 1;
        publication.unix_ms = now.unix_ms;
        publication.taken_us = now.mono_us;
        let told = Arc::new(KeyPublication { channel: channel.clone(), key, publication, before: None, epoch });
        for shard in interest.iter() {
            out(shard, Delivery::Key(told.clone()));
        }
    }

    /// Tells that all versions are void.
    pub(super) fn reset_keys(&mut self, channel: &ChannelName, out: &mut Out<'_>) {
        if let Some(slot) = self.table.find(channel) {
            self.broadcast(slot, Delivery::PollReset, out);
        }
    }
}
