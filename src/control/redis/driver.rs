//! All connections to Redis: for each server (of a Cluster, each member) a pipe, and two ears, or
//! with sharded PUB/SUB one more for each partition.

use std::collections::HashSet;
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
use crate::broker::{Call, Names, spread};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Expiry, Realm};
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

    /// Whether a channel's stream, or a map's changes, can be read, for all that is known.
    fn can_read(&self, realm: Realm, channel: &ChannelName) -> bool {
        match &self.way {
            Way::Pipe(pipe, _) => pipe.is_up(),
            Way::Cluster(cluster) => cluster.can_ask(slot_of(&self.lay, realm, channel)),
        }
    }

    /// What is not certain any more, since it was asked last.
    fn take_doubt(&mut self) -> Option<Doubt> {
        match &mut self.way {
            Way::Pipe(pipe, _) => pipe.take_came_back().filter(|is_another| *is_another).map(|_| Doubt::All),
            Way::Cluster(cluster) => Some(cluster.take_doubtful()).filter(|slots| !slots.is_empty()).map(Doubt::Slots),
        }
    }

    fn is_idle(&self) -> bool {
        match &self.way {
            Way::Pipe(pipe, replica) => pipe.is_idle() && replica.as_ref().is_none_or(Pipe::is_idle),
            Way::Cluster(cluster) => cluster.is_idle(),
        }
    }
}

/// Of which channels messages may be missing though their connection did not break, or the past may be another one.
enum Doubt {
    All,
    Slots(HashSet<usize>),
}

/// The slot of all that a Cluster keeps of a channel.
fn slot_of(lay: &Lay, realm: Realm, channel: &ChannelName) -> usize {
    let name = match realm {
        Realm::Streams => lay.names.history_meta(channel.as_str()),
        Realm::Maps => lay.map_names.map_meta(channel.as_str()),
    };
    slot(name.to_string().as_bytes())
}

/// What listens for the messages of channels with these names.
fn ears(found: &Found, names: &Names, realm: Realm) -> Vec<Ear> {
    match names.partitions() {
        None => vec![Ear::new(found.dial.clone(), names, realm)],
        Some(count) => (0..count.get()).map(|number| Ear::for_partition(&found.dial, names, realm, number)).collect(),
    }
}

/// See the module.
pub struct Servers {
    servers: Vec<Server>,
    /// In the order of `broker`, and of the partitions of each.
    ears: Vec<Vec<Ear>>,
    /// For messages of maps, in the order of `maps`, and of the partitions of each; none where these are not told.
    map_ears: Vec<Vec<Ear>>,
    /// What removes expired keys of maps, in the order of `maps`; none where other nodes do.
    sweeps: Vec<Sweep>,
    /// How far these were behind when they last looked, if they did yet.
    lags_ms: Vec<Option<u64>>,
    /// The longest of that, as it was told.
    told_lag_ms: Option<u64>,
    /// For what nodes tell each other, in the order of `control`.
    control_ears: Vec<Ear>,
    /// Which server tells next what is for other nodes: they listen to all.
    told: usize,
    control: Vec<usize>,
    broker: Vec<usize>,
    presence: Vec<usize>,
    maps: Vec<usize>,
    shortest_timeout: Duration,
    shortest_pause: Duration,
}

impl Servers {
    /// Connections of the node with this id, about to be opened. `rules` say which maps there are.
    pub fn new(redis: Redis, node: &str, rules: &MapRules) -> Self {
        let Redis { servers, broker, presence, maps, map_broker, listens, control } = redis;
        let heard = if listens { &broker[..] } else { &[] };
        let control_ear = |at: &usize| {
            let Found { dial, lay, .. } = &servers[*at];
            let names = &lay.control_names;
            Ear::for_control(dial.clone(), names, &[&names.control(), &names.node(node)])
        };
        let pause = map_broker.as_ref().and_then(|maps| maps.cleanup_interval_ms).map(Duration::from_millis);
        let sweep = |at: &usize| {
            let (lay, batch) = (&servers[*at].lay, map_broker.as_ref()?.cleanup_batch);
            Some(Sweep::new(lay.map_names.clone(), lay.map_keeping, batch, pause?, rules.clone()))
        };
        let is_told = map_broker.as_ref().is_some_and(|maps| maps.is_told);
        let told = maps.iter().filter(|_| is_told);
        let sweeps: Vec<_> = maps.iter().filter_map(sweep).collect();
        Self {
            ears: heard.iter().map(|at| ears(&servers[*at], &servers[*at].lay.names, Realm::Streams)).collect(),
            map_ears: told.map(|at| ears(&servers[*at], &servers[*at].lay.map_names, Realm::Maps)).collect(),
            lags_ms: vec![None; sweeps.len()],
            told_lag_ms: None,
            sweeps,
            control_ears: control.iter().map(control_ear).collect(),
            told: 0,
            control,
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
        let streams = self.ears.iter_mut().zip(&self.broker).map(|heard| (Realm::Streams, heard));
        let maps = self.map_ears.iter_mut().zip(&self.maps).map(|heard| (Realm::Maps, heard));
        for (realm, (ears, at)) in streams.chain(maps) {
            let server = &self.servers[*at];
            for ear in ears {
                more |= ear.turn(cx, now, paused, &|channel| server.can_read(realm, channel), events);
            }
        }
        for (server, task, value) in events.take_swept() {
            let asks = self.sweeps[server].take(task, value);
            more |= !asks.is_empty();
            self.sweep(server, asks, now, events);
            self.tell_of_expiry(server, events);
        }
        more
    }

    /// Homes of channels of which something is not certain any more are told so.
    fn pass_on_doubts(&mut self) {
        for (number, server) in self.servers.iter_mut().enumerate() {
            let Some(doubt) = server.take_doubt() else { continue };
            let streams = self.ears.iter_mut().zip(&self.broker).map(|heard| (Realm::Streams, heard));
            let maps = self.map_ears.iter_mut().zip(&self.maps).map(|heard| (Realm::Maps, heard));
            for (realm, (ears, _)) in streams.chain(maps).filter(|(_, (_, at))| **at == number) {
                let is_meant = |channel: &ChannelName| match &doubt {
                    Doubt::All => true,
                    Doubt::Slots(slots) => slots.contains(&slot_of(&server.lay, realm, channel)),
                };
                ears.iter_mut().for_each(|ear| ear.doubt(is_meant));
            }
        }
    }

    /// What a search at a server of maps came to is counted.
    fn tell_of_expiry(&mut self, server: usize, events: &mut Events) {
        let came = self.sweeps[server].take_outcome();
        self.lags_ms[server] = came.lag_ms.or(self.lags_ms[server]);
        let lag_ms = self.lags_ms.iter().flatten().max().copied();
        let is_other = lag_ms != std::mem::replace(&mut self.told_lag_ms, lag_ms);
        if is_other || came.removed > 0 || came.errors > 0 {
            let (removed, errors) = (came.removed, came.errors);
            events.expiry(Expiry { removed, errors, lag_ms: lag_ms.unwrap_or_default() });
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
        if self.control.is_empty() {
            return events.reply(asker, BrokerReply::Failed);
        }
        self.told = (self.told + 1) % self.control.len();
        let server = &mut self.servers[self.control[self.told]];
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
                let lay = &self.servers[servers[at]].lay;
                let names = match realm {
                    Realm::Streams => &lay.names,
                    Realm::Maps => &lay.map_names,
                };
                let partition = names.partition(channel.as_str());
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
            if !is_ending {
                let asks = self.sweeps[server].tick(now);
                self.sweep(server, asks, now, events);
            }
        }
    }
}
