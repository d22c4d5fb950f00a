//! What the proof of a token may have to wait for, and what it has brought so far.
//!
//! A check that cannot be made at once ends in a [`Need`]. Who gets it has it satisfied, adds what came to the
//! [`Evidence`] and begins the check anew: it passes where it stopped before. Evidence says what it was gathered
//! for, so it counts for nothing else, not even when the keys were changed meanwhile.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use super::key_set::{Found, KeyCache, KeyQuery};
use super::public_key::{PublicKey, Signing};
use super::verifier::TokenError;
use crate::base::time::Now;

/// Why a token is not accepted, or not yet.
#[derive(Debug)]
pub enum Obstacle {
    /// It is refused.
    Refused(TokenError),
    /// Something must be found out first.
    Waits(Need),
}

/// What must be found out first.
#[derive(Debug)]
pub enum Need {
    /// A key of a key set.
    Key(KeyQuery),
    /// Time: so many checks were made already that others must have their turn first.
    Time {
        /// What the check takes, in microseconds; see [`Budget::release`].
        cost_us: u32,
    },
    /// Whether a signature is good; a shard would be held up too long by checking it.
    Signature(SignatureCheck),
}

/// The question whether a signature is good. Answered by [`SignatureCheck::run`], on any thread.
pub struct SignatureCheck {
    key: Arc<PublicKey>,
    algorithm: Signing,
    /// Header and claims as they stand in the token.
    message: Box<str>,
    signature: Box<str>,
}

/// What a check goes by.
#[derive(Clone, Copy)]
pub struct Basis<'a> {
    /// The time.
    pub now: Now,
    /// Keys of key sets that are at hand.
    pub keys: &'a KeyCache,
    /// What was found out for this token.
    pub evidence: &'a Evidence,
    /// Time for checks.
    pub budget: &'a Budget,
}

/// Microseconds that checks of signatures may take in one turn of a shard: a crowd of clients with tokens must not
/// hold up those that are connected. Who finds nothing left stands in line for the next turns, and while there is a
/// line it has all of the budget.
#[derive(Debug)]
pub struct Budget {
    /// For whoever comes.
    open_us: Cell<u32>,
    /// For those in line.
    kept_us: Cell<u32>,
}

impl Budget {
    /// For one turn.
    const TURN_US: u32 = 1_000;

    /// A budget that never ends.
    pub fn unlimited() -> Self {
        Self { open_us: Cell::new(u32::MAX), kept_us: Cell::new(0) }
    }

    /// A new turn begins.
    pub fn begin_turn(&self, has_line: bool) {
        let (open_us, kept_us) = if has_line { (0, Self::TURN_US) } else { (Self::TURN_US, 0) };
        self.open_us.set(open_us);
        self.kept_us.set(kept_us);
    }

    /// Lets the first in line make its check, if there is time for it.
    pub fn release(&self, cost_us: u32) -> bool {
        let Some(kept_us) = self.kept_us.get().checked_sub(cost_us) else { return false };
        self.kept_us.set(kept_us);
        self.open_us.set(self.open_us.get() + cost_us);
        true
    }

    pub(super) fn spend(&self, cost_us: u32) -> bool {
        let left_us = self.open_us.get().checked_sub(cost_us);
        self.open_us.set(left_us.unwrap_or(self.open_us.get()));
        left_us.is_some()
    }
}

/// What has been found out for one token.
#[derive(Debug, Default)]
pub struct Evidence {
    key: Option<(KeyQuery, Found)>,
    signature: Option<(SignatureCheck, bool)>,
}

impl From<TokenError> for Obstacle {
    fn from(error: TokenError) -> Self {
        Self::Refused(error)
    }
}

impl SignatureCheck {
    pub(super) fn new(key: &Arc<PublicKey>, algorithm: Signing, message: &str, signature: &str) -> Self {
        Self { key: key.clone(), algorithm, message: message.into(), signature: signature.into() }
    }

    /// Checks. This takes up to a millisecond.
    pub fn run(&self) -> bool {
        self.key.verify(self.algorithm, self.message.as_bytes(), &self.signature)
    }

    fn is_same(&self, key: &Arc<PublicKey>, algorithm: Signing, message: &str, signature: &str) -> bool {
        Arc::ptr_eq(&self.key, key)
            && self.algorithm == algorithm
            && *self.message == *message
            && *self.signature == *signature
    }
}

impl Evidence {
    /// Adds what came of a look-up.
    pub fn add_key(&mut self, query: KeyQuery, found: Found) {
        self.key = Some((query, found));
    }

    /// What is known about this very key.
    pub(super) fn key(&self, query: &KeyQuery) -> Option<&Found> {
        let (asked, found) = self.key.as_ref()?;
        (asked == query).then_some(found)
    }

    /// Adds what came of a check.
    pub fn add_signature(&mut self, check: SignatureCheck, is_good: bool) {
        self.signature = Some((check, is_good));
    }

    /// What is known about this very signature.
    pub(super) fn signature(
        &self,
        key: &Arc<PublicKey>,
        algorithm: Signing,
        message: &str,
        signature: &str,
    ) -> Option<bool> {
        let (check, is_good) = self.signature.as_ref()?;
        check.is_same(key, algorithm, message, signature).then_some(*is_good)
    }
}

impl fmt::Debug for SignatureCheck {
    /// Tokens are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureCheck").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_for_those_in_line_first() {
        let budget = Budget::unlimited();
        budget.begin_turn(false);
        assert!(!budget.release(1), "there is no line");
        assert!(budget.spend(600) && !budget.spend(500) && budget.spend(400) && !budget.spend(1));
        budget.begin_turn(true);
        assert!(!budget.spend(1), "who comes now goes behind the line");
        assert!(budget.release(600) && !budget.release(500) && budget.release(400) && !budget.release(1));
        assert!(budget.spend(600) && budget.spend(400) && !budget.spend(1));
    }
}
