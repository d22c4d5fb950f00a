//! The server's side of WebSocket framing (RFC 6455): reading what clients send, writing frames to them.
//!
//! Mirrors centrifuge `internal/websocket/conn.go`: the text of messages is not checked for UTF-8, messages above
//! the limit end the connection with 1009 and no reason, other faults with 1002 and the same reasons.

pub mod header;
mod mask;
mod parse;
mod reader;
mod violation;

pub use header::{opcode_of, write_close, write_header, write_ping, write_pong};
pub use reader::{Event, Reader};
pub use violation::{HeaderFaults, Violation};
