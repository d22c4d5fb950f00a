//! All connections to Redis: for each server (of a Cluster, each member) a pipe, and two ears, or
//! with sharded PUB/SUB one more for each partition.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::Cluster;
use super::ear::Ear;
use super::pipe::Pipe;
use super::request::{Kind, Lay};
use super::slots::slot;
use super::sweep::{self, Sweep};
use super::{Found, Redis};
use crate::broker::{Call, frame, map, spread};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Realm};
use crate::channel::name::ChannelName;
use crate::channel::op::PublishOp;
use crate::control::broker::MapRules;
use crate::control::broker::events::{Asker, Events, Relayed};

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

    /// Whether a channel's stream can be read, for all that is known.
    fn can_read(&self, channel: &ChannelName) -> bool {
        match &self.way {
            Way::Pipe(pipe, _) => pipe.is_up(),
            Way::Cluster(cluster) => cluster.can_ask(slot_of(&self.lay, channel)),
        }
    }

    fn is_idle(&self) -> bool {
        match &self.way {
            Way::Pipe(pipe, replica) => pipe.is_idle() && replica.as_ref().is_none_or(Pipe::is_idle),
            Way::Cluster(cluster) => cluster.is_idle(),
        }
    }
}

/// The slot of all that a Cluster keeps of a channel.
fn slot_of(lay: &Lay, channel: &ChannelName) -> usize {
    slot(lay.names.history_meta(channel.as_str()).to_string().as_bytes())
}

/// See the module.
pub struct Servers {
    servers: Vec<Server>,
    /// In the order of `broker`, and of the partitions of each.
    ears: Vec<Vec<Ear>>,
    /// For messages of maps, in the order of `maps`, one for each; none where these are not told.
    map_ears: Vec<Vec<Ear>>,
    /// What removes expired keys of maps, in the order of `maps`; none where other nodes do.
    sweeps: Vec<Sweep>,
    /// One for each server that is listened to, for what nodes tell each other.
    control_ears: Vec<Ear>,
    /// Which server tells next what is for other nodes: they listen to all.
    told: usize,
    broker: Vec<usize>,
    presence: Vec<usize>,
    maps: Vec<usize>,
    shortest_timeout: Duration,
    shortest_pause: Duration,
}

impl Servers {
    /// Connections of the node with this id, about to be opened. `rules` say which maps there are.
    pub fn new(redis: Redis, node: &str, rules: &MapRules) -> Self {
        let Redis { servers, broker, presence, maps, map_broker, listens } = redis;
        let heard = if listens { &broker[..] } else { &[] };
        let ears = |at: &usize| {
            let Found { dial, lay, .. } = &servers[*at];
            match lay.names.partitions() {
                None => vec![Ear::new(dial.clone(), &lay.names, frame::read)],
                Some(count) => (0..count.get()).map(|number| Ear::for_partition(dial, &lay.names, number)).collect(),
            }
        };
        let control_ear = |at: &usize| {
            let Found { dial, lay, .. } = &servers[*at];
            Ear::for_control(dial.clone(), &lay.names, &[&lay.names.control(), &lay.names.node(node)])
        };
        let map_ears = |at: &usize| {
            let Found { dial, lay, .. } = &servers[*at];
            vec![Ear::new(dial.clone(), &lay.map_names, map::frame::read)]
        };
        let pause = map_broker.as_ref().and_then(|maps| maps.cleanup_interval_ms).map(Duration::from_millis);
        let sweep = |at: &usize| {
            let (lay, batch) = (&servers[*at].lay, map_broker.as_ref()?.cleanup_batch);
            Some(Sweep::new(lay.map_names.clone(), lay.map_keeping, batch, pause?, rules.clone()))
        };
        let is_told = map_broker.as_ref().is_some_and(|maps| maps.is_told);
        Self {
            ears: heard.iter().map(ears).collect(),
            map_ears: maps.iter().filter(|_| is_told).map(map_ears).collect(),
            sweeps: maps.iter().filter_map(sweep).collect(),
            control_ears: heard.iter().map(control_ear).collect(),
            told: 0,
            shortest_timeout: servers.iter().map(|server| server.dial.io_timeout()).min().unwrap_or_default(),
            servers: servers.into_iter().map(Server::new).collect(),
            broker,
            presence,
            maps,
            shortest_pause: pause.unwrap_or(Duration::MAX),
        }
    }

    /// The shortest time that a request may take.
    pub fn shortest_timeout(&self) -> Duration {
        self.shortest_timeout
    }

    /// The shortest time between two calls of [`Servers::tick`] that have something to do.
    pub fn shortest_pause(&self) -> Duration {
        self.shortest_pause
    }

    /// Whether channels are kept here, and not presence alone.
    pub fn keeps_channels(&self) -> bool {
        !self.broker.is_empty()
    }

