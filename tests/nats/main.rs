//! Nodes on one NATS: what one does, the other knows. Of two of ours, and of ours with a reference in both directions
//! where `SPINDLE_REFERENCE` names its binary.

// Other tests need more of these.
#[allow(dead_code)]
#[path = "../cluster/both.rs"]
mod both;
#[allow(dead_code)]
#[path = "../support/nats.rs"]
mod nats;
#[allow(dead_code)]
#[path = "../cluster/polls.rs"]
mod polls;
#[allow(dead_code)]
#[path = "../support/redis.rs"]
mod redis;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../cluster/talker.rs"]
mod talker;

mod controllers;
mod faults;
mod mixes;
mod recorded;
mod starts;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use nats::Nats;
use support::server::{Server, free_port};
use support::{PATIENCE, http};
use talker::Talker;

/// The configuration of every node, with more options of `broker.nats`.
fn config(nats: &Nats, more: Value) -> Value {
    let channel = json!({
        "allow_subscribe_for_client": true,
        "allow_subscribe_for_anonymous": true,
        "allow_publish_for_client": true,
        "allow_publish_for_anonymous": true,
        "allow_history_for_client": true,
        "allow_history_for_anonymous": true,
    });
    let with = |more: Value| joined(&channel, more);
    let seen = json!({"presence": true, "join_leave": true, "force_push_join_leave": true});
    let history = json!({"history_size": 100_000, "history_ttl": "300s"});
    let mut config = json!({
        "client": {"insecure": true},
        "http_api": {"insecure": true},
        "broker": {"enabled": true, "type": "nats", "nats": joined(&json!({"url": nats.url()}), more)},
        "channel": {"namespaces": [
            with(json!({"name": "plain"})),
            with(joined(&seen, json!({"name": "seen"}))),
            with(joined(&history, json!({"name": "hist"}))),
            with(joined(&seen, joined(&history, json!({"name": "kept", "force_recovery": true})))),
            with(joined(&history, json!({"name": "cache", "force_recovery": true, "force_recovery_mode": "cache"}))),
            with(joined(&history, json!({"name": "delta", "allowed_delta_types": ["fossil"], "delta_publish": true}))),
        ]},
    });
    polls::add_to(&mut config);
    config
}

/// Both, the second one over the first one.
fn joined(one: &Value, other: Value) -> Value {
    let mut all = one.as_object().expect("an object").clone();
    all.extend(other.as_object().expect("an object").clone());
    Value::Object(all)
}

/// One of our nodes.
fn ours(nats: &Nats) -> Server {
    Server::start(config(nats, json!({})))
}

/// A node of the reference.
fn reference(binary: &str, mut config: Value) -> Server {
    let port = free_port();
    config["http_server"] = json!({"address": "127.0.0.1", "port": port.to_string()});
    let path = format!("{}/nats-{}-{port}.json", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, config.to_string()).expect("a configuration file");
    let mut command = Command::new(binary);
    command.args(["-c", &path]);
    Server::run_until(command, port, "serving")
}

/// Calls the server API; the whole answer, which may be an error.
fn try_api(node: &Server, method: &str, request: Value) -> Value {
    let mut stream = node.dial();
    http::write_call(&mut stream, method, &request);
    let response = http::read(&mut stream).expect("a response");
    serde_json::from_slice(&response.body).expect("JSON")
}

/// Tries until it is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within time: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Waits until the nodes know each other.
#[track_caller]
fn meet(nodes: [&Server; 2]) {
    for node in nodes {
        wait_until("nodes know each other", || nodes_known(node) == nodes.len());
    }
}

fn nodes_known(node: &Server) -> usize {
    node.api("info", json!({}))["nodes"].as_array().map_or(0, Vec::len)
}

/// Everything that nodes share, done at `one` and seen at `other`.
fn check(one: &Server, other: &Server) {
    publications(one, other);
    subscriptions_of_calls(one, other);
    joins_and_leaves(one, other);
    deltas_are_whole(one, other);
    both::calls_about_sessions(one, other);
    both::calls_about_nodes(one, other);
}

