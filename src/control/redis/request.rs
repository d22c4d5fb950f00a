//! What homes ask, as calls to Redis; and the replies, as answers for homes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker::presence::Keeping;
use crate::broker::{Call, Names, Unreadable, Value, control, frame, history, presence};
use crate::channel::broker_op::{BrokerOp, BrokerReply, Read};
use crate::channel::op::PublishOp;
use crate::channel::publication::Epoch;
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
            BrokerOp::Subscribe | BrokerOp::Unsubscribe => return None,
            BrokerOp::Publish(op) => (history::publish(names, channel, op, fresh_epoch(), true)?, Kind::Publish),
            BrokerOp::Join(info) => (frame::join(names, channel, info), Kind::Done),
            BrokerOp::Leave(info) => (frame::leave(names, channel, info), Kind::Done),
            BrokerOp::History(read) => (history::read(names, channel, read, fresh_epoch()), Kind::History(*read)),
            BrokerOp::ChangeEpoch { of, meta_ttl_s } => {
                let call = history::change_epoch(names, channel, *of, fresh_epoch(), *meta_ttl_s);
                (call, Kind::History(history::newest(*meta_ttl_s)))
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
        })
    }

    /// The call that keeps a publication, or its result, and tells nobody. None when there is nothing to keep.
    pub fn store(&self, channel: &str, op: &PublishOp) -> Option<Call> {
        history::publish(&self.names, channel, op, fresh_epoch(), false)
    }

    /// The call that tells another node something, or all of them.
    pub fn tell(&self, to: Option<&str>, message: &[u8]) -> (Call, Kind) {
        (control::tell(&self.names, to, message), Kind::Done)
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
        })
    }
}

fn fresh_epoch() -> Epoch {
    Epoch::from_random(rand::random())
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
