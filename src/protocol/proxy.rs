//! What backends are asked, and what they answer (upstream: centrifugo internal/proxyproto proxy.proto).

use crate::protocol::client::Error;
use crate::protocol::message::message;

message! {
    /// Asks for the state of keys of a shared-poll channel.
    SharedPollRefreshRequest<'a> {
        channel: string = 1,
        items: [(SharedPollRefreshItem<'a>)] = 2,
    }

    /// A key, and the version that is known of it; 0 = none, or the backend does not number versions.
    SharedPollRefreshItem<'a> {
        key: string = 1,
        version: uint64 = 2,
    }

    /// Keys that are not in it stay as they are.
    SharedPollRefreshResult<'a> {
        items: [(SharedPollRefreshResultItem<'a>)] = 1,
        /// What versions count in; another one than before makes all versions void.
        epoch: string = 2,
    }

    /// The state of a key.
    SharedPollRefreshResultItem<'a> {
        key: string = 1,
        data: bytes = 2 secret,
        version: uint64 = 3,
        /// The key is gone.
        removed: bool = 4,
        /// The data of the version that was asked with, for patches.
        prev_data: bytes = 5 secret,
    }

    /// One of them is set.
    SharedPollRefreshResponse<'a> {
        result: (SharedPollRefreshResult<'a>) = 1,
        error: (Error<'a>) = 2,
    }
}
