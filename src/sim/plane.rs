//! The control plane as the simulator plays it: errands take as long as the seed likes, are answered in any order, and
//! fail now and then.

use rand::RngExt;
use rand::rngs::StdRng;

use super::backend::Backend;
use crate::channel::poll::op::Refreshed;
use crate::engine::{ShardWindow, Ticket};
use crate::errand::{Answer, Errand, HttpError};

/// Of so many errands one fails.
const FAILURES: u32 = 20;

/// A control plane without threads.
pub(super) struct Plane {
    windows: Vec<ShardWindow>,
    /// What was taken from which shard's window and is not answered.
    under_way: Vec<UnderWay>,
    /// Tells the state of keys.
    pub(super) backend: Backend,
    /// Questions to it that were answered.
    pub(super) polls: u64,
}

struct UnderWay {
    shard: usize,
    ticket: Ticket,
    errand: Errand,
    /// What the backend saw when it was asked.
    looked: Refreshed,
}

impl Plane {
    /// Without shards.
    pub(super) fn new(backend: Backend) -> Self {
        Self { windows: Vec::new(), under_way: Vec::new(), backend, polls: 0 }
    }

    /// One more shard.
    pub(super) fn add(&mut self, window: ShardWindow) {
        self.windows.push(window);
    }

    /// Answers one errand, whichever. The shard that must be rung, if any; nothing when nothing is under way.
    pub(super) fn answer_one(&mut self, rng: &mut StdRng) -> Option<Option<usize>> {
        for (shard, window) in self.windows.iter().enumerate() {
            while let Some((ticket, errand)) = window.take() {
                let looked = match &errand {
                    Errand::Poll(query) => self.backend.look(query, rng),
                    _ => Refreshed::default(),
                };
                self.under_way.push(UnderWay { shard, ticket, errand, looked });
            }
        }
        if self.under_way.is_empty() {
            return None;
        }
        let chosen = rng.random_range(0..self.under_way.len());
        let UnderWay { shard, ticket, errand, looked } = self.under_way.swap_remove(chosen);
        let fails = rng.random_ratio(1, FAILURES);
        let answer = match errand {
            Errand::Http(_) => Answer::Http(Err(HttpError::Timeout)),
            Errand::Signature(check) => Answer::Signature(check, !fails),
            Errand::Key(query) => Answer::Key(query, None),
            Errand::Poll(query) => {
                self.polls += 1;
                Answer::Poll(self.backend.answer(query, looked, rng))
            }
        };
        let is_asleep = self.windows[shard].answer(ticket, answer);
        Some(is_asleep.then_some(shard))
    }
}
