//! Parts of different kinds: a broker here, presence there.

use serde_json::{Value, json};

use crate::nats::Nats;
use crate::redis::Redis;
use crate::support::server::Server;
use crate::talker::Talker;
use crate::{both, code, config, joined, meet, nodes_known, reference, try_api, wait_until};

fn at(redis: &Redis) -> Value {
    json!({"address": format!("unix://{}", redis.socket().display())})
}

fn presence_in(redis: &Redis) -> Value {
    json!({"enabled": true, "type": "redis", "redis": at(redis)})
}

fn present(node: &Server, channel: &str) -> usize {
    node.api("presence", json!({"channel": channel}))["presence"].as_object().map_or(0, serde_json::Map::len)
}

/// Publications over NATS, presence in Redis.
#[test]
fn nats_and_presence_in_redis() {
    let (nats, redis) = (Nats::start(), Redis::start());
    let mut options = config(&nats, json!({}));
    options["presence_manager"] = presence_in(&redis);
    let (one, other) = (Server::start(options.clone()), Server::start(options));
    meet([&one, &other]);
    presence_is_shared(&one, &other, true);
}

/// Clients come and go at one node, and the other one knows; told of it only when there is a broker.
fn presence_is_shared(one: &Server, other: &Server, is_told: bool) {
    let mut watcher = Talker::connect(other);
    watcher.subscribe(json!({"channel": "seen:1"}));
    assert_eq!(watcher.pushed("join")["info"]["client"], watcher.id);
    let mut guest = Talker::connect(one);
    guest.subscribe(json!({"channel": "seen:1"}));
    assert_eq!((present(one, "seen:1"), present(other, "seen:1")), (2, 2));
    if is_told {
        assert_eq!(watcher.pushed("join")["info"]["client"], guest.id);
    }
    guest.ask(json!({"unsubscribe": {"channel": "seen:1"}}));
    // Nobody waits until it is removed.
    let one_is_left = json!({"num_clients": 1, "num_users": 1});
    wait_until("it is gone", || other.api("presence_stats", json!({"channel": "seen:1"})) == one_is_left);
}

