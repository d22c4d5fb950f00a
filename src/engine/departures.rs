//! Subscriptions of connections that are gone end some per round, so that a client with very many holds nobody up.

use super::{Engine, TURN_BUDGET};
use crate::channel::op::ReplyTo;

/// Subscriptions that end in one round of work: 0.1 ms, and a turn has up to 17 rounds.
const DEPARTURES_PER_ROUND: usize = 64;

impl Engine {
    /// True when more is left.
    pub(super) fn run_departures(&mut self) -> bool {
        let mut budget = DEPARTURES_PER_ROUND;
        let mut told = Vec::new();
        // Homes are told no faster than they listen: as with commands of clients.
        while budget > 0 && !self.port.requests_congested() && self.local.len() < TURN_BUDGET {
            let Some(mut departure) = self.departures.pop_front() else { return false };
            while budget > 0 {
                let Self { hub, tracked, metrics, config, .. } = self;
                if !departure.end_next(hub, tracked, metrics, config, &mut |channel, op| told.push((channel, op))) {
                    break;
                }
                budget -= 1;
                for (channel, op) in told.drain(..) {
                    self.request(channel, op, ReplyTo::None);
                }
            }
            if !departure.is_over() {
                self.departures.push_front(departure);
            }
        }
        !self.departures.is_empty()
    }
}
