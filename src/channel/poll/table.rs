//! All shared-poll channels at home on a shard, and when to look at each.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Poll;
use super::link::Links;
use super::op::PollTally;
use super::refresh::Applying;
use crate::base::ids::ConnId;
use crate::base::mutation::{Mutation, is_on};
use crate::base::slab::Slab;
use crate::base::time::NEVER;
use crate::channel::deadlines::Deadlines;
use crate::channel::name::ChannelName;
use crate::config::snapshot::PollPlan;

/// Channels remembered at most. At the bound tracking in a further one fails.
const MAX_POLLS: u32 = 1 << 24;

/// Whether a channel still has subscribers is looked at no more often than after so many milliseconds.
const LOOK_AGAIN_MS: u64 = 1000;

/// See the module.
#[derive(Debug)]
pub struct Polls {
    by_name: HashMap<ChannelName, ConnId, FixedState>,
    pub(super) polls: Slab<Poll>,
    /// When to look at a slot; those in line have none.
    deadlines: Deadlines,
    /// Channels that have something to ask.
    pub(super) line: VecDeque<ConnId>,
    /// What the backend answered and is not told yet.
    pub(super) answers: VecDeque<Applying>,
    /// What the broker is asked about keys; none where other nodes publish none.
    pub(super) links: Option<Links>,
    /// What is not counted yet.
    pub(super) tally: PollTally,
    /// Tracked keys of all channels.
    pub(in crate::channel) keys: usize,
}

impl Polls {
    pub(in crate::channel) fn new() -> Self {
        Self {
            by_name: HashMap::default(),
            polls: Slab::new(MAX_POLLS),
            deadlines: Deadlines::default(),
            line: VecDeque::new(),
            answers: VecDeque::new(),
            links: None,
            tally: PollTally::default(),
            keys: 0,
        }
    }

    pub(in crate::channel) fn find(&self, channel: &ChannelName) -> Option<ConnId> {
        self.by_name.get(channel).copied()
    }

    pub(in crate::channel) fn get(&mut self, id: ConnId) -> Option<&mut Poll> {
        self.polls.get_mut(id)
    }

    /// The same, and where to note what it does.
    pub(super) fn get_and_tally(&mut self, id: ConnId) -> Option<(&mut Poll, &mut PollTally)> {
        Some((self.polls.get_mut(id)?, &mut self.tally))
    }

    /// Nobody tracks these keys of the channel any more.
    pub(super) fn forget(&mut self, id: ConnId, keys: Vec<ChannelName>) {
        self.keys -= keys.len();
        let is_published = self.polls.get(id).is_some_and(|poll| poll.plan.is_published);
        if let (Some(links), true) = (&mut self.links, is_published) {
            links.end(keys);
        }
    }

    /// Channels remembered.
    pub(in crate::channel) fn len(&self) -> usize {
        self.polls.len()
    }

    /// The channel's, begun if there is none; nothing at the bound.
    pub(in crate::channel) fn find_or_open(
        &mut self,
        channel: &ChannelName,
        plan: PollPlan,
        now_ms: u64,
        epoch: impl FnOnce() -> Box<str>,
    ) -> Option<ConnId> {
        if let Some(id) = self.find(channel) {
            return Some(id);
        }
        let epoch = if plan.is_versioned { Box::default() } else { epoch() };
        let id = self.polls.insert(Poll::new(channel.clone(), plan, epoch, now_ms)).ok()?;
        self.by_name.insert(channel.clone(), id);
        self.reschedule(id);
        Some(id)
    }

    /// Makes sure that the channel is looked at in time. To be called behind every change.
    pub(in crate::channel) fn reschedule(&mut self, id: ConnId) {
        if let Some(poll) = self.polls.get_mut(id)
            && !poll.is_in_line
        {
            self.deadlines.set(id.slot, poll.due());
        }
    }

    /// Lets those stand in line whose time has come, and forgets those without keys; so many at most.
    ///
    /// Where versions are numbered here, a channel with subscribers is remembered: they were told in which epoch, and
    /// may come back to their keys at any time. Upstream forgets it, and so begins versions anew that such a client
    /// takes for old.
    pub(in crate::channel) fn line_up(
        &mut self,
        now_ms: u64,
        budget: usize,
        has_subscribers: impl Fn(&ChannelName) -> bool,
    ) {
        for _ in 0..budget {
            let Some((_, slot)) = self.deadlines.first().filter(|(at_ms, _)| *at_ms <= now_ms) else { return };
            self.deadlines.set(slot, NEVER);
            let Some((id, poll)) = self.polls.at(slot) else { continue };
            if poll.ends_at <= now_ms
                && !poll.plan.is_versioned
                && has_subscribers(&poll.name)
                && !is_on(Mutation::PollForgetsSubscribers)
            {
                poll.ends_at = now_ms + poll.plan.shutdown_delay_ms.max(LOOK_AGAIN_MS);
                self.reschedule(id);
            } else if poll.ends_at <= now_ms {
                self.by_name.remove(&poll.name.clone());
                self.polls.remove(id);
            } else {
                poll.is_in_line = true;
                self.line.push_back(id);
            }
        }
    }

    /// When [`Polls::line_up`] next has work to do.
    pub(in crate::channel) fn next_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(at_ms, _)| at_ms)
    }
}
