//! A client that speaks JSON and keeps what it is pushed.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::ws::{CLOSE, Client, TEXT};

/// See the module.
pub struct Talker {
    client: Client,
    came: VecDeque<Value>,
    last_id: u32,
    /// The server is none of ours.
    is_at_reference: bool,
    /// The id that the server gave it.
    pub id: String,
}

impl Talker {
    #[track_caller]
    pub fn connect(server: &Server) -> Self {
        let mut talker = Self {
            client: Client::open(server),
            came: VecDeque::new(),
            last_id: 0,
            is_at_reference: false,
            id: String::new(),
        };
        let reply = talker.ask(json!({"connect": {}}));
        let version = reply["connect"]["version"].as_str().expect("a version");
        talker.is_at_reference = !version.starts_with(env!("CARGO_PKG_VERSION"));
        talker.id = reply["connect"]["client"].as_str().expect("a client id").to_owned();
        talker
    }

    /// Sends a command, and gives its reply.
    #[track_caller]
    pub fn ask(&mut self, command: Value) -> Value {
        self.try_ask(command).expect("the connection stays")
    }

    /// The same; nothing when the connection is closed.
    #[track_caller]
    pub fn try_ask(&mut self, mut command: Value) -> Option<Value> {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        self.client.send(&[command]);
        let mut others = Vec::new();
        let reply = loop {
            let message = self.try_next()?;
            if message["id"] == self.last_id {
                break message;
            }
            others.push(message);
        };
        others.into_iter().rev().for_each(|other| self.came.push_front(other));
        Some(reply)
    }

    /// Sends a command that ends the connection; the code that it is closed with.
    #[track_caller]
    pub fn ended_by(&mut self, mut command: Value) -> Option<u16> {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        self.client.send(&[command]);
        self.close_code()
    }

    #[track_caller]
    pub fn subscribe(&mut self, request: Value) -> Value {
        let reply = self.ask(json!({"subscribe": &request}));
        assert!(reply["subscribe"].is_object(), "{reply}");
        if self.is_at_reference {
            // With NATS it answers before it is subscribed there; another question takes longer than that.
            self.ask(json!({"presence_stats": {"channel": request["channel"]}}));
        }
        reply["subscribe"].clone()
    }

    /// The next push as it is.
    #[track_caller]
    pub fn pushed_whole(&mut self) -> Value {
        loop {
            let message = self.next();
            if message["push"].is_object() {
                return message["push"].clone();
            }
        }
    }

    /// The next push with this member: `pub`, `join`, …; others before it are passed over.
    #[track_caller]
    pub fn pushed(&mut self, kind: &str) -> Value {
        loop {
            let push = self.next()["push"].clone();
            if push[kind].is_object() {
                return push[kind].clone();
            }
        }
    }

    /// Payloads of the next publications.
    #[track_caller]
    pub fn payloads(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.pushed("pub")["data"].clone()).collect()
    }

    /// The code that the connection is closed with.
    #[track_caller]
    pub fn close_code(&mut self) -> Option<u16> {
        self.client.close_code()
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        self.try_next().expect("the connection stays")
    }

    /// The next message; nothing when the connection is closed.
    #[track_caller]
    fn try_next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.came.pop_front() {
                if message != json!({}) {
                    return Some(message);
                }
                self.client.send(&[json!({})]);
                continue;
            }
            match self.client.frame() {
                Some((TEXT, payload)) => {
                    let lines = payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                    self.came.extend(lines.map(|line| serde_json::from_slice::<Value>(line).expect("JSON")));
                }
                Some((CLOSE, _)) | None => return None,
                Some(other) => panic!("no message: {other:?}"),
            }
        }
    }
}
