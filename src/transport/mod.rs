//! Transports: bytes of a socket to messages and back. No sockets here.

pub mod ws;
