//! The messages of the server API (upstream: centrifugo internal/apiproto/api.proto), without those of the paid
//! edition.

use crate::protocol::message::message;

message! {
    /// One request of a batch. With several in one, the first in this order counts.
    Command<'a> {
        publish: (box PublishRequest<'a>) = 4,
        broadcast: (box BroadcastRequest<'a>) = 5,
        subscribe: (box SubscribeRequest<'a>) = 6,
        unsubscribe: (box UnsubscribeRequest<'a>) = 7,
        disconnect: (box DisconnectRequest<'a>) = 8,
        presence: (box PresenceRequest<'a>) = 9,
        presence_stats: (box PresenceStatsRequest<'a>) = 10,
        history: (box HistoryRequest<'a>) = 11,
        history_remove: (box HistoryRemoveRequest<'a>) = 12,
        info: (box InfoRequest) = 13,
        rpc: (box RPCRequest<'a>) = 14,
        refresh: (box RefreshRequest<'a>) = 15,
        channels: (box ChannelsRequest<'a>) = 16,
        map_publish: (box MapPublishRequest<'a>) = 36,
        map_remove: (box MapRemoveRequest<'a>) = 37,
        map_read_state: (box MapReadStateRequest<'a>) = 38,
        map_read_stream: (box MapReadStreamRequest<'a>) = 39,
        map_stats: (box MapStatsRequest<'a>) = 40,
        map_clear: (box MapClearRequest<'a>) = 41,
        shared_poll_publish: (box SharedPollPublishRequest<'a>) = 42,
    }

    /// Why a request failed.
    Error<'a> {
        code: uint32 = 1,
        message: string = 2,
    }

    /// The answer to one request of a batch.
    Reply<'a> {
        /// Mutually exclusive with result.
        error: (Error<'a>) = 2,
        publish: (box PublishResult<'a>) = 4,
        broadcast: (box BroadcastResult<'a>) = 5,
        subscribe: (box SubscribeResult) = 6,
        unsubscribe: (box UnsubscribeResult) = 7,
        disconnect: (box DisconnectResult) = 8,
        presence: (box PresenceResult<'a>) = 9,
        presence_stats: (box PresenceStatsResult) = 10,
        history: (box HistoryResult<'a>) = 11,
        history_remove: (box HistoryRemoveResult) = 12,
        info: (box InfoResult<'a>) = 13,
        rpc: (box RPCResult<'a>) = 14,
        refresh: (box RefreshResult) = 15,
        channels: (box ChannelsResult<'a>) = 16,
        map_publish: (box MapPublishResult<'a>) = 36,
        map_remove: (box MapRemoveResult<'a>) = 37,
        map_read_state: (box MapReadStateResult<'a>) = 38,
        map_read_stream: (box MapReadStreamResult<'a>) = 39,
        map_stats: (box MapStatsResult) = 40,
        map_clear: (box MapClearResult) = 41,
        shared_poll_publish: (box SharedPollPublishResult) = 42,
    }

    /// Request: several requests at once.
    BatchRequest<'a> {
        commands: [(Command<'a>)] = 1,
        /// Run the requests at the same time.
        parallel: bool = 2,
    }

    /// Response: several requests at once.
    BatchResponse<'a> {
        replies: [(Reply<'a>)] = 1,
    }

    /// Request: publish into a channel.
    PublishRequest<'a> {
        channel: string = 1,
        data: bytes = 2,
        b64data: string = 3,
        skip_history: bool = 4,
        tags: {string} = 5,
        idempotency_key: string = 6,
        delta: bool = 7,
        version: uint64 = 8,
        version_epoch: string = 9,
    }

    /// Response: publish into a channel.
    PublishResponse<'a> {
        error: (Error<'a>) = 1,
        result: (PublishResult<'a>) = 2,
    }

    /// Result: publish into a channel.
    PublishResult<'a> {
        /// 0 without history.
        offset: uint64 = 1,
        /// "" without history.
        epoch: string = 2,
    }

    /// Request: publish into many channels.
    BroadcastRequest<'a> {
        channels: [string] = 1,
        data: bytes = 2,
        b64data: string = 3,
        skip_history: bool = 4,
        tags: {string} = 5,
        idempotency_key: string = 6,
        delta: bool = 7,
        version: uint64 = 8,
        version_epoch: string = 9,
    }

    /// Response: publish into many channels.
    BroadcastResponse<'a> {
        error: (Error<'a>) = 1,
        result: (BroadcastResult<'a>) = 2,
    }

    /// Result: publish into many channels.
    BroadcastResult<'a> {
        responses: [(PublishResponse<'a>)] = 1,
    }

    /// A node of a filter on labels; not used here.
    FilterNode<'a> {
        /// "" leaf, and, or, not.
        op: string = 1,
        key: string = 2,
        /// Eq neq in nin ex nex sw ew ct gt gte lt lte.
        cmp: string = 3,
        val: string = 4,
        /// In / nin.
        vals: [string] = 5,
        nodes: [(FilterNode<'a>)] = 6,
    }

    /// Request: subscribe the connections of a user.
    SubscribeRequest<'a> {
        channel: string = 1,
        user: string = 2,
        expire_at: int64 = 3,
        info: bytes = 4,
        b64info: string = 5,
        client: string = 6,
        data: bytes = 7,
        b64data: string = 8,
        recover_since: (StreamPosition<'a>) = 9,
        r#override: (SubscribeOptionOverride) = 10,
        session: string = 11,
        label_filter: (FilterNode<'a>) = 12,
        all_users: bool = 13,
    }

    /// Response: subscribe the connections of a user.
    SubscribeResponse<'a> {
        error: (Error<'a>) = 1,
        result: (SubscribeResult) = 2,
    }

    /// A truth value that may be absent.
    BoolValue {
        value: bool = 1,
    }

    /// Options of the channel that one subscription overrides.
    SubscribeOptionOverride {
        presence: (BoolValue) = 1,
        join_leave: (BoolValue) = 2,
        force_recovery: (BoolValue) = 3,
        force_positioning: (BoolValue) = 4,
        force_push_join_leave: (BoolValue) = 5,
    }

    /// Result: subscribe the connections of a user.
    SubscribeResult {
    }

    /// Request: unsubscribe the connections of a user.
    UnsubscribeRequest<'a> {
        channel: string = 1,
        user: string = 2,
        client: string = 3,
        session: string = 4,
        label_filter: (FilterNode<'a>) = 5,
        all_users: bool = 6,
    }

    /// Response: unsubscribe the connections of a user.
    UnsubscribeResponse<'a> {
        error: (Error<'a>) = 1,
        result: (UnsubscribeResult) = 2,
    }

    /// Result: unsubscribe the connections of a user.
    UnsubscribeResult {
    }

    /// Code and reason of a disconnect.
    Disconnect<'a> {
        code: uint32 = 1,
        reason: string = 2,
    }

    /// Request: end the connections of a user.
    DisconnectRequest<'a> {
        user: string = 1,
        /// Without it: 3503, force disconnect.
        disconnect: (Disconnect<'a>) = 2,
        client: string = 3,
        whitelist: [string] = 4,
        session: string = 5,
        label_filter: (FilterNode<'a>) = 6,
        all_users: bool = 7,
    }

    /// Response: end the connections of a user.
    DisconnectResponse<'a> {
        error: (Error<'a>) = 1,
        result: (DisconnectResult) = 2,
    }

    /// Result: end the connections of a user.
    DisconnectResult {
    }

    /// Request: who is in a channel.
    PresenceRequest<'a> {
        channel: string = 1,
    }

    /// Response: who is in a channel.
    PresenceResponse<'a> {
        error: (Error<'a>) = 1,
        result: (PresenceResult<'a>) = 2,
    }

    /// A client in presence or behind a publication.
    ClientInfo<'a> {
        user: string = 1 always,
        client: string = 2 always,
        conn_info: bytes = 3,
        chan_info: bytes = 4,
    }

    /// Result: who is in a channel.
    PresenceResult<'a> {
        presence: {(ClientInfo<'a>)} = 1 always,
    }

    /// Request: how many are in a channel.
    PresenceStatsRequest<'a> {
        channel: string = 1,
    }

    /// Response: how many are in a channel.
    PresenceStatsResponse<'a> {
        error: (Error<'a>) = 1,
        result: (PresenceStatsResult) = 2,
    }

    /// Result: how many are in a channel.
    PresenceStatsResult {
        num_clients: uint32 = 1 always,
        num_users: uint32 = 2 always,
    }

    /// A place in a channel's stream.
    StreamPosition<'a> {
        offset: uint64 = 1,
        epoch: string = 2,
    }

    /// Request: read a channel's stream.
    HistoryRequest<'a> {
        channel: string = 1,
        limit: int32 = 2,
        /// Exclusive position.
        since: (StreamPosition<'a>) = 3,
        reverse: bool = 4,
    }

    /// Response: read a channel's stream.
    HistoryResponse<'a> {
        error: (Error<'a>) = 1,
        result: (HistoryResult<'a>) = 2,
    }

    /// A publication in history.
    Publication<'a> {
        /// Payload.
        data: bytes = 2,
        info: (ClientInfo<'a>) = 3,
        offset: uint64 = 4,
        tags: {string} = 5,
    }

    /// Result: read a channel's stream.
    HistoryResult<'a> {
        publications: [(Publication<'a>)] = 1 always,
        epoch: string = 2 always,
        offset: uint64 = 3 always,
    }

    /// Request: drop a channel's publications.
    HistoryRemoveRequest<'a> {
        channel: string = 1,
    }

    /// Response: drop a channel's publications.
    HistoryRemoveResponse<'a> {
        error: (Error<'a>) = 1,
        result: (HistoryRemoveResult) = 2,
    }

    /// Result: drop a channel's publications.
    HistoryRemoveResult {
    }

    /// Request: the nodes of the cluster.
    InfoRequest {
    }

    /// Response: the nodes of the cluster.
    InfoResponse<'a> {
        error: (Error<'a>) = 1,
        result: (InfoResult<'a>) = 2,
    }

    /// Result: the nodes of the cluster.
    InfoResult<'a> {
        nodes: [(NodeResult<'a>)] = 1,
    }

    /// Request: call a server method.
    RPCRequest<'a> {
        method: string = 1,
        params: bytes = 2,
    }

    /// Response: call a server method.
    RPCResponse<'a> {
        error: (Error<'a>) = 1,
        result: (RPCResult<'a>) = 2,
    }

    /// Result: call a server method.
    RPCResult<'a> {
        data: bytes = 1,
    }

    /// Request: change the lifetime of connections.
    RefreshRequest<'a> {
        user: string = 1,
        client: string = 2,
        /// End the connections with 3005.
        expired: bool = 3,
        expire_at: int64 = 4,
        info: bytes = 5,
        session: string = 6,
        label_filter: (FilterNode<'a>) = 7,
        all_users: bool = 8,
    }

    /// Response: change the lifetime of connections.
    RefreshResponse<'a> {
        error: (Error<'a>) = 1,
        result: (RefreshResult) = 2,
    }

    /// Result: change the lifetime of connections.
    RefreshResult {
    }

    /// One node of the cluster.
    NodeResult<'a> {
        uid: string = 1 always,
        name: string = 2 always,
        version: string = 3 always,
        num_clients: uint32 = 4 always,
        num_users: uint32 = 5 always,
        num_channels: uint32 = 6 always,
        uptime: uint32 = 7,
        metrics: (Metrics<'a>) = 8,
        process: (Process) = 9,
        num_subs: uint32 = 10 always,
    }

    /// Numbers that a node measured over an interval.
    Metrics<'a> {
        interval: double = 1,
        items: {double} = 2,
    }

    /// What the node uses of its machine.
    Process {
        cpu: double = 1,
        rss: int64 = 2,
    }

    /// Request: which channels have subscribers.
    ChannelsRequest<'a> {
        pattern: string = 1,
    }

    /// Response: which channels have subscribers.
    ChannelsResponse<'a> {
        error: (Error<'a>) = 1,
        result: (ChannelsResult<'a>) = 2,
    }

    /// Result: which channels have subscribers.
    ChannelsResult<'a> {
        channels: {(ChannelInfo)} = 1 always,
    }

    /// A channel that has subscribers.
    ChannelInfo {
        num_clients: uint32 = 1,
    }

    /// Request: set a key of a map.
    MapPublishRequest<'a> {
        channel: string = 1,
        key: string = 2,
        data: bytes = 3,
        b64data: string = 4,
        stream_data: bytes = 5,
        b64stream_data: string = 6,
        tags: {string} = 7,
        idempotency_key: string = 8,
        delta: bool = 9,
        version: uint64 = 10,
        version_epoch: string = 11,
        score: int64 = 12,
        key_mode: string = 13,
    }

    /// Response: set a key of a map.
    MapPublishResponse<'a> {
        error: (Error<'a>) = 1,
        result: (MapPublishResult<'a>) = 2,
    }

    /// Result: set a key of a map.
    MapPublishResult<'a> {
        offset: uint64 = 1,
        epoch: string = 2,
        suppressed: bool = 3,
        suppress_reason: string = 4,
    }

    /// Request: remove a key of a map.
    MapRemoveRequest<'a> {
        channel: string = 1,
        key: string = 2,
        idempotency_key: string = 3,
    }

    /// Response: remove a key of a map.
    MapRemoveResponse<'a> {
        error: (Error<'a>) = 1,
        result: (MapRemoveResult<'a>) = 2,
    }

    /// Result: remove a key of a map.
    MapRemoveResult<'a> {
        offset: uint64 = 1,
        epoch: string = 2,
        suppressed: bool = 3,
        suppress_reason: string = 4,
    }

    /// Request: read the keys of a map.
    MapReadStateRequest<'a> {
        channel: string = 1,
        cursor: string = 2,
        limit: int32 = 3,
        key: string = 4,
        asc: bool = 5,
        revision_offset: uint64 = 6,
        revision_epoch: string = 7,
    }

    /// Response: read the keys of a map.
    MapReadStateResponse<'a> {
        error: (Error<'a>) = 1,
        result: (MapReadStateResult<'a>) = 2,
    }

    /// Result: read the keys of a map.
    MapReadStateResult<'a> {
        entries: [(MapEntry<'a>)] = 1,
        offset: uint64 = 2,
        epoch: string = 3,
        cursor: string = 4,
    }

    /// A key of a map and its value.
    MapEntry<'a> {
        key: string = 1,
        data: bytes = 2,
        tags: {string} = 3,
        offset: uint64 = 4,
        score: int64 = 5,
        removed: bool = 6,
        time: int64 = 7,
    }

    /// Request: read the stream of a map.
    MapReadStreamRequest<'a> {
        channel: string = 1,
        since_offset: uint64 = 2,
        since_epoch: string = 3,
        limit: int32 = 4,
        reverse: bool = 5,
    }

    /// Response: read the stream of a map.
    MapReadStreamResponse<'a> {
        error: (Error<'a>) = 1,
        result: (MapReadStreamResult<'a>) = 2,
    }

    /// Result: read the stream of a map.
    MapReadStreamResult<'a> {
        entries: [(MapEntry<'a>)] = 1,
        offset: uint64 = 2,
        epoch: string = 3,
    }

    /// Request: how many keys a map has.
    MapStatsRequest<'a> {
        channel: string = 1,
    }

    /// Response: how many keys a map has.
    MapStatsResponse<'a> {
        error: (Error<'a>) = 1,
        result: (MapStatsResult) = 2,
    }

    /// Result: how many keys a map has.
    MapStatsResult {
        num_keys: int32 = 1,
    }

    /// Request: remove all keys of a map.
    MapClearRequest<'a> {
        channel: string = 1,
    }

    /// Response: remove all keys of a map.
    MapClearResponse<'a> {
        error: (Error<'a>) = 1,
        result: (MapClearResult) = 2,
    }

    /// Result: remove all keys of a map.
    MapClearResult {
    }

    /// Request: tell a new version of a shared poll key.
    SharedPollPublishRequest<'a> {
        channel: string = 1,
        key: string = 2,
        data: bytes = 3,
        b64data: string = 4,
        version: uint64 = 5,
        epoch: string = 6,
    }

    /// Response: tell a new version of a shared poll key.
    SharedPollPublishResponse<'a> {
        error: (Error<'a>) = 1,
        result: (SharedPollPublishResult) = 2,
    }

    /// Result: tell a new version of a shared poll key.
    SharedPollPublishResult {
    }
}
