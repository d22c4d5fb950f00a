//! The server API: what a backend asks of the server over HTTP.
//!
//! Pure. [`start`] checks a request and either answers it at once or returns a [`Call`] that waits for channel
//! homes ([`ApiEffect::Op`]) or for every shard ([`ApiEffect::Survey`]). The engine hands back each answer with
//! the tag of the effect that asked for it. Before that, [`authorize()`] says whether the caller may use it.

pub mod authorize;
pub mod call;
pub mod control;
pub mod describe;
pub mod request;
pub mod response;

mod method;

mod channels;
mod distinct;
mod history;
mod info;
mod maps;
mod pages;
mod presence;
mod publish;
mod rpc;
mod scrape;
mod sessions;
mod step;

mod batch;
mod form;
mod legacy;

#[cfg(test)]
mod tests;

pub use authorize::authorize;
pub use call::{Call, Started, list, report, scrape, start};
pub use control::{Control, ControlAnswer, NodeInfo, ShardInfo, Target};
pub use method::methods;
pub use request::{ApiCx, ApiEffect, Node, Request};
pub use response::Response;
pub use scrape::ScrapeForm;

pub use crate::metrics::prometheus::CONTENT_TYPE as PROMETHEUS_CONTENT_TYPE;
