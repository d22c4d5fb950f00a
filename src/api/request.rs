//! A request of the server API and what it may use.

use std::sync::Arc;

use crate::api::control::Control;
use crate::base::time::Now;
use crate::channel::name::ChannelName;
use crate::channel::op::Op;
use crate::config::snapshot::Snapshot;
use crate::metrics::Shard as Metrics;

/// One authorized request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The path behind the prefix and a slash (`publish`); empty for the prefix itself, the legacy route.
    pub method: &'a str,
    /// The header `X-Centrifugo-Error-Mode`.
    pub error_mode: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

/// What this node says about itself in `info`.
#[derive(Clone, Debug)]
pub struct Node {
    /// Random id of this run.
    pub uid: Box<str>,
    /// Version of the server.
    pub version: Box<str>,
}

/// What a call of the server API may see and do.
pub struct ApiCx<'a> {
    /// The turn's time.
    pub now: Now,
    /// The configuration in force.
    pub config: &'a Snapshot,
    /// This node.
    pub node: &'a Node,
    /// Number of shards; each of them answers a survey once.
    pub shards: u16,
    /// There may be other nodes.
    pub is_clustered: bool,
    /// Streams live at a broker.
    pub streams_are_far: bool,
    /// Maps live at a broker.
    pub maps_are_far: bool,
    /// What the call wants done, executed by the engine in order.
    pub effects: &'a mut Vec<ApiEffect>,
    /// This shard's counters.
    pub metrics: &'a mut Metrics,
}

/// What a call wants done.
#[derive(Debug)]
pub enum ApiEffect {
    /// Ask the channel's home. One answer comes back with the tag.
    Op {
        /// The channel.
        channel: ChannelName,
        /// What is asked.
        op: Op,
        /// Comes back with the answer.
        tag: u32,
    },
    /// Tell every shard, the sending one included. Each answers once with the tag.
    Survey {
        /// What is told.
        control: Arc<Control>,
        /// Comes back with each answer.
        tag: u32,
        /// The other nodes as well; all of them together answer once.
        asks_nodes: bool,
    },
}
