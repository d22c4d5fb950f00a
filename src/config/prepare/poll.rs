//! Options of shared-poll channels: the built-in defaults.

use crate::config::snapshot::{PollOptions, TrackKeys};
use crate::config::value::Section;

/// What `max_keys_per_connection` 0 and less stands for.
const MAX_KEYS: usize = 5000;

/// What `track_expired_extra_delay` 0 and less stands for, seconds.
const GRACE_S: i64 = 25;

/// The `shared_poll` options of a namespace.
pub(super) fn options(poll: &Section) -> PollOptions {
    let max_keys = usize::try_from(poll.int("max_keys_per_connection")).ok().filter(|keys| *keys > 0);
    PollOptions {
        max_keys: max_keys.unwrap_or(MAX_KEYS),
        grace_s: match poll.duration_ns("track_expired_extra_delay") {
            ..=0 => GRACE_S,
            // Whole seconds, as upstream.
            delay_ns => delay_ns / 1_000_000_000,
        },
        versioned: poll.text("mode") == "versioned",
        publish_enabled: poll.bool("publish_enabled"),
    }
}

/// What signs lists of tracked keys.
pub(super) fn track_keys(options: &Section) -> TrackKeys {
    TrackKeys {
        secret: options.text("shared_poll.hmac_secret_key").into(),
        previous: options.text("shared_poll.hmac_previous_secret_key").into(),
        previous_valid_until: options.int("shared_poll.hmac_previous_secret_key_valid_until"),
    }
}
