//! What is simulated: how many shards and clients, and the channels between them.

use std::collections::HashMap;

use crate::channel::op::HistoryOptions;
use crate::config::snapshot::{ChannelOptions, Snapshot};

/// Size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Shards, at least 1.
    pub shards: u16,
    /// Clients.
    pub clients: usize,
    /// Channels of each kind.
    pub channels: usize,
    /// Steps before everything comes to rest.
    pub steps: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { shards: 3, clients: 12, channels: 3, steps: 6_000 }
    }
}

/// Publications that channels with history keep.
pub(super) const HISTORY_SIZE: u32 = 8;

/// Bytes a client may be owed: so few that slow clients are disconnected now and then.
pub(super) const QUEUE_MAX_SIZE: usize = 16 * 1024;

impl Setup {
    /// Names of the channels: some keep history, some only pass publications on.
    pub(super) fn names(&self) -> Vec<String> {
        (0..self.channels).flat_map(|n| [format!("kept:{n}"), format!("live:{n}")]).collect()
    }

    /// The configuration: everyone may do everything.
    pub(super) fn config(&self) -> Snapshot {
        let open = ChannelOptions {
            presence: true,
            join_leave: true,
            allow_subscribe_for_client: true,
            allow_subscribe_for_anonymous: true,
            allow_publish_for_client: true,
            allow_publish_for_anonymous: true,
            allow_presence_for_client: true,
            allow_presence_for_anonymous: true,
            ..ChannelOptions::default()
        };
        let kept = ChannelOptions {
            history: HistoryOptions { size: HISTORY_SIZE, ttl_s: 3600, meta_ttl_s: 36_000 },
            force_recovery: true,
            force_push_join_leave: true,
            ..open.clone()
        };
        let mut config = crate::config::defaults();
        config.client.insecure = true;
        config.client.allow_anonymous_connect_without_token = true;
        config.client.queue_max_size = QUEUE_MAX_SIZE;
        config.http_api.insecure = true;
        config.channel.namespaces = HashMap::from([("kept".into(), kept), ("live".into(), open)]);
        config
    }
}
