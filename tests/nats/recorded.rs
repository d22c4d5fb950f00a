//! What a reference put on NATS (`recorded.json`, of Centrifugo v6.9.1): ours puts the same bytes there, and
//! understands them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use spindle::protocol::client::Push;
use spindle::protocol::proto;

use crate::config;
use crate::nats::{Listener, Nats};
use crate::support::server::Server;
use crate::talker::Talker;

/// A message: its subject and payload.
type Told = (String, Vec<u8>);

fn recorded(mode: &str) -> Vec<Told> {
    let all: Value = serde_json::from_str(include_str!("recorded.json")).expect("JSON");
    let message = |message: &Value| {
        let text = |name: &str| message[name].as_str().expect("text").to_owned();
        (text("subject"), STANDARD.decode(text("payload")).expect("base64"))
    };
    all[mode].as_array().expect("messages").iter().map(message).collect()
}

/// The payload with another client and another time in it.
fn at_another_time(payload: &[u8], client: &str, time: i64) -> Vec<u8> {
    let mut push: Push<'_> = proto::decode(payload).expect("a push");
    let mut out = Vec::new();
    proto::encode(&push, &mut out);
    assert_eq!(out, payload, "we would write it so");
    if let Some(publication) = &mut push.r#pub {
        publication.time = time;
    }
    let info = [
        push.r#pub.as_mut().and_then(|publication| publication.info.as_mut()),
        push.join.as_mut().and_then(|join| join.info.as_mut()),
        push.leave.as_mut().and_then(|leave| leave.info.as_mut()),
    ];
    info.into_iter().flatten().for_each(|info| info.client = client.to_owned().into());
    let mut out = Vec::new();
    proto::encode(&push, &mut out);
    out
}

fn time_of(payload: &[u8]) -> i64 {
    let push: Push<'_> = proto::decode(payload).expect("a push");
    push.r#pub.map_or(0, |publication| publication.time)
}

/// Does what was done at the reference. Gives the client's id.
fn act(node: &Server) -> String {
    node.api("publish", json!({"channel": "plain:1", "data": {"a": 1}, "tags": {"k": "v"}}));
    node.api("publish", json!({"channel": "delta:1", "data": 2, "delta": true}));
    let mut client = Talker::connect(node);
    client.ask(json!({"publish": {"channel": "plain:1", "data": 3}}));
    client.ask(json!({"subscribe": {"channel": "seen:1"}}));
    client.ask(json!({"unsubscribe": {"channel": "seen:1"}}));
    client.id
}

fn come(listener: &mut Listener, count: usize) -> Vec<Told> {
    (0..count).map(|_| listener.message()).collect()
}

#[test]
fn ours_are_the_same() {
    let nats = Nats::start();
    let node = Server::start(config(&nats, json!({})));
    let mut listener = nats.listen(&["centrifugo.client.>"]);
    let client = act(&node);
    let expected = recorded("plain");
    let show = |payload: &[u8]| payload.escape_ascii().to_string();
    for ((subject, payload), (expected_subject, expected)) in come(&mut listener, expected.len()).iter().zip(&expected)
    {
        let expected = at_another_time(expected, &client, time_of(payload));
        assert_eq!(subject, expected_subject);
        assert_eq!(show(payload), show(&expected));
    }
}

#[test]
fn theirs_are_understood() {
    let nats = Nats::start();
    let node = Server::start(config(&nats, json!({})));
    let mut client = Talker::connect(&node);
    client.subscribe(json!({"channel": "plain:1"}));
    client.subscribe(json!({"channel": "seen:1"}));
    assert_eq!(client.pushed("join")["info"]["client"], client.id);
    client.subscribe(json!({"channel": "delta:1"}));
    let mut listener = nats.listen(&[]);
    recorded("plain").iter().for_each(|(subject, payload)| listener.publish(subject, payload));
    let theirs = "f897b2e3-efd6-4d9c-863b-78d789111d35";
    let info = json!({"info": {"user": "", "client": theirs}});
    let mut came: Vec<_> = (0..5).map(|_| client.pushed_whole()).collect();
    // Channels are told in no particular order.
    came.sort_by_key(|push| push["channel"].to_string());
    let expected = [
        json!({"channel": "delta:1", "pub": {"data": 2}}),
        json!({"channel": "plain:1", "pub": {"data": {"a": 1}, "tags": {"k": "v"}}}),
        json!({"channel": "plain:1", "pub": {"data": 3, "info": {"user": "", "client": theirs}}}),
        json!({"channel": "seen:1", "join": info}),
        json!({"channel": "seen:1", "leave": info}),
    ];
    assert_eq!(came, expected);
}
