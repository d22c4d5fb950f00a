//! Options of a Redis connection and of what is kept there.

use super::tls::TLS;
use crate::config::option::{Opt, duration, inline, int, int_in, section, switch, text, texts};

/// How to reach Redis.
pub const REDIS: &[Opt] = &[
    texts("address", "redis://127.0.0.1:6379", "Redis addresses; several mean that channels are spread over them.")
        .live(),
    duration("connect_timeout", "1s", "Longest time to connect to Redis.").live(),
    duration("io_timeout", "4s", "Longest time of one exchange with Redis.").live(),
    int("db", "0", "Number of the Redis database.").live(),
    text("user", "", "Redis user.").live(),
    text("password", "", "Redis password.").live(),
    text("client_name", "", "Name under which the connection shows in Redis.").live(),
    switch("force_resp2", "Speak the older RESP2 protocol.").live(),
    texts("cluster_address", "", "Seed addresses of Redis Clusters; several spread the channels over them.").live(),
    section("tls", TLS, "TLS towards Redis."),
    texts("sentinel_address", "", "Addresses of Redis Sentinels that name the master to use.").live(),
    text("sentinel_user", "", "User for the Sentinels.").live(),
    text("sentinel_password", "", "Password for the Sentinels.").live(),
    text("sentinel_master_name", "", "Name of the master as the Sentinels know it.").live(),
    text("sentinel_client_name", "", "Name under which the connection shows at the Sentinels.").live(),
    section("sentinel_tls", TLS, "TLS towards the Sentinels."),
    section("replica_client", REPLICA_CLIENT, "Reading from replicas."),
];

const REPLICA_CLIENT: &[Opt] =
    &[switch("enabled", "Read presence from replicas, with Sentinel or Cluster and presence_hash_field_ttl.").live()];

/// Redis with a prefix for all keys and channels.
pub const REDIS_PREFIXED: &[Opt] =
    &[text("prefix", "centrifugo", "Prefix of all keys and channels in Redis.").live(), inline(REDIS)];

const HISTORY: &[Opt] =
    &[switch("history_use_lists", "Keep history in Redis lists, which cannot be paged or reversed.").live()];

/// Named as in Centrifugo's paid edition.
const PARTITIONS: &[Opt] = &[int_in(
    "sharded_pub_sub_partitions",
    0,
    4096,
    "",
    "Redis Cluster: partitions of sharded PUB/SUB; 0 is without it.",
)
.live()
.own()];

const PRESENCE: &[Opt] = &[
    duration("presence_ttl", "60s", "How long a presence entry lives without being refreshed.").live(),
    switch("presence_hash_field_ttl", "Let Redis expire single presence entries; needs Redis 7.4.").live(),
    switch("presence_user_mapping", "Keep a second hash of users so that presence statistics are cheap.").live(),
];

/// `engine.redis.*`.
pub const ENGINE_REDIS: &[Opt] = &[inline(REDIS_PREFIXED), inline(HISTORY), inline(PARTITIONS), inline(PRESENCE)];

/// `broker.redis.*`.
pub const BROKER_REDIS: &[Opt] = &[inline(REDIS_PREFIXED), inline(HISTORY), inline(PARTITIONS)];

/// `presence_manager.redis.*`.
pub const PRESENCE_REDIS: &[Opt] = &[inline(REDIS_PREFIXED), inline(PRESENCE)];

/// `map_broker.redis.*`.
pub const MAP_REDIS: &[Opt] = &[
    inline(REDIS_PREFIXED),
    duration("cleanup_interval", "1s", "Pause between two searches for expired keys; negative switches them off.")
        .live(),
    int("cleanup_batch_size", "100", "Most expired keys removed from one channel in one search.").live(),
    duration("idempotent_result_ttl", "5m", "How long the result of an idempotent publication is remembered.").live(),
    switch("skip_pub_sub", "Only keep state and leave the delivery of changes to something else.").live(),
    inline(PARTITIONS),
];
