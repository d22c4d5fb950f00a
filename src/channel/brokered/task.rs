//! What a reply of the broker is for.

use crate::base::ids::{ConnId, ShardId};
use crate::channel::broker_op::{BrokerReply, Ticket};
use crate::channel::op::{Answer, ReplyTo, Since};
use crate::protocol::error::Error;

use super::admission::Admission;
use super::joining::Join;

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
    /// The channel's messages were asked for.
    Link(ConnId),
    /// A subscriber waits.
    Join(Box<Join>),
    /// A subscriber, whose ticket this is, waits to be present.
    Presence(Ticket),
    /// A subscriber of a channel that lives here waits to be present.
    Admit(Box<Admission>),
    /// What is missing in the channel was read.
    Fill(ConnId),
    /// The top of the channel's stream was read.
    Check(ConnId),
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
