//! Transports: bytes of a socket to messages and back. No sockets here.

pub mod handshake;
pub mod ws;
