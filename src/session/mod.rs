//! One client connection as a state machine: commands, answers, time and the server API come in, encoded messages
//! ([`Output`]) and requests ([`Effect`]) go out.
//!
//! Called by the engine of the shard that owns the connection. Commands run strictly one after another: while
//! [`Session::is_blocked`] the engine hands over no further one. Pure: no I/O, no clock, no randomness of its own.
//! Upstream: centrifuge client.go, centrifugo internal/client/handler.go.

mod control;
mod counting;
mod effect;
mod output;
mod state;

mod commands;
mod departure;
mod server_side;

mod grant;
mod keys;
mod map_steps;
mod permissions;
mod polls;
mod subscribing;
mod subscriptions;
mod timers;
mod upkeep;

#[cfg(test)]
mod tests;

use rand::rngs::StdRng;

use crate::auth::{Basis, Budget, ConnectionClaims, Evidence, KeyCache, Obstacle, SubscriptionClaims, Verifiers};
use crate::base::ids::{ClientId, ConnId};
use crate::base::time::Now;
use crate::config::snapshot::Snapshot;
use crate::fanout::hub::Hub;
use crate::metrics::Shard as Metrics;
use crate::protocol::Protocol;

pub use control::{ServerSubscribe, SessionControl};
pub use departure::Departure;
pub use effect::Effect;
pub use output::Output;
pub use state::Session;

/// What a session is told when its connection opens.
#[derive(Debug)]
pub struct Setup {
    /// The connection's public id.
    pub client: ClientId,
    /// What the client speaks.
    pub protocol: Protocol,
    /// Pings are WebSocket ping frames; the application ping is off.
    pub native_ping: bool,
    /// Value of `client.user_id_http_header` in the handshake.
    pub user_header: Option<Box<str>>,
    /// How messages travel.
    pub transport: TransportKind,
}

/// How messages travel. A bidirectional WebSocket is the only way yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransportKind {
    /// Commands and replies on one WebSocket.
    WebSocket,
}

/// What a session may use during one step.
pub struct Cx<'a> {
    /// The time of this turn.
    pub now: Now,
    /// The configuration in force.
    pub config: &'a Snapshot,
    /// Checks tokens.
    pub verifiers: &'a Verifiers,
    /// Keys of key sets that are at hand.
    pub keys: &'a KeyCache,
    /// Time for checks of signatures.
    pub budget: &'a Budget,
    /// What was found out for the running command, when it comes again.
    pub evidence: Evidence,
    /// Spreads timers.
    pub rng: &'a mut StdRng,
    /// This connection, as the hub's members name it.
    pub conn: ConnId,
    /// The shard's channels.
    pub hub: &'a mut Hub,
    /// The keys of shared-poll channels that clients of the shard track, as channels of their own.
    pub tracked: &'a mut Hub,
    /// Messages for the client.
    pub out: &'a mut Output,
    /// Requests to the engine.
    pub effects: &'a mut Vec<Effect>,
    /// The shard's counters.
    pub metrics: &'a mut Metrics,
}

impl Cx<'_> {
    /// What a connection token says, if it may be believed.
    fn connection_claims(&self, token: &str) -> Result<ConnectionClaims, Obstacle> {
        self.verifiers.verify_connection(token, self.basis())
    }

    /// What a subscription token says, if it may be believed.
    fn subscription_claims(&self, token: &str) -> Result<SubscriptionClaims, Obstacle> {
        self.verifiers.verify_subscription(token, self.basis())
    }

    fn basis(&self) -> Basis<'_> {
        Basis { now: self.now, keys: self.keys, evidence: &self.evidence, budget: self.budget }
    }
}
