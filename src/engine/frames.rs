//! What engines send each other over the mesh, beside a home's deliveries.

use std::sync::Arc;

use crate::api::{Control, ControlAnswer};
use crate::base::ids::{ClientId, ConnId, ShardId};
use crate::channel::name::ChannelName;
use crate::channel::op::{Op, ReplyTo};
use crate::protocol::disconnect::Disconnect;

/// A request for the home of a channel. Travels in the request lane.
#[derive(Debug)]
pub struct Request {
    /// The channel; its home is the receiver.
    pub channel: ChannelName,
    /// What to do.
    pub op: Op,
    /// Who on the sending shard waits.
    pub reply: ReplyTo,
}

/// Something for every shard. Travels in the control lane, ordered with nothing else.
#[derive(Debug)]
pub enum ControlFrame {
    /// A question that each shard answers, in pieces where the answer is long.
    Ask(Ask),
    /// A question for other nodes, at the shard that speaks with them.
    Nodes(Ask),
    /// The answer, for the call on the receiving shard.
    Answer {
        /// The call.
        call: ConnId,
        /// The call's own tag.
        tag: u32,
        /// The answer.
        answer: ControlAnswer,
    },
    /// How many connections does the user have on the receiving shard?
    Count {
        /// The asking shard.
        from: ShardId,
        /// The connection there that waits.
        conn: ConnId,
        /// The user.
        user: Box<str>,
    },
    /// The answer to [`ControlFrame::Count`].
    Counted {
        /// The connection that waits.
        conn: ConnId,
        /// Connections of the user on the sending shard.
        count: usize,
    },
    /// Ends the user's connections except one.
    DisconnectOthers {
        /// The user.
        user: Box<str>,
        /// The connection that stays.
        except: ClientId,
        /// Code and reason.
        disconnect: Disconnect,
    },
}

impl ControlFrame {
    /// How much work it is to take it, in entries.
    pub fn weight(&self) -> usize {
        match self {
            Self::Answer { answer, .. } => answer.weight(),
            _ => 1,
        }
    }
}

/// See [`ControlFrame::Ask`].
#[derive(Clone, Debug)]
pub struct Ask {
    /// The asking shard.
    pub from: ShardId,
    /// The call there.
    pub call: ConnId,
    /// The call's own tag.
    pub tag: u32,
    /// What is asked.
    pub control: Arc<Control>,
}

impl Ask {
    /// Something to do; no call waits for the answer.
    pub fn of_nobody(control: Control) -> Self {
        let call = ConnId { slot: u32::MAX, generation: 0 };
        Self { from: ShardId(0), call, tag: 0, control: Arc::new(control) }
    }
}
