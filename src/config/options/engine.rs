//! `engine`, `broker`, `presence_manager`, `map_broker`, `controller` and `shared_poll`.

use super::postgres::{BROKER_POSTGRES, CONTROLLER_POSTGRES, MAP_POSTGRES};
use super::redis::{BROKER_REDIS, ENGINE_REDIS, MAP_REDIS, PRESENCE_REDIS, REDIS_PREFIXED};
use super::tls::TLS;
use crate::config::option::{Opt, duration, inline, int, map, section, switch, text};

/// `engine.*`.
pub const ENGINE: &[Opt] = &[
    text("type", "memory", "Where channels are kept: memory or redis.").live(),
    section("redis", ENGINE_REDIS, "Redis as engine."),
];

/// `broker.*`.
pub const BROKER: &[Opt] = &[
    switch("enabled", "Use a broker of its own in place of the engine's.").live(),
    text("type", "memory", "Kind of broker: memory, redis, nats or postgres.").live(),
    section("redis", BROKER_REDIS, "Redis as broker."),
    section("nats", BROKER_NATS, "NATS as broker, which keeps no history."),
    section("postgres", BROKER_POSTGRES, "PostgreSQL as broker.").idle(),
    section("redisnats", REDISNATS, "Of no effect: with type redisnats, broker.redis and broker.nats count.").idle(),
];

/// How to reach NATS.
const NATS: &[Opt] = &[
    text("prefix", "centrifugo", "Prefix of all subjects.").live(),
    text("url", "nats://localhost:4222", "Address of the NATS server.").live(),
    duration("dial_timeout", "1s", "Longest time to connect to NATS.").live(),
    duration("write_timeout", "1s", "Longest time of one write to NATS.").live(),
    section("tls", TLS, "TLS towards NATS."),
];

const BROKER_NATS: &[Opt] = &[
    inline(NATS),
    switch("allow_wildcards", "Let clients subscribe to subjects with wildcards.").live(),
    section("raw_mode", RAW_MODE, "Plain subjects, without the envelope around publications."),
];

/// `controller.nats.*`.
const CONTROLLER_NATS: &[Opt] = &[inline(NATS)];

const RAW_MODE: &[Opt] = &[
    switch("enabled", "Consume and publish raw subjects.").live(),
    map("channel_replacements", "Replacements made in channel names to get subjects.").live(),
    text("prefix", "", "Prefix of raw subjects.").live(),
];

const REDISNATS: &[Opt] =
    &[section("redis", BROKER_REDIS, "The part of Redis."), section("nats", BROKER_NATS, "The part of NATS.")];

/// `presence_manager.*`.
pub const PRESENCE_MANAGER: &[Opt] = &[
    switch("enabled", "Use a presence manager of its own in place of the engine's.").live(),
    text("type", "memory", "Kind of presence manager: memory or redis.").live(),
    section("redis", PRESENCE_REDIS, "Redis as presence manager."),
];

/// `map_broker.*`.
pub const MAP_BROKER: &[Opt] = &[
    text("type", "memory", "Where the state of map channels is kept: memory, redis or postgres.").live(),
    section("redis", MAP_REDIS, "Redis as map broker."),
    section("postgres", MAP_POSTGRES, "PostgreSQL as map broker.").idle(),
];

/// `controller.*`.
pub const CONTROLLER: &[Opt] = &[
    switch("enabled", "Exchange control messages between nodes over something else than the broker.").live(),
    text("type", "", "Kind of controller: redis, nats or postgres.").live(),
    section("redis", REDIS_PREFIXED, "Redis as controller.").own(),
    section("nats", CONTROLLER_NATS, "NATS as controller.").own(),
    section("postgres", CONTROLLER_POSTGRES, "PostgreSQL as controller.").idle(),
];

/// `shared_poll.*`.
pub const SHARED_POLL: &[Opt] = &[
    text("hmac_secret_key", "", "Key that signs the lists of tracked keys.").live(),
    text("hmac_previous_secret_key", "", "Former signing key, still accepted while keys are rotated.").live(),
    int(
        "hmac_previous_secret_key_valid_until",
        "",
        "Unix time until which the former key is accepted; 0 means always.",
    )
    .live(),
    int("concurrency_limit", "", "Most refresh requests to the backend at once; 0 means 64.").live(),
];
