//! Reasons for which the server ends a connection or a subscription (upstream: centrifuge disconnect.go,
//! unsubscribe.go).

use std::borrow::Cow;

/// The end of a connection. SDKs reconnect unless the code is in 3500-3999 or 4500-4999.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disconnect {
    /// Close code of the WebSocket.
    pub code: u16,
    /// Close reason; at most 123 bytes fit into a close frame.
    pub reason: Cow<'static, str>,
}

/// The end of a subscription. SDKs subscribe again when the code is 2500 or above.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsubscribe {
    /// See the constants.
    pub code: u32,
    /// Short text for developers.
    pub reason: Cow<'static, str>,
}

macro_rules! codes {
    ($type:ident: $($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        impl $type {
            $($(#[$doc])* pub const $name: $type = $type { code: $code, reason: Cow::Borrowed($reason) };)*
        }
    };
}

codes! { Disconnect:
    /// The client went away; never sent.
    CONNECTION_CLOSED = 3000, "connection closed";
    /// The node stops.
    SHUTDOWN = 3001, "shutdown";
    /// A fault of the server.
    SERVER_ERROR = 3004, "internal server error";
    /// The connection's lifetime is over and was not renewed.
    EXPIRED = 3005, "connection expired";
    /// A server-side subscription's lifetime is over.
    SUBSCRIPTION_EXPIRED = 3006, "subscription expired";
    /// The client reads too slowly.
    SLOW = 3008, "slow";
    /// Writing to the socket failed.
    WRITE_ERROR = 3009, "write error";
    /// The stream moved in a way the client must recover from.
    INSUFFICIENT_STATE = 3010, "insufficient state";
    /// An operator asked for it.
    FORCE_RECONNECT = 3011, "force reconnect";
    /// No pong came in time.
    NO_PONG = 3012, "no pong";
    /// Too many requests.
    TOO_MANY_REQUESTS = 3013, "too many requests";
    /// The token is not valid.
    INVALID_TOKEN = 3500, "invalid token";
    /// The client broke the protocol.
    BAD_REQUEST = 3501, "bad request";
    /// The client never finished to connect.
    STALE = 3502, "stale";
    /// The server API asked for it.
    FORCE_NO_RECONNECT = 3503, "force disconnect";
    /// The user has too many connections.
    CONNECTION_LIMIT = 3504, "connection limit";
    /// Too many server-side channels.
    CHANNEL_LIMIT = 3505, "channel limit";
    /// A binary payload for a JSON client.
    INAPPROPRIATE_PROTOCOL = 3506, "inappropriate protocol";
    /// The client may not connect.
    PERMISSION_DENIED = 3507, "permission denied";
    /// The feature is off.
    NOT_AVAILABLE = 3508, "not available";
    /// The client caused too many errors.
    TOO_MANY_ERRORS = 3509, "too many errors";
}

codes! { Unsubscribe:
    /// The client asked for it; never sent.
    CLIENT = 0, "client unsubscribed";
    /// The connection ended; never sent.
    DISCONNECT = 1, "client disconnected";
    /// The server API asked for it.
    SERVER = 2000, "server unsubscribe";
    /// The stream moved in a way the client must recover from.
    INSUFFICIENT_STATE = 2500, "insufficient state";
    /// The subscription's lifetime is over.
    EXPIRED = 2501, "subscription expired";
}
