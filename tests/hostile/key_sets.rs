//! Tokens whose keys stand behind a URL: one that is slow, broken, or asked by a crowd.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::signer::Signer;
use crate::support::PATIENCE;
use crate::support::server::Server;
use crate::support::ws::Client;

/// Serves a key set.
#[derive(Clone)]
struct KeyServer {
    url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    status: u16,
    body: String,
    /// Answers wait.
    is_held: bool,
    /// Requests so far.
    requests: usize,
}

impl KeyServer {
    fn start(body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let state = Arc::new((Mutex::new(State { status: 200, body, is_held: false, requests: 0 }), Condvar::new()));
        let server = Self { url, state };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        server
    }

    /// Answers request after request; none has a body.
    fn serve(&self, mut stream: TcpStream) {
        let (lock, changed) = &*self.state;
        let mut request = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).is_ok_and(|read| read == 1) {
            request.push(byte[0]);
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            request.clear();
            let mut state = lock.lock().expect("no poison");
            state.requests += 1;
            changed.notify_all();
            state = changed.wait_while(state, |state| state.is_held).expect("no poison");
            let State { status, body, .. } = &*state;
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            drop(state);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        let (lock, changed) = &*self.state;
        change(&mut lock.lock().expect("no poison"));
        changed.notify_all();
    }

    fn requests(&self) -> usize {
        self.state.0.lock().expect("no poison").requests
    }

    /// Waits until it was asked so many times.
    #[track_caller]
    fn wait_for_requests(&self, count: usize) {
        let (lock, changed) = &*self.state;
        let state = lock.lock().expect("no poison");
        let (_state, waited) =
            changed.wait_timeout_while(state, PATIENCE, |state| state.requests < count).expect("no poison");
        assert!(!waited.timed_out(), "it is not asked");
    }
}

fn server(keys: &KeyServer) -> Server {
    Server::start(json!({
        "client": {
            "insecure": false,
            "allow_anonymous_connect_without_token": true,
            "token": {"jwks_public_endpoint": keys.url},
        },
        "channel": {"without_namespace": {"allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true}},
    }))
}

fn connect(token: &str) -> Value {
    json!({"id": 1, "connect": {"token": token}})
}

fn send_all(server: &Server, count: usize, token: &str) -> Vec<Client> {
    let client = |_| {
        let mut client = Client::open(server);
        client.send(&[connect(token), json!({"id": 2, "subscribe": {"channel": "a"}})]);
        client
    };
    (0..count).map(client).collect()
}

#[track_caller]
fn expect_connected(clients: &mut [Client]) {
    for client in clients {
        let reply = client.reply();
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        assert_eq!(client.reply()["id"], 2);
    }
}

#[test]
fn a_crowd_waits_for_one_reading_and_holds_up_nobody_else() {
    let signer = Signer::new();
    let keys = KeyServer::start(signer.set());
    keys.set(|state| state.is_held = true);
    let server = server(&keys);
    let mut crowd = send_all(&server, 300, &signer.token(&json!({"sub": "u"})));
    keys.wait_for_requests(1);
    // Meanwhile others come and go.
    let mut others: Vec<Client> = (0..8).map(|_| Client::subscribe(&server, "b")).collect();
    server.api("publish", json!({"channel": "b", "data": 1}));
    for other in &mut others {
        assert_eq!(other.reply()["push"]["pub"]["data"], 1);
    }
    keys.set(|state| state.is_held = false);
    expect_connected(&mut crowd);
    assert_eq!(keys.requests(), 1);
    expect_connected(&mut send_all(&server, 20, &signer.token(&json!({"sub": "v"}))));
    assert_eq!(keys.requests(), 1, "the key is at hand");
}

#[test]
fn an_endpoint_that_fails_is_asked_twice_and_then_the_token_is_refused() {
    let signer = Signer::new();
    let keys = KeyServer::start(signer.set());
    let server = server(&keys);
    let token = signer.token(&json!({"sub": "u"}));
    let refused = |requests: usize| {
        let before = keys.requests();
        assert_eq!(send_all(&server, 1, &token)[0].close_code(), Some(3500));
        assert_eq!(keys.requests(), before + requests);
    };
    keys.set(|state| state.status = 503);
    refused(2);
    server.wait_for_log("cannot read a key set: tokens that need it are refused");
    keys.set(|state| (state.status, state.body) = (200, "<html>".to_owned()));
    refused(1);
    keys.set(|state| state.body = r#"{"keys":[]}"#.to_owned());
    refused(1);
    keys.set(|state| state.body = "x".repeat(2 << 20));
    refused(2);
    assert_eq!(server.count_in_log("cannot read a key set"), 1, "once in ten seconds");
    // Nothing of that is remembered.
    keys.set(|state| state.body = signer.set());
    expect_connected(&mut send_all(&server, 1, &token));
}

#[test]
fn a_reload_reads_keys_again() {
    let (old, new) = (Signer::new(), Signer::new());
    let keys = KeyServer::start(old.set());
    let server = server(&keys);
    let (old_token, new_token) = (old.token(&json!({"sub": "u"})), new.token(&json!({"sub": "u"})));
    expect_connected(&mut send_all(&server, 8, &old_token));
    keys.set(|state| state.body = new.set());
    assert_eq!(send_all(&server, 1, &new_token)[0].close_code(), Some(3500), "another key of that name is known");
    server.signal("HUP");
    server.wait_for_log("configuration successfully reloaded");
    expect_connected(&mut send_all(&server, 8, &new_token));
    assert_eq!(send_all(&server, 1, &old_token)[0].close_code(), Some(3500));
}

#[test]
fn whoever_leaves_while_the_key_is_read_leaves_nothing_behind_and_a_stop_waits_for_no_key() {
    let signer = Signer::new();
    let keys = KeyServer::start(signer.set());
    keys.set(|state| state.is_held = true);
    let mut server = server(&keys);
    let files = server.files() + 10;
    let token = signer.token(&json!({"sub": "u"}));
    drop(send_all(&server, 200, &token));
    keys.wait_for_requests(1);
    server.wait_until_empty(files);
    let mut waiting = send_all(&server, 4, &token);
    server.signal("TERM");
    for client in &mut waiting {
        assert!(matches!(client.close_code(), Some(3001 | 3500)));
    }
    assert_eq!(server.wait().code(), Some(0));
}
