//! What every shard is told on behalf of a call, and what it answers.
//!
//! A shard that gets a [`Control`] looks up the connections of [`Control::user`], counts those that
//! [`Control::matches`], and tells each what it is to do (upstream: centrifuge hub.go).

use std::sync::Arc;

use bytes::Bytes;

use crate::base::glob::Glob;
use crate::base::ids::ClientId;
use crate::channel::name::ChannelName;
use crate::channel::op::Since;
use crate::metrics::Shard;
use crate::metrics::interval::Ends;
use crate::protocol::disconnect::{Disconnect, Unsubscribe};

/// What every shard is told.
#[derive(Clone, Debug)]
pub enum Control {
    /// Something for the sessions of a user. Answer: [`ControlAnswer::Sessions`].
    Sessions(Target, ForSession),
    /// Which channels have subscribers on the shard? Answer: [`ControlAnswer::Channels`].
    Channels {
        /// Only names that fit; all without.
        pattern: Option<Glob>,
    },
    /// The shard's numbers, with its [`crate::metrics::Interval`]. Answer: [`ControlAnswer::Info`].
    Info,
    /// The shard's numbers, with all of its metrics. Answer: [`ControlAnswer::Info`].
    Metrics,
}

/// Which sessions are meant: those of one user, narrowed down by client, session and whitelist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The user; empty means the anonymous user, never "everyone".
    pub user: Box<str>,
    /// Only this connection.
    pub client: Option<ClientId>,
    /// Only this session id; empty = any.
    pub session: Box<str>,
    /// Connections that are spared.
    pub whitelist: Box<[ClientId]>,
}

/// What the matching sessions are told.
#[derive(Clone, Debug, PartialEq)]
pub enum ForSession {
    /// End the connection.
    Disconnect(Disconnect),
    /// End a subscription. An empty channel pushes an unsubscribe without channel and leaves the
    /// subscriptions alone.
    Unsubscribe {
        /// The channel.
        channel: Box<str>,
        /// Code and reason.
        unsubscribe: Unsubscribe,
    },
    /// Begin a subscription.
    Subscribe(Box<SubscribeSession>),
    /// Renew, shorten or end the connection's lifetime.
    Refresh {
        /// End it now.
        expired: bool,
        /// Unix seconds; 0 = never.
        expire_at: i64,
        /// New `info` of the connection; empty = unchanged.
        info: Bytes,
    },
    /// Nothing: they are only counted.
    Nothing,
}

/// A subscription that the server begins, with its options resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeSession {
    /// The channel.
    pub channel: Box<str>,
    /// Add the client to presence.
    pub presence: bool,
    /// Publish join and leave events of the client.
    pub join_leave: bool,
    /// Push others' join and leave events to the client.
    pub push_join_leave: bool,
    /// Give the stream's position.
    pub positioned: bool,
    /// The client may recover.
    pub recoverable: bool,
    /// Recover behind this position at once.
    pub recover_since: Option<Since>,
    /// Unix seconds; 0 = never.
    pub expire_at: i64,
    /// `info` of the subscription; empty = none.
    pub info: Bytes,
    /// `data` of the push; empty = none.
    pub data: Bytes,
}

/// What a shard answers to a [`Control`].
#[derive(Debug)]
pub enum ControlAnswer {
    /// So many sessions matched.
    Sessions(u32),
    /// Channels with subscribers on the shard, and how many.
    Channels(Vec<(ChannelName, u32)>),
    /// The shard's numbers.
    Info(Box<ShardInfo>),
}

/// The numbers of one shard.
#[derive(Debug, Default)]
pub struct ShardInfo {
    /// Connected clients.
    pub clients: u32,
    /// Subscriptions of all clients.
    pub subscriptions: u32,
    /// Hashes of the distinct users ([`crate::channel::name::hash_of`]), in any order: the same user may be
    /// connected to several shards. Eight bytes a user, asked for rarely.
    pub users: Vec<u64>,
    /// Channels that have their home on this shard and subscribers on any.
    pub channels: u32,
    /// For [`Control::Info`]: the last whole interval, if there was one.
    pub interval: Option<Arc<Ends>>,
    /// For [`Control::Metrics`]: a copy.
    pub metrics: Option<Box<Shard>>,
}

impl Control {
    /// The user whose sessions are meant; none when no session is.
    pub fn user(&self) -> Option<&str> {
        match self {
            Control::Sessions(target, _) => Some(&target.user),
            Control::Channels { .. } | Control::Info | Control::Metrics => None,
        }
    }

    /// Whether one of the user's sessions is meant.
    pub fn matches(&self, client: ClientId, session: &str) -> bool {
        let Control::Sessions(target, _) = self else {
            return false;
        };
        target.client.is_none_or(|wanted| wanted == client)
            && (target.session.is_empty() || *target.session == *session)
            && !target.whitelist.contains(&client)
    }
}
