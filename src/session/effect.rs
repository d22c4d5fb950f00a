//! What a session asks of the engine that runs it.

use crate::auth::Need;
use crate::base::ids::ConnId;
use crate::channel::name::ChannelName;
use crate::channel::op::Op;
use crate::protocol::disconnect::Disconnect;

/// Carried out by the engine in order, behind the messages of the same step.
#[derive(Debug)]
pub enum Effect {
    /// A request for the channel's home.
    Op {
        /// The channel.
        channel: ChannelName,
        /// The request.
        op: Op,
        /// Comes back with the answer; 0 = no answer is wanted.
        tag: u32,
    },
    /// The running command has a token that cannot be checked yet. The session is blocked until
    /// [`Session::on_found`](super::Session::on_found) tells; then the same command is to be handed over again.
    Find(Need),
    /// How many connections does the user have on this node? The session is blocked until
    /// [`Session::on_user_connections`](super::Session::on_user_connections) tells.
    CountConnections {
        /// The user; never empty.
        user: Box<str>,
    },
    /// The connection belongs to a user from now on (to the anonymous one when the name is empty).
    Connected {
        /// The user.
        user: Box<str>,
    },
    /// End all other connections of the user, on every shard.
    DisconnectOthers {
        /// The user.
        user: Box<str>,
        /// What they are told.
        disconnect: Disconnect,
    },
    /// What [`SessionControl::Subscribe`](super::SessionControl::Subscribe) began for this caller is live, or came to
    /// nothing.
    SubscribedByServer {
        /// The caller.
        caller: ConnId,
        /// Whether it is live.
        is_live: bool,
    },
    /// Send a WebSocket ping frame.
    Ping,
    /// Flush what is owed, say why, and end the connection.
    Disconnect(Disconnect),
    /// Connect failed: flush what is owed, read no more commands, wait up to 5 s for the peer to leave, and close
    /// the socket without a close frame (upstream: handler_websocket.go).
    Drain,
}
