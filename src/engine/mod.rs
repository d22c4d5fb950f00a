//! One shard's whole state and what changes it: connections, local subscribers, the channels whose home it is, timers,
//! calls of the server API.
//!
//! Pure: bytes and the time come in, owed frames and a few [`Action`]s come out. `shard` drives it with sockets, `sim`
//! with a seed. Everything that loops over clients, channels or frames works within a budget and says when more is
//! left, because nothing can interrupt a shard.

mod broker;
mod calls;
mod clerk;
mod connections;
mod control;
mod deliveries;
mod departures;
mod errands;
mod frames;
mod input;
#[cfg(test)]
mod layout;
mod outgoing;
mod polls;
mod refreshes;
mod requests;
mod surveys;
mod tailored;
mod users;

#[cfg(test)]
mod errand_tests;

#[cfg(test)]
mod poll_tests;

#[cfg(test)]
mod test_support;

#[cfg(test)]
mod timer_tests;

#[cfg(test)]
mod expiry_tests;

#[cfg(test)]
mod survey_tests;

#[cfg(test)]
mod metrics_tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::api::Node;
use crate::auth::{Budget, KeyCache, KeyQuery, Verifiers};
use crate::base::ids::{ConnId, ShardId};
use crate::base::slab::Slab;
use crate::base::time::{NEVER, Now};
use crate::base::wheel::Wheel;
use crate::channel::home::Homes;
use crate::channel::op::Delivery;
use crate::config::snapshot::Snapshot;
use crate::errand::{Answer as ErrandAnswer, Errand};
use crate::fanout::frame::FrameBuilder;
use crate::fanout::hub::Hub;
use crate::fanout::outbox::Pool;
use crate::mesh::{Desk, Port, Window};
use crate::metrics::{Interval, Shard as Metrics};
use crate::session::{Departure, Effect, Output};

pub use broker::{AtBroker, ShardFarEnd, ShardLine};
pub use calls::CallState;
pub use connections::Opening;
pub use errands::{MAX_ERRANDS, Ticket};
pub use frames::{Ask, ControlFrame, Request};

/// A shard's end of the mesh.
pub type ShardPort = Port<Request, Delivery, ControlFrame>;

/// A shard's desk at the control plane.
pub type ShardDesk = Desk<Ticket, Errand, ErrandAnswer>;

/// The control plane's side of it.
pub type ShardWindow = Window<Ticket, Errand, ErrandAnswer>;

/// Milliseconds that a closing connection waits for its peer (upstream: 5 s in handler_websocket.go).
const CLOSE_WAIT_MS: u64 = 5_000;

/// Connections of one shard at most.
const MAX_CONNECTIONS: u32 = 16 << 20;

/// Calls of the server API under way on one shard at most; each belongs to an HTTP connection.
const MAX_CALLS: u32 = 1 << 20;

/// Empty outboxes kept for reuse.
const IDLE_OUTBOXES: usize = 4096;

/// How often queues of outboxes beyond that are given back when they are not needed any more.
const TRIM_INTERVAL_MS: u64 = 1_000;

/// What a turn handles at most of each kind before sockets get their turn again.
pub(crate) const TURN_BUDGET: usize = 4096;

/// Entries of surveys that a turn lists, and that it writes or asks homes for: each costs a look-up in memory that is rarely warm.
pub(crate) const SURVEY_BUDGET: usize = 1024;

/// What the engine asks of whoever owns the sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Close the socket; the engine has forgotten the connection.
    Close {
        /// As given when the connection was opened.
        socket: u32,
        /// The peer may still be sending and must get what was written last: closing a socket with unread input
        /// resets the connection.
        lingers: bool,
    },
    /// The connection takes input again.
    Resume {
        /// As given when the connection was opened.
        socket: u32,
    },
}

/// What is held on behalf of clients and callers; all zero when there are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Audit {
    /// Connections.
    pub connections: usize,
    /// Users with connections.
    pub users: usize,
    /// Channels with subscribers on this shard.
    pub channels: usize,
    /// Keys of shared-poll channels that clients of this shard track.
    pub tracked_keys: usize,
    /// Keys of shared-poll channels at home here that clients of any shard track.
    pub polled_keys: usize,
    /// Subscriptions that get publications.
    pub members: usize,
    /// Channels at home here with subscribers on any shard.
    pub homes_with_subscribers: usize,
    /// Calls of the server API.
    pub calls: usize,
    /// Deliveries that wait in line.
    pub undelivered: usize,
    /// Connections that are gone and whose subscriptions are not.
    pub departing: usize,
    /// Errands under way.
    pub errands: usize,
}

