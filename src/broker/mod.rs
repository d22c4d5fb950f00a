//! What is in Redis and on its channels: names, frames, stored messages, scripts with their arguments and replies; and
//! what is on NATS. Byte for byte what Centrifugo v6.9.1 puts there, so that nodes of both may share it.
//!
//! Nothing here talks to anybody: functions make [`Call`]s to send, and read the [`Value`]s and frames that come back.

mod hash;
pub mod name;

pub mod call;
pub mod script;
pub mod value;

pub mod frame;
pub mod stored;

pub mod control;
pub mod history;
pub mod map;
pub mod presence;

pub mod nats;

pub use call::{Call, Verb};
pub use hash::{index, spread};
pub use name::{Layout, Names};
pub use script::Script;
pub use value::Value;

use std::fmt;

use crate::protocol::Malformed;

/// What came from Redis or NATS cannot be read; the text says what is wrong with it, and never quotes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable(pub &'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unreadable data of the broker: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self(malformed.0)
    }
}
