//! Limits of the node and of a connection, as clients meet them.

use std::io::Write;

use serde_json::{Value, json};

use spindle::auth::token;
use spindle::config::snapshot::Token;

use crate::support::http;
use crate::support::server::Server;
use crate::support::ws::{Client, HANDSHAKE};

/// The status of a WebSocket handshake.
fn handshake_status(server: &Server) -> u16 {
    let mut stream = server.dial();
    stream.write_all(HANDSHAKE.as_bytes()).expect("sent");
    let head = http::read_head(&mut stream).expect("an answer");
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[test]
fn connections_that_did_not_connect_do_not_count_and_limits_refuse_before_the_upgrade() {
    let server = Server::start(json!({"client": {"connection_limit": 2}}));
    let mut silent: Vec<Client> = (0..4).map(|_| Client::open(&server)).collect();
    let first = Client::connect(&server);
    silent[0].send(&[json!({"id": 1, "connect": {}})]);
    assert_eq!(silent[0].reply()["id"], 1);
    // A shard shows its count at the end of its turn; a call goes through all of them.
    server.api("info", json!({}));
    assert_eq!(handshake_status(&server), 503);
    server.wait_for_log("node connection limit reached");
    // Who is let in already may connect, limit or not.
    silent[1].send(&[json!({"id": 1, "connect": {}})]);
    assert_eq!(silent[1].reply()["id"], 1);
    drop((silent, first));
    let files = server.files();
    server.wait_until_empty(files);
    server.api("info", json!({}));
    drop(Client::connect(&server));
}

#[test]
fn connections_that_come_too_fast_are_refused() {
    let server = Server::start(json!({"client": {"connection_rate_limit": 3}}));
    let statuses: Vec<u16> = (0..5).map(|_| handshake_status(&server)).collect();
    // One more may be earned on the way, on a slow machine.
    assert_eq!(statuses[..3], [101; 3]);
    assert!(statuses[3..].contains(&503), "{statuses:?}");
}

#[test]
fn a_user_has_so_many_connections_and_a_connection_so_many_channels() {
    let secret = json!({"token": {"hmac_secret_key": "secret"}, "user_connection_limit": 2, "channel_limit": 2});
    let server = Server::start(json!({"client": secret}));
    let keys = Token { hmac_secret_key: "secret".into(), ..Token::default() };
    let token = token::connection(&keys, "u", -1, 1_700_000_000).expect("a secret");
    let connect = || {
        let mut client = Client::open(&server);
        client.send(&[json!({"id": 1, "connect": {"token": token}})]);
        client
    };
    let (mut first, mut second) = (connect(), connect());
    assert!(first.reply()["connect"].is_object() && second.reply()["connect"].is_object());
    assert_eq!(connect().close_code(), Some(3504));
    let channels = |from: u32| {
        let subscribe = |id: u32| json!({"id": id, "subscribe": {"channel": format!("c{id}")}});
        [subscribe(from), subscribe(from + 1), subscribe(from + 2)]
    };
    first.send(&channels(2));
    let replies: Vec<Value> = (0..3).map(|_| first.reply()).collect();
    assert_eq!(replies[2], json!({"id": 4, "error": {"code": 106, "message": "limit exceeded"}}), "{replies:?}");
}
