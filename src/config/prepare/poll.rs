//! Options of shared-poll channels: the built-in defaults.

use super::{ms, ms_or};
use crate::config::error::Error;
use crate::config::snapshot::{DEFAULT_PROXY, PollOptions, PollPlan, Proxies, TrackKeys};
use crate::config::value::Section;

/// What `max_keys_per_connection` 0 and less stands for.
const MAX_KEYS: usize = 5000;

/// What `track_expired_extra_delay` 0 and less stands for, seconds.
const GRACE_S: i64 = 25;

/// What `refresh_interval` 0 and less stands for.
const INTERVAL_MS: u64 = 10_000;

/// What `refresh_batch_size` 0 and less stands for.
const BATCH: usize = 1000;

/// Most keys in one request whatever is configured: they are gathered at once. Upstream has no bound.
const MAX_BATCH: usize = 10_000;

/// What `channel_shutdown_delay` 0 stands for.
const SHUTDOWN_DELAY_MS: u64 = 1_000;

/// What `shared_poll.concurrency_limit` 0 and less stands for.
const POLLS_AT_ONCE: usize = 64;

/// The `shared_poll` options of a namespace.
///
/// # Errors
/// Its backend cannot be asked.
pub(super) fn options(namespace: &Section, path: &str, proxies: &Proxies) -> Result<PollOptions, Error> {
    let poll = namespace.section("shared_poll");
    let positive = |name: &str| usize::try_from(poll.int(name)).ok().filter(|number| *number > 0);
    let proxy = match poll.text("proxy_name") {
        "" => DEFAULT_PROXY,
        name => name,
    };
    if namespace.text("subscription_type") == "shared_poll" && proxies.shared_poll(proxy).is_none() {
        let problem = format!(
            "the backend {proxy:?} is a GRPC one, which is not asked in this version: give it an endpoint that begins \
             with http:// or https://"
        );
        return Err(Error::invalid(format!("{path}.shared_poll.proxy_name"), problem));
    }
    Ok(PollOptions {
        proxy: proxy.into(),
        plan: PollPlan {
            is_versioned: poll.text("mode") == "versioned",
            // Validation asks for the mode that goes with it.
            is_published: poll.bool("publish_enabled"),
            asks_backend: proxies.shared_poll(proxy).is_some(),
            interval_ms: ms_or(poll, "refresh_interval", INTERVAL_MS),
            batch: positive("refresh_batch_size").unwrap_or(BATCH).min(MAX_BATCH),
            shutdown_delay_ms: match poll.duration_ns("channel_shutdown_delay") {
                0 => SHUTDOWN_DELAY_MS,
                _ => ms(poll, "channel_shutdown_delay"),
            },
        },
        max_keys: positive("max_keys_per_connection").unwrap_or(MAX_KEYS),
        grace_s: match poll.duration_ns("track_expired_extra_delay") {
            ..=0 => GRACE_S,
            // Whole seconds, as upstream.
            delay_ns => delay_ns / 1_000_000_000,
        },
    })
}

/// How many requests for keys the process makes at once.
pub(super) fn at_once(options: &Section) -> usize {
    let limit = usize::try_from(options.int("shared_poll.concurrency_limit")).ok().filter(|limit| *limit > 0);
    limit.unwrap_or(POLLS_AT_ONCE)
}

/// What signs lists of tracked keys.
pub(super) fn track_keys(options: &Section) -> TrackKeys {
    TrackKeys {
        secret: options.text("shared_poll.hmac_secret_key").into(),
        previous: options.text("shared_poll.hmac_previous_secret_key").into(),
        previous_valid_until: options.int("shared_poll.hmac_previous_secret_key_valid_until"),
    }
}
