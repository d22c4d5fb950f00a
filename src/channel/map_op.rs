//! What shards ask of a map's home, and what it answers (see [`super::op`], of which this is a part).
//!
//! Upstream: centrifuge map_broker.go, and client_map.go for what a subscriber is given. Two things of upstream's
//! interface cannot be reached in Centrifugo and do not exist here: ordering by score, and compare-and-swap.

use std::sync::Arc;

use crate::channel::op::Since;
use crate::channel::publication::{ClientInfo, Position, Publication};

pub use crate::config::snapshot::{MapOptions, MapStreamOptions};

/// A request for a map's home. Every use of a map begins it if need be: its epoch is then the map's.
#[derive(Debug)]
pub enum MapOp {
    /// Set a key. Answer: [`Answer::MapUpdated`](super::op::Answer::MapUpdated), behind the delivery.
    Publish(MapPublishOp),
    /// Remove a key. Answer: [`Answer::MapUpdated`](super::op::Answer::MapUpdated), behind the delivery.
    Remove {
        /// How the map is kept.
        options: MapOptions,
        /// The key.
        key: Box<str>,
        /// Requests with the same key within 300 s are answered with the first one's position. Publications and
        /// removals share them.
        idempotency_key: Option<Box<str>>,
    },
    /// Forget the map: keys, changes, epoch. Nobody is told. Answer: [`Answer::Done`](super::op::Answer::Done).
    Clear,
    /// How many keys there are. Begins nothing. Answer: [`Answer::MapKeys`](super::op::Answer::MapKeys).
    Stats,
    /// Read keys in the order of their bytes. Answer: [`Answer::MapState`](super::op::Answer::MapState).
    ReadState {
        /// How the map is kept.
        options: MapOptions,
        /// This key alone; the page does not count then.
        key: Option<Box<str>>,
        /// Which of the keys.
        page: StatePage,
    },
    /// Read changes. Answer: [`Answer::History`](super::op::Answer::History).
    ReadStream {
        /// How the map is kept.
        options: MapOptions,
        /// Start behind this position.
        since: Option<Since>,
        /// Most changes; 0 = position only, negative = all.
        limit: i32,
        /// Newest first.
        reverse: bool,
    },
    /// The map's top, for the position check. Answer: [`Answer::Position`](super::op::Answer::Position).
    Position {
        /// How the map is kept.
        options: MapOptions,
    },
    /// A step of a subscription. Answer: [`Answer::MapSubscribed`](super::op::Answer::MapSubscribed), or a failure,
    /// which leaves nothing behind at the home.
    Subscribe(MapSubscribeOp),
}

/// See [`MapOp::Publish`].
#[derive(Debug)]
pub struct MapPublishOp {
    /// How the map is kept.
    pub options: MapOptions,
    /// The publication: its `entry` names the key (removed: false); offset and epoch still empty.
    pub publication: Publication,
    /// Whether the key must, or must not, be there.
    pub key_mode: KeyMode,
    /// A key that is there already, in mode [`KeyMode::IfNew`], lives on for another TTL (presence).
    pub refresh_ttl: bool,
    /// Suppressed unless above the stored version of the key in the same (or an empty) version epoch; 0 = none, and
    /// the stored one stays. Fails on a map without a stream.
    pub version: u64,
    /// See `version`.
    pub version_epoch: Box<str>,
    /// Subscribers with delta may get a patch against what the key was before.
    pub delta: bool,
    /// Requests with the same key within 300 s are answered with the first one's position.
    pub idempotency_key: Option<Box<str>>,
}

impl MapPublishOp {
    /// Sets the key, whatever stands there, as often as it is asked.
    pub fn plain(options: MapOptions, publication: Publication) -> Self {
        Self {
            options,
            publication,
            key_mode: KeyMode::Replace,
            refresh_ttl: false,
            version: 0,
            version_epoch: Box::default(),
            delta: false,
            idempotency_key: None,
        }
    }
}

/// Under which condition a key is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyMode {
    /// Always.
    #[default]
    Replace,
    /// Unless it is there (`if_new`).
    IfNew,
    /// If it is there (`if_exists`).
    IfExists,
}

