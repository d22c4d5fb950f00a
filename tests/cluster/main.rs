//! Two nodes on one Redis. What one does, the other knows: publications, history and recovery, presence, joins, calls
//! of the server API, maps. Of two of ours, and of ours with a reference in both directions where `SPINDLE_REFERENCE` names
//! its binary.

// Other tests need more of both.
#[allow(dead_code)]
#[path = "../support/redis.rs"]
mod redis;
#[allow(dead_code)]
#[path = "../support/redis_cluster.rs"]
mod redis_cluster;
#[allow(dead_code)]
#[path = "../support/redis_sentinel.rs"]
mod redis_sentinel;
#[path = "../support/redis_way.rs"]
mod redis_way;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod both;
mod faults;
mod load;
mod map_load;
mod maps;
mod metrics;
mod polls;
mod storms;
// Tests with NATS need more of it.
#[allow(dead_code)]
mod talker;

use std::process::Command;

use serde_json::{Value, json};

use redis::Redis;
use redis_cluster::Cluster;
use support::PATIENCE;
use support::server::{Server, free_port};

/// The options of a node about a Redis.
fn at(redis: &Redis) -> Value {
    json!({"address": format!("unix://{}", redis.socket().display())})
}

/// Partitions of maps in a Cluster.
const MAP_PARTITIONS: u32 = 5;

/// The configuration of every node, with the options of `engine.redis`.
fn config(redis: &Value) -> Value {
    let channel = json!({
        "allow_subscribe_for_client": true,
        "allow_subscribe_for_anonymous": true,
        "allow_publish_for_client": true,
        "allow_publish_for_anonymous": true,
    });
    let with = |more: Value| {
        let mut channel = channel.clone();
        for (key, value) in more.as_object().expect("an object") {
            channel[key] = value.clone();
        }
        channel
    };
    let kept = json!({
        "presence": true, "join_leave": true, "force_push_join_leave": true, "force_recovery": true,
        "history_size": 1_000_000, "history_ttl": "300s",
    });
    let kept_as = |more: Value| {
        let mut kept = kept.clone();
        for (key, value) in more.as_object().expect("an object") {
            kept[key] = value.clone();
        }
        with(kept)
    };
    // Where channels live, whatever finds it.
    let mut maps = redis.clone();
    maps["cleanup_interval"] = json!("50ms");
    maps["sharded_pub_sub_partitions"] = match &redis["cluster_address"] {
        Value::Null => json!(0),
        // Not as many as for channels: neither has to do with the other.
        _ => json!(MAP_PARTITIONS),
    };
    let map = |more: Value| {
        let mut map = with(json!({
            "subscription_type": "map", "allowed_delta_types": ["fossil"], "delta_publish": true, "presence": true,
        }));
        for (key, value) in more.as_object().expect("an object") {
            map[key] = value.clone();
        }
        map["map"]["allow_publish_for_client"] = true.into();
        map["map"]["allow_publish_for_anonymous"] = true.into();
        map["map"]["allow_remove_for_client"] = true.into();
        map["map"]["allow_remove_for_anonymous"] = true.into();
        map
    };
    let mut config = json!({
        // Whoever comes back may have missed many thousand publications.
        "client": {"insecure": true, "recovery_max_publication_limit": 1_000_000, "queue_max_size": 64 << 20},
        "http_api": {"insecure": true},
        "prometheus": {"enabled": true},
        "engine": {"type": "redis", "redis": redis},
        "map_broker": {"type": "redis", "redis": maps},
        "channel": {"namespaces": [
            with(json!({"name": "plain"})),
            kept_as(json!({"name": "kept"})),
            map(json!({"name": "map", "map": {"mode": "recoverable", "key_ttl": "60s", "stream_ttl": "60s"}})),
            map(json!({"name": "brief", "map": {"mode": "recoverable", "key_ttl": "1s", "stream_ttl": "60s"}})),
            map(json!({"name": "load", "map": {"mode": "recoverable", "key_ttl": "300s", "stream_ttl": "300s",
                "stream_size": 1_000_000, "max_page_size": 1_000_000}})),
            map(json!({"name": "passing", "map": {"mode": "ephemeral", "key_ttl": "60s"}})),
            map(json!({"name": "here", "subscription_type": "map_clients",
                "map": {"mode": "recoverable", "key_ttl": "60s", "stream_ttl": "60s"}})),
            with(json!({"name": "seen", "map_clients_presence_channel_prefix": "here:"})),
            kept_as(json!({"name": "cache", "force_recovery_mode": "cache"})),
            kept_as(json!({"name": "delta", "allowed_delta_types": ["fossil"], "delta_publish": true})),
        ]},
    });
    polls::add_to(&mut config);
    config
}

