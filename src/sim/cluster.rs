//! Several shards in one thread without chance or checks: for tests that count and benches that measure.
//!
//! Sockets take everything at once. What a shard of a real process does in a turn happens here in the same order.

use std::borrow::Cow;
use std::io::IoSlice;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::wire;
use crate::api::{self, Node};
use crate::auth::Verifiers;
use crate::base::ids::{ConnId, ShardId};
use crate::base::time::Now;
use crate::channel::name::ChannelName;
use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};
use crate::config::snapshot::Snapshot;
use crate::engine::{Action, Engine, MAX_ERRANDS, Opening, Parts, ShardPort, ShardWindow, Tally};
use crate::errand::{Answer, Errand, HttpError, PollAnswer};
use crate::mesh::{Limits, desk, mesh};
use crate::protocol::Protocol;
use crate::protocol::client::{Command, ConnectRequest, PublishRequest, SubscribeRequest};
use crate::protocol::raw::Raw;

/// Pieces of an outbox that are taken at once, as by one write.
const PIECES: usize = 16;

/// A connection of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The shard that owns it.
    pub shard: usize,
    /// Its name there.
    pub conn: ConnId,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What sockets took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
    /// Writes: one for a connection that was owed something in a round.
    pub writes: u64,
    /// Sockets that were closed.
    pub closed: u64,
}

/// See the module.
pub struct Cluster {
    engines: Vec<Engine>,
    windows: Vec<ShardWindow>,
    /// Shards that have work, for all they know.
    awake: Vec<bool>,
    now: Now,
    dirty: Vec<ConnId>,
    rung: Vec<ShardId>,
    taken: Taken,
}

/// A configuration from JSON text.
///
/// # Panics
/// When it is not in order.
pub fn config(json: &str) -> Arc<Snapshot> {
    let env = Env::default();
    let loaded = load(Sources { file: Some(("config.json", json)), env: &env, flags: &[] }).expect("readable options");
    let host = Host { name: "cluster", resolve: &|_| None };
    Arc::new(prepare(&loaded.options, &host, false).expect("options in order"))
}

/// A configuration under which everyone may do everything, without history.
pub fn open_config() -> Arc<Snapshot> {
    config(
        r#"{
            "client": { "allow_anonymous_connect_without_token": true, "channel_limit": 10000000 },
            "channel": { "without_namespace": {
                "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
                "allow_publish_for_client": true, "allow_publish_for_anonymous": true } },
            "http_api": { "insecure": true }
        }"#,
    )
}

/// One with maps, for the server API.
pub fn map_config() -> Arc<Snapshot> {
    config(
        r#"{
            "channel": { "namespaces": [{ "name": "map", "subscription_type": "map", "map": { "mode": "persistent" } }] },
            "http_api": { "insecure": true }
        }"#,
    )
}

/// The same as [`open_config`], for clients with tokens.
pub fn token_config() -> Arc<Snapshot> {
    config(
        r#"{
            "client": { "token": { "hmac_secret_key": "a secret of the tests" } },
            "channel": { "without_namespace": { "allow_subscribe_for_client": true } }
        }"#,
    )
}

