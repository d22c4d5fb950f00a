//! The simulated world: shards, sockets and clients, and a seed that decides what happens next.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::backend::{Backend, KEYS, all_keys};
use super::broker::Broker;
use super::client::{Client, SAME};
use super::plane::Plane;
use super::polls::Act;
use super::setup::{HISTORY_SIZE, MAX_ERRANDS, QUEUE_MAX_SIZE, is_versioned};
use super::truth::Truth;
use super::wants::TAG;
use super::{Failure, Setup, checks};
use crate::api::{self, Node};
use crate::auth::Verifiers;
use crate::base::ids::{ConnId, ShardId};
use crate::base::time::Now;
use crate::engine::{Action, AtBroker, Engine, Opening, Parts, ShardPort};
use crate::mesh::{Limits, desk, line, mesh};
use crate::protocol::Protocol;

/// What lives at the simulated broker.
const EVERYTHING: AtBroker = AtBroker { channels: true, presence: true, maps: true };

/// So small that lanes are full all the time.
const LANES: Limits = Limits { requests: 2, deliveries: 2, control: 2, staged: 8 };

/// Steps in which everything must come to rest, times shards and clients.
const REST_STEPS: u64 = 100_000;

/// What the broker does at once, at most: many requests are a command's way to its answer.
const BROKER_STEPS: usize = 40;

/// What happens to shared-poll channels at once: keys change as often as channels are published to.
const POLL_ACTS: usize = 3;

/// Nodes have so long to answer each other, milliseconds.
const PATIENCE_MS: u64 = 10_000;

/// What a run did: proof that it was one worth having.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Publications that clients received.
    pub publications: u64,
    /// Times a client recovered what it had missed.
    pub recoveries: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Connections that the server ended because the client was slow.
    pub slow: u64,
    /// Publications that came as patches.
    pub patches: u64,
    /// Times a client was told that its position is lost.
    pub losses: u64,
    /// Publications that a failover of the broker lost.
    pub publications_lost: u64,
    /// Times a client recovered what it had missed of a map.
    pub map_recoveries: u64,
    /// Times a client was told that changes of a map are gone.
    pub map_losses: u64,
    /// Times a client's map ended because it was cleared.
    pub map_ends: u64,
    /// Versions of tracked keys that clients received.
    pub versions: u64,
    /// Those of them that came as patches.
    pub version_patches: u64,
    /// Times a client was told that a key is gone.
    pub key_removals: u64,
    /// Times a client's keys were void, because their versions count in another epoch.
    pub poll_resets: u64,
    /// Questions that the backend answered, or failed to.
    pub polls: u64,
    /// Bytes that clients received.
    pub bytes: u64,
    /// Errands that the control plane answered.
    pub errands: u64,
}

pub(super) struct World {
    pub(super) rng: StdRng,
    pub(super) engines: Vec<Engine>,
    pub(super) plane: Plane,
    /// Between the nodes, where there are several.
    pub(super) broker: Option<Broker>,
    /// Of each node.
    shards: usize,
    pub(super) clients: Vec<Client>,
    pub(super) truth: Truth,
    pub(super) names: Vec<String>,
    pub(super) maps: Vec<String>,
    pub(super) polls: Vec<String>,
    pub(super) report: Report,
    now: Now,
    /// Connections of each shard that are owed bytes.
    owed: Vec<BTreeSet<(u32, u32)>>,
    /// Shards that have work, for all they know.
    awake: Vec<bool>,
    calls: Vec<(usize, ConnId)>,
    responses: Vec<Vec<u8>>,
}