/// Work since the start that must not grow with the number of subscribers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Deliveries of this shard's homes that went to other shards.
    pub mesh_deliveries: u64,
    /// Frames that were encoded.
    pub encodings: u64,
}

/// See the module.
pub struct Engine {
    id: ShardId,
    shards: u16,
    config: Arc<Snapshot>,
    verifiers: Arc<Verifiers>,
    /// Keys of key sets that tokens of this shard named.
    keys: KeyCache,
    /// Time for checks of signatures in this turn.
    budget: Budget,
    node: Arc<Node>,
    now: Now,
    rng: StdRng,

    conns: Slab<connections::Conn>,
    users: users::Users,
    hub: Hub,
    /// The keys that clients of this shard track, as channels of their own.
    tracked: Hub,
    homes: Homes,
    /// Where channels live that do not live here. Shared-poll channels always do.
    broker: Option<Box<broker::Broker>>,
    /// Speaks with other nodes; only at the first shard, and where there may be any.
    clerk: Option<Box<clerk::Clerk>>,
    wheel: Wheel<ConnId>,
    pool: Pool,
    /// When the pool may give memory back.
    trims_at: u64,
    builder: FrameBuilder,

    port: ShardPort,
    desk: ShardDesk,
    /// Connections whose proof finds the desk full, in line.
    standing: VecDeque<ConnId>,
    /// Connections whose tokens wait for a turn with time for them, in line, and the microseconds each needs.
    resting: VecDeque<(ConnId, u32)>,
    /// Answers that may still be taken in this turn.
    answers_left: usize,
    /// Connections that wait for a key of a set, by key: it is asked for once.
    seeking: HashMap<KeyQuery, Vec<ConnId>>,
    /// A key that was found, or not, while connections are told.
    found: Option<errands::FoundKey>,
    /// Deliveries of this shard's homes for this shard: they take no hop.
    local: VecDeque<Delivery>,
    control_jobs: VecDeque<control::Job>,
    begun: Slab<control::Begun>,
    counting: Vec<control::Counting>,
    /// What this shard lists for calls.
    surveys: VecDeque<surveys::Survey>,
    /// Shared-poll channels whose versions count in another epoch, until all subscribers know.
    resets: VecDeque<polls::Reset>,
    /// Keys and clients that may still be visited for them in this turn.
    resets_left: usize,
    /// Questions to backends of shared-poll channels that are under way.
    refreshing: usize,
    /// Subscriptions of connections that are gone.
    departures: VecDeque<Departure>,
    calls: Slab<CallState>,
    finished_calls: Vec<ConnId>,
    /// Calls whose results take more than a turn to write.
    writers: VecDeque<ConnId>,

    /// Connections that are owed frames and are not flushed yet.
    dirty: Vec<ConnId>,
    /// Connections whose outbox went over its bound and must be flushed before more is pushed.
    overfull: usize,
    unblocked: VecDeque<ConnId>,
    /// When homes took the publications that were delivered since the last flush.
    unflushed: Vec<u64>,
    actions: Vec<Action>,
    is_stopping: bool,
    /// Slots of connections below this one were told that the process stops.
    told: u32,

    out: Output,
    effects: Vec<Effect>,
    metrics: Metrics,
    interval: Interval,
}

/// What an engine is made of.
pub struct Parts {
    /// Which shard this is.
    pub id: ShardId,
    /// Its end of the mesh.
    pub port: ShardPort,
    /// Its desk at the control plane.
    pub desk: ShardDesk,
    /// Its line to the broker, and what lives there, if anything does.
    pub line: Option<(ShardLine, AtBroker)>,
    /// Number of shards.
    pub shards: u16,
    /// The configuration.
    pub config: Arc<Snapshot>,
    /// Prepared token keys.
    pub verifiers: Arc<Verifiers>,
    /// The process.
    pub node: Arc<Node>,
    /// Seed of all randomness on this shard: from the system, or from the simulator.
    pub seed: [u8; 32],
    /// The time now.
    pub now: Now,
}

