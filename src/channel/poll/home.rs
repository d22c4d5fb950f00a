//! Requests about shared-poll channels, carried out at their home.

use std::sync::Arc;

use super::op::{KeyPublication, PollOp};
use super::{MAX_KEYS, Poll};
use crate::base::ids::ShardId;
use crate::base::time::Now;
use crate::channel::dispatch::respond;
use crate::channel::home::{Homes, Out};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, ReplyTo};
use crate::channel::publication::{ClientInfo, Publication};
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
            PollOp::Subscribe { presence, join } => {
                return self.poll_subscribe(from, channel, presence, join, reply, now, out);
            }
            PollOp::Track { keys } => self.track(from, channel, keys),
            PollOp::Untrack { keys } => self.untrack(from, channel, &keys),
            PollOp::Publish { publication, key, epoch } => {
                self.publish_key(channel, key, publication, epoch, now, out);
                Answer::Done
            }
        };
        respond(from, reply, answer, out);
    }

    #[expect(clippy::too_many_arguments, reason = "a request taken apart")]
    fn poll_subscribe(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        presence: Option<(Arc<ClientInfo>, u64)>,
        join: Option<Arc<ClientInfo>>,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let Some(slot) = self.table.find_or_insert(channel) else {
            return respond(from, reply, Answer::Failed(Error::LIMIT_EXCEEDED), out);
        };
        self.register(slot, from, presence, now);
        self.reschedule(slot);
        let epoch = self.polls.get(channel).map_or("", Poll::epoch);
        respond(from, reply, Answer::PollSubscribed(Box::from(epoch)), out);
        if let Some(info) = join {
            self.broadcast(slot, |name| Delivery::Join(name, info.clone()), out);
        }
    }

    fn track(&mut self, from: ShardId, channel: &ChannelName, keys: Vec<ChannelName>) -> Answer {
        // Keys that are tracked already are counted too: a bound that is met a little early.
        if keys.len() > MAX_KEYS - self.polled_keys {
            return Answer::Failed(Error::LIMIT_EXCEEDED);
        }
        let poll = self.polls.entry(channel.clone()).or_default();
        for key in keys {
            self.polled_keys += usize::from(poll.track(key, from));
        }
        Answer::Done
    }

    fn untrack(&mut self, from: ShardId, channel: &ChannelName, keys: &[ChannelName]) -> Answer {
        if let Some(poll) = self.polls.get_mut(channel) {
            for key in keys {
                self.polled_keys -= usize::from(poll.untrack(key, from));
            }
            if poll.len() == 0 {
                self.polls.remove(channel);
            }
        }
        Answer::Done
    }

    /// Upstream: `handlePublishedData`. Nothing is kept for a channel that nobody tracks keys of. A new epoch is told
    /// before the publication, also when nobody tracks its key.
    fn publish_key(
        &mut self,
        channel: &ChannelName,
        key: ChannelName,
        mut publication: Publication,
        epoch: Box<str>,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let Some(poll) = self.polls.get_mut(channel) else { return };
        if poll.enter(&epoch)
            && let Some(slot) = self.table.find(channel)
        {
            self.broadcast(slot, Delivery::PollReset, out);
        }
        let Some(interest) = self.polls.get_mut(channel).and_then(|poll| poll.advance(&key, publication.version))
        else {
            return;
        };
        publication.unix_ms = now.unix_ms;
        publication.taken_us = now.mono_us;
        let told = Arc::new(KeyPublication { channel: channel.clone(), key, publication, epoch });
        for shard in interest.iter() {
            out(shard, Delivery::Key(told.clone()));
        }
    }
}
