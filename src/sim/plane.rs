//! The control plane as the simulator plays it: errands take as long as the seed likes, are answered in any order, and
//! fail now and then.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::engine::{ShardWindow, Ticket};
use crate::errand::{Answer, Errand, HttpError, PollAnswer};

/// Of so many errands one fails.
const FAILURES: u32 = 20;

/// A control plane without threads.
#[derive(Default)]
pub(super) struct Plane {
    windows: Vec<ShardWindow>,
    /// What was taken from which shard's window and is not answered.
    under_way: Vec<(usize, Ticket, Errand)>,
}

impl Plane {
    /// One more shard.
    pub(super) fn add(&mut self, window: ShardWindow) {
        self.windows.push(window);
    }

    /// Answers one errand, whichever. The shard that must be rung, if any; nothing when nothing is under way.
    pub(super) fn answer_one(&mut self, rng: &mut StdRng) -> Option<Option<usize>> {
        for (shard, window) in self.windows.iter().enumerate() {
            while let Some((ticket, errand)) = window.take() {
                self.under_way.push((shard, ticket, errand));
            }
        }
        if self.under_way.is_empty() {
            return None;
        }
        let chosen = rng.random_range(0..self.under_way.len());
        let (shard, ticket, errand) = self.under_way.swap_remove(chosen);
        let fails = rng.random_ratio(1, FAILURES);
        let answer = match errand {
            Errand::Http(_) => Answer::Http(Err(HttpError::Timeout)),
            Errand::Signature(check) => Answer::Signature(check, !fails),
            Errand::Key(query) => Answer::Key(query, None),
            Errand::Poll(query) => Answer::Poll(PollAnswer::timeout(query)),
        };
        let is_asleep = self.windows[shard].answer(ticket, answer);
        Some(is_asleep.then_some(shard))
    }
}
