//! What homes ask, as calls to Redis; and the replies, as answers for homes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::broker::presence::Keeping;
use crate::broker::{Call, Names, Unreadable, Value, control, frame, history, map, presence};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Read};
use crate::channel::map_op::MapOp;
use crate::channel::op::PublishOp;
use crate::channel::publication::{Epoch, MapEntry, Publication};
use crate::config::snapshot::MapOptions;
use crate::control::broker::events::Relayed;

/// What a reply is read as.
#[derive(Debug)]
pub enum Kind {
    /// Where a publication stands.
    Publish,
    /// The same, of one that somebody else tells subscribers of.
    Store(Box<Relayed>),
    /// A piece of a stream.
    History(Read),
    /// Who is present.
    Presence,
    /// How many are present.
    PresenceStats,
    /// Where a map stands after a change.
    MapUpdate,
    /// A page of a map's keys.
    MapState,
    /// This key of a map.
    MapKey(Box<str>),
    /// Changes of a map.
    MapChanges,
    /// How many keys a map has.
    MapKeys,
    /// Something about keys that expired, which is not read here.
    Sweep,
    /// That it is done.
    Done,
}

/// How channels lie in Redis.
#[derive(Clone, Debug)]
pub struct Lay {
    /// Names of streams and messages.
    pub names: Names,
    /// Names of presence entries.
    pub presence_names: Names,
    /// How presence is kept.
    pub keeping: Keeping,
    /// Who is present is read from replicas.
    pub reads_replicas: bool,
    /// Names of PUB/SUB channels for nodes.
    pub control_names: Names,
    /// Names of what belongs to maps.
    pub map_names: Names,
    /// How maps are kept.
    pub map_keeping: map::Keeping,
}

impl Lay {
    /// Whether a replica is to be asked, which tells what was so a moment ago: who is present, nothing else. History is
    /// never read from replicas: reading it writes, too (the epoch, the lifetime of the position), and a position must
    /// not go back behind what was delivered.
    pub fn is_for_replicas(&self, kind: &Kind) -> bool {
        self.reads_replicas && matches!(kind, Kind::Presence | Kind::PresenceStats)
    }

    /// The call for a request, and what its reply is. None for those that are not made by calls.
    pub fn call(&self, channel: &str, op: &BrokerOp) -> Option<(Call, Kind)> {
        let Self { names, presence_names, keeping, .. } = self;
        Some(match op {
            BrokerOp::Subscribe(_) | BrokerOp::Unsubscribe(_) => return None,
            BrokerOp::Publish(op) => (history::publish(names, channel, op, fresh_epoch(), true)?, Kind::Publish),
            BrokerOp::PublishKey(version) => (frame::key_version(names, channel, version), Kind::Done),
            BrokerOp::Join(info) => (frame::join(names, channel, info), Kind::Done),
            BrokerOp::Leave(info) => (frame::leave(names, channel, info), Kind::Done),
            BrokerOp::History(read) => (history::read(names, channel, read, fresh_epoch()), Kind::History(*read)),
            BrokerOp::ChangeEpoch { of, meta_ttl_s } => {
                let call = history::change_epoch(names, channel, *of, fresh_epoch(), *meta_ttl_s);
                (call, Kind::History(history::newest(*meta_ttl_s)))
            }
            BrokerOp::ChangeMapEpoch { of, options } => {
                let meta_ttl_ms = options.stream.map_or(0, |stream| stream.meta_ttl_ms);
                let call = map::read::change_epoch(&self.map_names, channel, *of, fresh_epoch(), meta_ttl_ms);
                (call, Kind::MapChanges)
            }
            BrokerOp::RemoveHistory => (history::remove(names, channel), Kind::Done),
            BrokerOp::AddPresence(info) => {
                (presence::add(presence_names, *keeping, channel, info, unix_s()), Kind::Done)
            }
            BrokerOp::RemovePresence(info) => {
                (presence::remove(presence_names, *keeping, channel, info.client, &info.user), Kind::Done)
            }
            BrokerOp::Presence => (presence::read(presence_names, *keeping, channel, unix_s()), Kind::Presence),
            BrokerOp::PresenceStats => {
                (presence::count(presence_names, *keeping, channel, unix_s()), Kind::PresenceStats)
            }
            BrokerOp::Map(op) => return self.map_call(channel, op),
        })
    }

