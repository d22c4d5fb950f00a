//! What the proof of a token may have to wait for, and what it has brought so far.
//!
//! A check that cannot be made at once ends in a [`Need`]. Who gets it has it satisfied, adds what came to the
//! [`Evidence`] and begins the check anew: it passes where it stopped before. Evidence says what it was gathered
//! for, so it counts for nothing else, not even when the keys were changed meanwhile.

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