/// One of our nodes.
fn ours(redis: &Redis) -> Server {
    Server::start(config(&at(redis)))
}

/// A node of the reference.
fn reference(binary: &str, redis: &Value) -> Server {
    let port = free_port();
    let mut config = config(redis);
    if redis["cluster_address"].is_array() {
        // It refuses maps there.
        config["map_broker"] = json!({});
    }
    config["http_server"] = json!({"address": "127.0.0.1", "port": port.to_string()});
    let path = format!("{}/cluster-{}-{port}.json", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, config.to_string()).expect("a configuration file");
    let mut command = Command::new(binary);
    command.args(["-c", &path]);
    Server::run_until(command, port, "serving")
}

/// Waits until the nodes know each other.
fn meet(nodes: [&Server; 2]) {
    for node in nodes {
        let deadline = std::time::Instant::now() + PATIENCE;
        while node.api("info", json!({}))["nodes"].as_array().map_or(0, Vec::len) < nodes.len() {
            assert!(std::time::Instant::now() < deadline, "{} knows no other node", node.address);
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }
}

/// Maps need not live where channels do: then each node has its own, and forgets who was subscribed.
#[test]
fn maps_in_memory_are_each_nodes_own() {
    let redis = Redis::start();
    let mut config = config(&at(&redis));
    config["map_broker"] = json!({});
    let node = Server::start(config);
    node.api("map_publish", json!({"channel": "map:1", "key": "k", "data": 1}));
    let mut client = talker::Talker::connect(&node);
    let state = client.subscribe(json!({"channel": "map:1", "type": 1, "phase": 2}))["state"].clone();
    assert_eq!((&state[0]["key"], &state[0]["data"]), (&json!("k"), &json!(1)));
    assert_eq!(node.api("info", json!({}))["nodes"][0]["num_channels"], 1);
    drop(client);
    node.wait_until_empty(usize::MAX);
    assert!(!format!("{:?}", redis.connect().send(&["KEYS", "*"])).contains("map:1"));
}

#[test]
fn two_nodes_of_ours() {
    let redis = Redis::start();
    let (one, other) = (ours(&redis), ours(&redis));
    meet([&one, &other]);
    let nodes = one.api("info", json!({}))["nodes"].clone();
    let has_metrics = |at: usize| nodes[at]["metrics"]["items"].as_object().is_some_and(|items| !items.is_empty());
    assert!(has_metrics(0) && has_metrics(1), "the first word of a node tells its metrics: {nodes}");
    both::check(&one, &other);
    maps::check(&one, &other);
    maps::under_another_epoch(&redis, &one);
    polls::check(&one, &other);
    polls::check_epochs(&one, &other);
    drop(one);
    drop(other);
    // All clients are gone, so nobody wants to be told of keys.
    assert_eq!(format!("{:?}", redis.connect().send(&["PUBSUB", "CHANNELS"])), "List([])");
}

#[test]
fn ours_and_a_reference() {
    let Ok(binary) = std::env::var("SPINDLE_REFERENCE") else {
        println!("skipped: SPINDLE_REFERENCE names no binary of a reference");
        return;
    };
    let redis = Redis::start();
    let (us, them) = (ours(&redis), reference(&binary, &at(&redis)));
    meet([&us, &them]);
    both::check(&us, &them);
    maps::check(&us, &them);
    polls::check(&us, &them);
    redis.connect().send(&["FLUSHALL"]);
    both::check(&them, &us);
    maps::check(&them, &us);
    maps::under_another_epoch(&redis, &them);
    polls::check(&them, &us);
}

/// Channels and maps are spread over servers that know nothing of each other, by all nodes alike.
#[test]
fn on_several_redis() {
    let servers = [Redis::start(), Redis::start()];
    let addresses: Vec<_> = servers.iter().map(|redis| at(redis)["address"].clone()).collect();
    let redis = json!({"address": addresses});
    let node = || Server::start(config(&redis));
    let (one, other) = (node(), node());
    meet([&one, &other]);
    both::check(&one, &other);
    maps::check(&one, &other);
    for redis in &servers {
        let keys = format!("{:?}", redis.connect().send(&["KEYS", "centrifugo:state:*"]));
        assert!(keys.contains("map:"), "{keys}");
        redis.connect().send(&["FLUSHALL"]);
    }
    drop((one, other));
    let Ok(binary) = std::env::var("SPINDLE_REFERENCE") else {
        println!("not with a reference: SPINDLE_REFERENCE names no binary");
        return;
    };
    let (us, them) = (node(), reference(&binary, &redis));
    meet([&us, &them]);
    both::check(&us, &them);
    maps::check(&us, &them);
    servers.iter().for_each(|redis| drop(redis.connect().send(&["FLUSHALL"])));
    both::check(&them, &us);
    maps::check(&them, &us);
}

/// Channels in memory, maps in Redis: who comes to a map is present, joins and leaves as in other channels.
#[test]
fn maps_in_redis_beside_channels_in_memory() {
    let redis = Redis::start();
    let mut config = config(&at(&redis));
    config["engine"] = json!({});
    config["channel"]["namespaces"][2]["join_leave"] = true.into();
    config["channel"]["namespaces"][2]["force_push_join_leave"] = true.into();
    let (one, other) = (Server::start(config.clone()), Server::start(config));
    maps::check(&one, &other);
    maps::presence_beside(&one, &other);
    one.wait_until_empty(usize::MAX);
    other.wait_until_empty(usize::MAX);
}

/// Where changes are not told, maps can be read and changed, and nobody can be subscribed; as at a reference.
#[test]
fn maps_that_are_not_told() {
    let redis = Redis::start();
    let mut config = config(&at(&redis));
    config["map_broker"]["redis"]["skip_pub_sub"] = true.into();
    let node = Server::start(config);
    node.api("map_publish", json!({"channel": "map:1", "key": "k", "data": 1}));
    assert_eq!(node.api("map_stats", json!({"channel": "map:1"})), json!({"num_keys": 1}));
    let mut client = talker::Talker::connect(&node);
    let refused = client.ask(json!({"subscribe": {"channel": "map:1", "type": 1, "phase": 2}}));
    assert_eq!(refused["error"]["code"], 100, "{refused}");
}

/// The same where channels are spread over the members of a Redis Cluster: names have braces, and messages pass from
/// member to member.
#[test]
fn on_a_redis_cluster() {
    let cluster = Cluster::start();
    let plain: Value = serde_json::from_str(&cluster.options("")).expect("options");
    let sharded: Value = serde_json::from_str(&cluster.options(r#","sharded_pub_sub_partitions":8"#)).expect("options");
    let node = |options: &Value| Server::start(config(options));
    for options in [&plain, &sharded] {
        let (one, other) = (node(options), node(options));
        meet([&one, &other]);
        both::check(&one, &other);
        polls::check(&one, &other);
        maps::check(&one, &other);
        drop((one, other));
        cluster.clear();
    }
    let Ok(binary) = std::env::var("SPINDLE_REFERENCE") else {
        println!("not with a reference: SPINDLE_REFERENCE names no binary");
        return;
    };
    let (us, them) = (node(&plain), reference(&binary, &plain));
    meet([&us, &them]);
    both::check(&us, &them);
    polls::check(&us, &them);
    cluster.clear();
    both::check(&them, &us);
    polls::check(&them, &us);
}

/// Whether a server can do what an option needs is said at the start.
#[test]
fn a_server_that_is_too_old_is_named() {
    let redis = Redis::start();
    let known = format!("{:?}", redis.connect().send(&["COMMAND", "INFO", "HEXPIRE"]));
    let mut options = at(&redis);
    options["presence_hash_field_ttl"] = json!(true);
    let node = Server::start(config(&options));
    assert_eq!(node.count_in_log("presence_hash_field_ttl needs Redis 7.4"), usize::from(known == "List([Nil])"));
}
