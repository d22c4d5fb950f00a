//! What shards ask of the home of a shared-poll channel, and what it tells them of a key.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::ids::ConnId;
use crate::channel::name::ChannelName;
use crate::channel::publication::{ClientInfo, MapEntry, Publication};
use crate::config::snapshot::PollPlan;

/// A request for the home of a shared-poll channel.
#[derive(Debug)]
pub enum PollOp {
    /// A client of the sending shard subscribes; it tracks keys later. Answer: `PollSubscribed`.
    Subscribe(PollSubscribe),
    /// Clients of the sending shard track these keys from now on. All or none: at the bound of keys it fails.
    Track {
        /// How the backend is asked, where the channel begins with this.
        plan: PollPlan,
        /// Names as [`key_name`](super::key_name) makes them, and the version that the client knows; 0 = none.
        keys: Vec<(ChannelName, u64)>,
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

/// See [`PollOp::Subscribe`].
#[derive(Debug)]
pub struct PollSubscribe {
    /// How the backend is asked, where the channel begins with this.
    pub plan: PollPlan,
    /// Add this client to presence, for so many milliseconds unless renewed.
    pub presence: Option<(Arc<ClientInfo>, u64)>,
    /// Publish a join event, behind the answer.
    pub join: Option<Arc<ClientInfo>>,
}

/// A version of a key, or its end, for those who track it. Shared by all shards.
#[derive(Debug)]
pub struct KeyPublication {
    /// The channel it is told in.
    pub channel: ChannelName,
    /// The key as [`key_name`](super::key_name) names it.
    pub key: ChannelName,
    /// What clients get.
    pub publication: Publication,
    /// The data of the version before, and that version, where patches may be sent.
    pub before: Option<(Bytes, u64)>,
    /// What the version counts in, as the publisher named it; empty for what the backend told when asked.
    pub epoch: Box<str>,
}

impl KeyPublication {
    /// Whether the key is gone.
    pub fn is_removal(&self) -> bool {
        self.publication.entry.as_ref().is_some_and(|entry| entry.removed)
    }
}

/// Why the backend is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// It is time for all keys.
    Timer,
    /// Somebody waits for these keys.
    Notification,
}

/// What became of the keys that backends told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// There was news.
    pub changed: u64,
    /// There was none.
    pub unchanged: u64,
    /// They are gone.
    pub removed: u64,
}

/// What shared-poll channels did, to be counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PollTally {
    /// By [`Trigger`].
    pub told: [Told; 2],
    /// Rounds that are over: how long each took, and how long without the pauses between its batches, milliseconds.
    pub rounds: Vec<(u64, u64)>,
    /// Keys noted for being asked at once.
    pub noted: u64,
    /// Those that were not, for want of room.
    pub dropped: u64,
    /// Published versions of tracked keys that were news.
    pub applied: u64,
    /// Those that were not.
    pub skipped: u64,
}

/// What the backend is to be asked.
#[derive(Debug)]
pub struct Refresh {
    /// Comes back with the answer.
    pub id: RefreshId,
    /// The channel.
    pub channel: ChannelName,
    /// Names as [`key_name`](super::key_name) makes them, in the order of the keys, and the version known of each.
    pub keys: Vec<(ChannelName, u64)>,
}

/// Which question an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefreshId {
    /// The channel's place at its home.
    pub(in crate::channel) poll: ConnId,
    /// Why it was asked.
    pub trigger: Trigger,
}

/// What the backend answered. Keys that are not in it stay as they are.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// The state of keys.
    pub keys: Vec<RefreshedKey>,
    /// What versions count in.
    pub epoch: Box<str>,
}

/// The state of a key.
#[derive(Clone, Debug)]
pub struct RefreshedKey {
    /// As [`key_name`](super::key_name) makes it.
    pub name: ChannelName,
    /// The key, and whether it is gone.
    pub entry: MapEntry,
    /// Its data.
    pub data: Bytes,
    /// The data of the version before; empty when not told.
    pub before: Bytes,
    /// 0 when the backend does not number versions.
    pub version: u64,
}
