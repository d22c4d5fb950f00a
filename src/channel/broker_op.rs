//! What a home asks of the broker that its channels live at, and what the broker tells it.
//!
//! Requests about one channel are carried out in the order in which they were made. Every request with a ticket is
//! answered exactly once, however the broker fares; those without are best effort.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::ids::ConnId;
use crate::channel::map_op::{MapOp, MapOptions, MapState, Suppression};
use crate::channel::name::ChannelName;
use crate::channel::op::PublishOp;
use crate::channel::publication::{ClientInfo, Epoch, Position, Publication};
use crate::protocol::error::Error;

/// Names a request while it is under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket(pub ConnId);

/// A request for the broker.
#[derive(Debug)]
pub enum BrokerRequest {
    /// About a channel; its home asks.
    Channel {
        /// The channel.
        channel: ChannelName,
        /// What to do.
        op: BrokerOp,
        /// Comes back with the reply; none when nobody waits.
        ticket: Option<Ticket>,
    },
    /// The home of a shared-poll channel wants the messages of this key. [`BrokerEvent::Linked`] follows.
    Link {
        /// The key as [`crate::channel::poll::key_name`] names it.
        key: ChannelName,
        /// Comes back.
        ticket: Ticket,
    },
    /// And from now on it does not.
    Unlink {
        /// As above.
        key: ChannelName,
    },
    /// A control message for other nodes. With a ticket, [`BrokerEvent::Told`] follows.
    Tell {
        /// The id of the node that is told; none = all of them.
        to: Option<Box<str>>,
        /// An encoded [`crate::protocol::control::Command`].
        message: Bytes,
        /// Comes back; none when nobody waits.
        ticket: Option<Ticket>,
    },
}

/// See [`BrokerRequest`].
#[derive(Debug)]
pub enum BrokerOp {
    /// From now on the home wants the channel's messages. Reply: [`BrokerReply::Done`].
    Subscribe(Realm),
    /// And from now on it does not.
    Unsubscribe(Realm),
    /// Publish. Reply: [`BrokerReply::Published`].
    Publish(Box<PublishOp>),
    /// Publish a version of a key of a shared-poll channel, which is named in place of a channel. Reply:
    /// [`BrokerReply::Done`] or [`BrokerReply::Published`].
    PublishKey(Box<KeyVersion>),
    /// Tell all nodes of a client that joined.
    Join(Arc<ClientInfo>),
    /// Tell all nodes of a client that left.
    Leave(Arc<ClientInfo>),
    /// Read the stream. Reply: [`BrokerReply::History`].
    History(Read),
    /// The stream lost publications that somebody has: it goes on under another epoch, unless it does so already. Reply:
    /// [`BrokerReply::History`] with the newest publication.
    ChangeEpoch {
        /// The epoch that it must not have any more.
        of: Epoch,
        /// Seconds offset and epoch are kept.
        meta_ttl_s: u32,
    },
    /// The same of a map, whose keys stay. Reply: [`BrokerReply::History`] with the newest change.
    ChangeMapEpoch {
        /// The epoch that it must not have any more.
        of: Epoch,
        /// How the map is kept.
        options: MapOptions,
    },
    /// Drop the stream's publications. Reply: [`BrokerReply::Done`].
    RemoveHistory,
    /// Add a client to presence, or renew its entry; the broker knows how long entries last. Reply:
    /// [`BrokerReply::Done`].
    AddPresence(Arc<ClientInfo>),
    /// Remove a client from presence.
    RemovePresence(Arc<ClientInfo>),
    /// Who is present. Reply: [`BrokerReply::Presence`].
    Presence,
    /// How many are present. Reply: [`BrokerReply::PresenceStats`].
    PresenceStats,
    /// Whatever concerns the channel's map, other than to subscribe. Revisions and epochs are the home's business.
    /// Publications and removals are replied to with [`BrokerReply::MapUpdated`], keys with [`BrokerReply::MapState`],
    /// changes and positions with [`BrokerReply::History`], the rest with [`BrokerReply::MapKeys`] or
    /// [`BrokerReply::Done`].
    Map(Box<MapOp>),
}

/// A version of a key of a shared-poll channel, as nodes tell each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyVersion {
    /// The key, version and data.
    pub publication: Publication,
    /// What versions count in.
    pub epoch: Box<str>,
}

/// What a channel is: streams and maps may live at different brokers, and are told differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Realm {
    /// It has publications, and perhaps history.
    #[default]
    Streams,
    /// It is a map.
    Maps,
}

impl BrokerOp {
    /// Whether it is about a map.
    pub fn is_of_map(&self) -> bool {
        let is_link = matches!(self, Self::Subscribe(Realm::Maps) | Self::Unsubscribe(Realm::Maps));
        is_link || matches!(self, Self::Map(_) | Self::ChangeMapEpoch { .. })
    }

