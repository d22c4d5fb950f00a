//! Errands: what a shard has done by the control plane, because it is slow or foreign, and what comes back.
//!
//! An errand is an effect of the engine and its answer an input, so that the simulator can play the control plane.
//! Adding a kind: a variant here, an arm in `control/plane.rs`, and whoever asks names itself in the engine's
//! `Ticket`. They travel by the desk (`mesh`), which says how many may be under way. Every errand is answered, in
//! any order, and bounds its own time.

mod http;
mod poll;

use crate::auth::{Found, KeyQuery, SignatureCheck};

pub use http::{HttpError, HttpRequest, HttpResponse, Method};
pub use poll::{BackendError, PollAnswer, PollQuery};

/// What is to be done.
#[derive(Debug)]
pub enum Errand {
    /// Send an HTTP request.
    Http(HttpRequest),
    /// Check a signature that takes long.
    Signature(SignatureCheck),
    /// Find a key in a key set.
    Key(KeyQuery),
    /// Ask for the state of keys of a shared-poll channel.
    Poll(PollQuery),
}

/// What came of it; each kind of errand has its own.
#[derive(Debug)]
pub enum Answer {
    /// To [`Errand::Http`].
    Http(Result<HttpResponse, HttpError>),
    /// To [`Errand::Signature`]: what was checked, and whether it is good.
    Signature(SignatureCheck, bool),
    /// To [`Errand::Key`]: what was looked for, and what was found.
    Key(KeyQuery, Found),
    /// To [`Errand::Poll`].
    Poll(PollAnswer),
}
