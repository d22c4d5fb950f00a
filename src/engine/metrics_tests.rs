//! What one connection's commands and its end leave in the shard's metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::test_support::{config, frame};
use super::{Engine, Opening, Parts};
use crate::api::{self, Node};
use crate::auth::Verifiers;
use crate::base::ids::{ConnId, ShardId};
use crate::base::time::Now;
use crate::mesh::{Limits, desk, mesh};
use crate::metrics::catalogue;
use crate::metrics::family::Value;
use crate::protocol::Protocol;

const CONFIG: &str = r#"{
    "client": { "allow_anonymous_connect_without_token": true, "ping_interval": "1s", "pong_timeout": "0.5s" },
    "prometheus": { "recovered_publications_histogram": true },
    "http_api": { "insecure": true },
    "channel": { "namespaces": [{
        "name": "rec", "presence": true, "join_leave": true, "force_push_join_leave": true, "force_recovery": true,
        "history_size": 8, "history_ttl": "1h",
        "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
        "allow_publish_for_client": true, "allow_publish_for_anonymous": true,
        "allow_history_for_client": true, "allow_history_for_anonymous": true
    }, {
        "name": "map", "subscription_type": "map", "map": {"mode": "recoverable", "key_ttl": "60s"},
        "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true
    }] }
}"#;

/// An engine alone on its node, and what its metrics were when they were last looked at.
struct Shard {
    engine: Engine,
    now: Now,
    seen: BTreeMap<String, f64>,
}

impl Shard {
    fn new() -> Self {
        let config = config(CONFIG);
        let now = Now { mono_ms: 1, mono_us: 1000, unix_ms: 1_700_000_000_000 };
        let engine = Engine::new(Parts {
            id: ShardId(0),
            port: mesh(1, Limits::default()).remove(0),
            desk: desk(1).0,
            line: None,
            shards: 1,
            verifiers: Arc::new(Verifiers::new(&config).unwrap()),
            config,
            node: Arc::new(Node { uid: "test".into(), version: "0".into() }),
            seed: [7; 32],
            now,
        });
        let mut shard = Self { engine, now, seen: BTreeMap::new() };
        shard.seen = shard.numbers();
        shard
    }

    fn open(&mut self) -> ConnId {
        let opening = Opening { socket: 0, protocol: Protocol::Json, native_ping: false, user_header: None };
        self.engine.open(opening).unwrap()
    }

    /// One frame of the client, a turn, and all that is owed taken by the socket.
    fn say(&mut self, conn: ConnId, text: &str) {
        self.engine.input(conn, &mut frame(text));
        self.turn(0);
    }

    fn turn(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.mono_us += ms * 1000;
        self.now.unix_ms += ms;
        self.engine.set_now(self.now);
        while self.engine.work() {}
        let mut dirty = Vec::new();
        self.engine.take_dirty(&mut dirty);
        for conn in dirty {
            if let Some((_, outbox, pool)) = self.engine.outbox(conn) {
                outbox.advance(outbox.bytes(), pool);
                self.engine.flushed(conn, true);
            }
        }
    }

    fn call(&mut self, method: &str, body: &str) {
        let request = api::Request { method, error_mode: None, body: body.as_bytes() };
        let call = self.engine.call(request).unwrap();
        self.turn(0);
        assert_eq!(self.engine.take_response(call).map(|response| response.status), Some(200));
    }

    /// Every series by name and labels; those that are the same all through are left out of its name.
    fn numbers(&mut self) -> BTreeMap<String, f64> {
        let node = catalogue::Node {
            version: "0",
            clients: 0,
            subscriptions: 0,
            users: 0,
            channels: 0,
            nodes: 1,
            mono_ms: self.now.mono_ms,
        };
        let mut numbers = BTreeMap::new();
        for family in catalogue::families(self.engine.metrics(), &node) {
            for series in &family.series {
                let mut name = family.name.trim_start_matches("centrifugo_").to_owned();
                for (label, value) in family.labels.iter().zip(&series.labels) {
                    if !value.is_empty() && !matches!(*label, "transport" | "protocol") {
                        name.extend([" ", value]);
                    }
                }
                let number = match &series.value {
                    Value::Number(number) => *number,
                    Value::Summary { count, .. } => *count as f64,
                    Value::Histogram(histogram) => histogram.count() as f64,
                };
                numbers.insert(name, number);
            }
        }
        numbers
    }

