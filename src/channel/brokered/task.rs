//! What a reply of the broker is for.

use crate::base::ids::{ConnId, ShardId};
use crate::channel::broker_op::{BrokerReply, Ticket};
use crate::channel::op::{Answer, ReplyTo, Since};
use crate::protocol::error::Error;

use super::Change;
use super::admission::Admission;
use super::joining::Join;
use super::map_steps::Step;
use super::reading::Reading;

/// See the module.
#[derive(Debug)]
pub(super) enum Task {
    /// The reply is the answer.
    Plain {
        /// Who asked.
        from: ShardId,
        /// And waits there.
        reply: ReplyTo,
    },
    /// A reader of the stream waits.
    History {
        /// Who asked.
        from: ShardId,
        /// And waits there.
        reply: ReplyTo,
        /// Where the reader is.
        since: Option<Since>,
    },
    /// Somebody asked where the stream stands.
    Position {
        /// Who asked.
        from: ShardId,
        /// And waits there.
        reply: ReplyTo,
    },
    /// The same, of what is counted when it changes nothing.
    Change {
        /// What it is.
        what: Change,
        /// Who asked.
        from: ShardId,
        /// And perhaps waits there.
        reply: ReplyTo,
    },
    /// A reader of a map's keys waits.
    State {
        /// Who asked.
        from: ShardId,
        /// And waits there.
        reply: ReplyTo,
        /// The map must be in this epoch, if it has any.
        revision: Option<Since>,
    },
    /// A reader of a map's changes waits.
    Changes {
        /// Who asked.
        from: ShardId,
        /// And waits there.
        reply: ReplyTo,
        /// Where the reader is, of one that reads forwards.
        since: Option<Since>,
        /// It reads backwards.
        reverse: bool,
    },
    /// A client reads a map and does not go live yet.
    Step(Box<Step>),
    /// The channel's messages were asked for.
    Link(ConnId),
    /// A subscriber waits.
    Join(Box<Join>),
    /// Subscribers wait until the stream was read.
    Read(Box<Reading>),
    /// A subscriber, whose ticket this is, waits to be present.
    Presence(Ticket),
    /// A subscriber of a channel that lives here waits to be present.
    Admit(Box<Admission>),
    /// What is missing in the channel was read.
    Fill(ConnId),
    /// The top of the channel's stream was read.
    Check(ConnId),
}

impl Task {
    /// Who waits for nothing but the reply.
    pub(super) fn asker(&self) -> Option<(ShardId, ReplyTo)> {
        match self {
            Self::Plain { from, reply }
            | Self::History { from, reply, .. }
            | Self::Position { from, reply }
            | Self::Change { from, reply, .. }
            | Self::State { from, reply, .. }
            | Self::Changes { from, reply, .. } => Some((*from, *reply)),
            Self::Step(step) => Some((step.from, step.reply)),
            Self::Link(_) | Self::Join(_) | Self::Read(_) | Self::Presence(_) | Self::Fill(_) | Self::Check(_) => None,
            Self::Admit(admission) => Some((admission.from, admission.reply)),
        }
    }
}

/// A reply as the answer to the request.
pub(super) fn answer(reply: BrokerReply) -> Answer {
    match reply {
        BrokerReply::Done => Answer::Done,
        BrokerReply::Published(position, _) => Answer::Published(position),
        BrokerReply::History(publications, top) => Answer::History(publications, top),
        BrokerReply::Presence(infos) => Answer::Presence(infos),
        BrokerReply::PresenceStats(clients, users) => Answer::PresenceStats { clients, users },
        BrokerReply::Refused(error) => Answer::Failed(error),
        BrokerReply::MapUpdated(position, suppressed) => Answer::MapUpdated(position, suppressed),
        BrokerReply::MapState(state) => Answer::MapState(Box::new(state)),
        BrokerReply::MapKeys(keys) => Answer::MapKeys(keys),
        BrokerReply::Failed => Answer::Failed(Error::INTERNAL),
    }
}

/// Why a request failed, if it did.
pub(super) fn failure(reply: BrokerReply) -> Option<Error> {
    match reply {
        BrokerReply::Done => None,
        BrokerReply::Refused(error) => Some(error),
        _ => Some(Error::INTERNAL),
    }
}

/// The answer to a reader of keys.
pub(super) fn state_answer(reply: BrokerReply, revision: Option<&Since>) -> Answer {
    match reply {
        BrokerReply::MapState(state)
            if revision.is_some_and(|since| *since.epoch != *state.position.epoch.as_str()) =>
        {
            Answer::Failed(Error::UNRECOVERABLE_POSITION)
        }
        reply => answer(reply),
    }
}

/// The answer to a reader of changes who was at `since` (upstream: `Node.MapStreamRead`, which lets a place that is not
/// kept any more pass when nothing is kept).
pub(super) fn changes_answer(reply: BrokerReply, since: Option<&Since>, reverse: bool) -> Answer {
    if let (BrokerReply::History(changes, _), Some(since), false) = (&reply, since, reverse)
        && since.offset > 0
        && changes.first().is_some_and(|first| first.offset > since.offset + 1)
    {
        return Answer::Failed(Error::UNRECOVERABLE_POSITION);
    }
    history_answer(reply, since)
}

/// The answer to a reader who was at `since`.
pub(super) fn history_answer(reply: BrokerReply, since: Option<&Since>) -> Answer {
    match reply {
        BrokerReply::History(_, top) if since.is_some_and(|since| !since.matches(top.epoch)) => {
            Answer::Failed(Error::UNRECOVERABLE_POSITION)
        }
        reply => answer(reply),
    }
}

/// The answer to the question where the stream stands.
pub(super) fn position_answer(reply: &BrokerReply) -> Answer {
    match reply {
        BrokerReply::History(_, top) => Answer::Position(*top),
        BrokerReply::Refused(error) => Answer::Failed(error.clone()),
        _ => Answer::Failed(Error::INTERNAL),
    }
}