impl Cluster {
    /// So many shards without clients.
    ///
    /// # Panics
    /// When the configuration's keys are not in order.
    pub fn new(shards: u16, config: Arc<Snapshot>) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let verifiers = Arc::new(Verifiers::new(&config).expect("keys in order"));
        let node = Arc::new(Node { uid: "cluster".into(), version: "0".into() });
        let now = Now { mono_ms: 1, mono_us: 1000, unix_ms: 1_700_000_000_000 };
        let ports: Vec<ShardPort> = mesh(usize::from(shards), Limits::default());
        let mut windows = Vec::new();
        let engine = |(index, port)| {
            let (desk, window) = desk(MAX_ERRANDS);
            windows.push(window);
            Engine::new(Parts {
                id: ShardId(index as u16),
                port,
                desk,
                line: None,
                shards,
                config: config.clone(),
                verifiers: verifiers.clone(),
                node: node.clone(),
                seed: rng.random(),
                now,
            })
        };
        let engines = ports.into_iter().enumerate().map(engine).collect();
        Self {
            engines,
            windows,
            awake: vec![true; usize::from(shards)],
            now,
            dirty: Vec::new(),
            rung: Vec::new(),
            taken: Taken::default(),
        }
    }

    /// A shard's engine.
    pub fn engine(&mut self, shard: usize) -> &mut Engine {
        self.awake[shard] = true;
        &mut self.engines[shard]
    }

    /// The shard at which a channel is at home.
    pub fn home_of(&self, channel: &str) -> usize {
        ChannelName::new(channel).home(self.engines.len() as u16).index()
    }

    /// What sockets took so far.
    pub fn taken(&self) -> Taken {
        self.taken
    }

    /// What all shards encoded and handed over so far.
    pub fn tally(&self) -> Tally {
        self.engines.iter().map(Engine::tally).fold(Tally::default(), |sum, tally| Tally {
            mesh_deliveries: sum.mesh_deliveries + tally.mesh_deliveries,
            encodings: sum.encodings + tally.encodings,
        })
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.mono_us += ms * 1000;
        self.now.unix_ms += ms;
        self.awake.fill(true);
    }

    /// A connection that has not said anything.
    ///
    /// # Panics
    /// When the shard takes no more.
    pub fn open(&mut self, shard: usize, protocol: Protocol) -> Client {
        let opening = Opening { socket: 0, protocol, native_ping: false, user_header: None };
        let conn = self.engine(shard).open(opening).expect("a shard takes millions of connections");
        Client { shard, conn, protocol }
    }

    /// A connected client.
    pub fn connect(&mut self, shard: usize, protocol: Protocol) -> Client {
        let client = self.open(shard, protocol);
        self.send(client, &mut connect_frame(protocol, ""));
        client
    }

    /// Bytes from a client. The shard's turn is the caller's to run.
    pub fn send(&mut self, client: Client, bytes: &mut [u8]) {
        let now = self.now;
        let engine = self.engine(client.shard);
        engine.set_now(now);
        engine.input(client.conn, bytes);
    }

    /// Subscribes to a channel, and lets it happen.
    ///
    /// # Panics
    /// When the client is not a member afterwards.
    pub fn subscribe(&mut self, client: Client, channel: &str) {
        self.subscribe_with(client, SubscribeRequest { channel: channel.into(), ..SubscribeRequest::default() });
    }

    /// Subscribes as the request says, and lets it happen.
    ///
    /// # Panics
    /// When the client is not a member afterwards.
    pub fn subscribe_with(&mut self, client: Client, request: SubscribeRequest<'_>) {
        let (before, channel) = (self.engines[client.shard].audit().members, request.channel.to_string());
        let command = Command { id: 2, subscribe: Some(Box::new(request)), ..Command::default() };
        self.send(client, &mut wire::frame(client.protocol, &[command]));
        self.settle();
        assert_eq!(self.engines[client.shard].audit().members, before + 1, "subscribing to {channel}");
    }

    /// Calls the server API on a shard. What follows is the caller's to run.
    ///
    /// # Panics
    /// When too many calls are under way.
    pub fn call(&mut self, shard: usize, method: &str, body: &[u8]) {
        let now = self.now;
        let engine = self.engine(shard);
        engine.set_now(now);
        engine.call(api::Request { method, error_mode: None, body }).expect("there is room for a call");
    }

    /// The client's socket is gone.
    pub fn close(&mut self, client: Client) {
        self.engine(client.shard).gone(client.conn);
    }

    /// One round of a shard: work, hand over, flush. True while it has more to do.
    pub fn round(&mut self, shard: usize) -> bool {
        let Self { engines, windows, awake, dirty, rung, taken, now } = self;
        let engine = &mut engines[shard];
        engine.awake();
        engine.set_now(*now);
        let more = engine.work();
        engine.flush_mesh(|to| rung.push(to));
        engine.take_dirty(dirty);
        for conn in dirty.iter() {
            let Some((_, outbox, pool)) = engine.outbox(*conn) else { continue };
            taken.writes += 1;
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let filled = outbox.fill(&mut slices);
                let length = slices[..filled].iter().map(|slice| slice.len()).sum();
                outbox.advance(length, pool);
                taken.frames += filled as u64;
                taken.bytes += length as u64;
            }
            engine.flushed(*conn, true);
        }
        if !dirty.is_empty() {
            engine.note_flushed(now.mono_us);
        }
        taken.closed += engine.take_actions().filter(|action| matches!(action, Action::Close { .. })).count() as u64;
        let finished: Vec<ConnId> = engine.finished_calls().collect();
        for call in finished {
            engine.take_response(call);
        }
        // The control plane answers between two turns.
        while let Some((ticket, errand)) = windows[shard].take() {
            let _ = windows[shard].answer(ticket, run(errand));
        }
        awake[shard] = more || !engine.is_settled() || !engine.prepare_to_sleep();
        for to in rung.drain(..) {
            awake[to.index()] = true;
        }
        awake[shard]
    }

    /// Runs every shard that has work until none has.
    pub fn settle(&mut self) {
        while self.awake.contains(&true) {
            for shard in 0..self.engines.len() {
                if self.awake[shard] {
                    self.round(shard);
                }
            }
        }
    }
}

/// There is no world around the cluster.
fn run(errand: Errand) -> Answer {
    match errand {
        Errand::Http(_) => Answer::Http(Err(HttpError::Timeout)),
        Errand::Key(query) => Answer::Key(query, None),
        Errand::Poll(query) => Answer::Poll(PollAnswer::timeout(query)),
        Errand::Signature(check) => {
            let is_good = check.run();
            Answer::Signature(check, is_good)
        }
    }
}

/// The frame of a connect command. No token when it is empty.
pub fn connect_frame(protocol: Protocol, token: &str) -> Vec<u8> {
    let request = ConnectRequest { token: Cow::Borrowed(token), ..ConnectRequest::default() };
    wire::frame(protocol, &[Command { id: 1, connect: Some(Box::new(request)), ..Command::default() }])
}

/// The frame of a subscribe command.
pub fn subscribe_frame(protocol: Protocol, channel: &str) -> Vec<u8> {
    let request = SubscribeRequest { channel: Cow::Borrowed(channel), ..SubscribeRequest::default() };
    wire::frame(protocol, &[Command { id: 2, subscribe: Some(Box::new(request)), ..Command::default() }])
}

/// The frame of a publish command.
pub fn publish_frame(protocol: Protocol, channel: &str, data: &[u8]) -> Vec<u8> {
    let request =
        PublishRequest { channel: Cow::Borrowed(channel), data: Raw::from(data), ..PublishRequest::default() };
    wire::frame(protocol, &[Command { id: 3, publish: Some(request), ..Command::default() }])
}
