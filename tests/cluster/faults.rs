//! Redis goes away and comes back under clients that recover: each gets every publication that was acknowledged, once
//! and in order, or is told that it cannot.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::redis::Redis;
use crate::support::server::Server;
use crate::support::{PATIENCE, http};
use crate::talker::Talker;
use crate::{meet, ours};

/// A call of the server API and its whole answer.
fn try_call(stream: &mut TcpStream, method: &str, request: &Value) -> Value {
    http::write_call(stream, method, request);
    let response = http::read(stream).expect("a response");
    serde_json::from_slice(&response.body).expect("JSON")
}

/// Publishes numbers until it is told to stop; gives those that were acknowledged, in order.
fn publish(server: &Server, stop: &AtomicBool) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut stream = server.dial();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let reply = try_call(&mut stream, "publish", &json!({"channel": "kept:f", "data": n}));
        if reply["result"].is_object() {
            acknowledged.push(n);
        }
    }
    acknowledged
}

fn numbers(publications: &[Value]) -> Vec<u64> {
    publications.iter().filter_map(Value::as_u64).collect()
}

/// Has publications go on at one node while `trouble` comes over Redis, and looks at what a subscriber of another one
/// got.
fn check(trouble: impl FnOnce(&Redis)) {
    let redis = Redis::start();
    let (one, other) = (ours(&redis), ours(&redis));
    meet([&one, &other]);
    let mut subscriber = Talker::connect(&other);
    subscriber.subscribe(json!({"channel": "kept:f"}));
    let stop = AtomicBool::new(false);
    let (mut came, acknowledged) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&one, &stop));
        let mut came = subscriber.payloads(200);
        trouble(&redis);
        came.extend(subscriber.payloads(200));
        stop.store(true, Ordering::Relaxed);
        (came, publisher.join().expect("a publisher"))
    });
    let last = *acknowledged.last().expect("publications");
    while came.last() != Some(&json!(last)) {
        came.extend(subscriber.payloads(1));
    }
    let came = numbers(&came);
    assert!(came.is_sorted_by(|a, b| a < b), "in order, and none twice");
    let lost: Vec<_> = acknowledged.iter().filter(|n| came.binary_search(n).is_err()).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", acknowledged.len());
}

#[test]
fn connections_for_messages_are_killed() {
    check(|redis| {
        redis.connect().send(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    });
}

#[test]
fn all_connections_are_killed() {
    check(|redis| {
        let mut connection = redis.connect();
        connection.send(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        connection.send(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    });
}

#[test]
fn redis_is_stopped_for_a_while() {
    check(|redis| {
        redis.signal(rustix::process::Signal::STOP);
        // Longer than requests may take (`io_timeout`).
        let until = Instant::now() + std::time::Duration::from_secs(5);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        redis.signal(rustix::process::Signal::CONT);
    });
}

/// Subscribes as soon as that is possible: until the node has found Redis again, it is sent away.
fn come_back(server: &Server) -> Talker {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut talker = Talker::connect(server);
        match talker.try_ask(json!({"subscribe": {"channel": "kept:f"}})) {
            Some(_) => return talker,
            None => assert!(Instant::now() < deadline, "subscribing does not work again"),
        }
    }
}

/// What Redis kept is gone with it: subscribers are told, begin anew, and get what is published then.
#[test]
fn redis_is_killed_and_starts_empty() {
    let mut redis = Redis::start();
    let (one, other) = (ours(&redis), ours(&redis));
    meet([&one, &other]);
    let mut subscriber = Talker::connect(&other);
    subscriber.subscribe(json!({"channel": "kept:f"}));
    one.api("publish", json!({"channel": "kept:f", "data": 1}));
    assert_eq!(subscriber.payloads(1), [json!(1)]);
    redis.kill();
    let mut stream = one.dial();
    let refused = try_call(&mut stream, "publish", &json!({"channel": "kept:f", "data": 2}));
    assert_eq!(refused["error"]["code"], 100, "{refused}");
    redis.restart();
    assert_eq!(subscriber.pushed("unsubscribe")["code"], 2500);
    let mut subscriber = come_back(&other);
    let deadline = Instant::now() + PATIENCE;
    while try_call(&mut stream, "publish", &json!({"channel": "kept:f", "data": 3}))["result"].is_null() {
        assert!(Instant::now() < deadline, "publishing does not work again");
    }
    assert_eq!(subscriber.payloads(1), [json!(3)]);
}
