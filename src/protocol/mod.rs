//! Messages: the client protocol, the server API, what backends are asked and what nodes tell each other; their JSON and
//! Protobuf codecs, and the tables of codes.
//!
//! A message is defined once, by [`message`]; struct and codecs come from that definition. Decoding borrows from the
//! input: payloads are slices of the frame, strings are borrowed unless they hold escapes.

use std::fmt;

pub mod disconnect;
pub mod error;

pub mod raw;

pub(crate) mod message;

pub(crate) mod field;

pub mod json;
pub mod proto;

pub mod api;
pub mod client;
pub mod control;
pub mod proxy;

pub mod commands;
pub mod fossil;
pub mod reply;
pub mod shape;

#[cfg(test)]
mod against_prost;
#[cfg(test)]
mod control_against_prost;

/// The encoding a client speaks, chosen when it connects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// JSON objects, separated by newlines.
    Json,
    /// Protobuf messages, each behind its length.
    Protobuf,
}

/// How deep messages may nest in messages (only tags filters nest at all). Deeper input is malformed.
pub const MAX_MESSAGE_DEPTH: u32 = 100;

/// How deep JSON arrays and objects may nest in what we receive; the bound of Go's encoding/json. Deeper input is
/// malformed.
pub const MAX_JSON_DEPTH: usize = 10_000;

/// The input is no message; the text says what is wrong with it, and never quotes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed message: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// A payload is no valid JSON and cannot be part of a JSON message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotJson;

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload is not valid JSON")
    }
}

impl std::error::Error for NotJson {}
