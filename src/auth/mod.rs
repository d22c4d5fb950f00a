//! Tokens: what a connection or subscription token (JWT) says, and whether to believe it; sessions of the admin pages.
//!
//! Pure: the time is a parameter, keys come from the configuration. Upstream: centrifugo internal/jwtverify.

pub mod admin;
pub mod token;
pub mod track;

mod claims;
mod key_set;
mod keys;
mod proof;
mod public_key;
mod verifier;

pub use claims::{BadBase64, ConnectionClaims, Overrides, SubscriptionClaims, TokenSubscription};
pub use key_set::{BadKeySet, Found, KeyCache, KeyQuery, read as read_key_set};
pub use proof::{Basis, Budget, Evidence, Need, Obstacle, SignatureCheck};
pub use verifier::{ConfigError, TokenError, Verifiers};
