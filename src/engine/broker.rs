//! Channels and maps of this shard that live at a broker: what their homes ask of it goes out once a turn, what it tells comes in.

use super::{Engine, TURN_BUDGET, requests};
use crate::channel::broker_op::{BrokerEvent, BrokerRequest};
use crate::channel::brokered::{Admission, Arrived, Brokered, Change, Limits};
use crate::channel::op::{Op, ReplyTo, SubscribeOp};
use crate::config::snapshot::Snapshot;
use crate::mesh::{FarEnd, Line};
use crate::metrics::labels::Suppressed;

/// A shard's line to the broker.
pub type ShardLine = Line<BrokerRequest, BrokerEvent>;

/// The broker's end of it.
pub type ShardFarEnd = FarEnd<BrokerRequest, BrokerEvent>;

/// What lives at a broker, and not here.
#[derive(Clone, Copy, Debug)]
pub struct AtBroker {
    /// Channels other than maps and shared-poll channels; of these, what is published to their keys.
    pub channels: bool,
    /// Their presence.
    pub presence: bool,
    /// Maps.
    pub maps: bool,
    /// What nodes tell each other: there may be others.
    pub nodes: bool,
}

impl AtBroker {
    /// By the configuration of a server.
    pub fn by(config: &Snapshot) -> Self {
        Self {
            channels: config.broker.is_shared(),
            presence: config.presence.is_shared(),
            maps: config.maps.is_shared(),
            nodes: config.is_clustered(),
        }
    }
}

/// Homes of channels that live at a broker, and the line to it.
pub(super) struct Broker {
    pub(super) at: AtBroker,
    pub(super) homes: Brokered,
    line: ShardLine,
    /// For other nodes.
    tells: Vec<BrokerRequest>,
    /// Events that were taken from the line; the next one is the last.
    events: Vec<BrokerEvent>,
}

impl Broker {
    pub(super) fn new(line: ShardLine, at: AtBroker) -> Self {
        let limits = Limits::default();
        let mut homes = Brokered::new(limits, at.channels);
        if !at.presence {
            homes.keep_presence(limits.channels);
        }
        Self { at, homes, line, tells: Vec::new(), events: Vec::new() }
    }

    /// The next event.
    fn next_event(&mut self) -> Option<BrokerEvent> {
        if self.events.is_empty() {
            self.events = self.line.take()?;
            self.events.reverse();
        }
        self.events.pop()
    }

    /// A message for other nodes goes out with the next flush.
    pub(super) fn tell(&mut self, request: BrokerRequest) {
        self.tells.push(request);
    }

    /// Sends what homes ask for, also of tracked keys, and messages for other nodes. True when the control plane must be rung.
    pub(super) fn flush(&mut self, mut of_keys: Vec<BrokerRequest>) -> bool {
        let has_requests = self.homes.has_requests() || !self.tells.is_empty() || !of_keys.is_empty();
        if has_requests {
            let mut requests = self.homes.take_requests();
            requests.append(&mut of_keys);
            requests.append(&mut self.tells);
            self.line.send(requests);
        }
        has_requests
    }

    pub(super) fn prepare_to_sleep(&mut self) -> bool {
        self.events.is_empty() && self.line.prepare_to_sleep()
    }

    /// Events that were told and not heard yet.
    pub(super) fn waiting(&self) -> usize {
        self.events.len() + self.line.waiting()
    }

    pub(super) fn awake(&mut self) {
        self.line.awake();
    }
}

impl Engine {
    /// Takes what the broker tells, as far as what follows from it can be handed over. True when more is left.
    pub(super) fn run_broker(&mut self) -> bool {
        for _ in 0..TURN_BUDGET {
            if self.overfull > 0 || self.port.deliveries_congested() || self.local.len() >= TURN_BUDGET {
                return true;
            }
            let Some(broker) = &mut self.broker else { return false };
            match broker.next_event() {
                None => return false,
                Some(BrokerEvent::Control(message)) => self.on_message_of_node(&message),
                Some(BrokerEvent::Trouble(realm, trouble)) => self.metrics.redis(realm).trouble(trouble),
                Some(BrokerEvent::Expiry(came)) => self.metrics.expiry().went_on(came),
                Some(BrokerEvent::Told(ticket, is_told)) => self.on_told(ticket, is_told),
                Some(BrokerEvent::Key(channel, key, version)) => {
                    let Self { id, homes, port, local, now, .. } = self;
                    homes.key_told(&channel, key, *version, *now, &mut requests::outlet(*id, local, port));
                }
                Some(BrokerEvent::Linked(ticket, is_up)) => {
                    let Self { id, homes, port, local, now, .. } = self;
                    homes.linked(ticket, is_up, *now, &mut requests::outlet(*id, local, port));
                }
                Some(event) => {
                    let Self { id, homes, port, local, now, .. } = self;
                    let mut out = requests::outlet(*id, local, port);
                    broker.homes.event(event, *now, &mut out);
                    for Arrived { from, channel, presence, join } in broker.homes.take_arrived() {
                        let (position, recover, meta_ttl_s) = (false, None, 0);
                        let op = SubscribeOp { position, recover, meta_ttl_s, presence, join };
                        homes.handle(from, &channel, Op::Subscribe(Box::new(op)), ReplyTo::None, *now, &mut out);
                    }
                    while let Some(Admission { from, reply, channel, op, .. }) = broker.homes.take_admitted() {
                        homes.handle(from, &channel, Op::Subscribe(op), reply, *now, &mut out);
                    }
                    if let Some((what, reason)) = broker.homes.take_suppressed() {
                        self.metrics.suppressed(counted(what), reason.name());
                    }
                }
            }
        }
        true
    }
}

fn counted(what: Change) -> Suppressed {
    match what {
        Change::Publish => Suppressed::Publish,
        Change::MapPublish => Suppressed::MapPublish,
        Change::MapRemove => Suppressed::MapRemove,
    }
}
