//! The simulated world: shards, sockets and clients, and a seed that decides what happens next.

mod acts;
mod sockets;
mod turns;

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::backend::Backend;
use super::broker::Broker;
use super::client::Client;
use super::plane::Plane;
use super::setup::{MAX_ERRANDS, QUEUE_MAX_SIZE};
use super::truth::Truth;
use super::{Failure, Setup, checks};
use crate::api::Node;
use crate::auth::Verifiers;
use crate::base::ids::{ConnId, ShardId};
use crate::base::time::Now;
use crate::engine::{AtBroker, Engine, Parts, ShardPort};
use crate::mesh::{Limits, desk, line, mesh};
use crate::protocol::Protocol;

/// What lives at the simulated broker.
const EVERYTHING: AtBroker = AtBroker { channels: true, presence: true, maps: true, nodes: true };

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
    /// Changes of maps that a failover of the broker lost.
    pub changes_lost: u64,
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
