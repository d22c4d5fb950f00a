//! Metrics of Redis: the same names, types and labels as the reference's, after the same trouble, and after keys of maps
//! expired.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Instant;

use serde_json::json;

use crate::redis::Redis;
use crate::support::server::Server;
use crate::support::{PATIENCE, http};
use crate::talker::Talker;

const PREFIX: &str = "centrifugo_broker_redis_pub_sub_";

/// Each family with its type, and the labels of its series. How many processors there are is each one's own business.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

fn text(node: &Server) -> String {
    let mut stream = node.dial();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let response = http::read(&mut stream).expect("a response");
    String::from_utf8(response.body).expect("text")
}

fn families(node: &Server) -> Families {
    let text = text(node);
    let mut found = Families::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            if name.starts_with(PREFIX) {
                found.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            }
        } else if let Some((name, rest)) = line.split_once('{').filter(|(name, _)| name.starts_with(PREFIX)) {
            let labels = rest.split('}').next().expect("labels");
            let labels = labels.split(",pub_sub_processor=\"").collect::<Vec<_>>();
            let labels = labels[0].to_owned() + if labels.len() > 1 { ",pub_sub_processor" } else { "" };
            found.get_mut(name).expect("its type").1.insert(labels);
        }
    }
    found
}

/// Ends all connections that listen, and waits until the node has counted that.
fn after_trouble(redis: &Redis, node: &Server) -> Families {
    // Ours listens only where somebody wants to hear something.
    let mut client = Talker::connect(node);
    client.subscribe(json!({"channel": "plain:1"}));
    let deadline = Instant::now() + 2 * PATIENCE;
    redis.connect().send(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    loop {
        let found = families(node);
        let has = |family: &str, label: &str| {
            let family = found.get(&format!("{PREFIX}{family}"));
            family.is_some_and(|(_, series)| series.iter().any(|labels| labels.contains(label)))
        };
        // The reference looks at its buffers every five seconds.
        if has("errors", "\"connection\"") && has("errors", "control_connection") && has("buffered_messages", "control")
        {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

/// What the reference shows stands here for those who have none.
#[test]
fn names_types_and_labels() {
    let redis = Redis::start();
    let ours = after_trouble(&redis, &crate::ours(&redis));
    let family =
        |kind: &str, series: &[&str]| (kind.to_owned(), series.iter().map(|text| (*text).to_owned()).collect());
    let client = r#"broker_name="",channel_type="client""#;
    let control = r#"broker_name="",channel_type="control""#;
    let (client_0, control_0) = (format!("{client},pub_sub_processor"), format!("{control},pub_sub_processor"));
    let expected = Families::from([
        (format!("{PREFIX}buffered_messages"), family("gauge", &[&client_0, &control_0])),
        (format!("{PREFIX}dropped_messages"), family("counter", &[client, control])),
        (
            format!("{PREFIX}errors"),
            family(
                "counter",
                &[r#"broker_name="",error="connection""#, r#"broker_name="",error="control_connection""#],
            ),
        ),
    ]);
    assert_eq!(ours, expected);
    let Ok(binary) = std::env::var("SPINDLE_REFERENCE") else {
        println!("not compared: SPINDLE_REFERENCE names no binary of a reference");
        return;
    };
    let redis = Redis::start();
    assert_eq!(after_trouble(&redis, &crate::reference(&binary, &crate::at(&redis))), expected, "the reference");
}

const CLEANUP: &str = "centrifugo_map_broker_cleanup_";

/// Types and values of what is said of keys that expire, by name and labels.
fn cleanup(node: &Server) -> BTreeMap<String, String> {
    let text = text(node);
    let lines = text.lines().map(|line| line.strip_prefix("# TYPE ").unwrap_or(line));
    let pairs = lines.filter_map(|line| line.strip_prefix(CLEANUP)?.split_once(' '));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Waits until a metric has a value, and gives all.
fn wait_for(node: &Server, name: &str, value: &str) -> BTreeMap<String, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = cleanup(node);
        if found.get(name).is_some_and(|found| found == value) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

/// A node counts the keys that it removed, and then nothing waits.
fn keys_expire(node: &Server) {
    for key in ["a", "b", "c"] {
        node.api("map_publish", json!({"channel": "brief:1", "key": key, "data": 1}));
    }
    wait_for(node, r#"removed_count{broker_name=""}"#, "3");
    let found = wait_for(node, r#"lag_seconds{broker_name=""}"#, "0");
    let expected = [
        ("lag_seconds", "gauge"),
        (r#"lag_seconds{broker_name=""}"#, "0"),
        ("removed_count", "counter"),
        (r#"removed_count{broker_name=""}"#, "3"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn keys_of_maps_that_expire() {
    let redis = Redis::start();
    let node = crate::ours(&redis);
    keys_expire(&node);
    // A map that no namespace is for is an error of every search, and waits for ever.
    let registered = ["ZADD", "centrifugo:cleanup:channels", "1000", "nobodys:1"];
    redis.connect().send(&registered);
    let deadline = Instant::now() + PATIENCE;
    let number = |name: &str| cleanup(&node).get(name)?.parse::<f64>().ok();
    while number(r#"errors_count{broker_name=""}"#).is_none_or(|errors| errors < 2.0)
        || number(r#"lag_seconds{broker_name=""}"#).is_none_or(|lag| lag < 1e9)
    {
        assert!(Instant::now() < deadline, "{:?}", cleanup(&node));
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    let Ok(binary) = std::env::var("SPINDLE_REFERENCE") else {
        println!("not compared: SPINDLE_REFERENCE names no binary of a reference");
        return;
    };
    let redis = Redis::start();
    keys_expire(&crate::reference(&binary, &crate::at(&redis)));
}