    /// Sends, and takes what came; no messages of channels while it is `paused`. True when it must be called again
    /// soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, paused: bool, events: &mut Events) -> bool {
        let mut more = false;
        for server in &mut self.servers {
            more |= server.turn(cx, now, events);
        }
        self.pass_on_doubts();
        for ear in &mut self.control_ears {
            more |= ear.turn(cx, now, false, &|_| true, events);
        }
        for (ears, at) in self.ears.iter_mut().zip(&self.broker) {
            let server = &self.servers[*at];
            for ear in ears {
                more |= ear.turn(cx, now, paused, &|channel| server.can_read(channel), events);
            }
        }
        for ear in self.map_ears.iter_mut().flatten() {
            more |= ear.turn(cx, now, paused, &|_| true, events);
        }
        for (server, task, value) in events.take_swept() {
            let asks = self.sweeps[server].take(task, value);
            more |= !asks.is_empty();
            self.sweep(server, asks, now, events);
        }
        more
    }

    /// Homes of channels of which something is not certain any more are told so.
    fn pass_on_doubts(&mut self) {
        let mut came_back = Vec::new();
        for (ears, at) in self.ears.iter_mut().zip(&self.broker) {
            let Server { lay, way } = &mut self.servers[*at];
            match way {
                Way::Pipe(pipe, _) => {
                    if pipe.take_came_back() == Some(true) {
                        came_back.push(*at);
                        ears.iter_mut().for_each(|ear| ear.doubt(|_| true));
                    }
                }
                Way::Cluster(cluster) => {
                    let doubtful = cluster.take_doubtful();
                    if !doubtful.is_empty() {
                        let is_meant = |channel: &ChannelName| doubtful.contains(&slot_of(lay, channel));
                        ears.iter_mut().for_each(|ear| ear.doubt(is_meant));
                    }
                }
            }
        }
        for (ears, at) in self.map_ears.iter_mut().zip(&self.maps) {
            let is_back = |way: &mut Way| match way {
                Way::Pipe(pipe, _) => pipe.take_came_back() == Some(true),
                Way::Cluster(_) => false,
            };
            if came_back.contains(at) || is_back(&mut self.servers[*at].way) {
                ears.iter_mut().for_each(|ear| ear.doubt(|_| true));
            }
        }
    }

    /// Asks a server of maps for what removes expired keys.
    fn sweep(&mut self, server: usize, asks: Vec<sweep::Ask>, now: Instant, events: &mut Events) {
        for (call, task) in asks {
            let at = self.maps[server];
            self.servers[at].ask((call, Kind::Sweep), Asker::Sweep(server, task), now, events);
        }
    }

    /// Tells another node something, or all of them.
    pub fn tell(&mut self, to: Option<&str>, message: &[u8], asker: Asker, now: Instant, events: &mut Events) {
        if self.broker.is_empty() {
            return events.reply(asker, BrokerReply::Failed);
        }
        self.told = (self.told + 1) % self.broker.len();
        let server = &mut self.servers[self.broker[self.told]];
        let call = server.lay.tell(to, message);
        server.ask(call, asker, now, events);
    }

    /// Asks about a channel.
    pub fn ask(&mut self, channel: ChannelName, op: BrokerOp, asker: Asker, now: Instant, events: &mut Events) {
        let (servers, ears) = match &op {
            op if op.is_presence() => (&self.presence, &mut self.ears),
            op if op.is_of_map() => (&self.maps, &mut self.map_ears),
            _ => (&self.broker, &mut self.ears),
        };
        if servers.is_empty() {
            return events.reply(asker, BrokerReply::Failed);
        }
        let at = spread(channel.as_str(), servers.len() as u32) as usize;
        match op {
            BrokerOp::Subscribe(realm) | BrokerOp::Unsubscribe(realm) => {
                let partition = match realm {
                    Realm::Streams => self.servers[servers[at]].lay.names.partition(channel.as_str()),
                    Realm::Maps => 0,
                };
                let ear = ears.get_mut(at).and_then(|ears| ears.get_mut(partition as usize));
                match (op, ear) {
                    (BrokerOp::Subscribe(_), Some(ear)) => ear.subscribe(channel, asker, now, events),
                    // As upstream, where maps are not told: nobody can be subscribed.
                    (BrokerOp::Subscribe(_), None) => events.reply(asker, BrokerReply::Failed),
                    (_, Some(ear)) => ear.unsubscribe(channel, now),
                    (_, None) => {}
                }
            }
            op => {
                let server = &mut self.servers[servers[at]];
                if let Some(call) = server.lay.call_besides(channel.as_str(), &op) {
                    server.ask((call, Kind::Done), Asker::Nobody, now, events);
                }
                match server.lay.call(channel.as_str(), &op) {
                    Some(call) => server.ask(call, asker, now, events),
                    None => events.reply(asker, BrokerReply::Failed),
                }
            }
        }
    }

    /// Keeps a publication, or the result of one, which others tell subscribers of: see [`Events::take_stored`].
    pub fn store(&mut self, channel: ChannelName, op: Box<PublishOp>, asker: Asker, now: Instant, events: &mut Events) {
        let at = spread(channel.as_str(), self.broker.len() as u32) as usize;
        let server = &mut self.servers[self.broker[at]];
        match server.lay.store(channel.as_str(), &op) {
            Some(call) => server.ask((call, Kind::Store(Box::new(Relayed { channel, op }))), asker, now, events),
            None => events.reply(asker, BrokerReply::Failed),
        }
    }

    /// Whether everything that was asked is answered.
    pub fn is_idle(&self) -> bool {
        self.servers.iter().all(Server::is_idle)
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    /// No search for expired keys begins when `is_ending`.
    pub fn tick(&mut self, now: Instant, is_ending: bool, events: &mut Events) {
        self.servers.iter_mut().for_each(|server| server.tick(now, events));
        let ears = self.ears.iter_mut().chain(&mut self.map_ears).flatten().chain(&mut self.control_ears);
        ears.for_each(|ear| ear.tick(now, events));
        for server in 0..self.sweeps.len() {
            let ask = self.sweeps[server].tick(now).filter(|_| !is_ending);
            self.sweep(server, ask.into_iter().collect(), now, events);
        }
    }
}
