//! Shared-poll channels at home here: their backends are asked by errands, and what they answer is told piece by piece.

use super::{Engine, TURN_BUDGET};
use crate::channel::poll::op::{PollTally, RefreshId};
use crate::channel::rules;
use crate::engine::Ticket;
use crate::engine::requests::outlet;
use crate::errand::{Errand, PollAnswer, PollQuery};
use crate::mesh::Full;

/// Questions of one shard under way at most: a part of its errands, so that proofs of tokens find room.
const MAX_REFRESHES: usize = 256;

/// Keys told, and keys asked for, in one round of work.
const REFRESH_BUDGET: usize = 1024;

impl Engine {
    /// Tells what was answered, and asks for more. True when more is left that can be done.
    pub(super) fn run_refreshes(&mut self) -> bool {
        if self.overfull > 0 || self.port.deliveries_congested() || self.local.len() >= TURN_BUDGET {
            return self.homes.owes_refreshes();
        }
        let Self { id, homes, port, local, now, .. } = self;
        let more = homes.tell_refreshed(*now, REFRESH_BUDGET, &mut outlet(*id, local, port));
        let tally = self.homes.take_poll_tally();
        if tally != PollTally::default() {
            self.metrics.polls().add_tally(tally);
        }
        let mut budget = REFRESH_BUDGET;
        while budget > 0 && self.may_refresh() {
            let Some(refresh) = self.homes.next_refresh(self.now) else { break };
            budget = budget.saturating_sub(1 + refresh.keys.len());
            let options = rules::options(&self.config.channel, refresh.channel.as_str());
            let Some(proxy) = options.and_then(|options| self.config.proxies.shared_poll(&options.poll.proxy)) else {
                // A reload took the namespace away, or its backend.
                self.homes.not_refreshed(refresh.id, self.now);
                continue;
            };
            self.metrics.polls().asked(refresh.id.trigger, &proxy.name, refresh.keys.len());
            let query = PollQuery { proxy: proxy.clone(), channel: refresh.channel, keys: refresh.keys };
            match self.desk.place(Ticket::Poll(refresh.id), Errand::Poll(query)) {
                Ok(()) => self.refreshing += 1,
                Err(Full(_)) => self.homes.not_refreshed(refresh.id, self.now),
            }
        }
        more || self.homes.wants_refreshes() && self.may_refresh()
    }

    /// The backend answered, or did not.
    pub(super) fn on_refreshed(&mut self, id: RefreshId, answer: PollAnswer) {
        self.refreshing -= 1;
        let polls = self.metrics.polls();
        polls.answered(id.trigger, answer.waited_us, answer.took_us, answer.result.is_ok());
        if let Ok(refreshed) = &answer.result {
            polls.read(&answer.proxy.name, refreshed.keys.len());
        }
        match answer.result {
            Ok(refreshed) => self.homes.refreshed(id, refreshed),
            Err(_) => self.homes.not_refreshed(id, self.now),
        }
    }

    fn may_refresh(&self) -> bool {
        self.refreshing < MAX_REFRESHES && self.desk.room() > 0
    }
}