impl KeyMode {
    /// By its name in requests.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::Replace),
            "if_new" => Some(Self::IfNew),
            "if_exists" => Some(Self::IfExists),
            _ => None,
        }
    }
}

/// A page of keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatePage {
    /// Start behind this key; empty = with the first.
    pub cursor: Box<str>,
    /// Most keys; 0 = position only, negative = all.
    pub limit: i32,
    /// Fail with [`Error::UNRECOVERABLE_POSITION`](crate::protocol::error::Error::UNRECOVERABLE_POSITION) unless the
    /// map is still in this epoch.
    pub revision: Option<Since>,
}

/// See [`MapOp::Subscribe`]. When the answer says that it is live, the sending shard gets the map's deliveries from
/// then on, as with [`Op::Subscribe`](super::op::Op::Subscribe): all of it happens at once, between two publications.
/// It is ended with [`Op::Unsubscribe`](super::op::Op::Unsubscribe).
#[derive(Debug)]
pub struct MapSubscribeOp {
    /// How the map is kept.
    pub options: MapOptions,
    /// What the subscriber has and wants.
    pub phase: MapPhase,
    /// Most changes that may be read when it goes live; more fail with
    /// [`Error::UNRECOVERABLE_POSITION`](crate::protocol::error::Error::UNRECOVERABLE_POSITION).
    pub live_limit: u32,
    /// When it goes live: add this client to presence, for so many milliseconds unless renewed.
    pub presence: Option<(Arc<ClientInfo>, u64)>,
    /// When it goes live: publish a join event, behind the answer.
    pub join: Option<Arc<ClientInfo>>,
}

/// What a subscriber has of a map and wants next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MapPhase {
    /// A page of keys. With the last one it goes live, when no more than `page.limit` changes came since it began
    /// (always, without a stream). Keys that changed behind `page.revision` are left out.
    State {
        /// Which keys; the limit must be positive.
        page: StatePage,
        /// Where the map stood at the first page; none on that page.
        begun: Option<Position>,
    },
    /// Changes, as many as `limit`; goes live when these reach `aim`. Fails without a stream.
    Stream {
        /// What it has.
        since: Since,
        /// Most changes of a page.
        limit: u32,
        /// The top that the first page found; none on that page.
        aim: Option<u64>,
    },
    /// All changes at once. Without a stream there are none, and it goes live whatever it has.
    Live {
        /// What it has.
        since: Since,
    },
}

/// Answer to [`MapOp::ReadState`].
#[derive(Debug, Clone, PartialEq)]
pub struct MapState {
    /// A page of keys, each as the publication that set it.
    pub entries: Vec<Arc<Publication>>,
    /// The map's top.
    pub position: Position,
    /// The last key of the page; empty when no key is left behind it.
    pub cursor: Box<str>,
    /// Keys of the whole map; 0 = not counted.
    pub keys: u32,
    /// The change at its top, where a broker keeps it still: by it the map is told from one that lost changes and went
    /// on to the same place.
    pub newest: Option<Arc<Publication>>,
}

/// Answer to [`MapOp::Subscribe`].
#[derive(Debug, Clone, PartialEq)]
pub struct MapSubscribed {
    /// Whether the subscription is live, from `position` on.
    pub live: bool,
    /// The map's top; its offset is 0 without a stream.
    pub position: Position,
    /// A page of keys.
    pub state: Vec<Arc<Publication>>,
    /// The last key of that page before any was left out; empty when no key is left behind it.
    pub cursor: Box<str>,
    /// Changes, oldest first. When live: all up to `position`.
    pub publications: Vec<Arc<Publication>>,
    /// What further [`MapPhase::Stream`] pages aim at.
    pub aim: u64,
}

/// Why a request changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suppression {
    /// It was carried out before.
    Idempotency,
    /// The key has this version or a later one.
    Version,
    /// [`KeyMode::IfNew`], and it is there.
    KeyExists,
    /// [`KeyMode::IfExists`] or a removal, and it is not there.
    KeyNotFound,
}

impl Suppression {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Idempotency, Self::Version, Self::KeyExists, Self::KeyNotFound];

    /// As replies and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idempotency => "idempotency",
            Self::Version => "version",
            Self::KeyExists => "key_exists",
            Self::KeyNotFound => "key_not_found",
        }
    }
}