/// Runs a whole simulation.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run(seed: u64, setup: Setup) -> Result<Report, Failure> {
    let mut world = World::new(seed, setup);
    let mut step = 0;
    let result = loop {
        if step == setup.steps {
            break checks::at_rest(&mut world);
        }
        if let Err(what) = world.step() {
            break Err(what);
        }
        step += 1;
    };
    for client in &world.clients {
        world.report.map_recoveries += client.maps.recoveries;
        world.report.map_losses += client.maps.told;
        world.report.map_ends += client.maps.ended;
        world.report.versions += client.polls.versions;
        world.report.version_patches += client.polls.patches;
        world.report.key_removals += client.polls.removals;
        world.report.poll_resets += client.polls.resets;
    }
    world.report.polls = world.plane.polls;
    result.map(|()| world.report).map_err(|what| Failure { seed, step, what })
}

impl World {
    fn new(seed: u64, setup: Setup) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let config = Arc::new(setup.config());
        let verifiers = Arc::new(Verifiers::new(&config).expect("no keys, no faults"));
        let now = Now { mono_ms: 1, mono_us: 1000, unix_ms: 1_700_000_000_000 };
        let mut plane = Plane::new(Backend::new(&setup.polls(), &mut rng));
        let mut broker = setup.is_brokered().then(Broker::new);
        let mut engines = Vec::new();
        for number in 0..setup.nodes {
            let node = Arc::new(Node { uid: number.to_string().into(), version: "0".into() });
            let ports: Vec<ShardPort> = mesh(usize::from(setup.shards), LANES);
            let mut lines = Vec::new();
            for (index, port) in ports.into_iter().enumerate() {
                let (desk, window) = desk(MAX_ERRANDS);
                plane.add(window);
                let (line, far_end) = line();
                lines.push(far_end);
                engines.push(Engine::new(Parts {
                    id: ShardId(index as u16),
                    port,
                    desk,
                    line: setup.is_brokered().then_some((line, EVERYTHING)),
                    shards: setup.shards,
                    config: config.clone(),
                    verifiers: verifiers.clone(),
                    node: node.clone(),
                    seed: rng.random(),
                    now,
                }));
            }
            if let Some(broker) = &mut broker {
                broker.add(number.to_string(), lines);
            }
        }
        let mut clients: Vec<_> = (0..setup.clients as u64)
            .map(|number| Client::new(number, if rng.random() { Protocol::Json } else { Protocol::Protobuf }))
            .collect();
        clients.iter_mut().for_each(|client| client.is_brokered = setup.is_brokered());
        Self {
            rng,
            owed: vec![BTreeSet::new(); engines.len()],
            awake: vec![true; engines.len()],
            engines,
            plane,
            broker,
            shards: usize::from(setup.shards),
            clients,
            truth: Truth::default(),
            names: setup.names(),
            maps: setup.maps(),
            polls: setup.polls(),
            report: Report::default(),
            now,
            calls: Vec::new(),
            responses: Vec::new(),
        }
    }

    fn step(&mut self) -> Result<(), String> {
        match self.rng.random_range(0..if self.broker.is_some() { 200 } else { 156 }) {
            0..40 => {
                for _ in 0..self.nodes() {
                    let shard = self.rng.random_range(0..self.engines.len());
                    self.run_shard(shard);
                }
            }
            40..65 => {
                let client = self.rng.random_range(0..self.clients.len());
                self.move_bytes(client, false)?;
            }
            65..90 => {
                let client = self.rng.random_range(0..self.clients.len());
                self.act(client);
            }
            90..92 => {
                self.run_plane();
            }
            92..97 => {
                let shard = self.rng.random_range(0..self.engines.len());
                let channel = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
                let is_tagged = self.rng.random_bool(0.5);
                self.publish_by_api(shard, &channel, is_tagged);
            }
            97..109 if self.broker.is_none() => self.act_on_map(),
            97..116 => self.pass_time(),
            116..146 if self.broker.is_none() => {
                for _ in 0..POLL_ACTS {
                    self.act_on_poll();
                }
            }
            146..156 if self.broker.is_none() => {
                self.run_plane();
            }
            116..158 => {
                for _ in 0..self.rng.random_range(1..=BROKER_STEPS) {
                    self.run_broker();
                }
            }
            158..160 => self.trouble_broker(),
            160..172 => self.act_on_map(),
            172..192 => {
                for _ in 0..POLL_ACTS {
                    self.act_on_poll();
                }
            }
            _ => {
                self.run_plane();
            }
        }
        self.check_bounds()
    }

    /// Somebody begins or leaves a map, or one is changed over the server API.
    fn act_on_map(&mut self) {
        let channel = self.maps.choose(&mut self.rng).cloned().unwrap_or_default();
        let index = self.rng.random_range(0..self.clients.len());
        match self.rng.random_range(0..10) {
            0..4 => {
                let by_pages = self.rng.random();
                if self.clients[index].is_connected() {
                    self.clients[index].maps.begin(&channel, by_pages);
                }
                self.step_of_map(index);
            }
            4 if self.can_send(index) && self.clients[index].is_connected() => {
                let bytes = self.clients[index].unsubscribe(&channel);
                self.send_in_pieces(index, bytes);
            }
            _ if channel.starts_with("map") => {
                let (shard, key) = (self.rng.random_range(0..self.engines.len()), self.rng.random_range(0..8));
                let data: u32 = self.rng.random();
                let body = format!("{{\"channel\":\"{channel}\",\"key\":\"{key}\",\"data\":{data}}}");
                let method = match self.rng.random_range(0..40) {
                    0 => "map_clear",
                    1..8 => "map_remove",
                    _ => "map_publish",
                };
                self.call(shard, method, &body);
            }
            _ => {}
        }
    }

    /// Something changes at the backend, or somebody does something with a shared-poll channel.
    fn act_on_poll(&mut self) {
        if self.rng.random_ratio(2, 5) {
            let changed = self.plane.backend.change(&mut self.rng);
            if let Some((channel, key)) = changed
                && self.rng.random_ratio(1, 4)
                && is_versioned(&channel)
                && let Some(body) = self.plane.backend.publication(&channel, &key)
            {
                let shard = self.rng.random_range(0..self.engines.len());
                self.call(shard, "shared_poll_publish", &body);
            }
            return;
        }
        let channel = self.polls.choose(&mut self.rng).cloned().unwrap_or_default();
        let index = self.rng.random_range(0..self.clients.len());
        if !self.can_send(index) || !self.clients[index].is_connected() {
            return;
        }
        let count = self.rng.random_range(1..=3);
        let keys = rand::seq::index::sample(&mut self.rng, KEYS as usize, count);
        let keys = keys.into_iter().map(|key| key.to_string()).collect();
        let act = match (self.clients[index].polls.may_subscribe(&channel), self.rng.random_range(0..10)) {
            (true, _) => Act::Subscribe,
            _ if !self.clients[index].polls.is_live(&channel) => return,
            (_, 0..6) => Act::Track { keys, anew: self.rng.random_ratio(1, 4) },
            (_, 6..8) => Act::Untrack { keys },
            (_, 8) => Act::Untrack { keys: all_keys() },
            _ => Act::Unsubscribe,
        };
        self.poll(index, &channel, act);
    }

    /// A client does something with a shared-poll channel.
    pub(super) fn poll(&mut self, index: usize, channel: &str, act: Act) {
        let bytes = self.clients[index].poll(channel, act);
        self.send_in_pieces(index, bytes);
    }

    /// Takes the next step of a map that a client reads. True when it has one to take.
    fn step_of_map(&mut self, index: usize) -> bool {
        if !self.clients[index].maps.is_owing() {
            return false;
        }
        if self.can_send(index) {
            let limit = self.rng.random_range(1..=3);
            if let Some(bytes) = self.clients[index].step_of_map(limit) {
                self.send_in_pieces(index, bytes);
            }
        }
        true
    }

    /// A request or some events of the broker; false when there are none.
    fn run_broker(&mut self) -> bool {
        let Self { broker: Some(broker), rng, awake, now, .. } = self else { return false };
        let is_request = rng.random();
        if is_request && broker.carry_out_one(rng, *now) {
            return true;
        }
        match broker.bring_some(rng) {
            Some((shard, is_rung)) => {
                awake[shard] |= is_rung;
                true
            }
            None => broker.carry_out_one(rng, *now),
        }
    }

    /// Connections to the broker break and come back; now and then a stream is gone, or the last publications of one.
    fn trouble_broker(&mut self) {
        let channel = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
        let Self { broker: Some(broker), rng, truth, report, .. } = self else { return };
        match rng.random_range(0..14) {
            0..2 => broker.cut(rng),
            // Whoever comes back with a position that is lost may not be told, and then builds patches upon it.
            12.. if ["kept", "tags", "cache"].iter().any(|kind| channel.starts_with(kind)) => {
                let gone = broker.fail_over(&channel, rng);
                report.publications_lost += gone.len() as u64;
                truth.lose(&channel, gone);
            }
            2..5 if !channel.starts_with("live") => broker.lose_stream(&channel, rng),
            _ => broker.mend(),
        }
    }

    fn pass_time(&mut self) {
        let ms = *[1, 10, 100, 1000, 5000].choose(&mut self.rng).unwrap_or(&1);
        self.wait(ms);
    }

    /// So much time goes by; every shard will look at the clock.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.mono_us += ms * 1000;
        self.now.unix_ms += ms;
        self.awake.fill(true);
        if let Some(broker) = &mut self.broker {
            broker.sweep(self.now);
        }
    }

    /// One turn of a shard. True while it has more to do.
    fn run_shard(&mut self, shard: usize) -> bool {
        let Self { engines, owed, awake, .. } = self;
        let engine = &mut engines[shard];
        engine.awake();
        engine.set_now(self.now);
        let more = engine.work();
        let mut rung = Vec::new();
        engine.flush_mesh(|to| rung.push(to));
        // The broker and the control plane look for themselves.
        engine.flush_errands();
        engine.flush_broker();
        let mut dirty = Vec::new();
        engine.take_dirty(&mut dirty);
        owed[shard].extend(dirty.iter().map(|id| (id.slot, id.generation)));
        let sleeps = !more && engine.prepare_to_sleep();
        awake[shard] = !sleeps;
        let first = shard / self.shards * self.shards;
        for to in rung {
            awake[first + to.index()] = true;
        }
        self.collect_responses(shard);
        self.carry_out_actions(shard);
        !sleeps
    }

    /// One answer of the control plane; false when there is nothing to answer.
    fn run_plane(&mut self) -> bool {
        let Some(rung) = self.plane.answer_one(&mut self.rng) else { return false };
        self.report.errands += 1;
        if let Some(shard) = rung {
            self.awake[shard] = true;
        }
        true
    }

    fn collect_responses(&mut self, shard: usize) {
        let engine = &mut self.engines[shard];
        let finished: Vec<_> = engine.finished_calls().collect();
        for call in finished {
            if let Some(response) = engine.take_response(call) {
                self.calls.retain(|known| *known != (shard, call));
                self.responses.push(response.body);
            }
        }
    }

    fn carry_out_actions(&mut self, shard: usize) {
        let actions: Vec<_> = self.engines[shard].take_actions().collect();
        for action in actions {
            if let Action::Close { socket, .. } = action {
                self.clients[socket as usize].disconnected();
            }
        }
    }

    /// Lets a client take some of what it is owed (all of it when `eager`), and answer pings.
    fn move_bytes(&mut self, index: usize, eager: bool) -> Result<(), String> {
        let Some((shard, conn)) = self.clients[index].at else { return Ok(()) };
        let amount = match self.rng.random_range(0..4) {
            _ if eager => usize::MAX,
            _ if self.clients[index].is_stuck => 0,
            0 => self.rng.random_range(0..20),
            1 => self.rng.random_range(0..400),
            _ => usize::MAX,
        };
        self.owed[shard].remove(&(conn.slot, conn.generation));
        let engine = &mut self.engines[shard];
        let mut taken = Vec::new();
        if let Some((_, outbox, pool)) = engine.outbox(conn) {
            while taken.len() < amount && !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = outbox.fill(&mut slices);
                let room = amount - taken.len();
                let before = taken.len();
                taken.extend(slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(room));
                let count = taken.len() - before;
                outbox.advance(count, pool);
            }
            let is_left = !outbox.is_empty();
            engine.flushed(conn, !taken.is_empty());
            self.awake[shard] |= !engine.is_settled();
            if is_left {
                self.owed[shard].insert((conn.slot, conn.generation));
            }
        }
        self.report.bytes += taken.len() as u64;
        let before = self.clients[index].counts();
        self.clients[index].take(&taken, &mut self.truth, u64::from(HISTORY_SIZE))?;
        let after = self.clients[index].counts();
        self.report.publications += after.publications - before.publications;
        self.report.recoveries += after.recoveries - before.recoveries;
        self.report.slow += after.slow - before.slow;
        self.report.patches += after.patches - before.patches;
        self.report.losses += after.losses - before.losses;
        self.carry_out_actions(shard);
        if self.clients[index].saw_close {
            self.kill(index);
        }
        while self.clients[index].owed_pongs > 0 {
            self.clients[index].owed_pongs -= 1;
            let pong = super::wire::pong(self.clients[index].protocol);
            self.send(index, pong);
        }
        Ok(())
    }

    /// Hands bytes of a client to its shard, if the shard takes input; the rest is lost with the connection or, when
    /// the shard does not read now, not sent at all.
    fn send(&mut self, index: usize, mut bytes: Vec<u8>) {
        let Some((shard, conn)) = self.clients[index].at else { return };
        self.engines[shard].set_now(self.now);
        self.engines[shard].input(conn, &mut bytes);
        self.awake[shard] = true;
        self.carry_out_actions(shard);
    }

    fn can_send(&self, index: usize) -> bool {
        self.clients[index]
            .at
            .is_some_and(|(shard, conn)| self.engines[shard].takes_input() && self.engines[shard].takes_input_of(conn))
    }

    fn act(&mut self, index: usize) {
        if self.clients[index].at.is_none() {
            let shard = self.rng.random_range(0..self.engines.len());
            return self.open(index, shard);
        }
        if !self.can_send(index) {
            return;
        }
        let channel = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
        if !self.clients[index].is_connected() {
            return;
        }
        self.step_of_map(index);
        if !self.can_send(index) {
            return;
        }
        let client = &mut self.clients[index];
        match self.rng.random_range(0..100) {
            0..30 => {
                let count = self.rng.random_range(1..=self.names.len());
                let chosen: Vec<&str> = self.names.sample(&mut self.rng, count).map(String::as_str).collect();
                let bytes = client.subscribe(&chosen);
                self.send_in_pieces(index, bytes);
            }
            30..40 => {
                let bytes = client.unsubscribe(&channel);
                self.send_in_pieces(index, bytes);
            }
            40..85 => {
                let count = self.rng.random_range(1..=4);
                let bytes = client.publish(&channel, count);
                self.send_in_pieces(index, bytes);
            }
            85..90 => client.is_stuck = !client.is_stuck,
            _ => self.kill(index),
        }
    }

    fn open(&mut self, index: usize, shard: usize) {
        let protocol = self.clients[index].protocol;
        self.engines[shard].set_now(self.now);
        let opening = Opening { socket: index as u32, protocol, native_ping: false, user_header: None };
        let Some(conn) = self.engines[shard].open(opening) else { return };
        self.report.connections += 1;
        self.clients[index].at = Some((shard, conn));
        self.clients[index].is_stuck = false;
        let channel = self.names.choose(&mut self.rng).cloned().unwrap_or_default();
        let connect = self.clients[index].connect(&channel);
        self.send(index, connect);
    }

    /// The network cuts where it likes.
    fn send_in_pieces(&mut self, index: usize, mut bytes: Vec<u8>) {
        while !bytes.is_empty() {
            let cut = if self.rng.random_bool(0.3) { self.rng.random_range(1..=bytes.len()) } else { bytes.len() };
            let rest = bytes.split_off(cut);
            self.send(index, bytes);
            bytes = rest;
        }
    }

    /// The connection breaks: what was under way in both directions is lost.
    pub(super) fn kill(&mut self, index: usize) {
        let Some((shard, conn)) = self.clients[index].at else { return };
        self.engines[shard].set_now(self.now);
        self.engines[shard].gone(conn);
        self.awake[shard] = true;
        self.carry_out_actions(shard);
        self.clients[index].disconnected();
    }

    /// Publishes over the server API of a shard; what is tagged is not for whoever has a filter.
    pub(super) fn publish_by_api(&mut self, shard: usize, channel: &str, is_tagged: bool) {
        // Over the API nobody counts, so these carry a publisher of their own each time.
        let publisher: u32 = self.rng.random();
        let same = if channel.starts_with("delta") { SAME } else { "" };
        let data = format!("{{\"same\":\"{same}\",\"p\":{},\"n\":1}}", u64::from(publisher) << 20);
        let tags = if is_tagged { format!(",\"tags\":{{\"{}\":\"{}\"}}", TAG.0, TAG.1) } else { String::new() };
        let body = format!("{{\"channel\":\"{channel}\",\"data\":{data}{tags}}}");
        self.call(shard, "publish", &body);
    }

    pub(super) fn call(&mut self, shard: usize, method: &str, body: &str) {
        self.engines[shard].set_now(self.now);
        let request = api::Request { method, error_mode: None, body: body.as_bytes() };
        if let Some(call) = self.engines[shard].call(request) {
            self.calls.push((shard, call));
        }
        self.awake[shard] = true;
        self.collect_responses(shard);
    }

    /// Runs everything until nothing is left to do: all shards, all clients eager.
    ///
    /// # Errors
    /// It never comes to rest, or an invariant is violated on the way.
    pub(super) fn come_to_rest(&mut self) -> Result<(), String> {
        let mut has_waited = false;
        for _ in 0..REST_STEPS {
            let mut busy = false;
            for shard in 0..self.engines.len() {
                if self.awake[shard] {
                    busy |= self.run_shard(shard);
                }
            }
            for index in 0..self.clients.len() {
                self.clients[index].is_stuck = false;
                let owed = self.clients[index]
                    .at
                    .is_some_and(|(shard, conn)| self.owed[shard].contains(&(conn.slot, conn.generation)));
                if owed {
                    busy = true;
                    self.move_bytes(index, true)?;
                }
                busy |= self.step_of_map(index);
            }
            busy |= self.run_plane();
            if let Some(broker) = &mut self.broker {
                broker.is_faulty = false;
                broker.mend();
            }
            busy |= self.run_broker();
            busy |= self.awake.iter().any(|awake| *awake);
            // Answers of other nodes may be lost; whoever waits for them is told so in the end.
            if !busy && !self.calls.is_empty() && self.broker.is_some() && !has_waited {
                has_waited = true;
                self.wait(PATIENCE_MS);
                continue;
            }
            if !busy {
                return if self.calls.is_empty() { Ok(()) } else { Err("a call was never answered".to_owned()) };
            }
        }
        Err("the shards do not come to rest".to_owned())
    }

    /// Number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.engines.len() / self.shards
    }

    /// Responses of the server API since the last time.
    pub(super) fn take_responses(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.responses)
    }

    /// Nothing grows beyond its bound.
    fn check_bounds(&mut self) -> Result<(), String> {
        for client in &self.clients {
            let Some((shard, conn)) = client.at else { continue };
            if let Some((_, outbox, _)) = self.engines[shard].outbox(conn)
                && outbox.bytes() > QUEUE_MAX_SIZE + SLACK
            {
                return Err(format!("a client is owed {} bytes", outbox.bytes()));
            }
        }
        Ok(())
    }
}

/// What a turn may add to an outbox before it is flushed: one batch of every lane.
const SLACK: usize = 64 * 1024;
