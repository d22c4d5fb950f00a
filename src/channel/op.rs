//! What shards ask of a channel's home, and what the home sends out.
//!
//! Both directions are first in, first out between a pair of shards. So a subscriber that handles
//! [`Answer::Subscribed`] has missed nothing before it and gets everything after it, without buffering.

use std::sync::Arc;

use crate::base::ids::ConnId;
use crate::channel::filter::Filter;
use crate::channel::map_op::{MapOp, MapState, MapSubscribed, Suppression};
use crate::channel::name::ChannelName;
use crate::channel::poll::op::{KeyPublication, PollOp};
use crate::channel::publication::{ClientInfo, Epoch, Position, Publication};
use crate::protocol::error::Error;

pub use crate::config::snapshot::HistoryOptions;

/// Who on the asking shard waits for an [`Answer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyTo {
    /// Nobody; no answer is sent.
    None,
    /// A session. The tag is the session's own and comes back unchanged.
    Conn {
        /// The connection.
        conn: ConnId,
        /// Tells the answers of one session apart.
        tag: u32,
    },
    /// A call of the server API.
    Call {
        /// The call's slot.
        call: ConnId,
        /// Tells the answers of one call apart (its position in a broadcast or batch).
        tag: u32,
    },
}

/// A subscriber's last known place. An empty epoch matches any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Since {
    /// Offset of the last publication seen.
    pub offset: u64,
    /// Epoch as the client sent it (clients may send anything).
    pub epoch: Box<str>,
}

/// What a subscription wants recovered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recover {
    /// The subscriber's position.
    pub since: Since,
    /// Most publications that are sent (`client.recovery_max_publication_limit`).
    pub limit: u32,
    /// Only the newest publication matters (`force_recovery_mode: cache`).
    pub cache: bool,
    /// Only publications with fitting tags are wanted; the others count as seen.
    pub filter: Option<Arc<Filter>>,
    /// A recovery that fails is an error, [`Error::UNRECOVERABLE_POSITION`], and nobody subscribes. Not in cache mode.
    pub or_fail: bool,
}

/// A request for a channel's home.
#[derive(Debug)]
pub enum Op {
    /// A client of the sending shard subscribes: from now on the sending shard gets the channel's
    /// deliveries. All of it happens at once, between two publications.
    Subscribe(Box<SubscribeOp>),
    /// A client of the sending shard unsubscribed.
    Unsubscribe {
        /// No client of the sending shard is left: it gets no more deliveries.
        last: bool,
        /// Remove this client from presence.
        presence: Option<Arc<ClientInfo>>,
        /// Publish a leave event.
        leave: Option<Arc<ClientInfo>>,
    },
    /// Publish. The home fills in offset and epoch.
    Publish(Box<PublishOp>),
    /// Renew a presence entry.
    PresenceUpdate {
        /// The entry.
        info: Arc<ClientInfo>,
        /// When it is dropped unless renewed, milliseconds from now.
        ttl_ms: u64,
    },
    /// Who is present. Answer: [`Answer::Presence`].
    Presence,
    /// How many are present. Answer: [`Answer::PresenceStats`].
    PresenceStats,
    /// Read the stream. Answer: [`Answer::History`].
    History {
        /// Start behind this position.
        since: Option<Since>,
        /// Most publications; 0 = position only, -1 = all.
        limit: i32,
        /// Newest first.
        reverse: bool,
        /// Seconds offset and epoch are kept.
        meta_ttl_s: u32,
    },
    /// Drop the stream's publications; offset and epoch stay. Answer: [`Answer::Done`].
    HistoryRemove,
    /// The stream's top, for the position check. Answer: [`Answer::Position`].
    Position {
        /// Seconds offset and epoch are kept.
        meta_ttl_s: u32,
    },
    /// Whatever concerns the channel's map.
    Map(Box<MapOp>),
    /// Whatever concerns the channel's tracked keys.
    Poll(Box<PollOp>),
}

