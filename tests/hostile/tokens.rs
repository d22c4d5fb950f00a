//! Tokens whose check leaves the shard that asks for it.

use serde_json::{Value, json};

use crate::signer::Signer;
use crate::support::server::Server;
use crate::support::ws::Client;

fn server(signer: &Signer) -> Server {
    Server::start(json!({"client": {"insecure": false, "token": {"ecdsa_public_key": signer.pem()}}}))
}

fn connect(token: &str) -> Value {
    json!({"id": 1, "connect": {"token": token}})
}

#[test]
fn commands_wait_in_order_for_the_token_in_front_of_them() {
    let signer = Signer::new();
    let server = server(&signer);
    let connecting = connect(&signer.token(&json!({"sub": "u"})));
    let subscribe = |id: u32, claims: Value| {
        let channel = claims["channel"].clone();
        json!({"id": id, "subscribe": {"channel": channel, "token": signer.token(&claims)}})
    };
    let mut clients: Vec<Client> = (0..50).map(|_| Client::open(&server)).collect();
    for client in &mut clients {
        // One frame, and more input behind it before the first token is checked.
        let claims = |channel: &str| json!({"sub": "u", "channel": channel});
        client.send(&[
            connecting.clone(),
            subscribe(2, claims("a")),
            json!({"id": 3, "unsubscribe": {"channel": "c"}}),
        ]);
        client.send(&[subscribe(4, claims("b"))]);
        client.send(&[json!({"id": 5, "refresh": {"token": signer.token(&json!({"sub": "u"}))}})]);
        client.send(&[json!({"id": 6, "sub_refresh": {"channel": "a", "token": signer.token(&claims("a"))}})]);
    }
    for client in &mut clients {
        assert!(client.reply()["connect"]["client"].is_string());
        for id in 2..=6 {
            let reply = client.reply();
            assert_eq!((&reply["id"], reply.get("error")), (&json!(id), None), "{reply}");
        }
    }
}

#[test]
fn a_bad_signature_ends_the_connection() {
    let signer = Signer::new();
    let server = server(&signer);
    let mut client = Client::open(&server);
    client.send(&[connect(&Signer::new().token(&json!({"sub": "u"})))]);
    assert_eq!(client.close_code(), Some(3500));
    let mut late = Client::open(&server);
    late.send(&[connect(&signer.token(&json!({"sub": "u", "exp": 5})))]);
    assert_eq!(late.reply()["error"]["code"], 109);
}

#[test]
fn whoever_leaves_before_the_answer_leaves_nothing_behind() {
    let signer = Signer::new();
    let server = server(&signer);
    let token = signer.token(&json!({"sub": "u", "channels": ["a", "b"]}));
    let files = server.files() + 1;
    // More than one shard may have under way.
    for _ in 0..3000 {
        let mut client = Client::open(&server);
        client.send(&[connect(&token)]);
        client.reset();
    }
    server.wait_until_empty(files);
    let mut client = Client::open(&server);
    client.send(&[connect(&token)]);
    assert!(client.reply()["connect"]["client"].is_string());
}

#[test]
fn the_control_plane_starts_when_a_reload_needs_it_and_not_before() {
    let signer = Signer::new();
    let mut server = Server::start(json!({"client": {"insecure": false, "token": {"hmac_secret_key": "secret"}}}));
    let has_plane = |server: &Server| server.threads().iter().any(|name| name == "control");
    assert!(!has_plane(&server), "{:?}", server.threads());
    server.rewrite(json!({"client": {"token": {"ecdsa_public_key": signer.pem()}}}));
    server.signal("HUP");
    server.wait_for_log("configuration successfully reloaded");
    assert!(has_plane(&server), "{:?}", server.threads());
    let mut client = Client::open(&server);
    client.send(&[connect(&signer.token(&json!({"sub": "u"})))]);
    assert!(client.reply()["connect"]["client"].is_string());
    server.signal("TERM");
    assert!(server.wait().success());
}