/// What cannot be subscribed to at the node of a call fails the call; what cannot be elsewhere does not.
fn subscriptions_of_calls(one: &Server, other: &Server) {
    let clients = [Talker::connect(one), Talker::connect(other)];
    let call = |client: &str, channel: &str| {
        code(&try_api(one, "subscribe", json!({"user": "", "client": client, "channel": channel})))
    };
    for channel in ["kept:1", "plain:*"] {
        assert_eq!((call(&clients[0].id, channel), call(&clients[1].id, channel)), (100, 0), "{channel}");
        let nobody = "9da44049-71c5-4f0a-aa55-12840183b0e9";
        assert_eq!((call("", channel), call(nobody, channel)), (100, 0), "{channel}");
    }
    let [mut client, _] = clients;
    assert_eq!(call(&client.id, "plain:3"), 0);
    assert_eq!(client.pushed_whole()["channel"], "plain:3", "of the others nothing is told");
    for (method, more) in [("unsubscribe", json!({"channel": "kept:1"})), ("disconnect", json!({}))] {
        let about = joined(&json!({"user": "", "client": client.id}), more);
        assert_eq!(try_api(one, method, about), json!({"result": {}}), "{method}");
    }
    assert_eq!(client.close_code(), Some(3503));
}

fn publications(one: &Server, other: &Server) {
    let mut subscriber = Talker::connect(other);
    subscriber.subscribe(json!({"channel": "plain:1"}));
    subscriber.subscribe(json!({"channel": "hist:1"}));
    one.api("publish", json!({"channel": "plain:1", "data": {"a": [1, "\u{e9}"]}, "tags": {"t": "v"}}));
    assert_eq!(subscriber.pushed("pub"), json!({"data": {"a": [1, "\u{e9}"]}, "tags": {"t": "v"}}));
    let mut publisher = Talker::connect(one);
    publisher.ask(json!({"publish": {"channel": "plain:1", "data": 2}}));
    let published = subscriber.pushed("pub");
    assert_eq!((&published["data"], &published["info"]["client"]), (&json!(2), &json!(publisher.id)));
    // There is no history, whatever the namespace says: neither places nor results are kept.
    for _ in 0..2 {
        let request = json!({"channel": "hist:1", "data": 3, "idempotency_key": "k", "version": 5});
        assert_eq!(one.api("publish", request), json!({}));
        assert_eq!(subscriber.pushed("pub"), json!({"data": 3}));
    }
    for n in 0..100 {
        one.api("publish", json!({"channel": "plain:1", "data": n}));
    }
    assert_eq!(subscriber.payloads(100), (0..100).map(Value::from).collect::<Vec<_>>());
}

fn joins_and_leaves(one: &Server, other: &Server) {
    let mut watcher = Talker::connect(other);
    watcher.subscribe(json!({"channel": "seen:1"}));
    assert_eq!(watcher.pushed("join")["info"]["client"], watcher.id);
    let mut guest = Talker::connect(one);
    guest.subscribe(json!({"channel": "seen:1"}));
    assert_eq!(watcher.pushed("join")["info"]["client"], guest.id);
    // Each node knows who is present there.
    for (node, id) in [(one, &guest.id), (other, &watcher.id)] {
        let present = node.api("presence", json!({"channel": "seen:1"}))["presence"].clone();
        assert_eq!(present.as_object().expect("clients").keys().collect::<Vec<_>>(), [id]);
    }
    guest.ask(json!({"unsubscribe": {"channel": "seen:1"}}));
    assert_eq!(watcher.pushed("leave")["info"]["client"], guest.id);
    assert_eq!(one.api("presence_stats", json!({"channel": "seen:1"})), json!({"num_clients": 0, "num_users": 0}));
}

fn deltas_are_whole(one: &Server, other: &Server) {
    let mut subscriber = Talker::connect(other);
    subscriber.subscribe(json!({"channel": "delta:1", "delta": "fossil"}));
    let same = "something that stays the same ".repeat(8);
    for n in 0..2 {
        one.api("publish", json!({"channel": "delta:1", "data": {"same": same, "n": n}, "delta": true}));
        let came = subscriber.pushed("pub");
        assert!(came["data"].is_string() && came["delta"].is_null(), "{came}");
    }
}

#[test]
fn two_nodes_of_ours() {
    let nats = Nats::start();
    let (one, other) = (ours(&nats), ours(&nats));
    meet([&one, &other]);
    check(&one, &other);
    polls::check(&one, &other);
    polls::check_epochs(&one, &other);
}

#[test]
fn ours_and_a_reference() {
    let Ok(binary) = std::env::var("SPINDLE_REFERENCE") else {
        println!("skipped: SPINDLE_REFERENCE names no binary of a reference");
        return;
    };
    let nats = Nats::start();
    let (us, them) = (ours(&nats), reference(&binary, config(&nats, json!({}))));
    meet([&us, &them]);
    check(&us, &them);
    check(&them, &us);
}