    /// The call that keeps a publication, or its result, and tells nobody. None when there is nothing to keep.
    pub fn store(&self, channel: &str, op: &PublishOp) -> Option<Call> {
        history::publish(&self.names, channel, op, fresh_epoch(), false)
    }

    fn map_call(&self, channel: &str, op: &MapOp) -> Option<(Call, Kind)> {
        let (names, keeping) = (&self.map_names, self.map_keeping);
        let changes = |options: &MapOptions, since, limit, reverse| {
            let meta_ttl_ms = options.stream.map_or(0, |stream| stream.meta_ttl_ms);
            let piece = (since, limit, reverse);
            (map::read::read_changes(names, channel, meta_ttl_ms, piece, fresh_epoch()), Kind::MapChanges)
        };
        Some(match op {
            MapOp::Subscribe(_) => return None,
            MapOp::Publish(op) => (map::publish(names, keeping, channel, op, fresh_epoch()), Kind::MapUpdate),
            MapOp::Remove { options, key, idempotency_key } => {
                let entry = Some(Box::new(MapEntry { key: (**key).into(), removed: true }));
                let removal = Publication { entry, unix_ms: unix_ms(), ..Publication::bare(Bytes::new()) };
                let once = idempotency_key.as_deref();
                (map::remove(names, keeping, channel, options, &removal, once, fresh_epoch()), Kind::MapUpdate)
            }
            MapOp::Clear => (map::clear(names, channel), Kind::Done),
            MapOp::Stats => (map::read::count_keys(names, channel), Kind::MapKeys),
            MapOp::ReadState { options, key: Some(key), .. } => {
                (map::read::read_key(names, channel, options, key), Kind::MapKey(key.clone()))
            }
            MapOp::ReadState { options, key: None, page } => {
                let limit = u32::try_from(page.limit).unwrap_or(0);
                (map::read::read_state(names, channel, options, &page.cursor, limit, unix_ms()), Kind::MapState)
            }
            MapOp::ReadStream { options, since, limit, reverse } => {
                changes(options, since.as_ref().map(|since| since.offset), *limit, *reverse)
            }
            MapOp::Position { options } => changes(options, None, 0, false),
        })
    }

    /// What is to be asked besides, where one call does not do.
    pub fn call_besides(&self, channel: &str, op: &BrokerOp) -> Option<Call> {
        let is_clear = matches!(op, BrokerOp::Map(op) if matches!(**op, MapOp::Clear));
        is_clear.then(|| map::unregister(&self.map_names, channel))
    }

    /// The call that tells another node something, or all of them.
    pub fn tell(&self, to: Option<&str>, message: &[u8]) -> (Call, Kind) {
        (control::tell(&self.control_names, to, message), Kind::Done)
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// It is none that the call could have.
    pub fn reply(&self, kind: &Kind, value: Value) -> Result<BrokerReply, Unreadable> {
        Ok(match kind {
            Kind::Done => BrokerReply::Done,
            Kind::Publish | Kind::Store(_) => {
                let (position, suppressed) = history::published(value)?;
                BrokerReply::Published(position, suppressed)
            }
            Kind::History(read) => {
                let (publications, top) = history::publications(&self.names, read, value)?;
                BrokerReply::History(publications, top)
            }
            Kind::Presence => BrokerReply::Presence(presence::entries(value)?.into_iter().map(Arc::new).collect()),
            Kind::PresenceStats => {
                let (clients, users) = presence::counts(self.keeping, value)?;
                BrokerReply::PresenceStats(clients, users)
            }
            Kind::MapUpdate => {
                let (position, suppressed) = history::published(value)?;
                BrokerReply::MapUpdated(position, suppressed)
            }
            Kind::MapState => BrokerReply::MapState(map::read::state(value)?),
            Kind::MapKey(key) => BrokerReply::MapState(map::read::key(key, value)?),
            Kind::MapChanges => {
                let (changes, top) = map::read::changes(value)?;
                BrokerReply::History(changes, top)
            }
            Kind::MapKeys => BrokerReply::MapKeys(map::read::keys(value)?),
            Kind::Sweep => return Err(Unreadable("nobody swept")),
        })
    }
}

pub(super) fn fresh_epoch() -> Epoch {
    Epoch::from_random(rand::random())
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(super) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
