//! Errands of this shard at the control plane: who asked, what happens when too many are under way, and the answers.

use std::collections::hash_map::Entry;

use super::Engine;
use crate::auth::{Found, KeyQuery, Need};
use crate::base::ids::ConnId;
use crate::channel::poll::op::RefreshId;
use crate::errand::{Answer, Errand};
use crate::mesh::Full;

/// Errands of one shard under way at most. Proofs of tokens beyond that stand in line (one for each connection).
pub const MAX_ERRANDS: usize = 1024;

/// Answers that are taken in one turn. Each has a command read again, which takes some microseconds.
pub(super) const ANSWERS_PER_TURN: usize = 128;

/// Who asked for an errand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// A connection whose token is to be proven.
    Proof(ConnId),
    /// All connections that wait for the key.
    Key,
    /// A shared-poll channel.
    Poll(RefreshId),
}

/// What came of a search for a key, and who was not told yet.
pub(super) struct FoundKey {
    query: KeyQuery,
    found: Found,
    waiting: Vec<ConnId>,
}

impl Engine {
    /// Finds out what the proof of a connection's token needs.
    pub(super) fn find(&mut self, id: ConnId, need: Need) {
        let placed = match need {
            Need::Time { cost_us } => return self.resting.push_back((id, cost_us)),
            Need::Signature(check) => self.desk.place(Ticket::Proof(id), Errand::Signature(check)),
            Need::Key(query) => match self.seeking.entry(query) {
                Entry::Occupied(mut waiting) => {
                    waiting.get_mut().push(id);
                    Ok(())
                }
                Entry::Vacant(first) => {
                    let placed = self.desk.place(Ticket::Key, Errand::Key(first.key().clone()));
                    if placed.is_ok() {
                        first.insert(vec![id]);
                    }
                    placed
                }
            },
        };
        if let Err(Full(_)) = placed {
            self.standing.push_back(id);
        }
    }

    /// Takes answers, and lets those in line try again as far as there is room and time for them.
    pub(super) fn run_errands(&mut self) {
        self.tell_found();
        while self.answers_left > 0 {
            let Some((ticket, answer)) = self.desk.take() else { break };
            match (ticket, answer) {
                (Ticket::Proof(id), Answer::Signature(check, is_good)) => {
                    self.answers_left -= 1;
                    self.with_session(id, |session, _| session.on_found(|known| known.add_signature(check, is_good)));
                }
                (Ticket::Key, Answer::Key(query, found)) => {
                    if let Some(key) = found.as_ref().filter(|_| self.verifiers.asked(&query)) {
                        query.keep_in(&mut self.keys, key, self.now.mono_ms);
                    }
                    let waiting = self.seeking.remove(&query).unwrap_or_default();
                    self.found = Some(FoundKey { query, found, waiting });
                    self.tell_found();
                }
                (Ticket::Poll(id), Answer::Poll(answer)) => {
                    self.answers_left -= 1;
                    self.on_refreshed(id, answer);
                }
                (_, answer) => debug_assert!(false, "nobody asked for {answer:?}"),
            }
        }
        for _ in 0..self.desk.room().min(self.answers_left) {
            let Some(id) = self.standing.pop_front() else { break };
            self.answers_left -= 1;
            self.with_session(id, |session, _| session.on_found(|_| ()));
        }
        while let Some((id, cost_us)) = self.resting.front().copied()
            && self.budget.release(cost_us)
        {
            self.resting.pop_front();
            self.with_session(id, |session, _| session.on_found(|_| ()));
        }
    }

    /// Whether the next turn has proofs to go on with, whatever comes from outside.
    pub(super) fn has_proofs_to_make(&self) -> bool {
        self.found.is_some() || !self.resting.is_empty() || (!self.standing.is_empty() && self.desk.room() > 0)
    }

    /// Tells connections of the key that was found.
    fn tell_found(&mut self) {
        let Some(mut key) = self.found.take() else { return };
        while self.answers_left > 0
            && let Some(id) = key.waiting.pop()
        {
            self.answers_left -= 1;
            let (query, found) = (key.query.clone(), key.found.clone());
            self.with_session(id, |session, _| session.on_found(|known| known.add_key(query, found)));
        }
        self.found = Some(key).filter(|key| !key.waiting.is_empty());
    }
}
