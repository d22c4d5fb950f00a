//! Ports for the servers that tests start.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::TcpListener;

/// The kernel gives ports from 32,768 on to whoever connects somewhere, unless it is told otherwise: on a busy machine
/// one of those could be taken before the server is there.
const FIRST: u16 = 20_000;
const COUNT: u64 = 12_000;

/// A port of this machine that nobody listens on, any one: other tests look for one at the same time.
pub fn free_port() -> u16 {
    loop {
        let port = FIRST + (RandomState::new().hash_one(0) % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
