//! One step of a conversation, as symbols: what differs from server to server is filled in when it is taken.

use std::fmt;

use serde_json::Value;

use crate::backend::Change;

/// Stands for the number of the conversation wherever it occurs, so that conversations do not meet.
pub const RUN: &str = "~";

/// How many connections a conversation has at most.
pub const CONNECTIONS: usize = 4;

/// A step. Steps of a connection that is not open are passed over, so that any part of a conversation is one.
#[derive(Clone, Debug)]
pub enum Step {
    /// Opens a connection, unless it is open, and sends its first frame.
    Connect { connection: usize, protobuf: bool, first: Frame },
    /// Sends a frame.
    Send { connection: usize, frame: Frame },
    /// The client leaves.
    Leave { connection: usize },
    /// Calls the server API.
    Api { method: &'static str, body: Value },
    /// Something becomes true at the backend of a shared-poll channel.
    Backend { channel: String, change: Change },
    /// So much time passes.
    Pass { seconds: u64 },
    /// Calls the server API with a body that need not be JSON.
    RawApi { path: &'static str, body: Vec<u8> },
}

/// What a client sends at once.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Commands in the connection's encoding.
    Commands(Vec<Value>),
    /// Bytes as they are.
    Raw { binary: bool, bytes: Vec<u8> },
}

impl Step {
    /// How many commands or calls it makes.
    pub fn commands(&self) -> u64 {
        match self {
            Self::Connect { first: Frame::Commands(commands), .. }
            | Self::Send { frame: Frame::Commands(commands), .. } => commands.len() as u64,
            Self::Leave { .. } | Self::Backend { .. } | Self::Pass { .. } => 0,
            _ => 1,
        }
    }
}

impl Step {
    /// The shared-poll channel that it may change something about, as a symbol.
    pub fn polled(&self) -> Option<&str> {
        match self {
            Self::Backend { channel, .. } => Some(channel),
            Self::Api { method: "shared_poll_publish", body } => body["channel"].as_str(),
            Self::Send { frame: Frame::Commands(commands), .. } => {
                commands.iter().find_map(|command| command["sub_refresh"]["channel"].as_str())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { connection, protobuf, first } => {
                write!(f, "  {connection} opens{}: {first}", if *protobuf { " (protobuf)" } else { "" })
            }
            Self::Send { connection, frame } => write!(f, "  {connection}: {frame}"),
            Self::Leave { connection } => write!(f, "  {connection} leaves"),
            Self::Api { method, body } => write!(f, "  api {method} {body}"),
            Self::Backend { channel, change } => write!(f, "  backend {channel}: {change:?}"),
            Self::Pass { seconds } => write!(f, "  {seconds} s pass"),
            Self::RawApi { path, body } => write!(f, "  api {path} {}", body.escape_ascii()),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commands(commands) => {
                let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
                f.write_str(&lines.join(" + "))
            }
            Self::Raw { binary, bytes } => {
                write!(f, "{} {}", if *binary { "binary" } else { "text" }, bytes.escape_ascii())
            }
        }
    }
}

/// The id of a command; servers read keys without regard to case.
pub fn id_of(command: &Value) -> Option<u64> {
    command.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case("id"))?.1.as_u64()
}
