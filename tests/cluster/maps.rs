//! Maps that nodes share: what is done at one node is seen at another.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spindle::broker::map::read;
use spindle::broker::{Layout, Names};
use spindle::channel::publication::Epoch;

use crate::redis::Redis;
use crate::support::server::Server;
use crate::talker::Talker;

/// Maps, changed at `one` and seen at `other`.
pub fn check(one: &Server, other: &Server) {
    state_and_changes(one, other);
    what_changes_nothing(one, other);
    subscribers(one, other);
    many_pages(one, other);
    patches(one, other);
    maps_without_changes(one, other);
    keys_that_expire(one, other);
    maps_that_mirror_a_channel(one, other);
}

fn publish(node: &Server, map: &str, key: &str, data: Value) -> Value {
    node.api("map_publish", json!({"channel": map, "key": key, "data": data}))
}

fn state(node: &Server, map: &str) -> Value {
    node.api("map_read_state", json!({"channel": map, "limit": -1}))
}

/// Keys and data.
fn content(entries: &Value) -> BTreeMap<String, Value> {
    let entries = entries.as_array().into_iter().flatten();
    entries.map(|entry| (entry["key"].as_str().expect("a key").to_owned(), entry["data"].clone())).collect()
}

fn of_pairs(pairs: &[(&str, i32)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(key, data)| ((*key).to_owned(), json!(data))).collect()
}

fn state_and_changes(one: &Server, other: &Server) {
    let first = publish(one, "map:1", "a", json!(1));
    publish(other, "map:1", "b", json!(2));
    publish(one, "map:1", "a", json!(3));
    for node in [one, other] {
        let state = state(node, "map:1");
        assert_eq!(content(&state["entries"]), of_pairs(&[("a", 3), ("b", 2)]));
        assert_eq!((&state["offset"], &state["epoch"]), (&json!(3), &first["epoch"]));
        let key = node.api("map_read_state", json!({"channel": "map:1", "key": "b", "limit": 1}));
        assert_eq!(content(&key["entries"]), of_pairs(&[("b", 2)]));
        assert_eq!(node.api("map_stats", json!({"channel": "map:1"})), json!({"num_keys": 2}));
        let since = json!({"channel": "map:1", "limit": -1, "since_offset": 1, "since_epoch": first["epoch"]});
        let changes = node.api("map_read_stream", since);
        let offsets: Vec<_> = changes["entries"].as_array().expect("changes").iter().map(|it| &it["offset"]).collect();
        assert_eq!(offsets, [2, 3]);
    }
    other.api("map_remove", json!({"channel": "map:1", "key": "b"}));
    assert_eq!(content(&state(one, "map:1")["entries"]), of_pairs(&[("a", 3)]));
    other.api("map_clear", json!({"channel": "map:1"}));
    let cleared = state(one, "map:1");
    assert_eq!(content(&cleared["entries"]), of_pairs(&[]));
    assert_ne!(cleared["epoch"], first["epoch"]);
}

/// A map that lost changes goes on under another epoch: a node that knows nothing of it has all keys, and goes on.
pub fn under_another_epoch(redis: &Redis, node: &Server) {
    let names = Names::new("centrifugo", Layout::Plain, false);
    let first = publish(node, "map:7", "a", json!(1));
    let of = Epoch::parse(first["epoch"].as_str().expect("an epoch")).expect("an epoch");
    let fresh = Epoch::parse("another").expect("an epoch");
    redis.connect().call(&read::change_epoch(&names, "map:7", of, fresh, 0));
    assert_eq!(content(&state(node, "map:7")["entries"]), of_pairs(&[("a", 1)]));
    let next = publish(node, "map:7", "b", json!(2));
    assert_eq!((&next["offset"], &next["epoch"]), (&json!(2), &json!("another")));
    let state = state(node, "map:7");
    assert_eq!(content(&state["entries"]), of_pairs(&[("a", 1), ("b", 2)]));
    assert_eq!((&state["offset"], &state["epoch"]), (&json!(2), &json!("another")));
}

