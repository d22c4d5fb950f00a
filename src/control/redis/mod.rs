//! Redis as broker: what homes ask goes to Redis, what it tells comes back.
//!
//! One task runs everything: a [`pipe`] and two [`ear`]s for each server. It takes what shards ask, and at the end of its
//! turn brings each shard what it is told, in one batch, ringing those that sleep.

mod dial;
mod ear;
mod events;
mod link;
mod pipe;
mod request;
pub mod resp;
mod tls;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::plane::Bell;
use crate::broker::presence::Keeping;
use crate::broker::{Layout, Names, spread};
use crate::channel::broker_op::{BrokerEvent, BrokerOp, BrokerRequest};
use crate::config::snapshot::{Redis as Options, RedisBroker, RedisPresence};
use crate::mesh::FarEnd;
use dial::Dial;
use ear::Ear;
use events::Events;
use pipe::{Asker, Pipe};
use request::Lay;

/// A shard's line to the broker, at this end.
pub type ShardFarEnd = FarEnd<BrokerRequest, BrokerEvent>;

/// When so many events wait at a shard, no messages are taken from Redis.
const MAX_WAITING: usize = 65_536;

/// When that is looked at again.
const PAUSE: Duration = Duration::from_millis(1);

/// How often deadlines are looked at, at most and at least.
const TICKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// Redis, found and ready to be spoken with.
pub struct Redis {
    lay: Arc<Lay>,
    /// All servers.
    dials: Vec<Arc<Dial>>,
    /// Those of them that channels are spread over.
    broker: Vec<usize>,
    /// And those that presence is.
    presence: Vec<usize>,
}

impl Redis {
    /// Finds all servers, so that what is written wrong shows at the start.
    ///
    /// # Errors
    /// Which server cannot be used, and why.
    pub async fn find(broker: &RedisBroker, presence: &RedisPresence) -> Result<Self, String> {
        let mut dials = Vec::new();
        let mut found: Vec<&Options> = Vec::new();
        let mut places = Vec::new();
        for options in [&broker.redis, &presence.redis] {
            let place = match found.iter().position(|known| known.servers == options.servers) {
                Some(known) => Vec::clone(&places[known]),
                None => {
                    let first = dials.len();
                    for server in &options.servers {
                        let dial = Dial::new(server)?;
                        let opened = dial.open(true).await.map_err(|reason| format!("{}: {reason}", options.option))?;
                        if &*opened.mode == "cluster" {
                            return Err(format!(
                                "{}: {} is a member of a Redis Cluster, which is not available in this version of Spindle",
                                options.option, opened.address
                            ));
                        }
                        dials.push(Arc::new(dial));
                    }
                    (first..dials.len()).collect()
                }
            };
            found.push(options);
            places.push(place);
        }
        let names = |options: &Options| Names::new(&options.prefix, Layout::Plain, broker.uses_lists);
        let RedisPresence { ttl_s, fields_expire, users_counted, .. } = *presence;
        let lay = Lay {
            names: names(&broker.redis),
            presence_names: names(&presence.redis),
            keeping: Keeping { ttl_s, fields_expire, users_counted },
        };
        let presence = places.pop().unwrap_or_default();
        let broker = places.pop().unwrap_or_default();
        Ok(Self { lay: Arc::new(lay), dials, broker, presence })
    }

    /// Serves shards, in order, of the node with this id. `bell` wakes it, `ring` wakes a shard. It does not end.
    pub async fn serve(self, node: Box<str>, shards: Vec<ShardFarEnd>, bell: Bell, ring: impl Fn(usize) + Send) {
        let Self { lay, dials, broker, presence } = self;
        let (all, one) = (lay.names.control(), lay.names.node(&node));
        let control_ear = |at: &usize| Ear::for_control(dials[*at].clone(), lay.clone(), &[&all, &one]);
        let pipe = |dial: &Arc<Dial>| Pipe::new(dial.clone(), lay.clone());
        let ear = |at: &usize| Ear::new(dials[*at].clone(), lay.clone());
        let shortest = dials.iter().map(|dial| dial.io_timeout()).min().unwrap_or_default();
        let mut driver = Driver {
            pipes: dials.iter().map(pipe).collect(),
            ears: broker.iter().map(ear).collect(),
            control_ears: broker.iter().map(control_ear).collect(),
            told: 0,
            events: Events::new(shards.len()),
            lay,
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
            if driver.turn(cx, now) {
                cx.waker().wake_by_ref();
            }
            if driver.is_congested() {
                pause.as_mut().reset(now + PAUSE);
                let _ = pause.as_mut().poll(cx);
            }
            driver.hand_over(&ring);
            Poll::<()>::Pending
        })
        .await;
    }
}

struct Driver {
    lay: Arc<Lay>,
    shards: Vec<ShardFarEnd>,
    pipes: Vec<Pipe>,
    /// In the order of `broker`.
    ears: Vec<Ear>,
    /// The same, for what nodes tell each other.
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
        for pipe in &mut self.pipes {
            more |= pipe.turn(cx, now, &mut self.events);
        }
        for ear in &mut self.control_ears {
            more |= ear.turn(cx, now, false, &mut self.events);
        }
        for ear in &mut self.ears {
            more |= ear.turn(cx, now, paused, &mut self.events);
        }
        more
    }

    fn ask(&mut self, shard: usize, request: BrokerRequest, now: Instant) {
        let (channel, op, ticket) = match request {
            BrokerRequest::Channel { channel, op, ticket } => (channel, op, ticket),
            BrokerRequest::Tell { to, message, ticket } => {
                self.told = (self.told + 1) % self.broker.len();
                let (call, kind) = self.lay.tell(to.as_deref(), &message);
                let asker = Asker { shard, ticket, tells: true };
                return self.pipes[self.broker[self.told]].ask(call, kind, asker, now, &mut self.events);
            }
        };
        let asker = Asker { shard, ticket, tells: false };
        let servers = if Lay::is_presence(&op) { &self.presence } else { &self.broker };
        let at = spread(channel.as_str(), servers.len() as u32) as usize;
        match op {
            BrokerOp::Subscribe => self.ears[at].subscribe(channel, asker, now, &mut self.events),
            BrokerOp::Unsubscribe => self.ears[at].unsubscribe(channel, now),
            op => {
                if let Some((call, kind)) = self.lay.call(channel.as_str(), &op) {
                    self.pipes[servers[at]].ask(call, kind, asker, now, &mut self.events);
                }
            }
        }
    }

    /// Whether a shard does not get on with what it is told.
    fn is_congested(&self) -> bool {
        self.shards.iter().any(|shard| shard.waiting() > MAX_WAITING)
    }

    fn tick(&mut self, now: Instant) {
        self.pipes.iter_mut().for_each(|pipe| pipe.tick(now, &mut self.events));
        let ears = self.ears.iter_mut().chain(&mut self.control_ears);
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