/// The code of a refusal.
fn code(reply: &Value) -> u64 {
    reply["error"]["code"].as_u64().unwrap_or(0)
}

/// What needs a history is not available; what has wildcards, or no subject, is refused.
#[test]
fn what_nats_has_not() {
    let nats = Nats::start();
    let node = ours(&nats);
    let mut client = Talker::connect(&node);
    assert_eq!(code(&client.ask(json!({"subscribe": {"channel": "kept:1"}}))), 108);
    assert_eq!(code(&client.ask(json!({"subscribe": {"channel": "kept:1", "recover": true}}))), 108);
    assert_eq!(code(&client.ask(json!({"history": {"channel": "hist:1"}}))), 108);
    assert_eq!(node.api("presence_stats", json!({"channel": "kept:1"}))["num_clients"], 0, "nobody is left behind");
    // As upstream, the server API has no code of its own for that.
    for method in ["history", "history_remove"] {
        assert_eq!(code(&try_api(&node, method, json!({"channel": "hist:1"}))), 100, "{method}");
    }
    for channel in ["plain:*", "plain:a.>"] {
        assert_eq!(code(&client.ask(json!({"subscribe": {"channel": channel}}))), 107);
        assert_eq!(code(&client.ask(json!({"publish": {"channel": channel, "data": 1}}))), 107);
        assert_eq!(code(&try_api(&node, "publish", json!({"channel": channel, "data": 1}))), 100);
    }
    assert_eq!(code(&try_api(&node, "publish", json!({"channel": "plain:a b", "data": 1}))), 100);
    let too_long = "x".repeat(1 << 20);
    assert_eq!(code(&try_api(&node, "publish", json!({"channel": "plain:1", "data": too_long}))), 100);
    assert_eq!(client.ended_by(json!({"subscribe": {"channel": "plain:a..b"}})), Some(3004));
}

#[test]
fn wildcards() {
    let nats = Nats::start();
    let config = config(&nats, json!({"allow_wildcards": true}));
    let (one, other) = (Server::start(config.clone()), Server::start(config));
    let mut client = Talker::connect(&other);
    for channel in ["plain:a.*", "plain:a.>", "plain:a.b"] {
        client.subscribe(json!({"channel": channel}));
    }
    one.api("publish", json!({"channel": "plain:a.c.d", "data": 1}));
    assert_eq!(client.pushed_whole(), json!({"channel": "plain:a.>", "pub": {"data": 1, "channel": "plain:a.c.d"}}));
    one.api("publish", json!({"channel": "plain:a.b", "data": 2}));
    let mut came: Vec<_> = (0..3).map(|_| client.pushed_whole()).collect();
    came.sort_by_key(|push| push["channel"].to_string());
    let told = |channel| json!({"channel": channel, "pub": {"data": 2, "channel": "plain:a.b"}});
    assert_eq!(came, [told("plain:a.*"), told("plain:a.>"), told("plain:a.b")]);
    assert_eq!(code(&client.ask(json!({"publish": {"channel": "plain:a.*", "data": 1}}))), 107);
    // A server would end the connection.
    assert_eq!(code(&client.ask(json!({"subscribe": {"channel": "plain:a.>.b"}}))), 107);
    client.ask(json!({"unsubscribe": {"channel": "plain:a.>"}}));
    one.api("publish", json!({"channel": "plain:a.c.d", "data": 3}));
    one.api("publish", json!({"channel": "plain:a.c", "data": 4}));
    assert_eq!(client.pushed_whole()["pub"], json!({"data": 4, "channel": "plain:a.c"}));
}

#[test]
fn raw_mode() {
    let nats = Nats::start();
    let raw = json!({"raw_mode": {"enabled": true, "prefix": "raw.", "channel_replacements": {":": "."}}});
    let node = Server::start(config(&nats, raw));
    let mut listener = nats.listen(&["raw.>"]);
    let mut client = Talker::connect(&node);
    client.subscribe(json!({"channel": "seen:1"}));
    node.api("publish", json!({"channel": "seen:1", "data": {"a": 1}, "tags": {"t": "v"}}));
    assert_eq!(listener.message(), ("raw.seen.1".to_owned(), b"{\"a\":1}".to_vec()), "and no join before it");
    assert_eq!(client.pushed_whole(), json!({"channel": "seen:1", "pub": {"data": {"a": 1}, "channel": "seen.1"}}));
    listener.publish("raw.seen.1", b"\"from elsewhere\"");
    assert_eq!(client.pushed("pub")["data"], "from elsewhere");
}
