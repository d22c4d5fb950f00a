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
use super::{Found, Redis};
use crate::broker::{Call, spread};
use crate::channel::broker_op::{BrokerOp, BrokerReply};
use crate::channel::name::ChannelName;
use crate::channel::op::PublishOp;
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
#[derive(Debug)]
pub struct Servers {
    servers: Vec<Server>,
    /// In the order of `broker`, and of the partitions of each.
    ears: Vec<Vec<Ear>>,
    /// One for each server, for what nodes tell each other.
    control_ears: Vec<Ear>,
    /// Which server tells next what is for other nodes: they listen to all.
    told: usize,
    broker: Vec<usize>,
    presence: Vec<usize>,
    shortest_timeout: Duration,
}

impl Servers {
    /// Connections of the node with this id, about to be opened.
    pub fn new(redis: Redis, node: &str) -> Self {
        let Redis { servers, broker, presence, listens } = redis;
        let heard = if listens { &broker[..] } else { &[] };
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
        Self {
            ears: heard.iter().map(ears).collect(),
            control_ears: heard.iter().map(control_ear).collect(),
            told: 0,
            shortest_timeout: servers.iter().map(|server| server.dial.io_timeout()).min().unwrap_or_default(),
            servers: servers.into_iter().map(Server::new).collect(),
            broker,
            presence,
        }
    }

    /// The shortest time that a request may take.
    pub fn shortest_timeout(&self) -> Duration {
        self.shortest_timeout
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
        more
    }

    /// Homes of channels of which something is not certain any more are told so.
    fn pass_on_doubts(&mut self) {
        for (ears, at) in self.ears.iter_mut().zip(&self.broker) {
            let Server { lay, way } = &mut self.servers[*at];
            match way {
                Way::Pipe(pipe, _) => {
                    if pipe.take_came_back() == Some(true) {
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
        let servers = if op.is_presence() { &self.presence } else { &self.broker };
        if servers.is_empty() {
            return events.reply(asker, BrokerReply::Failed);
        }
        let at = spread(channel.as_str(), servers.len() as u32) as usize;
        match op {
            BrokerOp::Subscribe | BrokerOp::Unsubscribe => {
                let partition = self.servers[servers[at]].lay.names.partition(channel.as_str());
                let ear = &mut self.ears[at][partition as usize];
                match op {
                    BrokerOp::Subscribe => ear.subscribe(channel, asker, now, events),
                    _ => ear.unsubscribe(channel, now),
                }
            }
            op => {
                let server = &mut self.servers[servers[at]];
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
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        self.servers.iter_mut().for_each(|server| server.tick(now, events));
        let ears = self.ears.iter_mut().flatten().chain(&mut self.control_ears);
        ears.for_each(|ear| ear.tick(now, events));
    }
}
