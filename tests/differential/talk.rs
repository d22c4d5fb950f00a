//! One server and the conversation with it: takes a step, waits until everything that follows from it has arrived.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spindle::base::ids::ShardId;
use spindle::channel::name::ChannelName;
use spindle::protocol::Protocol;

use crate::backend::Backend;
use crate::memory::Memory;
use crate::normalise::Names;
use crate::rules::Kind;
use crate::step::{CONNECTIONS, Frame, Step};
use crate::support::http;
use crate::support::server::{Server, free_port};
use crate::wire::Connection;
use crate::{rules, values};

/// Ids of the commands that fence a step.
const FENCE: u64 = 4_000_000_000;

/// Everything that one actor heard because of a step, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    pub connections: [Vec<String>; CONNECTIONS],
    pub api: Vec<String>,
}

/// A server and the conversation that is going on with it.
pub struct World {
    server: Server,
    backend: Backend,
    kind: Kind,
    /// When the last step was over.
    last: Instant,
    api: TcpStream,
    connections: [Option<Connection>; CONNECTIONS],
    pub memory: Memory,
    names: Names,
    /// Two channels, one for each shard that ours has: an answer about them comes behind all that their homes sent.
    fences: [String; 2],
    pub heard: Heard,
}

impl World {
    /// Starts a binary. Ours is told how many shards to have.
    pub fn start(binary: &str, is_ours: bool, kind: Kind) -> Self {
        let port = free_port();
        let path = format!("{}/differential-{}-{port}.json", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        let backend = Backend::start();
        let config = rules::config(port, kind, backend.address);
        std::fs::write(&path, config.to_string()).expect("a configuration file");
        let mut command = Command::new(binary);
        command.args(["-c", &path]);
        let server = if is_ours {
            command.args(["--shards", "2"]);
            Server::run(command, port)
        } else {
            Server::run_until(command, port, "serving")
        };
        let api = server.dial();
        let fence = |shard: u16| {
            let mut names = (0..).map(|number| format!("fence:{number}"));
            names.find(|name| ChannelName::new(name).home(2) == ShardId(shard)).expect("some name")
        };
        Self {
            server,
            backend,
            kind,
            last: Instant::now(),
            api,
            connections: Default::default(),
            memory: Memory::new(0),
            names: Names::new(""),
            fences: [fence(0), fence(1)],
            heard: Heard::default(),
        }
    }

    /// Ends the conversation and begins another.
    pub fn begin(&mut self, run: u64) {
        self.connections = Default::default();
        self.memory = Memory::new(run);
        self.names = Names::new(&self.memory.run);
        self.heard = Heard::default();
    }

    /// Takes a step. What was heard of it is in `heard`.
    pub fn take(&mut self, step: &Step) {
        self.heard = Heard::default();
        match step {
            Step::Connect { connection, protobuf, first } => {
                if self.connections[*connection].is_none() {
                    let protocol = if *protobuf { Protocol::Protobuf } else { Protocol::Json };
                    self.connections[*connection] = Some(Connection::open(self.server.dial(), protocol));
                    self.send(*connection, first);
                    self.hear_connect(*connection);
                }
            }
            Step::Send { connection, frame } => self.send(*connection, frame),
            Step::Leave { connection } => self.connections[*connection] = None,
            Step::Api { method, body } => {
                let body = values::text(body, &self.memory);
                self.call(&format!("/api/{method}"), body.as_bytes());
            }
            Step::RawApi { path, body } => self.call(path, body),
            Step::Backend { channel, change } => {
                self.backend.change(&values::name(channel, &self.memory), change);
            }
            Step::Pass { seconds } => self.pass(Duration::from_secs(*seconds)),
        }
        self.settle();
        if let (Kind::Polls, Some(channel)) = (self.kind, step.polled()) {
            self.backend.settle(&values::name(channel, &self.memory));
            self.settle();
        }
        self.last = Instant::now();
    }

    /// Listens until it is so long since the last step, or nobody is left to listen to.
    fn pass(&mut self, time: Duration) {
        let until = self.last + time;
        for at in 0..CONNECTIONS {
            if let Some(connection) = &mut self.connections[at] {
                connection.hear_for(until);
                self.hear_rest(at);
            }
        }
    }

    fn send(&mut self, at: usize, frame: &Frame) {
        let Some(connection) = &mut self.connections[at] else { return };
        match frame {
            Frame::Commands(commands) => {
                let texts: Vec<String> = commands.iter().map(|command| values::text(command, &self.memory)).collect();
                connection.send(&texts);
            }
            Frame::Raw { binary, bytes } => connection.send_raw(*binary, &rename(bytes, &self.memory.run)),
        }
    }

    fn call(&mut self, path: &str, body: &[u8]) {
        let body = rename(body, &self.memory.run);
        // Where much is waited for, the connection may have been idle for too long.
        if matches!(self.kind, Kind::Polls | Kind::Expiry) {
            self.api = self.server.dial();
        }
        http::write_post(&mut self.api, path, &body);
        let response = http::read(&mut self.api).expect("an answer of the server API");
        let text = String::from_utf8_lossy(&response.body).into_owned();
        if let (Ok(request), Ok(answer)) =
            (serde_json::from_slice::<Value>(&body), serde_json::from_str::<Value>(&text))
            && let Some(channel) = request["channel"].as_str()
        {
            self.memory.note_result(channel, &answer["result"]);
        }
        let kind = http::header(&response.head, "content-type").unwrap_or("-");
        let line = format!("{} {kind} {}", response.status, self.names.api(&text));
        self.heard.api.push(line);
    }

    /// Without an answer to `connect` there is nothing to fence with.
    fn hear_connect(&mut self, at: usize) {
        let Some(connection) = &mut self.connections[at] else { return };
        if !connection.hear_first() {
            self.hear_rest(at);
        }
        let Some(connection) = &self.connections[at] else { return };
        if !connection.is_connected() {
            self.hear_rest(at);
        }
    }

    /// Waits until everything has arrived that was sent before.
    pub fn settle(&mut self) {
        for _ in 0..2 {
            self.fence();
        }
    }

    /// Asks on every connection something about each shard's channels, and hears everything up to the answers.
    pub fn fence(&mut self) {
        let ask =
            |number: usize| json!({"id": FENCE + number as u64, "presence_stats": {"channel": self.fences[number]}});
        let asks = [ask(0).to_string(), ask(1).to_string()];
        for connection in self.connections.iter_mut().flatten() {
            connection.send(&asks);
        }
        for at in 0..CONNECTIONS {
            if let Some(connection) = &mut self.connections[at] {
                connection.hear_until(FENCE + 1);
                self.hear_rest(at);
            }
        }
    }

    /// Takes what has arrived on a connection.
    fn hear_rest(&mut self, at: usize) {
        let Some(connection) = &mut self.connections[at] else { return };
        for message in connection.take() {
            if message.id().is_some_and(|id| id >= FENCE) {
                continue;
            }
            self.memory.note(at, message.channel.as_deref(), &message.value);
            let text = self.names.message(&mut connection.patches, &message);
            let text = without_made_up_epoch(&text);
            self.heard.connections[at].push(text);
        }
        if let Some(end) = connection.end() {
            self.heard.connections[at].push(end);
            self.connections[at] = None;
        }
    }
}

/// Where the server numbers versions of polled keys, the reference tells another epoch before the first key is tracked
/// than later.
fn without_made_up_epoch(text: &str) -> String {
    let is_of_polls = text.contains(r#","subscribe":{"#) && text.contains(r#""type":4"#);
    let Some((before, rest)) = text.split_once(r#""epoch":"epoch-"#).filter(|_| is_of_polls) else {
        return text.to_owned();
    };
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!(r#"{before}"epoch":"epoch{rest}"#)
}

fn rename(bytes: &[u8], run: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'~' => out.extend_from_slice(run.as_bytes()),
            byte => out.push(*byte),
        }
    }
    out
}