impl Engine {
    /// An engine without connections.
    pub fn new(parts: Parts) -> Self {
        let mut rng = StdRng::from_seed(parts.seed);
        let interval_ms = parts.config.node_info_metrics_interval_ms;
        let is_at_broker = |is: fn(&AtBroker) -> bool| parts.line.as_ref().is_some_and(|(_, at)| is(at));
        let mut homes = Homes::new(StdRng::from_rng(&mut rng));
        if is_at_broker(|at| at.channels) {
            homes.link_keys();
        }
        let is_clerk = is_at_broker(|at| at.nodes) && parts.id == clerk::CLERK;
        let clerk = is_clerk.then(|| Box::new(clerk::Clerk::new(&parts.node.uid)));
        Self {
            id: parts.id,
            shards: parts.shards,
            config: parts.config,
            verifiers: parts.verifiers,
            keys: KeyCache::default(),
            budget: Budget::unlimited(),
            node: parts.node,
            now: parts.now,
            conns: Slab::new(MAX_CONNECTIONS),
            users: users::Users::default(),
            hub: Hub::new(),
            tracked: Hub::new(),
            resets: VecDeque::new(),
            resets_left: 0,
            refreshing: 0,
            homes,
            clerk,
            broker: parts.line.map(|(line, at)| Box::new(broker::Broker::new(line, at))),
            wheel: Wheel::new(),
            pool: Pool::new(IDLE_OUTBOXES),
            trims_at: 0,
            builder: FrameBuilder::new(),
            port: parts.port,
            desk: parts.desk,
            standing: VecDeque::new(),
            resting: VecDeque::new(),
            answers_left: 0,
            seeking: HashMap::new(),
            found: None,
            local: VecDeque::new(),
            control_jobs: VecDeque::new(),
            begun: Slab::new(control::MAX_BEGUN),
            counting: Vec::new(),
            surveys: VecDeque::new(),
            departures: VecDeque::new(),
            calls: Slab::new(MAX_CALLS),
            finished_calls: Vec::new(),
            writers: VecDeque::new(),
            dirty: Vec::new(),
            overfull: 0,
            unblocked: VecDeque::new(),
            unflushed: Vec::new(),
            actions: Vec::new(),
            is_stopping: false,
            told: 0,
            out: Output::new(),
            effects: Vec::new(),
            interval: Interval::new(interval_ms, parts.id),
            metrics: Metrics::new(parts.id),
            rng,
        }
    }

    /// Begins a turn: everything until the next call happens at this time.
    pub fn set_now(&mut self, now: Now) {
        debug_assert!(now.mono_ms >= self.now.mono_ms, "monotonic time went back");
        self.now = now;
        self.budget.begin_turn(!self.resting.is_empty());
        self.answers_left = errands::ANSWERS_PER_TURN;
        self.resets_left = polls::RESET_BUDGET;
    }

    /// Does what is waiting: deliveries, requests of other shards, control, timers, held-back commands. True when
    /// more is left for the next turn.
    pub fn work(&mut self) -> bool {
        let mut more = self.receive();
        more |= self.run_broker();
        self.run_errands();
        more |= self.run_timers();
        more |= self.run_control_jobs();
        more |= self.run_surveys();
        more |= self.run_writers();
        // Behind whatever ends its calls; what it begins is for the next turn.
        more |= self.run_clerk();
        more |= self.run_unblocked();
        more |= self.run_departures();
        more |= self.run_refreshes();
        more |= self.deliver_local(TURN_BUDGET);
        more |= self.run_resets();
        self.expire_homes();
        if self.trims_at <= self.now.mono_ms {
            self.trims_at = self.now.mono_ms + TRIM_INTERVAL_MS;
            self.pool.trim(TURN_BUDGET);
        }
        self.interval.tick(self.now, &self.metrics);
        // A page that came just now may have another one behind it.
        more || !self.writers.is_empty()
    }

    /// Whether a turn may end here. Flushing may have ended connections, and what follows from that must not wait for
    /// the next event.
    pub fn is_settled(&self) -> bool {
        self.dirty.is_empty() && self.local.is_empty() && self.unblocked.is_empty() && !self.port.is_staging()
    }

    /// Hands frames for other shards over, and rings those that sleep.
    pub fn flush_mesh(&mut self, ring: impl FnMut(ShardId)) {
        self.port.flush(ring);
    }

