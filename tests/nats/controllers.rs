//! A controller of its own: what nodes tell each other goes another way than what is told in channels.

use serde_json::{Value, json};

use crate::nats::Nats;
use crate::redis::Redis;
use crate::support::server::Server;
use crate::talker::Talker;
use crate::{both, config, meet, nodes_known, wait_until};

fn at(redis: &Redis) -> Value {
    json!({"address": format!("unix://{}", redis.socket().display()), "prefix": "control"})
}

/// PUB/SUB channels of Redis that somebody listens to.
fn listened(redis: &Redis) -> String {
    format!("{:?}", redis.connect().send(&["PUBSUB", "CHANNELS"]))
}

/// Two nodes with a configuration.
fn pair(config: &Value) -> (Server, Server) {
    let nodes = (Server::start(config.clone()), Server::start(config.clone()));
    meet([&nodes.0, &nodes.1]);
    nodes
}

#[test]
fn broker_nats_and_controller_redis() {
    let (nats, mut redis) = (Nats::start(), Redis::start());
    let mut options = config(&nats, json!({}));
    options["controller"] = json!({"enabled": true, "type": "redis", "redis": at(&redis)});
    let (one, other) = pair(&options);
    both::calls_about_sessions(&one, &other);
    both::calls_about_nodes(&one, &other);
    let channels = listened(&redis);
    // For all nodes, and for each.
    assert_eq!((channels.matches("control.control").count(), channels.matches("control.node.").count()), (1, 2));
    let mut heard = nats.listen(&[">"]);
    let mut client = Talker::connect(&other);
    client.subscribe(json!({"channel": "plain:9"}));
    one.api("disconnect", json!({"user": "nobody"}));
    one.api("publish", json!({"channel": "plain:9", "data": 1}));
    assert_eq!(heard.message().0, "centrifugo.client.plain:9", "nodes say nothing over NATS");
    assert_eq!(client.payloads(1), [json!(1)]);
    // Channels do not care whether there is a controller.
    redis.kill();
    one.api("publish", json!({"channel": "plain:9", "data": 2}));
    assert_eq!(client.payloads(1), [json!(2)]);
    redis.restart();
    let are_listening = || {
        let both = format!("{:?}", redis.connect().send(&["PUBSUB", "NUMSUB", "control.control"]));
        both.contains("Int(2)") && listened(&redis).matches("control.node.").count() == 2
    };
    wait_until("nodes listen again", are_listening);
    assert_eq!(one.api("channels", json!({}))["channels"]["plain:9"]["num_clients"], 1);
}

#[test]
fn broker_redis_and_controller_nats() {
    let (nats, redis) = (Nats::start(), Redis::start());
    let mut options = config(&nats, json!({}));
    options["broker"] = json!({});
    options["engine"] = json!({"type": "redis", "redis": at(&redis)});
    options["controller"] = json!({"enabled": true, "type": "nats", "nats": {"url": nats.url(), "prefix": "nodes"}});
    let mut heard = nats.listen(&["nodes.>", "centrifugo.>"]);
    let (one, other) = pair(&options);
    assert!(heard.message().0.starts_with("nodes."));
    both::publications_history_and_recovery(&one, &other);
    both::calls_about_sessions(&one, &other);
    both::calls_about_nodes(&one, &other);
    assert!(!listened(&redis).contains("control.control"), "nodes listen to NATS alone");
}

/// Two systems of the same kind.
#[test]
fn another_nats_for_control() {
    let (nats, control) = (Nats::start(), Nats::start());
    let mut options = config(&nats, json!({}));
    options["controller"] = json!({"enabled": true, "type": "nats", "nats": {"url": control.url()}});
    let (one, other) = pair(&options);
    both::calls_about_sessions(&one, &other);
    both::calls_about_nodes(&one, &other);
}

/// Channels of each node on its own; calls about sessions and nodes are for all of them.
#[test]
fn controller_without_a_broker() {
    let (nats, redis) = (Nats::start(), Redis::start());
    let mut options = config(&nats, json!({}));
    options["broker"] = json!({});
    options["controller"] = json!({"enabled": true, "type": "redis", "redis": at(&redis)});
    let (one, other) = pair(&options);
    both::calls_about_nodes(&one, &other);
    let mut client = Talker::connect(&other);
    one.api("subscribe", json!({"user": "", "client": client.id, "channel": "plain:2"}));
    client.pushed("subscribe");
    one.api("publish", json!({"channel": "plain:2", "data": 1}));
    other.api("publish", json!({"channel": "plain:2", "data": 2}));
    assert_eq!(client.payloads(1), [json!(2)], "publications stay at the node");
    one.api("disconnect", json!({"user": "", "client": client.id}));
    assert_eq!(client.close_code(), Some(3503));
    other.signal("TERM");
    wait_until("it said that it ends", || nodes_known(&one) == 1);
}
