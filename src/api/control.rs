//! What every shard is told on behalf of a call, and what it answers.
//!
//! A shard that gets a [`Control`] looks up the connections of [`Control::user`], counts those that
//! [`Control::matches`], and tells each what [`Control::to_session`] holds (upstream: centrifuge hub.go).

use std::sync::Arc;

use crate::base::glob::Glob;
use crate::base::ids::ClientId;
use crate::channel::name::ChannelName;
use crate::metrics::Shard;
use crate::metrics::interval::Ends;
use crate::protocol::api::{Metrics, NodeResult};
use crate::protocol::control;
use crate::session::SessionControl;

/// What every shard is told.
#[derive(Clone, Debug)]
pub enum Control {
    /// Something for the sessions of a user; without it they are only counted. Answer:
    /// [`ControlAnswer::Sessions`].
    Sessions(Target, Option<SessionControl>),
    /// Which channels have subscribers on the shard? Answer: [`ControlAnswer::Channels`], [`ControlAnswer::Listed`].
    Channels {
        /// Only names that fit; all without.
        pattern: Option<Glob>,
        /// The pattern as it was given; empty without.
        text: Box<str>,
    },
    /// The shard's numbers, with its [`crate::metrics::Interval`]. Answer: [`ControlAnswer::Users`],
    /// [`ControlAnswer::Info`].
    Info,
    /// The shard's numbers, with all of its metrics. Answer: as to [`Control::Info`].
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

/// What a shard answers to a [`Control`], and in a cluster the first shard once more for the other nodes: any number of pieces, then one answer that [`ControlAnswer::is_last`].
#[derive(Debug)]
pub enum ControlAnswer {
    /// So many sessions matched.
    Sessions(u32),
    /// A piece: channels with subscribers on the shard, and how many.
    Channels(Vec<(ChannelName, u32)>),
    /// Those were all channels.
    Listed,
    /// A piece, where there are several shards: hashes of distinct users ([`crate::channel::name::hash_of`]), in any
    /// order. The same user may be connected to several shards.
    Users(Vec<u64>),
    /// The shard's numbers.
    Info(Box<ShardInfo>),
    /// The other nodes, for [`Control::Info`] and [`Control::Metrics`].
    Nodes(Vec<Arc<NodeInfo>>),
    /// Other nodes could not be told or asked.
    Failed,
}

impl ControlAnswer {
    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Channels(_) | Self::Users(_))
    }

    /// How much work it is to take it: one, and the entries of a piece.
    pub fn weight(&self) -> usize {
        match self {
            Self::Channels(piece) => piece.len() + 1,
            Self::Users(piece) => piece.len() + 1,
            Self::Nodes(nodes) => nodes.len() + 1,
            Self::Sessions(_) | Self::Listed | Self::Info(_) | Self::Failed => 1,
        }
    }
}

/// The numbers of one shard.
#[derive(Debug, Default)]
pub struct ShardInfo {
    /// Connected clients.
    pub clients: u32,
    /// Subscriptions of all clients.
    pub subscriptions: u32,
    /// Distinct users on this shard.
    pub users: u32,
    /// Channels that have their home on this shard and subscribers on any.
    pub channels: u32,
    /// For [`Control::Info`]: the last whole interval, if there was one.
    pub interval: Option<Arc<Ends>>,
    /// For [`Control::Metrics`]: a copy.
    pub metrics: Option<Box<Shard>>,
}

/// What a node says about itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeInfo {
    /// Random id of its run.
    pub uid: Box<str>,
    /// Its name in the configuration.
    pub name: Box<str>,
    /// Version of the server.
    pub version: Box<str>,
    /// Connected clients.
    pub clients: u32,
    /// Distinct users.
    pub users: u32,
    /// Channels with subscribers.
    pub channels: u32,
    /// Subscriptions of all clients.
    pub subscriptions: u32,
    /// Seconds.
    pub uptime: u32,
    /// What was measured in the last interval.
    pub metrics: Option<Arc<NodeMetrics>>,
}

/// Numbers that a node measured over an interval.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeMetrics {
    /// Seconds.
    pub interval: f64,
    /// By name.
    pub items: Vec<(Box<str>, f64)>,
}

impl NodeInfo {
    /// As another node told it.
    pub fn of(node: &control::Node<'_>) -> Self {
        let items =
            |metrics: &Metrics<'_>| metrics.items.iter().map(|(name, value)| ((**name).into(), *value)).collect();
        Self {
            uid: (*node.uid).into(),
            name: (*node.name).into(),
            version: (*node.version).into(),
            clients: node.num_clients,
            users: node.num_users,
            channels: node.num_channels,
            subscriptions: node.num_subs,
            uptime: node.uptime,
            metrics: node
                .metrics
                .as_ref()
                .map(|metrics| Arc::new(NodeMetrics { interval: metrics.interval, items: items(metrics) })),
        }
    }

    /// As `info` has it.
    pub(super) fn result(&self) -> NodeResult<'_> {
        NodeResult {
            uid: (&*self.uid).into(),
            name: (&*self.name).into(),
            version: (&*self.version).into(),
            num_clients: self.clients,
            num_users: self.users,
            num_channels: self.channels,
            uptime: self.uptime,
            metrics: self.metrics(),
            process: None,
            num_subs: self.subscriptions,
        }
    }

    /// As other nodes are told.
    pub(super) fn report(&self) -> control::Node<'_> {
        control::Node {
            uid: (&*self.uid).into(),
            name: (&*self.name).into(),
            version: (&*self.version).into(),
            num_clients: self.clients,
            num_users: self.users,
            num_channels: self.channels,
            uptime: self.uptime,
            metrics: self.metrics(),
            num_subs: self.subscriptions,
            ..control::Node::default()
        }
    }

    fn metrics(&self) -> Option<Metrics<'_>> {
        self.metrics.as_ref().map(|metrics| Metrics {
            interval: metrics.interval,
            items: metrics.items.iter().map(|(name, value)| ((&**name).into(), *value)).collect(),
        })
    }
}

impl Control {
    /// The user whose sessions are meant; none when no session is.
    pub fn user(&self) -> Option<&str> {
        match self {
            Control::Sessions(target, _) => Some(&target.user),
            Control::Channels { .. } | Control::Info | Control::Metrics => None,
        }
    }

    /// Whether sessions begin something that takes its time.
    pub fn begins(&self) -> bool {
        matches!(self.to_session(), Some(SessionControl::Subscribe(_)))
    }

    /// What each session that is meant is told, if anything.
    pub fn to_session(&self) -> Option<&SessionControl> {
        match self {
            Control::Sessions(_, told) => told.as_ref(),
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
