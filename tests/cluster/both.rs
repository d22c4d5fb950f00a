//! What is done at one node, seen at another.

use serde_json::{Value, json};

use crate::support::http;
use crate::support::server::Server;
use crate::talker::Talker;

/// Everything that nodes share, done at `one` and seen at `other`.
pub fn check(one: &Server, other: &Server) {
    publications_history_and_recovery(one, other);
    presence_joins_and_leaves(one, other);
    results_of_publications(one, other);
    deltas(one, other);
    calls_about_sessions(one, other);
    calls_about_nodes(one, other);
}

fn data(publications: &Value) -> Vec<&Value> {
    publications.as_array().into_iter().flatten().map(|publication| &publication["data"]).collect()
}

pub fn publications_history_and_recovery(one: &Server, other: &Server) {
    let mut subscriber = Talker::connect(other);
    subscriber.subscribe(json!({"channel": "plain:1"}));
    one.api("publish", json!({"channel": "plain:1", "data": 7, "tags": {"t": "v"}}));
    assert_eq!(subscriber.pushed("pub"), json!({"data": 7, "tags": {"t": "v"}}));

    let begun = subscriber.subscribe(json!({"channel": "kept:1"}));
    one.api("publish", json!({"channel": "kept:1", "data": 1}));
    let epoch = &begun["epoch"];
    assert_eq!(subscriber.pushed("pub"), json!({"data": 1, "offset": 1, "epoch": epoch}));
    let mut publisher = Talker::connect(one);
    publisher.ask(json!({"publish": {"channel": "kept:1", "data": 2}}));
    let published = subscriber.pushed("pub");
    assert_eq!((&published["offset"], &published["info"]["client"]), (&json!(2), &json!(publisher.id)));
    drop(subscriber);

    for n in 3..6 {
        one.api("publish", json!({"channel": "kept:1", "data": n}));
    }
    let mut back = Talker::connect(other);
    let recovered = back.subscribe(json!({"channel": "kept:1", "recover": true, "offset": 1, "epoch": epoch}));
    assert_eq!(recovered["recovered"], true, "{recovered}");
    assert_eq!(data(&recovered["publications"]), [2, 3, 4, 5]);
    one.api("publish", json!({"channel": "kept:1", "data": 6}));
    assert_eq!(back.payloads(1), [json!(6)], "and nothing twice");

    let history = other.api("history", json!({"channel": "kept:1", "limit": 100}));
    assert_eq!(
        (data(&history["publications"]), &history["offset"]),
        ([1, 2, 3, 4, 5, 6].map(Value::from).iter().collect(), &json!(6))
    );
    let newest = other.api("history", json!({"channel": "kept:1", "limit": 2, "reverse": true}));
    assert_eq!(data(&newest["publications"]), [6, 5]);
    let since = json!({"offset": 4, "epoch": history["epoch"]});
    let later = other.api("history", json!({"channel": "kept:1", "limit": 100, "since": since}));
    assert_eq!(data(&later["publications"]), [5, 6]);
    // More than a turn writes, and than Redis is asked for at once.
    let publish = |n: u32| json!({"publish": {"channel": "kept:long", "data": n}});
    let mut stream = one.dial();
    http::write_call(&mut stream, "batch", &json!({"commands": (1..=1_500).map(publish).collect::<Vec<_>>()}));
    assert_eq!(http::read(&mut stream).map(|response| response.status), Some(200));
    let long = other.api("history", json!({"channel": "kept:long", "limit": -1}));
    assert_eq!(
        data(&long["publications"]),
        (1..=1_500).map(Value::from).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    let part = json!({"channel": "kept:long", "limit": 1_200, "reverse": true});
    let part = other.api("history", part)["publications"].clone();
    assert_eq!((data(&part).len(), data(&part)[1_199]), (1_200, &json!(301)));
    one.api("history_remove", json!({"channel": "kept:1"}));
    let removed = other.api("history", json!({"channel": "kept:1", "limit": 100}));
    assert_eq!((data(&removed["publications"]).len(), &removed["offset"]), (0, &json!(6)));

    one.api("publish", json!({"channel": "cache:1", "data": "newest"}));
    let cached = back.subscribe(json!({"channel": "cache:1", "recover": true}));
    assert_eq!(data(&cached["publications"]), ["newest"]);
}

pub fn presence_joins_and_leaves(one: &Server, other: &Server) {
    let mut watcher = Talker::connect(other);
    watcher.subscribe(json!({"channel": "kept:2"}));
    assert_eq!(watcher.pushed("join")["info"]["client"], watcher.id);
    let mut guest = Talker::connect(one);
    guest.subscribe(json!({"channel": "kept:2"}));
    assert_eq!(watcher.pushed("join")["info"]["client"], guest.id);
    let present = other.api("presence", json!({"channel": "kept:2"}))["presence"].clone();
    let mut present: Vec<&String> = present.as_object().expect("clients").keys().collect();
    let mut expected = [&watcher.id, &guest.id];
    present.sort_unstable();
    expected.sort_unstable();
    assert_eq!(present, expected);
    let stats = one.api("presence_stats", json!({"channel": "kept:2"}));
    assert_eq!(stats, json!({"num_clients": 2, "num_users": 1}));
    guest.ask(json!({"unsubscribe": {"channel": "kept:2"}}));
    assert_eq!(watcher.pushed("leave")["info"]["client"], guest.id);
    assert_eq!(one.api("presence_stats", json!({"channel": "kept:2"}))["num_clients"], 1);
}

pub fn results_of_publications(one: &Server, other: &Server) {
    let with_key = json!({"channel": "kept:3", "data": 1, "idempotency_key": "key"});
    assert_eq!(one.api("publish", with_key.clone()), other.api("publish", with_key));
    let first = one.api("publish", json!({"channel": "kept:3", "data": 2, "version": 10}));
    let older = other.api("publish", json!({"channel": "kept:3", "data": 3, "version": 9}));
    assert_eq!((&first, &first["offset"]), (&older, &json!(2)));
    let newer = other.api("publish", json!({"channel": "kept:3", "data": 4, "version": 11}));
    assert_eq!(newer["offset"], 3);
}

fn deltas(one: &Server, other: &Server) {
    let mut subscriber = Talker::connect(other);
    subscriber.subscribe(json!({"channel": "delta:1", "delta": "fossil"}));
    let same = "something that stays the same ".repeat(8);
    for n in 0..3 {
        one.api("publish", json!({"channel": "delta:1", "data": {"same": same, "n": n}, "delta": true}));
    }
    let came: Vec<Value> = (0..3).map(|_| subscriber.pushed("pub")).collect();
    let are_patches: Vec<bool> = came.iter().map(|publication| publication["delta"] == true).collect();
    assert_eq!(are_patches, [false, true, true], "{came:?}");
}

pub fn calls_about_sessions(one: &Server, other: &Server) {
    let mut client = Talker::connect(other);
    let about = |more: Value| {
        let mut request = json!({"user": "", "client": client_id(&client)});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        request
    };
    let (subscribe, unsubscribe, disconnect) =
        (about(json!({"channel": "plain:2"})), about(json!({"channel": "plain:2"})), about(json!({})));
    one.api("subscribe", subscribe);
    client.pushed("subscribe");
    one.api("publish", json!({"channel": "plain:2", "data": 1}));
    assert_eq!(client.payloads(1), [json!(1)]);
    one.api("unsubscribe", unsubscribe);
    client.pushed("unsubscribe");
    one.api("disconnect", disconnect);
    assert_eq!(client.close_code(), Some(3503));
}

fn client_id(client: &Talker) -> &str {
    &client.id
}

pub fn calls_about_nodes(one: &Server, other: &Server) {
    let mut clients = [Talker::connect(one), Talker::connect(other)];
    clients.iter_mut().for_each(|client| drop(client.subscribe(json!({"channel": "plain:here"}))));
    let channels = one.api("channels", json!({"pattern": "plain:h*"}))["channels"].clone();
    assert_eq!(channels, json!({"plain:here": {"num_clients": 2}}));
    let nodes = one.api("info", json!({}))["nodes"].clone();
    assert_eq!(nodes.as_array().map(Vec::len), Some(2), "{nodes}");
}
