//! Questions to all nodes that are not answered by all of them.

use std::collections::HashMap;

use crate::base::time::Now;

/// Nodes have so long to answer, milliseconds (upstream: `defaultSurveyTimeout`).
const TIMEOUT_MS: u64 = 10_000;

/// Questions under way at most.
const MAX_SURVEYS: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Surveys<Q> {
    pending: HashMap<u64, Pending<Q>>,
    last_id: u64,
}

#[derive(Debug)]
struct Pending<Q> {
    question: Q,
    /// Nodes that did not answer.
    left: usize,
    answered: Vec<Box<str>>,
    ends_ms: u64,
}

impl<Q> Default for Surveys<Q> {
    fn default() -> Self {
        Self { pending: HashMap::new(), last_id: 0 }
    }
}

impl<Q: Clone> Surveys<Q> {
    /// A question to so many nodes; its id.
    ///
    /// # Errors
    /// The question, when too many are under way.
    pub fn begin(&mut self, question: Q, nodes: usize, now: Now) -> Result<u64, Q> {
        if self.pending.len() == MAX_SURVEYS {
            return Err(question);
        }
        self.last_id += 1;
        let pending = Pending { question, left: nodes, answered: Vec::new(), ends_ms: now.mono_ms + TIMEOUT_MS };
        self.pending.insert(self.last_id, pending);
        Ok(self.last_id)
    }

    /// A node answers: the question, and whether that was the last answer. None when nobody waits for it.
    pub fn answer(&mut self, id: u64, from: &str) -> Option<(Q, bool)> {
        let pending = self.pending.get_mut(&id)?;
        if pending.answered.iter().any(|node| **node == *from) {
            return None;
        }
        pending.answered.push(from.into());
        pending.left -= 1;
        let (question, is_last) = (pending.question.clone(), pending.left == 0);
        if is_last {
            self.end(id);
        }
        Some((question, is_last))
    }

    /// Nobody waits for answers any more.
    pub fn end(&mut self, id: u64) {
        self.pending.remove(&id);
    }

    /// Questions whose time is over.
    pub fn expire(&mut self, now: Now, mut expired: impl FnMut(u64, Q)) {
        for (id, pending) in self.pending.extract_if(|_, pending| pending.ends_ms <= now.mono_ms) {
            expired(id, pending.question);
        }
    }

    /// When the first one's time is over.
    pub fn next_ms(&self) -> Option<u64> {
        self.pending.values().map(|pending| pending.ends_ms).min()
    }
}
