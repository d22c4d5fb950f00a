//! `info`: the node in numbers (upstream: internal/api/api.go, centrifuge node.go).

use std::collections::HashSet;
use std::sync::Arc;

use super::control::{Control, ControlAnswer, ShardInfo};
use super::request::ApiCx;
use super::step::{Outcome, Step, Wait, write};
use crate::metrics::interval::Ends;
use crate::metrics::{Sum, catalogue, items};
use crate::protocol::api::{InfoRequest, InfoResult, Metrics, NodeResult};

/// Adds up the numbers of all shards.
#[derive(Debug, Default)]
pub(super) struct Info {
    numbers: Numbers,
    /// The last interval of all shards.
    interval: Option<Box<Ends>>,
}

/// The numbers of a node.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) clients: u32,
    pub(super) subscriptions: u32,
    pub(super) channels: u32,
    pub(super) users: HashSet<u64>,
}

impl Numbers {
    pub(super) fn add(&mut self, shard: &ShardInfo) {
        self.clients += shard.clients;
        self.subscriptions += shard.subscriptions;
        self.channels += shard.channels;
        self.users.extend(&shard.users);
    }

    pub(super) fn for_metrics<'c>(&self, cx: &ApiCx<'c>) -> catalogue::Node<'c> {
        catalogue::Node {
            version: &cx.node.version,
            clients: u64::from(self.clients),
            subscriptions: u64::from(self.subscriptions),
            channels: u64::from(self.channels),
            users: self.users.len() as u64,
            nodes: 1,
            mono_ms: cx.now.mono_ms,
        }
    }
}

pub(super) fn info(_request: &InfoRequest) -> Step {
    Step::Survey(Control::Info, Wait::Info(Info::default()))
}

impl Info {
    pub(super) fn add(&mut self, answer: ControlAnswer) {
        let ControlAnswer::Info(shard) = answer else { return };
        self.numbers.add(&shard);
        match (&mut self.interval, shard.interval) {
            (Some(sum), Some(ends)) => sum.add(&ends),
            (sum @ None, ends) => *sum = ends.map(|ends| Box::new(Arc::unwrap_or_clone(ends))),
            // The shard's first interval is not over.
            (Some(_), None) => {}
        }
    }

    pub(super) fn write(&self, cx: &ApiCx<'_>, out: &mut Vec<u8>) -> Outcome {
        let node = self.numbers.for_metrics(cx);
        let metrics = self.interval.as_ref().map(|ends| {
            let families = |metrics| catalogue::families(metrics, &node);
            let items = items::items(&families(&ends.before), &families(&ends.after));
            Metrics {
                interval: cx.config.node_info_metrics_interval_ms as f64 / 1000.0,
                items: items.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            }
        });
        let node = NodeResult {
            uid: (&*cx.node.uid).into(),
            name: (&*cx.config.node_name).into(),
            version: (&*cx.node.version).into(),
            num_clients: self.numbers.clients,
            num_users: self.numbers.users.len() as u32,
            num_channels: self.numbers.channels,
            uptime: (cx.now.mono_ms / 1000) as u32,
            metrics,
            process: None,
            num_subs: self.numbers.subscriptions,
        };
        write(&InfoResult { nodes: vec![node] }, out)
    }
}
