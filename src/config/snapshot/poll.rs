//! Shared-poll channels: what clients may track, and the keys that sign it.

use super::{HttpProxy, Snapshot, SubscriptionType};

/// `shared_poll.*` of a namespace, with upstream's defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PollOptions {
    /// Who knows the state of keys (`proxy_name`).
    pub proxy: Box<str>,
    /// How the backend is asked.
    pub plan: PollPlan,
    /// Most keys that a connection may track in a channel (`max_keys_per_connection`).
    pub max_keys: usize,
    /// Seconds that keys are tracked beyond their signature (`track_expired_extra_delay`).
    pub grace_s: i64,
}

/// How the backend of a channel is asked. A channel keeps the plan that it began with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PollPlan {
    /// Versions are numbered by who tells them (`mode`); else the home of a channel numbers what has changed.
    pub is_versioned: bool,
    /// Versions of its keys may be published (`publish_enabled`).
    pub is_published: bool,
    /// The backend can be asked.
    pub asks_backend: bool,
    /// From the beginning of one round over all keys to that of the next, milliseconds (`refresh_interval`); at
    /// least 1.
    pub interval_ms: u64,
    /// Most keys in one request (`refresh_batch_size`); at least 1.
    pub batch: usize,
    /// How long a channel is remembered after its last key, milliseconds (`channel_shutdown_delay`).
    pub shutdown_delay_ms: u64,
}

impl PollOptions {
    /// Whether anyone can tell of keys.
    pub fn is_served(&self) -> bool {
        self.plan.asks_backend || self.plan.is_published
    }
}

impl Snapshot {
    /// Whether there are channels whose backend is asked.
    pub fn polls(&self) -> bool {
        self.polled().next().is_some()
    }

    /// Backends that shared-poll channels ask; one may come several times.
    pub fn polled(&self) -> impl Iterator<Item = &HttpProxy> {
        let all = self.channel.namespaces.values().chain([&self.channel.without_namespace]);
        let polls = all.filter(|options| options.subscription_type == SubscriptionType::SharedPoll);
        polls.filter_map(|options| self.proxies.shared_poll(&options.poll.proxy).map(|proxy| &**proxy))
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
