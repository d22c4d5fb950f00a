//! The task that runs all connections to Redis.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::cluster::Cluster;
use super::ear::Ear;
use super::events::Events;
use super::pipe::{Asker, Pipe};
use super::request::{Kind, Lay};
use super::{Found, Redis, ShardFarEnd};
use crate::broker::{Call, spread};
use crate::channel::broker_op::{BrokerOp, BrokerReply, BrokerRequest};
use crate::control::plane::Bell;

/// When so many events wait at a shard, no messages are taken from Redis.
const MAX_WAITING: usize = 65_536;

/// When that is looked at again.
const PAUSE: Duration = Duration::from_millis(1);

/// How often deadlines are looked at, at most and at least.
const TICKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// See [`Redis::serve`].
pub(super) async fn run(redis: Redis, node: &str, shards: Vec<ShardFarEnd>, bell: Bell, ring: impl Fn(usize) + Send) {
    let Redis { servers, broker, presence, ending } = redis;
    let shortest = servers.iter().map(|server| server.dial.io_timeout()).min().unwrap_or_default();
    let ears = |at: &usize| {
        let Found { dial, lay, .. } = &servers[*at];
        match lay.names.partitions() {
            None => vec![Ear::new(dial.clone(), lay.clone())],
            Some(count) => (0..count.get()).map(|number| Ear::for_partition(dial, lay.clone(), number)).collect(),
        }
    };
    let control_ear = |at: &usize| {
        let Found { dial, lay, .. } = &servers[*at];
        Ear::for_control(dial.clone(), lay.clone(), &[&lay.names.control(), &lay.names.node(node)])
    };
    let mut driver = Driver {
        ears: broker.iter().map(ears).collect(),
        control_ears: broker.iter().map(control_ear).collect(),
        told: 0,
        events: Events::new(shards.len()),
        servers: servers.into_iter().map(Server::new).collect(),
        broker,
        presence,
        shards,
    };
    let mut ticks = interval((shortest / 8).clamp(TICKS.0, TICKS.1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pause = pin!(tokio::time::sleep(PAUSE));
    let mut rung = pin!(bell.rung());
    poll_fn(|cx| {
        while rung.as_mut().poll(cx).is_ready() {
            rung.set(bell.rung());
        }
        let now = Instant::now();
        // The last look is the one that has the next tick wake us.
        while ticks.poll_tick(cx).is_ready() {
            driver.tick(now);
        }
        let is_ending = ending.has_begun();
        if driver.turn(cx, now) {
            cx.waker().wake_by_ref();
        }
        if driver.is_congested() {
            pause.as_mut().reset(now + PAUSE);
            let _ = pause.as_mut().poll(cx);
        }
        driver.hand_over(&ring);
        if is_ending && driver.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// What requests go to.
#[derive(Debug)]
struct Server {
    lay: Arc<Lay>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// One for everything; and one to a replica, which is only read from.
    Pipe(Pipe, Option<Pipe>),
    Cluster(Cluster),
}

impl Server {
    fn new(found: Found) -> Self {
        let Found { dial, lay, map } = found;
        let way = match map {
            None => {
                let replica = dial.to_replica().filter(|_| lay.reads_replicas);
                let replica = replica.map(|dial| Pipe::new(Arc::new(dial), lay.clone()));
                Way::Pipe(Pipe::new(dial, lay.clone()), replica)
            }
            Some(map) => Way::Cluster(Cluster::new(dial, lay.clone(), map)),
        };
        Self { lay, way }
    }

    fn ask(&mut self, (call, kind): (Call, Kind), asker: Asker, now: Instant, events: &mut Events) {
        match &mut self.way {
            Way::Pipe(_, Some(replica)) if self.lay.is_for_replicas(&kind) && replica.is_up() => {
                replica.ask(call, kind, asker, now, events);
            }
            Way::Pipe(pipe, _) => pipe.ask(call, kind, asker, now, events),
            Way::Cluster(cluster) => cluster.ask(call, kind, asker, now, events),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>, now: Instant, events: &mut Events) -> bool {
        match &mut self.way {
            Way::Pipe(pipe, replica) => {
                let more = replica.as_mut().is_some_and(|replica| replica.turn(cx, now, events));
                pipe.turn(cx, now, events) | more
            }
            Way::Cluster(cluster) => cluster.turn(cx, now, events),
        }
    }

    fn tick(&mut self, now: Instant, events: &mut Events) {
        match &mut self.way {
            Way::Pipe(pipe, replica) => {
                pipe.tick(now, events);
                replica.iter_mut().for_each(|replica| replica.tick(now, events));
            }
            Way::Cluster(cluster) => cluster.tick(now, events),
        }
    }

    fn is_idle(&self) -> bool {
        match &self.way {
            Way::Pipe(pipe, replica) => pipe.is_idle() && replica.as_ref().is_none_or(Pipe::is_idle),
            Way::Cluster(cluster) => cluster.is_idle(),
        }
    }
}

struct Driver {
    shards: Vec<ShardFarEnd>,
    servers: Vec<Server>,
    /// In the order of `broker`, and of the partitions of each.
    ears: Vec<Vec<Ear>>,
    /// One for each server, for what nodes tell each other.
    control_ears: Vec<Ear>,
    /// Which server tells next what is for other nodes: they listen to all.
    told: usize,
    broker: Vec<usize>,
    presence: Vec<usize>,
    events: Events,
}

impl Driver {
    /// One turn. True when the next one must not wait.
    fn turn(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        for shard in 0..self.shards.len() {
            while let Some(requests) = self.shards[shard].take() {
                requests.into_iter().for_each(|request| self.ask(shard, request, now));
            }
        }
        let paused = self.is_congested();
        let mut more = false;
        for server in &mut self.servers {
            more |= server.turn(cx, now, &mut self.events);
        }
        for ear in &mut self.control_ears {
            more |= ear.turn(cx, now, false, &mut self.events);
        }
        for ear in self.ears.iter_mut().flatten() {
            more |= ear.turn(cx, now, paused, &mut self.events);
        }
        more
    }

    fn ask(&mut self, shard: usize, request: BrokerRequest, now: Instant) {
        let (channel, op, ticket) = match request {
            BrokerRequest::Channel { channel, op, ticket } => (channel, op, ticket),
            BrokerRequest::Tell { to, message, ticket } => {
                self.told = (self.told + 1) % self.broker.len();
                let server = &mut self.servers[self.broker[self.told]];
                let call = server.lay.tell(to.as_deref(), &message);
                return server.ask(call, Asker { shard, ticket, tells: true }, now, &mut self.events);
            }
        };
        let asker = Asker { shard, ticket, tells: false };
        let servers = if Lay::is_presence(&op) { &self.presence } else { &self.broker };
        let at = spread(channel.as_str(), servers.len() as u32) as usize;
        match op {
            BrokerOp::Subscribe | BrokerOp::Unsubscribe => {
                let partition = self.servers[servers[at]].lay.names.partition(channel.as_str());
                let ear = &mut self.ears[at][partition as usize];
                match op {
                    BrokerOp::Subscribe => ear.subscribe(channel, asker, now, &mut self.events),
                    _ => ear.unsubscribe(channel, now),
                }
            }
            op => {
                let server = &mut self.servers[servers[at]];
                match server.lay.call(channel.as_str(), &op) {
                    Some(call) => server.ask(call, asker, now, &mut self.events),
                    None => self.events.reply(asker, BrokerReply::Failed),
                }
            }
        }
    }

    /// Whether a shard does not get on with what it is told.
    fn is_congested(&self) -> bool {
        self.shards.iter().any(|shard| shard.waiting() > MAX_WAITING)
    }

    /// Whether everything that was asked is answered.
    fn is_idle(&self) -> bool {
        self.servers.iter().all(Server::is_idle)
    }

    fn tick(&mut self, now: Instant) {
        self.servers.iter_mut().for_each(|server| server.tick(now, &mut self.events));
        let ears = self.ears.iter_mut().flatten().chain(&mut self.control_ears);
        ears.for_each(|ear| ear.tick(now, &mut self.events));
    }

    /// Brings each shard what it is told.
    fn hand_over(&mut self, ring: &impl Fn(usize)) {
        for (shard, events) in self.events.take() {
            if self.shards[shard].bring(events) {
                ring(shard);
            }
        }
    }
}