    /// Whether presence is what it is about.
    pub fn is_presence(&self) -> bool {
        matches!(self, Self::AddPresence(_) | Self::RemovePresence(_) | Self::Presence | Self::PresenceStats)
    }
}

/// A piece of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    /// Publications behind this offset (before it when reversed); none = from the stream's end.
    pub since: Option<u64>,
    /// Most publications; 0 = the position alone, -1 = all.
    pub limit: i32,
    /// Newest first.
    pub reverse: bool,
    /// Seconds offset and epoch are kept.
    pub meta_ttl_s: u32,
}

/// The outcome of a request.
#[derive(Debug)]
pub enum BrokerReply {
    /// It is done.
    Done,
    /// Where the publication stands (offset 0 and no epoch without history), and why nothing was published if so.
    Published(Position, Option<Suppression>),
    /// A piece of the stream, and its top.
    History(Vec<Arc<Publication>>, Position),
    /// Everyone present.
    Presence(Vec<Arc<ClientInfo>>),
    /// Number of clients and of distinct users present.
    PresenceStats(u32, u32),
    /// It is none that the broker carries out.
    Refused(Error),
    /// Where the map stands after a publication or removal, and why nothing changed if so.
    MapUpdated(Position, Option<Suppression>),
    /// Keys of a map.
    MapState(MapState),
    /// Number of a map's keys.
    MapKeys(u32),
    /// The broker could not be asked, or did not answer in time. Whether it carried the request out is unknown.
    Failed,
}

/// What the broker tells a home.
#[derive(Debug)]
pub enum BrokerEvent {
    /// The reply to a request.
    Reply(Ticket, BrokerReply),
    /// A publication; perhaps with the payload of the one before it, as base of a patch.
    Publication(ChannelName, Arc<Publication>, Option<Arc<Publication>>),
    /// A client joined somewhere.
    Join(ChannelName, Arc<ClientInfo>),
    /// A client left somewhere.
    Leave(ChannelName, Arc<ClientInfo>),
    /// The channel's messages did not come for a while and do so again: what was published meanwhile is missing.
    Resumed(ChannelName),
    /// A version of a key of the shared-poll channel; the key comes second, as it is named.
    Key(ChannelName, ChannelName, Box<KeyVersion>),
    /// The messages of a key come from now on, or cannot.
    Linked(Ticket, bool),
    /// A control message was told, or could not be.
    Told(Ticket, bool),
    /// A control message, for this node or for all; whether it can be read is not known. Comes to the first shard.
    Control(Bytes),
    /// Something went wrong with what is listened to for this; to be counted. Comes to the first shard.
    Trouble(Realm, Trouble),
    /// Keys of maps that expired were looked for; to be counted. Comes to the first shard.
    Expiry(Expiry),
}

/// What searches for expired keys of maps came to since the last time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// Keys that this node removed.
    pub removed: u64,
    /// Requests that failed, and maps that no namespace is for.
    pub errors: u64,
    /// Milliseconds that the oldest expired key waited, of all servers, when it was last looked; 0 = there was none.
    pub lag_ms: u64,
}

/// What went wrong with listening to the broker (upstream: centrifuge broker_redis.go, redis_pubsub_shared.go).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// A connection for messages of channels was lost.
    Connection,
    /// The one for messages between nodes was.
    ControlConnection,
    /// A message of a channel cannot be read.
    HandleClientMessage,
    /// A message of a node cannot be read.
    HandleControlMessage,
    /// Channels could not be subscribed to again.
    SubscribeChannel,
    /// A connection for messages between nodes did not come about.
    SubscribeControlChannel,
    /// One for messages of channels did not.
    SubscribeShardChannel,
}

impl Trouble {
    /// All of them; each at the index that is its number.
    pub const ALL: [Trouble; 7] = [
        Trouble::Connection,
        Trouble::ControlConnection,
        Trouble::HandleClientMessage,
        Trouble::HandleControlMessage,
        Trouble::SubscribeChannel,
        Trouble::SubscribeControlChannel,
        Trouble::SubscribeShardChannel,
    ];

    /// Its name as a label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Trouble::Connection => "connection",
            Trouble::ControlConnection => "control_connection",
            Trouble::HandleClientMessage => "handle_client_message",
            Trouble::HandleControlMessage => "handle_control_message",
            Trouble::SubscribeChannel => "subscribe_channel",
            Trouble::SubscribeControlChannel => "subscribe_control_channel",
            Trouble::SubscribeShardChannel => "subscribe_shard_channel",
        }
    }
}
