//! `info`: the node in numbers (upstream: internal/api/api.go, centrifuge node.go).

use std::sync::Arc;

use super::control::{Control, ControlAnswer, NodeInfo, NodeMetrics, ShardInfo};
use super::distinct::Distinct;
use super::request::ApiCx;
use super::step::{Outcome, Step, Wait, write};
use crate::metrics::interval::Ends;
use crate::metrics::{Sum, catalogue, items};
use crate::protocol::api::{InfoRequest, InfoResult};
use crate::protocol::proto;

/// Adds up the numbers of all shards, and knows the other nodes.
#[derive(Debug, Default)]
pub(super) struct Info {
    numbers: Numbers,
    /// This node's numbers are for other nodes: a [`crate::protocol::control::Node`] in Protobuf.
    is_report: bool,
    /// Metrics come along.
    has_metrics: bool,
    /// The last interval of all shards.
    interval: Option<Box<Ends>>,
}

/// The numbers of a node.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) clients: u32,
    pub(super) subscriptions: u32,
    pub(super) channels: u32,
    /// Users of a lone shard, and those of several.
    lone_users: u64,
    users: Distinct,
    /// The nodes beside this one.
    pub(super) others: Vec<Arc<NodeInfo>>,
}

impl Numbers {
    pub(super) fn add(&mut self, shard: &ShardInfo) {
        self.clients += shard.clients;
        self.subscriptions += shard.subscriptions;
        self.channels += shard.channels;
        self.lone_users += u64::from(shard.users);
    }

    pub(super) fn add_users(&mut self, hashes: &[u64]) {
        self.users.add(hashes);
    }

    /// Goes on counting users. None while some are left.
    pub(super) fn count_users(&mut self, cx: &ApiCx<'_>, budget: &mut usize) -> Option<u64> {
        if cx.shards == 1 { Some(self.lone_users) } else { self.users.count(budget) }
    }

    pub(super) fn for_metrics<'c>(&self, cx: &ApiCx<'c>, users: u64) -> catalogue::Node<'c> {
        catalogue::Node {
            version: &cx.node.version,
            clients: u64::from(self.clients),
            subscriptions: u64::from(self.subscriptions),
            channels: u64::from(self.channels),
            users,
            nodes: self.others.len() as u64 + 1,
            mono_ms: cx.now.mono_ms,
        }
    }
}

pub(super) fn info(_request: &InfoRequest) -> Step {
    Step::Survey(Control::Info, Wait::Info(Info { has_metrics: true, ..Info::default() }))
}

/// What this node tells the others about itself.
pub(super) fn report(has_metrics: bool) -> Step {
    Step::Survey(Control::Info, Wait::Info(Info { is_report: true, has_metrics, ..Info::default() }))
}

impl Info {
    pub(super) fn add(&mut self, answer: ControlAnswer) {
        let shard = match answer {
            ControlAnswer::Info(shard) => shard,
            ControlAnswer::Users(hashes) => return self.numbers.add_users(&hashes),
            ControlAnswer::Nodes(nodes) => return self.numbers.others = nodes,
            _ => return,
        };
        self.numbers.add(&shard);
        match (&mut self.interval, shard.interval) {
            (Some(sum), Some(ends)) => sum.add(&ends),
            (sum @ None, ends) => *sum = ends.map(|ends| Box::new(Arc::unwrap_or_clone(ends))),
            // The shard's first interval is not over.
            (Some(_), None) => {}
        }
    }

    /// None while users are left to count.
    pub(super) fn write(&mut self, cx: &ApiCx<'_>, budget: &mut usize, out: &mut Vec<u8>) -> Option<Outcome> {
        let users = self.numbers.count_users(cx, budget)?;
        let node = self.numbers.for_metrics(cx, users);
        let metrics = self.interval.as_ref().filter(|_| self.has_metrics).map(|ends| {
            let families = |metrics| catalogue::families(metrics, &node);
            let items = items::items(&families(&ends.before), &families(&ends.after));
            let interval = cx.config.node_info_metrics_interval_ms as f64 / 1000.0;
            let items = items.into_iter().map(|(name, value)| (name.into(), value)).collect();
            Arc::new(NodeMetrics { interval, items })
        });
        let this = NodeInfo {
            uid: cx.node.uid.clone(),
            name: cx.config.node_name.clone(),
            version: cx.node.version.clone(),
            clients: self.numbers.clients,
            users: users as u32,
            channels: self.numbers.channels,
            subscriptions: self.numbers.subscriptions,
            uptime: (cx.now.mono_ms / 1000) as u32,
            metrics,
        };
        if self.is_report {
            proto::encode(&this.report(), out);
            return Some(Ok(()));
        }
        let others = self.numbers.others.iter().map(|node| node.result());
        Some(write(&InfoResult { nodes: std::iter::once(this.result()).chain(others).collect() }, out))
    }
}