    /// Exactly these series changed, by so much. What is counted twice, as summary and histogram, and sizes, which are
    /// counted beside messages, are left out.
    #[track_caller]
    fn check(&mut self, expected: &[(&str, f64)]) {
        let numbers = self.numbers();
        let changed: Vec<(&str, f64)> = numbers
            .iter()
            .map(|(name, number)| (&**name, number - self.seen.get(name).copied().unwrap_or_default()))
            .filter(|(name, change)| *change != 0.0 && !name.contains("_histogram") && !name.contains("_size"))
            .collect();
        let mut expected = expected.to_vec();
        expected.sort_by_key(|(name, _)| *name);
        assert_eq!(changed, expected);
        self.seen = numbers;
    }
}

#[test]
fn the_life_of_a_connection_is_counted() {
    let mut shard = Shard::new();
    let conn = shard.open();
    shard.check(&[]);

    shard.say(conn, r#"{"id":1,"connect":{"name":"js"}}"#);
    shard.check(&[
        ("client_command_duration_seconds connect", 1.0),
        ("client_connections_accepted unregistered unversioned", 1.0),
        ("client_connections_inflight unregistered unversioned", 1.0),
        ("node_action_count add_client", 1.0),
        ("transport_messages_received connect", 1.0),
        ("transport_messages_sent connect", 1.0),
    ]);

    shard.say(conn, r#"{"id":2,"subscribe":{"channel":"rec:a"}}"#);
    shard.check(&[
        ("client_command_duration_seconds subscribe", 1.0),
        ("client_subscriptions_inflight unregistered", 1.0),
        ("node_action_count add_presence", 1.0),
        ("node_action_count add_subscription", 1.0),
        ("node_action_count broker_subscribe", 1.0),
        ("node_action_count history", 1.0),
        ("node_action_count history_stream_top", 1.0),
        ("node_messages_received_count join", 1.0),
        ("node_messages_sent_count join", 1.0),
        ("transport_messages_received subscribe", 1.0),
        ("transport_messages_sent push_join", 1.0),
        ("transport_messages_sent subscribe", 1.0),
    ]);

    shard.say(conn, r#"{"id":3,"publish":{"channel":"rec:a","data":1}}"#);
    shard.engine.note_flushed(shard.now.mono_us + 5);
    shard.check(&[
        ("client_command_duration_seconds publish", 1.0),
        ("node_broadcast_duration_seconds publication", 1.0),
        ("node_messages_received_count publication", 1.0),
        ("node_messages_sent_count publication", 1.0),
        ("node_pub_sub_lag_seconds", 1.0),
        ("transport_messages_received publish", 1.0),
        ("transport_messages_sent publish", 1.0),
        ("transport_messages_sent push_publication", 1.0),
    ]);

    // Two commands in one frame, both refused.
    shard.say(conn, "{\"id\":4,\"rpc\":{\"method\":\"x\"}}\n{\"id\":5,\"history\":{\"channel\":\"nowhere:a\"}}");
    shard.check(&[
        ("client_command_duration_seconds history", 1.0),
        ("client_command_duration_seconds rpc", 1.0),
        ("client_num_reply_errors 102 history", 1.0),
        ("client_num_reply_errors 108 rpc", 1.0),
        ("transport_messages_received history", 1.0),
        ("transport_messages_received rpc", 1.0),
        ("transport_messages_sent history", 1.0),
        ("transport_messages_sent rpc", 1.0),
    ]);

    shard.say(conn, r#"{"id":6,"unsubscribe":{"channel":"rec:a"}}"#);
    shard.check(&[
        ("client_command_duration_seconds unsubscribe", 1.0),
        ("client_subscriptions_inflight unregistered", -1.0),
        ("node_action_count broker_unsubscribe", 1.0),
        ("node_action_count remove_presence", 1.0),
        ("node_action_count remove_subscription", 1.0),
        ("node_messages_sent_count leave", 1.0),
        ("transport_messages_received unsubscribe", 1.0),
        ("transport_messages_sent unsubscribe", 1.0),
    ]);

    shard.say(conn, r#"{"id":7,"subscribe":{"channel":"rec:a","recover":true}}"#);
    shard.check(&[
        ("client_command_duration_seconds subscribe", 1.0),
        ("client_recover yes yes", 1.0),
        ("client_recovered_publications", 1.0),
        ("client_subscriptions_inflight unregistered", 1.0),
        ("node_action_count add_presence", 1.0),
        ("node_action_count add_subscription", 1.0),
        ("node_action_count broker_subscribe", 1.0),
        ("node_action_count history", 1.0),
        ("node_action_count history_recover", 1.0),
        ("node_messages_received_count join", 1.0),
        ("node_messages_sent_count join", 1.0),
        ("transport_messages_received subscribe", 1.0),
        ("transport_messages_sent push_join", 1.0),
        ("transport_messages_sent subscribe", 1.0),
    ]);

    shard.turn(1000);
    shard.check(&[("transport_messages_sent server_ping", 1.0)]);
    shard.say(conn, "{}");
    shard.check(&[("client_ping_pong_duration_seconds", 1.0), ("transport_messages_received client_pong", 1.0)]);

    shard.call("unsubscribe", r#"{"user":"","client":"","channel":"rec:a"}"#);
    shard.check(&[
        ("api_command_duration_seconds unsubscribe", 1.0),
        ("client_num_server_unsubscribes 2000", 1.0),
        ("client_subscriptions_inflight unregistered", -1.0),
        ("node_action_count broker_unsubscribe", 1.0),
        ("node_action_count remove_presence", 1.0),
        ("node_action_count remove_subscription", 1.0),
        ("node_messages_sent_count leave", 1.0),
        ("transport_messages_sent push_unsubscribe", 1.0),
    ]);

    // The connection ends with a subscription.
    shard.say(conn, r#"{"id":8,"subscribe":{"channel":"rec:b"}}"#);
    shard.seen = shard.numbers();
    shard.say(conn, r#"{"id":9,"connect":{}}"#);
    shard.check(&[
        ("client_command_duration_seconds connect", 1.0),
        ("client_connections_inflight unregistered unversioned", -1.0),
        ("client_num_server_disconnects 3501", 1.0),
        ("client_subscriptions_inflight unregistered", -1.0),
        ("node_action_count broker_unsubscribe", 1.0),
        ("node_action_count remove_client", 1.0),
        ("node_action_count remove_presence", 1.0),
        ("node_action_count remove_subscription", 1.0),
        ("node_messages_sent_count leave", 1.0),
        ("transport_messages_received connect", 1.0),
        ("transport_outgoing_close_count 3501", 1.0),
    ]);
    shard.engine.gone(conn);
    shard.check(&[]);
}

#[test]
fn nobody_connected_is_nobody_gone() {
    let mut shard = Shard::new();
    let conn = shard.open();
    shard.say(conn, r#"{"id":1,"connect":{"token":"bad"}}"#);
    shard.check(&[
        ("client_command_duration_seconds connect", 1.0),
        ("client_num_server_disconnects 3500", 1.0),
        ("transport_messages_received connect", 1.0),
        ("transport_outgoing_close_count 3500", 1.0),
    ]);
    let conn = shard.open();
    shard.say(conn, r#"{"id":1,"subscribe":{"channel":"rec:a"}}"#);
    shard.check(&[("client_num_server_disconnects 3501", 1.0), ("transport_outgoing_close_count 3501", 1.0)]);
    let conn = shard.open();
    shard.engine.gone(conn);
    shard.check(&[]);
}

#[test]
fn what_changes_nothing_is_counted_with_the_reason() {
    let mut shard = Shard::new();
    let call = |shard: &mut Shard, method: &str, body: &str, more: &[(&str, f64)]| {
        shard.call(method, body);
        let duration = format!("api_command_duration_seconds {method}");
        shard.check(&[&[(&*duration, 1.0)], more].concat());
    };
    let published = ("node_messages_sent_count publication", 1.0);
    let publish = |more: &str| format!(r#"{{"channel":"rec:a","data":1,{more}}}"#);
    call(&mut shard, "publish", &publish(r#""idempotency_key":"i""#), &[published]);
    let suppressed = ("broker_publish_suppressed_count idempotency", 1.0);
    call(&mut shard, "publish", &publish(r#""idempotency_key":"i""#), &[published, suppressed]);
    call(&mut shard, "publish", &publish(r#""version":5"#), &[published]);
    let suppressed = ("broker_publish_suppressed_count version", 1.0);
    call(&mut shard, "publish", &publish(r#""version":5"#), &[published, suppressed]);

    let set = [("node_action_count map_publish", 1.0), ("node_messages_sent_count map_publication", 1.0)];
    let key = r#"{"channel":"map:a","key":"k","data":1,"key_mode":"if_new"}"#;
    call(&mut shard, "map_publish", key, &set);
    let suppressed = [("map_broker_publish_suppressed_count key_exists", 1.0)];
    call(&mut shard, "map_publish", key, &[&set[..], &suppressed].concat());
    let removed = [("node_action_count map_remove", 1.0), ("node_messages_sent_count map_removal", 1.0)];
    let key = r#"{"channel":"map:a","key":"k"}"#;
    call(&mut shard, "map_remove", key, &removed);
    let suppressed = [("map_broker_remove_suppressed_count key_not_found", 1.0)];
    call(&mut shard, "map_remove", key, &[&removed[..], &suppressed].concat());
    for (method, action) in [
        ("map_read_state", "node_action_count map_state_read"),
        ("map_read_stream", "node_action_count map_stream_read"),
        ("map_stats", "node_action_count map_stats"),
        ("map_clear", "node_action_count map_clear"),
    ] {
        call(&mut shard, method, r#"{"channel":"map:a"}"#, &[(action, 1.0)]);
    }
}

#[test]
fn subscribing_to_a_map_is_counted_as_upstream_reads_it() {
    let mut shard = Shard::new();
    let conn = shard.open();
    shard.say(conn, r#"{"id":1,"connect":{}}"#);
    shard.seen = shard.numbers();
    shard.say(conn, r#"{"id":2,"subscribe":{"channel":"map:a","type":1,"phase":2,"limit":10}}"#);
    shard.check(&[
        ("client_command_duration_seconds subscribe", 1.0),
        ("client_subscriptions_inflight unnamed", 1.0),
        ("node_action_count add_subscription", 1.0),
        ("node_action_count map_broker_subscribe", 1.0),
        ("node_action_count map_state_read", 1.0),
        ("node_action_count map_stream_position", 1.0),
        ("node_action_count map_stream_read", 1.0),
        ("node_action_count map_subscribe_state_to_live", 1.0),
        ("transport_messages_received subscribe", 1.0),
        ("transport_messages_sent subscribe", 1.0),
    ]);
    shard.say(conn, r#"{"id":3,"unsubscribe":{"channel":"map:a"}}"#);
    shard.check(&[
        ("client_command_duration_seconds unsubscribe", 1.0),
        ("client_subscriptions_inflight unnamed", -1.0),
        ("node_action_count map_broker_unsubscribe", 1.0),
        ("node_action_count remove_subscription", 1.0),
        ("transport_messages_received unsubscribe", 1.0),
        ("transport_messages_sent unsubscribe", 1.0),
    ]);
}

#[test]
fn what_is_owed_is_known_when_it_is_asked_for() {
    let mut shard = Shard::new();
    let conn = shard.open();
    let mut frame = vec![0x81, 0x80 | 22, 0, 0, 0, 0];
    frame.extend(br#"{"id":1,"connect":{} }"#);
    shard.engine.input(conn, &mut frame);
    let scrape = |shard: &mut Shard| {
        let call = shard.engine.scrape(api::ScrapeForm::Prometheus).unwrap();
        let body = shard.engine.take_response(call).unwrap().body;
        let text = String::from_utf8(body).unwrap();
        let line = text.lines().find(|line| line.starts_with("spindle_shard_outbox_bytes{")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let owed = shard.engine.outbox(conn).unwrap().1.bytes();
    assert!(owed > 0);
    assert_eq!(scrape(&mut shard), owed as f64);
    shard.turn(0);
    assert_eq!(scrape(&mut shard), 0.0);
}
