//! The messages of the client protocol, bidirectional and unidirectional (upstream: protocol client.proto).

use crate::protocol::message::message;

message! {
    /// An error in a reply.
    Error<'a> {
        code: uint32 = 1,
        message: string = 2,
        temporary: bool = 3,
    }

    /// Body of a request to the emulation endpoint: commands of a client that cannot send on its own connection.
    EmulationRequest<'a> {
        node: string = 1,
        session: string = 2 secret,
        /// JSON: string with commands; Protobuf: bytes.
        data: bytes = 3 secret,
    }

    /// What a client sends. Several requests in one command: only one is carried out.
    Command<'a> {
        /// >0 for everything except `send` and pong; unique per connection.
        id: uint32 = 1,
        /// First command.
        connect: (box ConnectRequest<'a>) = 4,
        subscribe: (box SubscribeRequest<'a>) = 5,
        unsubscribe: (UnsubscribeRequest<'a>) = 6,
        publish: (PublishRequest<'a>) = 7,
        presence: (PresenceRequest<'a>) = 8,
        presence_stats: (PresenceStatsRequest<'a>) = 9,
        history: (box HistoryRequest<'a>) = 10,
        /// Refused by server (3501).
        ping: (PingRequest) = 11,
        /// Id 0, no reply; server answers 3508.
        send: (SendRequest<'a>) = 12,
        rpc: (box RPCRequest<'a>) = 13,
        refresh: (RefreshRequest<'a>) = 14,
        sub_refresh: (box SubRefreshRequest<'a>) = 15,
    }

    /// What a bidirectional client receives: the answer to a command, or a push.
    Reply<'a> {
        /// 0 for pushes.
        id: uint32 = 1,
        /// Mutually exclusive with result.
        error: (Error<'a>) = 2,
        /// Async messages; absent id.
        push: (Push<'a>) = 4,
        connect: (box ConnectResult<'a>) = 5,
        subscribe: (box SubscribeResult<'a>) = 6,
        unsubscribe: (UnsubscribeResult) = 7,
        publish: (PublishResult) = 8,
        presence: (box PresenceResult<'a>) = 9,
        presence_stats: (PresenceStatsResult) = 10,
        history: (box HistoryResult<'a>) = 11,
        /// Never produced by Centrifugo.
        ping: (PingResult) = 12,
        rpc: (RPCResult<'a>) = 13,
        refresh: (box RefreshResult<'a>) = 14,
        sub_refresh: (box SubRefreshResult<'a>) = 15,
    }

    /// What a client receives without having asked. Unidirectional clients receive it without a reply around it.
    Push<'a> {
        /// Channel id after compaction (PRO).
        id: int64 = 1,
        /// Channel of the event (may be empty for message/disconnect/connect/refresh).
        channel: string = 2,
        r#pub: (Publication<'a>) = 4,
        join: (Join<'a>) = 5,
        leave: (Leave<'a>) = 6,
        unsubscribe: (Unsubscribe<'a>) = 7,
        message: (Message<'a>) = 8,
        subscribe: (box Subscribe<'a>) = 9,
        connect: (box Connect<'a>) = 10,
        disconnect: (box Disconnect<'a>) = 11,
        refresh: (Refresh) = 12,
    }

    /// A client as others see it.
    ClientInfo<'a> {
        user: string = 1 always,
        client: string = 2 always,
        conn_info: bytes = 3,
        chan_info: bytes = 4,
    }

    /// A message in a channel.
    Publication<'a> {
        /// Payload.
        data: bytes = 4,
        info: (ClientInfo<'a>) = 5,
        offset: uint64 = 6,
        tags: {string} = 7,
        /// Data is a fossil patch.
        delta: bool = 8,
        /// Never sent to clients.
        time: int64 = 9,
        /// Channel of the publication in wildcard subscriptions.
        channel: string = 10,
        key: string = 11,
        /// Map key removed.
        removed: bool = 12,
        /// Sint64 zigzag; ordered maps (PRO).
        score: sint64 = 13,
        /// Sent only when offset==1.
        epoch: string = 14,
        /// Internal (broker fan-out).
        prev_data: bytes = 15,
        /// Shared poll / map.
        version: uint64 = 16,
    }

    /// A client joined.
    Join<'a> {
        info: (ClientInfo<'a>) = 1,
    }

    /// A client left.
    Leave<'a> {
        info: (ClientInfo<'a>) = 1,
    }

    /// The server ended a subscription.
    Unsubscribe<'a> {
        /// >=2500 ⇒ SDK resubscribes.
        code: uint32 = 2,
        reason: string = 3,
    }

    /// The server began a subscription.
    Subscribe<'a> {
        recoverable: bool = 1,
        epoch: string = 4,
        offset: uint64 = 5,
        positioned: bool = 6,
        data: bytes = 7,
    }

    /// A message for this connection alone.
    Message<'a> {
        data: bytes = 1,
    }

    /// Greets a unidirectional client.
    Connect<'a> {
        client: string = 1,
        version: string = 2,
        data: bytes = 3,
        subs: {(SubscribeResult<'a>)} = 4,
        expires: bool = 5,
        ttl: uint32 = 6,
        ping: uint32 = 7,
        pong: bool = 8,
        session: string = 9,
        node: string = 10,
        time: int64 = 11,
    }

    /// The server ends the connection; on transports without close codes.
    Disconnect<'a> {
        code: uint32 = 1,
        reason: string = 2,
        /// Never set by the server; SDK derives from code.
        reconnect: bool = 3,
    }

    /// The lifetime of the connection changed.
    Refresh {
        expires: bool = 1,
        ttl: uint32 = 2,
    }

    /// First command of a connection.
    ConnectRequest<'a> {
        /// Connection JWT.
        token: string = 1 secret,
        /// Passed to connect proxy.
        data: bytes = 2 secret,
        /// Server-side sub positions / desired channels.
        subs: {(SubscribeRequest<'a>)} = 3,
        /// SDK name (metrics).
        name: string = 4,
        version: string = 5,
        /// Emulated headers.
        headers: {string} = 6 secret,
        /// Bit 1 compaction (ignored in OSS).
        flag: int64 = 7,
    }

    /// The connection is established.
    ConnectResult<'a> {
        /// Connection UUID.
        client: string = 1,
        version: string = 2,
        /// Comes with `ttl`.
        expires: bool = 3,
        /// Seconds till refresh is due.
        ttl: uint32 = 4,
        data: bytes = 5,
        /// Server-side subscriptions.
        subs: {(SubscribeResult<'a>)} = 6,
        /// Seconds (rounded).
        ping: uint32 = 7,
        /// Bidi only.
        pong: bool = 8,
        /// Emulation/uni.
        session: string = 9,
        /// Emulation.
        node: string = 10,
        /// Unix ms if enabled.
        time: int64 = 11,
    }

    /// Renews the connection's token.
    RefreshRequest<'a> {
        token: string = 1 secret,
    }

    /// The token was renewed.
    RefreshResult<'a> {
        client: string = 1,
        version: string = 2,
        expires: bool = 3,
        ttl: uint32 = 4,
    }

    /// Asks for the publications of a channel.
    SubscribeRequest<'a> {
        channel: string = 1,
        token: string = 2 secret,
        /// Ask recovery from offset+epoch.
        recover: bool = 3,
        epoch: string = 6,
        /// Last seen.
        offset: uint64 = 7,
        data: bytes = 8,
        /// Ask positioning.
        positioned: bool = 9,
        /// Ask recovery for next time.
        recoverable: bool = 10,
        /// Ask join/leave.
        join_leave: bool = 11,
        /// "fossil".
        delta: string = 12,
        /// Tags filter.
        tf: (box FilterNode<'a>) = 13,
        /// 1 compaction (PRO), 2 reject unrecovered.
        flag: int64 = 14,
        /// 0 stream,1 map,2 map_clients,3 map_users,4 shared_poll.
        r#type: int32 = 15,
        /// Map: 2 state,1 stream,0 live.
        phase: int32 = 16,
        /// Map page cursor.
        cursor: string = 17,
        /// Map page size.
        limit: int32 = 18,
        asc: bool = 19,
    }

    /// The subscription stands; also describes server-side subscriptions.
    SubscribeResult<'a> {
        /// Comes with `ttl`.
        expires: bool = 1,
        ttl: uint32 = 2,
        /// Recovery enabled.
        recoverable: bool = 3,
        epoch: string = 6,
        /// Recovered publications.
        publications: [(Publication<'a>)] = 7,
        /// All missed publications are in `publications`.
        recovered: bool = 8,
        /// Requested offset when `recovered`, else the stream's top.
        offset: uint64 = 9,
        /// Client must track position.
        positioned: bool = 10,
        data: bytes = 11,
        /// Recovery was attempted.
        was_recovering: bool = 12,
        delta: bool = 13,
        /// PRO compaction.
        id: int64 = 14,
        /// Map/shared poll echo.
        r#type: int32 = 15,
        /// Map phase answered.
        phase: int32 = 16,
        cursor: string = 17,
        /// Map entries.
        state: [(Publication<'a>)] = 18,
        /// PRO, ms.
        publish_debounce: uint32 = 19,
    }

    /// A key of a shared poll and the version the client has.
    KeyedItem<'a> {
        key: string = 1,
        version: uint64 = 2,
    }

    /// Keys of a shared poll, signed by the backend.
    TrackBatch<'a> {
        signature: string = 1 secret,
        items: [(KeyedItem<'a>)] = 2,
    }

    /// Renews a subscription's token, or changes the keys it tracks.
    SubRefreshRequest<'a> {
        channel: string = 1,
        token: string = 2 secret,
        /// 0 refresh, 1 track, 2 untrack.
        r#type: int32 = 3,
        track: [(TrackBatch<'a>)] = 4,
        untrack: [string] = 5,
    }

    /// The token was renewed, or the keys are tracked.
    SubRefreshResult<'a> {
        expires: bool = 1,
        /// Seconds till refresh is due; for type 1 the minimum over the batches.
        ttl: uint32 = 2,
        items: [(Publication<'a>)] = 3,
    }

    /// Ends a subscription.
    UnsubscribeRequest<'a> {
        channel: string = 1,
    }

    /// The subscription is ended.
    UnsubscribeResult {
    }

    /// Publishes into a channel.
    PublishRequest<'a> {
        channel: string = 1,
        data: bytes = 2,
        /// 0 stream, 1 map.
        r#type: int32 = 3,
        key: string = 4,
        removed: bool = 5,
    }

    /// The publication was accepted.
    PublishResult {
    }

    /// Asks who is in a channel.
    PresenceRequest<'a> {
        channel: string = 1,
    }

    /// Who is in a channel, by client id.
    PresenceResult<'a> {
        presence: {(ClientInfo<'a>)} = 1 always,
    }

    /// Asks how many are in a channel.
    PresenceStatsRequest<'a> {
        channel: string = 1,
    }

    /// How many are in a channel.
    PresenceStatsResult {
        num_clients: uint32 = 1 always,
        num_users: uint32 = 2 always,
    }

    /// A place in a channel's stream.
    StreamPosition<'a> {
        offset: uint64 = 1,
        epoch: string = 2,
    }

    /// Reads a channel's stream.
    HistoryRequest<'a> {
        channel: string = 1,
        limit: int32 = 7,
        /// Exclusive position.
        since: (StreamPosition<'a>) = 8,
        reverse: bool = 9,
    }

    /// A piece of a channel's stream and its top.
    HistoryResult<'a> {
        publications: [(Publication<'a>)] = 1 always,
        epoch: string = 2 always,
        offset: uint64 = 3 always,
    }

    /// A ping of the client; refused.
    PingRequest {
    }

    /// Answer to a ping of the client; never sent.
    PingResult {
    }

    /// Calls the application backend.
    RPCRequest<'a> {
        data: bytes = 1,
        method: string = 2,
    }

    /// What the application backend answered.
    RPCResult<'a> {
        data: bytes = 1,
    }

    /// A message to the application backend, without an answer.
    SendRequest<'a> {
        data: bytes = 1,
    }

    /// A node of a filter on tags. Nests up to [`MAX_MESSAGE_DEPTH`](crate::protocol::MAX_MESSAGE_DEPTH).
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
}
