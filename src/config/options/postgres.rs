//! Options of PostgreSQL as broker, map broker and controller.

use super::tls::TLS;
use crate::config::option::{Opt, duration, int, section, switch, text};

const OUTBOX: &[Opt] = &[
    duration("poll_interval", "100ms", "Pause between two looks at the outbox."),
    int("batch_size", "1000", "Most rows taken from the outbox at once."),
];

/// `broker.postgres.*`.
pub const BROKER_POSTGRES: &[Opt] = &[
    text("dsn", "", "Connection string of the database."),
    section("tls", TLS, "TLS towards the database."),
    int("pool_size", "16", "Most connections kept open."),
    int("num_shards", "8", "Number of workers that deliver publications, each for its part of the channels."),
    duration("cleanup_interval", "1m", "Pause between two removals of expired rows."),
    duration("idempotent_result_ttl", "5m", "How long the result of an idempotent publication is remembered."),
    switch("binary_data", "Store payloads as bytes rather than JSON."),
    duration("stream_retention", "24h", "How long rows of streams are kept."),
    switch("use_notify", "Wake up on database notifications rather than by polling alone."),
    text("notify_dsn", "", "Connection string for listening when the main one goes through a pooler."),
    text("table_prefix", "cf", "Prefix of all tables."),
    switch("skip_schema_init", "Leave the creation of tables to the operator."),
    section("outbox", OUTBOX, "How publications are picked up for delivery."),
    int("partition_lookahead_days", "2", "Days for which partitions are created ahead."),
    int("partition_retention_days", "7", "Days after which partitions are dropped."),
];

/// `map_broker.postgres.*`.
pub const MAP_POSTGRES: &[Opt] = &[
    text("dsn", "", "Connection string of the database."),
    section("tls", TLS, "TLS towards the database."),
    int("pool_size", "16", "Most connections kept open."),
    int("num_shards", "8", "Number of workers that deliver changes, each for its part of the channels."),
    duration("ttl_check_interval", "1s", "Pause between two searches for expired keys."),
    duration("cleanup_interval", "1m", "Pause between two removals of expired rows."),
    duration("idempotent_result_ttl", "5m", "How long the result of an idempotent publication is remembered."),
    switch("binary_data", "Store payloads as bytes rather than JSON."),
    duration("stream_retention", "24h", "How long rows of streams are kept."),
    switch("use_notify", "Wake up on database notifications rather than by polling alone."),
    text("notify_dsn", "", "Connection string for listening when the main one goes through a pooler."),
    text("table_prefix", "cf", "Prefix of all tables."),
    switch("skip_schema_init", "Leave the creation of tables to the operator."),
    section("outbox", OUTBOX, "How changes are picked up for delivery."),
    int("partition_lookahead_days", "2", "Days for which partitions are created ahead."),
    int("partition_retention_days", "7", "Days after which partitions are dropped."),
];

/// `controller.postgres.*`.
pub const CONTROLLER_POSTGRES: &[Opt] = &[
    text("dsn", "", "Connection string of the database."),
    section("tls", TLS, "TLS towards the database."),
    int("pool_size", "8", "Most connections kept open."),
    int("num_shards", "1", "Number of workers that read control messages."),
    text("table_prefix", "cf", "Prefix of all tables."),
    duration("poll_interval", "50ms", "Pause between two looks for control messages."),
    switch("use_notify", "Wake up on database notifications rather than by polling alone."),
    text("notify_dsn", "", "Connection string for listening when the main one goes through a pooler."),
    int("partition_retention_days", "1", "Days after which partitions are dropped."),
    int("partition_lookahead_days", "2", "Days for which partitions are created ahead."),
    duration("partition_cleanup_interval", "1m", "Pause between two removals of old partitions."),
    int("batch_size", "1000", "Most control messages read at once."),
    switch("skip_schema_init", "Leave the creation of tables to the operator."),
];