fn what_changes_nothing(one: &Server, other: &Server) {
    let with = |more: Value| {
        let mut request = json!({"channel": "map:2", "key": "k", "data": 1});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        request
    };
    let first = one.api("map_publish", with(json!({"idempotency_key": "once", "version": 5})));
    for (more, reason) in [
        (json!({"idempotency_key": "once"}), "idempotency"),
        (json!({"version": 5}), "version"),
        (json!({"key_mode": "if_new"}), "key_exists"),
        (json!({"key_mode": "if_exists", "key": "other"}), "key_not_found"),
    ] {
        let again = other.api("map_publish", with(more));
        assert_eq!((&again["suppressed"], &again["suppress_reason"]), (&json!(true), &json!(reason)));
        assert_eq!((&again["offset"], &again["epoch"]), (&first["offset"], &first["epoch"]));
    }
    let missing = other.api("map_remove", json!({"channel": "map:2", "key": "other"}));
    assert_eq!(missing["suppress_reason"], "key_not_found");
}

fn subscribe(client: &mut Talker, map: &str, more: Value) -> Value {
    let mut request = json!({"channel": map, "type": 1, "phase": 2});
    request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    client.subscribe(request)
}

fn subscribers(one: &Server, other: &Server) {
    publish(one, "map:3", "a", json!(1));
    let mut client = Talker::connect(other);
    let live = subscribe(&mut client, "map:3", json!({}));
    // Live: the phase is 0, which is not written.
    assert_eq!((&live["phase"], content(&live["state"])), (&Value::Null, of_pairs(&[("a", 1)])));
    let mut publisher = Talker::connect(one);
    publisher.ask(json!({"publish": {"channel": "map:3", "type": 1, "key": "b", "data": 2}}));
    let pushed = client.pushed("pub");
    assert_eq!((&pushed["key"], &pushed["data"], &pushed["offset"]), (&json!("b"), &json!(2), &json!(2)));
    assert_eq!(pushed["info"]["client"], publisher.id);
    one.api("map_remove", json!({"channel": "map:3", "key": "a"}));
    let pushed = client.pushed("pub");
    assert_eq!((&pushed["key"], &pushed["removed"], &pushed["offset"]), (&json!("a"), &json!(true), &json!(3)));
    drop(client);
    publish(one, "map:3", "c", json!(3));
    publisher.ask(json!({"publish": {"channel": "map:3", "type": 1, "key": "b", "removed": true}}));
    let mut back = Talker::connect(other);
    let comes_back = json!({"phase": 0, "recover": true, "offset": 3, "epoch": live["epoch"]});
    let recovered = subscribe(&mut back, "map:3", comes_back);
    assert_eq!((&recovered["recovered"], &recovered["offset"]), (&json!(true), &json!(5)), "{recovered}");
    let missed: Vec<_> = recovered["publications"].as_array().expect("changes").iter().map(|it| &it["key"]).collect();
    assert_eq!(missed, ["c", "b"]);
    publish(one, "map:3", "d", json!(4));
    assert_eq!(back.pushed("pub")["offset"], 6);
    // Whoever has a map that was cleared is told so with the next change.
    other.api("map_clear", json!({"channel": "map:3"}));
    publish(one, "map:3", "e", json!(5));
    assert_eq!(back.pushed("unsubscribe")["code"], 2500);
    let another = subscribe(&mut back, "map:3", json!({}));
    assert_eq!(content(&another["state"]), of_pairs(&[("e", 5)]));
}

fn many_pages(one: &Server, other: &Server) {
    let keys: Vec<String> = (0..700).map(|n| format!("key-{n}")).collect();
    let commands: Vec<_> =
        keys.iter().map(|key| json!({"map_publish": {"channel": "map:4", "key": key, "data": 1}})).collect();
    one.api("batch", json!({"commands": commands}));
    let mut client = Talker::connect(other);
    let mut page = subscribe(&mut client, "map:4", json!({"limit": 100}));
    let (mut read, mut pages) = (content(&page["state"]), 1);
    while page["phase"] == 2 && page["cursor"].is_string() {
        publish(one, "map:4", "changed", json!(pages));
        let more = json!({"limit": 100, "cursor": page["cursor"], "offset": page["offset"], "epoch": page["epoch"]});
        page = subscribe(&mut client, "map:4", more);
        read.extend(content(&page["state"]));
        pages += 1;
    }
    assert!(pages > 3, "{pages} pages");
    assert_eq!(page["phase"], Value::Null, "{page}");
    read.extend(content(&page["publications"]));
    assert_eq!(read.len(), keys.len() + 1);
    assert_eq!(read["changed"], json!(pages - 1));
    let paged = one.api("map_read_state", json!({"channel": "map:4", "limit": 10}));
    assert!(paged["cursor"].as_str().is_some_and(|cursor| !cursor.is_empty()), "{}", paged["cursor"]);
}