    /// Whether this shard may sleep; if so its bell will be rung. Call [`Engine::awake`] afterwards.
    pub fn prepare_to_sleep(&mut self) -> bool {
        if self.has_proofs_to_make() || !self.writers.is_empty() || !self.port.prepare_to_sleep() {
            return false;
        }
        let is_idle =
            self.desk.prepare_to_sleep() && self.broker.as_mut().is_none_or(|broker| broker.prepare_to_sleep());
        if !is_idle {
            self.awake();
        }
        is_idle
    }

    /// The shard is awake.
    pub fn awake(&mut self) {
        self.port.awake();
        self.desk.awake();
        if let Some(broker) = &mut self.broker {
            broker.awake();
        }
    }

    /// Whether whoever runs errands must be rung, once for all since the last time.
    pub fn flush_errands(&mut self) -> bool {
        self.desk.flush()
    }

    /// Hands over what the broker is asked. Whether whoever speaks with it must be rung.
    pub fn flush_broker(&mut self) -> bool {
        let Self { broker, homes, .. } = self;
        broker.as_mut().is_some_and(|broker| broker.flush(homes.take_key_requests()))
    }

    /// Milliseconds from now until a timer is due; none while no timer runs.
    pub fn next_timer_ms(&self) -> Option<u64> {
        let interval = Some(self.interval.next_ms()).filter(|at| *at != NEVER);
        let clerk = self.clerk.as_ref().map(|clerk| clerk.cluster.next_ms());
        let homes = self.homes.next_expiry();
        let presence = self.broker.as_ref().and_then(|broker| broker.homes.next_expiry());
        let next =
            self.wheel.next_expiry().into_iter().chain(homes).chain(presence).chain(interval).chain(clerk).min()?;
        Some(next.saturating_sub(self.now.mono_ms))
    }

    /// Whether clients and the server API may ask for more work now. False while a request lane to another shard is
    /// full: then sockets are left unread, which slows the publishers down and nobody else.
    pub fn takes_input(&self) -> bool {
        !self.port.requests_congested() && self.local.len() < TURN_BUDGET * 4
    }

    /// What to do to sockets since the last call.
    pub fn take_actions(&mut self) -> std::vec::Drain<'_, Action> {
        self.actions.drain(..)
    }

    /// Counters and histograms of this shard.
    pub fn metrics(&mut self) -> &mut Metrics {
        &mut self.metrics
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Snapshot> {
        &self.config
    }

    /// From now on under this configuration and with these keys. What clients were granted stays.
    pub fn reload(&mut self, config: Arc<Snapshot>, verifiers: Arc<Verifiers>) {
        self.config = config;
        self.verifiers = verifiers;
        // As upstream: keys are read again.
        self.keys = KeyCache::default();
    }

    /// The time of this turn.
    pub fn now(&self) -> Now {
        self.now
    }

    /// What the engine still holds of clients.
    pub fn audit(&self) -> Audit {
        Audit {
            connections: self.conns.len(),
            users: self.users.len(),
            channels: self.hub.channel_count(),
            tracked_keys: self.tracked.channel_count(),
            polled_keys: self.homes.polled_keys(),
            members: self.hub.member_count(),
            homes_with_subscribers: self.homes_with_subscribers(),
            calls: self.calls.len(),
            undelivered: self.local.len(),
            departing: self.departures.len(),
            errands: self.desk.under_way() + self.broker.as_ref().map_or(0, |broker| broker.homes.pending()),
        }
    }

    fn homes_with_subscribers(&self) -> usize {
        self.homes.with_subscribers() + self.brokered_with_subscribers()
    }

    /// Those of them that are counted in public: shared-poll channels are not.
    fn listed_channels(&self) -> usize {
        self.homes.listed() + self.brokered_with_subscribers()
    }

    /// Where streams live in memory, subscribers of maps are known there, too.
    fn brokered_with_subscribers(&self) -> usize {
        let broker = self.broker.as_ref().filter(|broker| broker.at.channels);
        broker.map_or(0, |broker| broker.homes.with_subscribers())
    }

    /// Whether there may be other nodes.
    fn is_clustered(&self) -> bool {
        self.broker.as_ref().is_some_and(|broker| broker.at.nodes)
    }

    /// What was encoded and handed to other shards so far.
    pub fn tally(&self) -> Tally {
        Tally { mesh_deliveries: self.port.delivered(), encodings: self.builder.built() }
    }

    /// Number of clients whose connect was answered, and who are not gone.
    pub fn clients(&self) -> usize {
        self.users.connections()
    }

    /// Number of open connections.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }
}
