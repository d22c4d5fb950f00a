//! The server API: what a backend asks of the server over HTTP.
//!
//! Pure. [`start`] checks a request and either answers it at once or returns a [`Call`] that waits for channel
//! homes ([`ApiEffect::Op`]) or for every shard ([`ApiEffect::Survey`]). The engine hands back each answer with
//! the tag of the effect that asked for it. Reached through [`authorize::authorize`].

pub mod authorize;
pub mod call;
pub mod control;
pub mod request;
pub mod response;

pub use call::{Call, Started, start};
pub use control::{Control, ControlAnswer};
pub use request::{ApiCx, ApiEffect, Node, Request};
pub use response::Response;
