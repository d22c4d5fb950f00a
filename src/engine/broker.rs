//! Channels of this shard that live at a broker: what their homes ask of it goes out once a turn, what it tells comes in.

use super::{Engine, TURN_BUDGET, requests};
use crate::channel::broker_op::{BrokerEvent, BrokerRequest};
use crate::channel::brokered::{Brokered, Limits};
use crate::mesh::{FarEnd, Line};
use crate::metrics::labels::Suppressed;

/// A shard's line to the broker.
pub type ShardLine = Line<BrokerRequest, BrokerEvent>;

/// The broker's end of it.
pub type ShardFarEnd = FarEnd<BrokerRequest, BrokerEvent>;

/// Homes of channels that live at a broker, and the line to it.
pub(super) struct Broker {
    pub(super) homes: Brokered,
    line: ShardLine,
    /// Events that were taken from the line; the next one is the last.
    events: Vec<BrokerEvent>,
}

impl Broker {
    pub(super) fn new(line: ShardLine) -> Self {
        Self { homes: Brokered::new(Limits::default()), line, events: Vec::new() }
    }

    /// The next event.
    fn next_event(&mut self) -> Option<BrokerEvent> {
        if self.events.is_empty() {
            self.events = self.line.take()?;
            self.events.reverse();
        }
        self.events.pop()
    }

    /// Sends what homes ask for. True when the control plane must be rung.
    pub(super) fn flush(&mut self) -> bool {
        let has_requests = self.homes.has_requests();
        if has_requests {
            self.line.send(self.homes.take_requests());
        }
        has_requests
    }

    pub(super) fn prepare_to_sleep(&mut self) -> bool {
        self.events.is_empty() && self.line.prepare_to_sleep()
    }

    pub(super) fn awake(&mut self) {
        self.line.awake();
    }
}

impl Engine {
    /// Takes what the broker tells, as far as what follows from it can be handed over. True when more is left.
    pub(super) fn run_broker(&mut self) -> bool {
        let Self { id, broker: Some(broker), port, local, now, metrics, overfull, .. } = self else { return false };
        for _ in 0..TURN_BUDGET {
            if *overfull > 0 || port.deliveries_congested() || local.len() >= TURN_BUDGET {
                return true;
            }
            let Some(event) = broker.next_event() else { return false };
            broker.homes.event(event, *now, &mut requests::outlet(*id, local, port));
            if let Some(reason) = broker.homes.take_suppressed() {
                metrics.suppressed(Suppressed::Publish, reason.name());
            }
        }
        true
    }
}
