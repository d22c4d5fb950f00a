//! Shared-poll channels: what clients may track, and the keys that sign it.

/// `shared_poll.*` of a namespace, with upstream's defaults filled in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PollOptions {
    /// Most keys that a connection may track in a channel (`max_keys_per_connection`).
    pub max_keys: usize,
    /// Seconds that keys are tracked beyond their signature (`track_expired_extra_delay`).
    pub grace_s: i64,
    /// Versions are numbered by who tells them (`mode`).
    pub versioned: bool,
    /// New versions are taken over the server API (`publish_enabled`).
    pub publish_enabled: bool,
}

impl PollOptions {
    /// Whether versions of keys may be published. Validation asks for the mode that goes with it.
    pub fn takes_publications(&self) -> bool {
        self.versioned && self.publish_enabled
    }
}

/// `shared_poll.*`: what signs lists of tracked keys. Never printed with its secrets.
#[derive(Clone, Default)]
pub struct TrackKeys {
    /// `hmac_secret_key`.
    pub secret: Box<str>,
    /// `hmac_previous_secret_key`; empty = none.
    pub previous: Box<str>,
    /// `hmac_previous_secret_key_valid_until`: what was signed later, Unix seconds, must be signed by the newer key;
    /// 0 = the former one is always good.
    pub previous_valid_until: i64,
}

impl std::fmt::Debug for TrackKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrackKeys")
            .field("secret", &!self.secret.is_empty())
            .field("previous", &!self.previous.is_empty())
            .field("previous_valid_until", &self.previous_valid_until)
            .finish()
    }
}
