//! What nodes tell each other, in Protobuf only (upstream: centrifuge internal/controlpb control.proto).

use crate::protocol::api::Metrics;
use crate::protocol::client::{FilterNode, StreamPosition};
use crate::protocol::message::message;

message! {
    /// What a node tells the others. One of the members is set; one that knows none of them ignores the command.
    Command<'a> {
        /// The node that tells it. A node ignores what it told itself.
        uid: string = 1,
        node: (box Node<'a>) = 4,
        unsubscribe: (box Unsubscribe<'a>) = 5,
        disconnect: (box Disconnect<'a>) = 6,
        shutdown: (Shutdown) = 7,
        survey_request: (SurveyRequest<'a>) = 8,
        survey_response: (SurveyResponse<'a>) = 9,
        subscribe: (box Subscribe<'a>) = 10,
        notification: (Notification<'a>) = 11,
        refresh: (box Refresh<'a>) = 12,
    }

    /// The node ends: it is forgotten at once.
    Shutdown {
    }

    /// The node is there: told every 3 s, and to a node that is heard of for the first time. One that is not heard of
    /// for 7 s is forgotten.
    Node<'a> {
        uid: string = 1,
        name: string = 2,
        version: string = 3,
        num_clients: uint32 = 4,
        num_users: uint32 = 5,
        num_channels: uint32 = 6,
        /// Seconds.
        uptime: uint32 = 7,
        /// Only once for every interval; until the next ones the last ones count.
        metrics: (Metrics<'a>) = 8,
        data: bytes = 9,
        num_subs: uint32 = 10,
    }

    /// Subscribe clients. The recovery mode and the lifetime of meta data do not come along.
    Subscribe<'a> {
        /// Of this user; of the anonymous one when empty.
        user: string = 1,
        channel: string = 2,
        emit_presence: bool = 3,
        emit_join_leave: bool = 4,
        /// Unix seconds; 0 = never.
        expire_at: int64 = 5,
        position: bool = 6,
        recover: bool = 7,
        channel_info: bytes = 8 secret,
        /// Only this client.
        client: string = 9,
        data: bytes = 10 secret,
        recover_since: (StreamPosition<'a>) = 11,
        /// Only this session.
        session: string = 12 secret,
        push_join_leave: bool = 13,
        /// Why, for metrics.
        source: uint32 = 14,
        /// Only clients with such labels.
        label_filter: (box FilterNode<'a>) = 15,
        /// Of every user, when none is named.
        all_users: bool = 16,
    }

    /// Unsubscribe clients.
    Unsubscribe<'a> {
        /// All channels when empty.
        channel: string = 1,
        user: string = 2,
        client: string = 3,
        session: string = 4 secret,
        code: uint32 = 5,
        reason: string = 6,
        label_filter: (box FilterNode<'a>) = 7,
        all_users: bool = 8,
    }

    /// Disconnect clients.
    Disconnect<'a> {
        user: string = 1,
        /// But not these clients.
        whitelist: [string] = 2,
        code: uint32 = 3,
        reason: string = 4,
        /// Never set; what a client does follows from the code.
        reconnect: bool = 5,
        client: string = 6,
        session: string = 7 secret,
        label_filter: (box FilterNode<'a>) = 8,
        all_users: bool = 9,
    }

    /// A question to every node, or to one. The answer goes to the one that asks.
    SurveyRequest<'a> {
        /// Comes back in the answer.
        id: uint64 = 1,
        /// Which question: `channels`, `centrifuge_emulation`.
        op: string = 2,
        data: bytes = 3 secret,
    }

    /// The answer to a question.
    SurveyResponse<'a> {
        id: uint64 = 1,
        /// 0 = answered.
        code: uint32 = 2,
        data: bytes = 3,
    }

    /// Something the application tells the nodes.
    Notification<'a> {
        op: string = 1,
        data: bytes = 2,
    }

    /// Renew the lifetime of clients, or end it.
    Refresh<'a> {
        user: string = 1,
        client: string = 2,
        expired: bool = 3,
        /// Unix seconds; 0 = never.
        expire_at: int64 = 4,
        info: bytes = 5 secret,
        session: string = 6 secret,
        label_filter: (box FilterNode<'a>) = 7,
        all_users: bool = 8,
    }
}
