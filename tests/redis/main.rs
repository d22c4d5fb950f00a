//! What our calls do in a real Redis, against what Centrifugo v6.9.1 did in one (`recorded_*.json`): keys, values, times
//! to live and messages, byte for byte, and what it answered.

#[path = "../support/redis.rs"]
mod redis;
// Another test needs more of these.
#[allow(dead_code)]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[allow(dead_code)]
#[path = "../support/redis_sentinel.rs"]
mod redis_sentinel;
#[allow(dead_code)]
#[path = "../support/redis_way.rs"]
mod redis_way;

mod cluster;
mod control;
mod driver;
mod dump;
mod faults;
mod maps;
mod mistakes;
mod options;
mod recording;
mod replay;
mod scripts;
mod sentinel;

/// A failure bound, not a pace.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(8);

#[test]
fn streams() {
    replay::replay("streams");
}

#[test]
fn lists() {
    replay::replay("lists");
}

#[test]
fn users_are_counted() {
    replay::replay("users");
}

#[test]
fn fields_expire() {
    replay::replay("fields");
}

#[test]
fn maps() {
    replay::replay("maps");
}

#[test]
fn cluster() {
    replay::replay("cluster");
}
