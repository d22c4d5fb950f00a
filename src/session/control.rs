//! What the server API tells a session.

use bytes::Bytes;

use crate::channel::op::Since;
use crate::protocol::disconnect::{Disconnect, Unsubscribe};

/// Handled by [`Session::on_control`](super::Session::on_control).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionControl {
    /// End the connection.
    Disconnect(Disconnect),
    /// End a subscription, of either side, and push that it ended. An empty channel, or one that is not subscribed,
    /// is pushed all the same.
    Unsubscribe {
        /// The channel.
        channel: Box<str>,
        /// What the client is told.
        unsubscribe: Unsubscribe,
    },
    /// Begin a server-side subscription, or replace the one that exists, and push that it began.
    Subscribe(Box<ServerSubscribe>),
    /// Renew, shorten or end the connection's lifetime.
    Refresh {
        /// End it now.
        expired: bool,
        /// Unix seconds; 0 or less = never.
        expire_at: i64,
        /// New `info` of the connection; empty = unchanged.
        info: Bytes,
    },
}

/// A server-side subscription with its options resolved against namespace and overrides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerSubscribe {
    /// The channel; an empty one is passed over.
    pub channel: Box<str>,
    /// Take part in presence.
    pub presence: bool,
    /// Publish join and leave events of this client.
    pub join_leave: bool,
    /// Push join and leave events to this client.
    pub push_join_leave: bool,
    /// Watch the position.
    pub positioned: bool,
    /// Watch the position, and let the client recover from it.
    pub recoverable: bool,
    /// Recover behind this position.
    pub recover_since: Option<Since>,
    /// Unix seconds; 0 = never. A subscription whose time has passed is not begun.
    pub expire_at: i64,
    /// `info` of the subscription; empty = none.
    pub info: Bytes,
    /// `data` of the push; empty = none.
    pub data: Bytes,
}
