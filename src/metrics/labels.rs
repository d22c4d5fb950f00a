//! The values of labels that are known beforehand. Each set is an enum, so that counting is an array index.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($value:ident = $text:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $(#[doc = $text] $value),* }

        impl $name {
            /// Every value, in order of its number.
            pub const ALL: &[$name] = &[$($name::$value),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label's text.
            pub fn name(self) -> &'static str {
                match self { $($name::$value => $text),* }
            }
        }
    )*};
}

labels! {
    /// How a client is connected.
    Transport {
        WebSocket = "websocket",
        HttpStream = "http_stream",
        Sse = "sse",
        UniWebSocket = "uni_websocket",
        UniHttpStream = "uni_http_stream",
        UniSse = "uni_sse",
    }

    /// A command of a client (label `method`).
    Command {
        Connect = "connect",
        Subscribe = "subscribe",
        Unsubscribe = "unsubscribe",
        Publish = "publish",
        Presence = "presence",
        PresenceStats = "presence_stats",
        History = "history",
        Send = "send",
        Rpc = "rpc",
        Refresh = "refresh",
        SubRefresh = "sub_refresh",
        Unknown = "unknown",
    }

    /// What a message to or from a client holds (label `frame_type`).
    Frame {
        ServerPing = "server_ping",
        ClientPong = "client_pong",
        PushConnect = "push_connect",
        PushSubscribe = "push_subscribe",
        PushPublication = "push_publication",
        PushJoin = "push_join",
        PushLeave = "push_leave",
        PushUnsubscribe = "push_unsubscribe",
        PushMessage = "push_message",
        PushRefresh = "push_refresh",
        PushDisconnect = "push_disconnect",
        Connect = "connect",
        Subscribe = "subscribe",
        Unsubscribe = "unsubscribe",
        Publish = "publish",
        Presence = "presence",
        PresenceStats = "presence_stats",
        History = "history",
        Send = "send",
        Rpc = "rpc",
        Refresh = "refresh",
        SubRefresh = "sub_refresh",
        Unknown = "unknown",
    }

    /// What the node does beside answering commands (label `action`).
    Action {
        AddClient = "add_client",
        RemoveClient = "remove_client",
        AddSubscription = "add_subscription",
        RemoveSubscription = "remove_subscription",
        BrokerSubscribe = "broker_subscribe",
        BrokerUnsubscribe = "broker_unsubscribe",
        AddPresence = "add_presence",
        RemovePresence = "remove_presence",
        Presence = "presence",
        PresenceStats = "presence_stats",
        History = "history",
        HistoryRecover = "history_recover",
        HistoryRecoverCache = "history_recover_cache",
        HistoryStreamTop = "history_stream_top",
        HistoryRemove = "history_remove",
        Survey = "survey",
        MapBrokerSubscribe = "map_broker_subscribe",
        MapBrokerUnsubscribe = "map_broker_unsubscribe",
        MapPublish = "map_publish",
        MapRemove = "map_remove",
        MapClear = "map_clear",
        MapStats = "map_stats",
        MapStateRead = "map_state_read",
        MapStreamRead = "map_stream_read",
        MapStreamPosition = "map_stream_position",
        MapSubscribeStateToLive = "map_subscribe_state_to_live",
        MapSubscribeStreamToLive = "map_subscribe_stream_to_live",
        MapSubscribeRecoveryJoin = "map_subscribe_recovery_join",
    }

    /// What is given to channels and comes from them, and what shards tell each other (label `type`).
    Message {
        Publication = "publication",
        Join = "join",
        Leave = "leave",
        Control = "control",
        MapPublication = "map_publication",
        MapRemoval = "map_removal",
    }

    /// A request to a channel that may change nothing.
    Suppressed {
        Publish = "broker_publish",
        MapPublish = "map_broker_publish",
        MapRemove = "map_broker_remove",
    }

    /// A method of the server API (label `method`).
    Api {
        Batch = "batch",
        Publish = "publish",
        Broadcast = "broadcast",
        BroadcastPublish = "broadcast_publish",
        Subscribe = "subscribe",
        Unsubscribe = "unsubscribe",
        Disconnect = "disconnect",
        Presence = "presence",
        PresenceStats = "presence_stats",
        History = "history",
        HistoryRemove = "history_remove",
        Info = "info",
        Rpc = "rpc",
        Refresh = "refresh",
        Channels = "channels",
        MapPublish = "map_publish",
        MapRemove = "map_remove",
        MapReadState = "map_read_state",
        MapReadStream = "map_read_stream",
        MapStats = "map_stats",
        MapClear = "map_clear",
        SharedPollPublish = "shared_poll_publish",
        Unknown = "unknown",
    }
}

impl Command {
    /// The frame that such a command is, and the reply to it.
    pub fn frame(self) -> Frame {
        Frame::ALL[Frame::Connect as usize + self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_frame() {
        for command in Command::ALL {
            assert_eq!(command.frame().name(), command.name());
        }
    }

    #[test]
    fn a_label_stands_at_its_own_number() {
        for (number, frame) in Frame::ALL.iter().enumerate() {
            assert_eq!(*frame as usize, number);
        }
        assert_eq!(Frame::COUNT, Frame::Unknown as usize + 1);
        assert_eq!(Api::SharedPollPublish.name(), "shared_poll_publish");
    }
}