fn patches(one: &Server, other: &Server) {
    let same = "something that stays the same ".repeat(8);
    let change = |key: &str, n: i32| publish(one, "map:5", key, json!({"same": same, "n": n}));
    change("a", 0);
    let mut client = Talker::connect(other);
    let live = subscribe(&mut client, "map:5", json!({"delta": "fossil"}));
    assert_eq!(live["delta"], true);
    change("a", 1);
    change("b", 2);
    change("a", 3);
    let came: Vec<Value> = (0..3).map(|_| client.pushed("pub")).collect();
    let are_patches: Vec<bool> = came.iter().map(|publication| publication["delta"] == true).collect();
    assert_eq!(are_patches, [true, false, true], "{came:?}");
}

fn maps_without_changes(one: &Server, other: &Server) {
    publish(one, "passing:1", "a", json!(1));
    let mut client = Talker::connect(other);
    let live = subscribe(&mut client, "passing:1", json!({}));
    assert_eq!(content(&live["state"]), of_pairs(&[("a", 1)]));
    publish(one, "passing:1", "a", json!(2));
    assert_eq!(client.pushed("pub")["data"], 2);
    one.api("map_remove", json!({"channel": "passing:1", "key": "a"}));
    assert_eq!(client.pushed("pub")["removed"], true);
    assert_eq!(content(&state(other, "passing:1")["entries"]), of_pairs(&[]));
}

fn keys_that_expire(one: &Server, other: &Server) {
    let mut clients = [Talker::connect(one), Talker::connect(other)];
    for client in &mut clients {
        subscribe(client, "brief:1", json!({}));
    }
    publish(one, "brief:1", "a", json!(1));
    publish(other, "brief:1", "b", json!(1));
    for client in &mut clients {
        let came: Vec<Value> = (0..4).map(|_| client.pushed("pub")).collect();
        let removed: Vec<_> = came[2..].iter().map(|it| (it["removed"].clone(), it["offset"].clone())).collect();
        assert_eq!(removed, [(json!(true), json!(3)), (json!(true), json!(4))], "{came:?}");
    }
    assert_eq!(one.api("map_stats", json!({"channel": "brief:1"}))["num_keys"].as_i64().unwrap_or(0), 0);
}

fn maps_that_mirror_a_channel(one: &Server, other: &Server) {
    let mut watcher = Talker::connect(other);
    watcher.subscribe(json!({"channel": "here:seen:1", "type": 2, "phase": 2}));
    let mut guest = Talker::connect(one);
    guest.subscribe(json!({"channel": "seen:1"}));
    let came = watcher.pushed("pub");
    assert_eq!((&came["key"], &came["info"]["client"]), (&json!(guest.id), &json!(guest.id)));
    guest.ask(json!({"unsubscribe": {"channel": "seen:1"}}));
    let gone = watcher.pushed("pub");
    assert_eq!((&gone["key"], &gone["removed"]), (&json!(guest.id), &json!(true)));
}

/// Presence of a map whose node keeps channels in memory; `one` and `other` know nothing of each other's clients.
pub fn presence_beside(one: &Server, other: &Server) {
    let mut watcher = Talker::connect(one);
    subscribe(&mut watcher, "map:6", json!({}));
    assert_eq!(watcher.pushed("join")["info"]["client"], watcher.id);
    let mut guest = Talker::connect(one);
    subscribe(&mut guest, "map:6", json!({}));
    assert_eq!(watcher.pushed("join")["info"]["client"], guest.id);
    assert_eq!(one.api("presence_stats", json!({"channel": "map:6"}))["num_clients"], 2);
    assert_eq!(other.api("presence_stats", json!({"channel": "map:6"}))["num_clients"], 0);
    guest.ask(json!({"unsubscribe": {"channel": "map:6"}}));
    assert_eq!(watcher.pushed("leave")["info"]["client"], guest.id);
    assert_eq!(one.api("presence_stats", json!({"channel": "map:6"}))["num_clients"], 1);
    assert_eq!(one.api("info", json!({}))["nodes"].as_array().map(Vec::len), Some(1));
}
