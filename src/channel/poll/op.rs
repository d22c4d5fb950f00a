//! What shards ask of the home of a shared-poll channel, and what it tells them of a key.

use std::sync::Arc;

use crate::channel::name::ChannelName;
use crate::channel::publication::{ClientInfo, Publication};

/// A request for the home of a shared-poll channel.
#[derive(Debug)]
pub enum PollOp {
    /// A client of the sending shard subscribes; it tracks keys later. Answer: `PollSubscribed`.
    Subscribe {
        /// Add this client to presence, for so many milliseconds unless renewed.
        presence: Option<(Arc<ClientInfo>, u64)>,
        /// Publish a join event, behind the answer.
        join: Option<Arc<ClientInfo>>,
    },
    /// Clients of the sending shard track these keys from now on. All or none: at the bound of keys it fails.
    Track {
        /// Names as [`key_name`](super::key_name) makes them.
        keys: Vec<ChannelName>,
    },
    /// No client of the sending shard tracks these keys any more.
    Untrack {
        /// As above.
        keys: Vec<ChannelName>,
    },
    /// A key has a new version.
    Publish {
        /// The key, version and data; `entry` names the key.
        publication: Publication,
        /// The key's name, as above.
        key: ChannelName,
        /// What versions count in.
        epoch: Box<str>,
    },
}

/// A version of a key, for those who track it. Shared by all shards.
#[derive(Debug)]
pub struct KeyPublication {
    /// The channel it is told in.
    pub channel: ChannelName,
    /// The key as [`key_name`](super::key_name) names it.
    pub key: ChannelName,
    /// What clients get.
    pub publication: Publication,
    /// What the version counts in, as the publisher named it.
    pub epoch: Box<str>,
}
