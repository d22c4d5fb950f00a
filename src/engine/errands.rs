//! Errands of this shard at the control plane: who asked, what happens when too many are under way, and the answers.

use super::{Engine, TURN_BUDGET};
use crate::auth::Need;
use crate::base::ids::ConnId;
use crate::errand::{Answer, Errand};
use crate::mesh::Full;

/// Errands of one shard under way at most. Proofs of tokens beyond that stand in line (one for each connection).
pub const MAX_ERRANDS: usize = 1024;

/// Who asked for an errand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// A connection whose token is to be proven.
    Proof(ConnId),
}

impl Engine {
    /// Finds out what the proof of a connection's token needs.
    pub(super) fn find(&mut self, id: ConnId, need: Need) {
        let Need::Signature(check) = need;
        if let Err(Full(_)) = self.desk.place(Ticket::Proof(id), Errand::Signature(check)) {
            self.standing.push_back(id);
        }
    }

    /// Takes answers, and lets as many of those in line try again as the desk has room for. True when more is left.
    pub(super) fn run_errands(&mut self) -> bool {
        let mut budget = TURN_BUDGET;
        while budget > 0 {
            let Some((ticket, answer)) = self.desk.take() else { break };
            budget -= 1;
            match (ticket, answer) {
                (Ticket::Proof(id), Answer::Signature(check, is_good)) => {
                    self.with_session(id, |session, _| session.on_found(|known| known.add_signature(check, is_good)));
                }
                (Ticket::Proof(_), Answer::Http(_)) => debug_assert!(false, "an answer of another kind"),
            }
        }
        for _ in 0..self.desk.room().min(self.standing.len()).min(budget) {
            if let Some(id) = self.standing.pop_front() {
                self.with_session(id, |session, _| session.on_found(|_| ()));
            }
        }
        // Who tried again may not have needed the room after all.
        budget == 0 || (!self.standing.is_empty() && self.desk.room() > 0)
    }
}