/// See [`Op::Subscribe`].
#[derive(Debug)]
pub struct SubscribeOp {
    /// Give the stream's position (positioned or recoverable subscription).
    pub position: bool,
    /// Recover publications; implies a position.
    pub recover: Option<Recover>,
    /// Seconds offset and epoch are kept.
    pub meta_ttl_s: u32,
    /// Add this client to presence, for so many milliseconds unless renewed.
    pub presence: Option<(Arc<ClientInfo>, u64)>,
    /// Publish a join event, behind the answer.
    pub join: Option<Arc<ClientInfo>>,
}

/// See [`Op::Publish`].
#[derive(Debug)]
pub struct PublishOp {
    /// The publication, offset and epoch still empty. With history, and unless 0, its version must be above the
    /// stored version of the same (or an empty) version epoch, else it is suppressed.
    pub publication: Publication,
    /// History of the channel; off when the request skips it.
    pub history: HistoryOptions,
    /// Subscribers with delta may get a patch against the publication before.
    pub delta: bool,
    /// Publications with the same key within 300 s are answered with the first one's position.
    pub idempotency_key: Option<Box<str>>,
    /// What its version counts in; see `publication`.
    pub version_epoch: Box<str>,
}

/// What a home sends to a shard.
#[derive(Debug)]
pub enum Delivery {
    /// A publication for the shard's subscribers of the channel.
    Publication(ChannelName, Arc<Publication>),
    /// A publication that may be told as a patch against the one before it, which comes second.
    PublicationBehind(ChannelName, Arc<Publication>, Arc<Publication>),
    /// A client joined.
    Join(ChannelName, Arc<ClientInfo>),
    /// A client left.
    Leave(ChannelName, Arc<ClientInfo>),
    /// A version of a key, for the shard's clients that track it.
    Key(Arc<KeyPublication>),
    /// The versions of the channel's keys count in another epoch: what clients know of them is void.
    PollReset(ChannelName),
    /// Subscribers with a position cannot go on from it: publications are missing, or the stream is another one.
    PositionLost(ChannelName),
    /// An answer to an [`Op`].
    Answer(ReplyTo, Answer),
}

/// The outcome of an [`Op`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nothing more to say.
    Done,
    /// See [`Op::Subscribe`].
    Subscribed(Box<Subscribed>),
    /// Where the publication stands; offset 0 and no epoch without history.
    Published(Position),
    /// Everyone present.
    Presence(Vec<Arc<ClientInfo>>),
    /// Number of clients and of distinct users.
    PresenceStats {
        /// Connections present.
        clients: u32,
        /// Distinct user ids among them.
        users: u32,
    },
    /// A piece of the stream, and its top.
    History(Vec<Arc<Publication>>, Position),
    /// The stream's top.
    Position(Position),
    /// Where the map stands after a publication or removal, and why that changed nothing if it did not. When it was
    /// carried out before, where the map stood then.
    MapUpdated(Position, Option<Suppression>),
    /// A page of a map's keys.
    MapState(Box<MapState>),
    /// Number of a map's keys.
    MapKeys(u32),
    /// See [`MapOp::Subscribe`].
    MapSubscribed(Box<MapSubscribed>),
    /// See [`PollOp::Subscribe`]: the epoch that the versions of keys count in, empty when none is known.
    PollSubscribed(Box<str>),
    /// The request cannot be served.
    Failed(Error),
}

/// See [`Op::Subscribe`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subscribed {
    /// The stream's top at the moment the subscription began; default when no position was asked.
    pub position: Position,
    /// Whether recovery was complete.
    pub recovered: bool,
    /// The missed publications, oldest first, when recovered.
    pub publications: Vec<Arc<Publication>>,
}

impl Recover {
    /// Whether the subscriber's filter, if any, lets the publication through.
    pub fn wants(&self, publication: &Publication) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(publication.tags()))
    }
}

impl Since {
    /// Whether the epoch is compatible with the stream's.
    pub fn matches(&self, epoch: Epoch) -> bool {
        self.epoch.is_empty() || *self.epoch == epoch.as_str()
    }
}
