//! Errors that a request is answered with (upstream: centrifuge errors.go).

use std::borrow::Cow;

/// An error in a reply. The connection lives on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// See the constants; proxies may use others.
    pub code: u32,
    /// Short text for developers.
    pub message: Cow<'static, str>,
    /// Whether the same request may succeed later.
    pub temporary: bool,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal $(, $temporary:ident)?;)*) => {
        impl Error {
            $($(#[$doc])* pub const $name: Error = Error {
                code: $code,
                message: Cow::Borrowed($message),
                temporary: errors!(@temporary $($temporary)?),
            };)*
        }
    };
    (@temporary temporary) => { true };
    (@temporary) => { false };
}

errors! {
    /// A fault of the server or of something it relies on.
    INTERNAL = 100, "internal server error", temporary;
    /// Not authenticated.
    UNAUTHORIZED = 101, "unauthorized";
    /// The channel's namespace is not configured.
    UNKNOWN_CHANNEL = 102, "unknown channel";
    /// The client may not do this.
    PERMISSION_DENIED = 103, "permission denied";
    /// No such method.
    METHOD_NOT_FOUND = 104, "method not found";
    /// The client is subscribed already.
    ALREADY_SUBSCRIBED = 105, "already subscribed";
    /// A limit of the server was reached.
    LIMIT_EXCEEDED = 106, "limit exceeded";
    /// The request is malformed.
    BAD_REQUEST = 107, "bad request";
    /// The feature is off for this channel.
    NOT_AVAILABLE = 108, "not available";
    /// The token was valid once.
    TOKEN_EXPIRED = 109, "token expired";
    /// The connection or subscription is expired.
    EXPIRED = 110, "expired";
    /// Come back later.
    TOO_MANY_REQUESTS = 111, "too many requests", temporary;
    /// The stream does not reach back to the asked position.
    UNRECOVERABLE_POSITION = 112, "unrecoverable position";
}