/// Channels of each node on its own, presence in Redis for all.
#[test]
fn memory_and_presence_in_redis() {
    let redis = Redis::start();
    let nats = Nats::start();
    let mut options = config(&nats, json!({}));
    options["broker"] = json!({});
    options["presence_manager"] = presence_in(&redis);
    let (one, other) = (Server::start(options.clone()), Server::start(options));
    presence_is_shared(&one, &other, false);
    assert_eq!(nodes_known(&one), 1, "there are no other nodes");
    // History is kept here, and recovered.
    let mut client = Talker::connect(&one);
    let begun = client.subscribe(json!({"channel": "kept:1"}));
    for n in 1..4 {
        one.api("publish", json!({"channel": "kept:1", "data": n}));
    }
    assert_eq!(client.payloads(3), [1, 2, 3].map(Value::from));
    drop(client);
    let mut back = Talker::connect(&one);
    let since = json!({"channel": "kept:1", "recover": true, "offset": 1, "epoch": begun["epoch"]});
    let recovered = back.subscribe(since);
    assert_eq!((&recovered["recovered"], recovered["publications"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    assert_eq!(other.api("history", json!({"channel": "kept:1", "limit": 10}))["offset"], 0);
    // Without Redis nobody is let in who is to be seen, and others are.
    drop(redis);
    assert_eq!(try_api(&one, "presence", json!({"channel": "kept:1"}))["error"]["code"], 100);
    back.subscribe(json!({"channel": "plain:1"}));
    assert_eq!(back.ended_by(json!({"subscribe": {"channel": "seen:1"}})), Some(3004));
}

/// Channels in Redis, presence of each node on its own.
#[test]
fn redis_and_presence_in_memory() {
    let (nats, redis) = (Nats::start(), Redis::start());
    let mut options = config(&nats, json!({}));
    options["broker"] = json!({});
    options["engine"] = json!({"type": "redis", "redis": at(&redis)});
    options["presence_manager"] = json!({"enabled": true});
    let (one, other) = (Server::start(options.clone()), Server::start(options));
    meet([&one, &other]);
    both::publications_history_and_recovery(&one, &other);
    let (mut here, mut there) = (Talker::connect(&one), Talker::connect(&other));
    here.subscribe(json!({"channel": "seen:1"}));
    there.subscribe(json!({"channel": "seen:1"}));
    assert_eq!((present(&one, "seen:1"), present(&other, "seen:1")), (1, 1));
    assert!(!format!("{:?}", redis.connect().send(&["KEYS", "*"])).contains("presence"));
    drop(here);
    one.wait_until_empty(usize::MAX);
    assert_eq!(present(&one, "seen:1"), 0);
}

/// History in Redis, everything that is told over NATS.
fn redis_and_nats(nats: &Nats, redis: &Redis) -> Value {
    let mut options = config(nats, json!({}));
    options["enable_unreleased_features"] = json!(true);
    options["broker"]["type"] = json!("redisnats");
    options["broker"]["redis"] = at(redis);
    options["presence_manager"] = presence_in(redis);
    options
}

fn check_redis_and_nats(one: &Server, other: &Server, redis: &Redis) {
    both::publications_history_and_recovery(one, other);
    both::results_of_publications(one, other);
    presence_is_shared(one, other, true);
    both::calls_about_sessions(one, other);
    both::calls_about_nodes(one, other);
    assert_eq!(code(&Talker::connect(one).ask(json!({"publish": {"channel": "plain:*", "data": 1}}))), 107);
    // Redis tells nobody anything.
    assert_eq!(format!("{:?}", redis.connect().send(&["PUBSUB", "CHANNELS"])), "List([])");
}

/// Results are remembered without history, too. A reference remembers them, and publishes again all the same.
fn results_are_remembered(one: &Server, other: &Server) {
    let request = json!({"channel": "plain:3", "data": 1, "idempotency_key": "k"});
    let mut client = Talker::connect(other);
    client.subscribe(json!({"channel": "plain:3"}));
    for node in [one, other, one] {
        assert_eq!(node.api("publish", request.clone()), json!({}));
    }
    one.api("publish", json!({"channel": "plain:3", "data": 2}));
    assert_eq!(client.payloads(2), [json!(1), json!(2)]);
}

#[test]
fn history_in_redis_over_nats() {
    let (nats, redis) = (Nats::start(), Redis::start());
    let options = redis_and_nats(&nats, &redis);
    let (one, other) = (Server::start(options.clone()), Server::start(options));
    meet([&one, &other]);
    check_redis_and_nats(&one, &other, &redis);
    results_are_remembered(&one, &other);
}

#[test]
fn history_in_redis_over_nats_with_a_reference() {
    let Ok(binary) = std::env::var("SPINDLE_REFERENCE") else {
        println!("skipped: SPINDLE_REFERENCE names no binary of a reference");
        return;
    };
    let (nats, redis) = (Nats::start(), Redis::start());
    let options = redis_and_nats(&nats, &redis);
    let (us, them) = (Server::start(options.clone()), reference(&binary, options));
    meet([&us, &them]);
    check_redis_and_nats(&us, &them, &redis);
    redis.connect().send(&["FLUSHALL"]);
    check_redis_and_nats(&them, &us, &redis);
}

/// What was missed while NATS was away is read from Redis.
#[test]
fn what_nats_did_not_tell_is_read() {
    let (mut nats, redis) = (Nats::start(), Redis::start());
    let options = redis_and_nats(&nats, &redis);
    let (one, other) = (Server::start(options.clone()), Server::start(joined(&options, json!({}))));
    meet([&one, &other]);
    let mut client = Talker::connect(&other);
    client.subscribe(json!({"channel": "kept:1"}));
    nats.kill();
    one.wait_for_log_lines("connection lost", 2);
    other.wait_for_log_lines("connection lost", 2);
    for n in 1..4 {
        let published = one.api("publish", json!({"channel": "kept:1", "data": n}));
        assert_eq!(published["offset"], n, "it is kept, so it is acknowledged");
    }
    nats.restart();
    assert_eq!(client.payloads(3), [1, 2, 3].map(Value::from));
    one.wait_for_log_lines("connected again", 2);
    one.api("publish", json!({"channel": "kept:1", "data": 4}));
    assert_eq!(client.payloads(1), [json!(4)], "and nothing twice");
}
