//! The task that runs all connections to brokers.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::events::{Asker, Events};
use super::{Broker, MapRules, ShardFarEnd};
use crate::channel::broker_op::{BrokerOp, BrokerReply, BrokerRequest, Realm};
use crate::channel::name::ChannelName;
use crate::control::nats::{Courier, Messenger};
use crate::control::plane::Bell;
use crate::control::redis::Servers;
use crate::protocol::error::Error;

/// When so many events wait at a shard, no messages are taken.
const MAX_WAITING: usize = 65_536;

/// When that is looked at again.
const PAUSE: Duration = Duration::from_millis(1);

/// How often deadlines are looked at, at most and at least.
const TICKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// See [`Broker::serve`].
pub(super) async fn run(
    broker: Broker,
    shards: Vec<ShardFarEnd>,
    bell: Bell,
    rules: MapRules,
    ring: impl Fn(usize) + Send,
) {
    let Broker { node, redis, nats, messenger, ending } = broker;
    let redis = redis.map(|redis| Servers::new(redis, &node, &rules));
    let shortest = redis.as_ref().map(Servers::shortest_timeout).into_iter();
    let shortest = shortest.chain(nats.as_ref().map(Courier::shortest_timeout));
    let shortest = shortest.chain(messenger.as_ref().map(Messenger::shortest_timeout)).min().unwrap_or_default();
    let pause = redis.as_ref().map_or(TICKS.1, Servers::shortest_pause);
    let mut driver = Driver { redis, nats, messenger, events: Events::new(shards.len()), shards };
    let tick = (shortest / 8).min(pause).clamp(TICKS.0, TICKS.1);
    let mut ticks = interval(tick);
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
            driver.tick(now, ending.has_begun());
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

struct Driver {
    shards: Vec<ShardFarEnd>,
    redis: Option<Servers>,
    /// Whatever is told to subscribers goes here rather than over Redis.
    nats: Option<Courier>,
    /// And here what is told to nodes.
    messenger: Option<Messenger>,
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
        let Self { redis, nats, messenger, events, .. } = self;
        let mut more = false;
        if let Some(redis) = redis {
            more |= redis.turn(cx, now, paused, events);
        }
        if let Some(nats) = nats {
            for (publication, place) in events.take_stored() {
                nats.relay(&publication, place, events);
            }
            more |= nats.turn(cx, now, paused, events);
        }
        if let Some(messenger) = messenger {
            more |= messenger.turn(cx, now, events);
        }
        more
    }

    fn ask(&mut self, shard: usize, request: BrokerRequest, now: Instant) {
        match request {
            BrokerRequest::Channel { channel, op, ticket } => {
                let asker = ticket.map_or(Asker::Nobody, |ticket| Asker::Home(shard, ticket));
                self.ask_about(channel, op, asker, now);
            }
            BrokerRequest::Link { key, ticket } => {
                self.ask_about(key, BrokerOp::Subscribe(Realm::Streams), Asker::Linker(shard, ticket), now);
            }
            BrokerRequest::Unlink { key } => {
                self.ask_about(key, BrokerOp::Unsubscribe(Realm::Streams), Asker::Nobody, now);
            }
            BrokerRequest::Tell { to, message, ticket } => {
                let asker = ticket.map_or(Asker::Nobody, |ticket| Asker::Teller(shard, ticket));
                let Self { redis, messenger, events, .. } = self;
                match (messenger, redis) {
                    (Some(messenger), _) => messenger.tell(to.as_deref(), &message, asker, events),
                    (None, Some(redis)) => redis.tell(to.as_deref(), &message, asker, now, events),
                    (None, None) => events.reply(asker, BrokerReply::Failed),
                }
            }
        }
    }

    fn ask_about(&mut self, channel: ChannelName, op: BrokerOp, asker: Asker, now: Instant) {
        let Self { redis, nats, events, .. } = self;
        let Some(nats) = nats else {
            return match redis {
                Some(redis) => redis.ask(channel, op, asker, now, events),
                None => events.reply(asker, BrokerReply::Failed),
            };
        };
        let stored = redis.as_mut().filter(|redis| redis.keeps_channels());
        match (op, stored) {
            (op, _) if op.is_presence() || op.is_of_map() => match redis {
                Some(redis) => redis.ask(channel, op, asker, now, events),
                None => events.reply(asker, BrokerReply::Refused(Error::NOT_AVAILABLE)),
            },
            (BrokerOp::Subscribe(_), _) => nats.subscribe(channel, asker, events),
            (BrokerOp::Unsubscribe(_), _) => nats.unsubscribe(&channel),
            (BrokerOp::Publish(op), Some(redis)) if op.history.is_on() || op.idempotency_key.is_some() => {
                match nats.can_publish(channel.as_str()) {
                    Ok(()) => redis.store(channel, op, asker, now, events),
                    Err(refusal) => events.reply(asker, refusal),
                }
            }
            (BrokerOp::Publish(op), _) => nats.publish(&channel, &op, asker, events),
            (BrokerOp::PublishKey(version), _) => nats.publish_key(&channel, &version, asker, events),
            (BrokerOp::Join(info), _) => nats.join(&channel, &info, events),
            (BrokerOp::Leave(info), _) => nats.leave(&channel, &info, events),
            (op, Some(redis)) => redis.ask(channel, op, asker, now, events),
            // NATS keeps nothing.
            (_, None) => events.reply(asker, BrokerReply::Refused(Error::NOT_AVAILABLE)),
        }
    }

    /// Whether a shard does not get on with what it is told.
    fn is_congested(&self) -> bool {
        self.shards.iter().any(|shard| shard.waiting() > MAX_WAITING)
    }

    /// Whether everything that was asked is answered.
    fn is_idle(&self) -> bool {
        self.redis.as_ref().is_none_or(Servers::is_idle)
            && self.nats.as_ref().is_none_or(Courier::is_idle)
            && self.messenger.as_ref().is_none_or(Messenger::is_idle)
    }

    fn tick(&mut self, now: Instant, is_ending: bool) {
        if let Some(redis) = &mut self.redis {
            redis.tick(now, is_ending, &mut self.events);
        }
        if let Some(nats) = &mut self.nats {
            nats.tick(now, &mut self.events);
        }
        if let Some(messenger) = &mut self.messenger {
            messenger.tick(now, &mut self.events);
        }
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
