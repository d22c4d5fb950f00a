//! `channel`: rules of channels and namespaces.

use super::proxy::CHANNEL_PROXIES;
use crate::config::option::{Opt, duration, inline, int, named, section, switch, text, texts};

/// Options of channels in one namespace, and of those without.
pub const CHANNEL_OPTIONS: &[Opt] = &[
    switch("presence", "Know who is subscribed to a channel.").live(),
    switch("join_leave", "Publish when clients come and go.").live(),
    switch("force_push_join_leave", "Send join and leave messages to all subscribers, asked for or not.").live(),
    text("map_clients_presence_channel_prefix", "", "Prefix of the map channel that mirrors the presence of clients.")
        .live(),
    text("map_users_presence_channel_prefix", "", "Prefix of the map channel that mirrors the presence of users.")
        .live(),
    int("history_size", "", "Most publications kept in a channel's history; 0 keeps none.").live(),
    duration("history_ttl", "", "How long publications stay in history, in whole seconds.").live(),
    duration(
        "history_meta_ttl",
        "",
        "How long position and epoch of an idle channel are kept; 0 takes the general value.",
    )
    .live(),
    switch("force_positioning", "Watch the position of all subscribers.").live(),
    switch("allow_positioning", "Let clients ask to have their position watched.").live(),
    switch("force_recovery", "Make missed publications recoverable for all subscribers.").live(),
    switch("allow_recovery", "Let clients ask for recovery.").live(),
    text("force_recovery_mode", "", "How subscribers recover: stream, or cache for the newest publication alone.")
        .live(),
    switch(
        "auto_cache_recover",
        "Send the newest publication on every subscribe; needs forced recovery in cache mode.",
    )
    .live(),
    texts("allowed_delta_types", "", "Kinds of delta compression that clients may use: fossil.").live(),
    switch("allow_tags_filter", "Let clients filter publications by tags.").live(),
    switch("delta_publish", "Use delta compression for all publications.").live(),
    switch("allow_subscribe_for_anonymous", "Let anonymous users subscribe.").live(),
    switch("allow_subscribe_for_client", "Let clients subscribe without a token.").live(),
    switch("allow_publish_for_anonymous", "Let anonymous users publish.").live(),
    switch("allow_publish_for_subscriber", "Let subscribers publish.").live(),
    switch("allow_publish_for_client", "Let all clients publish.").live(),
    switch("allow_presence_for_anonymous", "Let anonymous users ask who is subscribed.").live(),
    switch("allow_presence_for_subscriber", "Let subscribers ask who is subscribed.").live(),
    switch("allow_presence_for_client", "Let all clients ask who is subscribed.").live(),
    switch("allow_history_for_anonymous", "Let anonymous users read history.").live(),
    switch("allow_history_for_subscriber", "Let subscribers read history.").live(),
    switch("allow_history_for_client", "Let all clients read history.").live(),
    switch("allow_user_limited_channels", "Let users subscribe to channels whose name lists them.").live(),
    text("channel_regex", "", "Pattern that the channel name behind the namespace must match.").live(),
    text(
        "publication_data_format",
        "",
        "What payloads must be: json, json_object or binary; empty takes the general value.",
    )
    .live(),
    switch("subscribe_proxy_enabled", "Ask the backend about subscriptions."),
    text("subscribe_proxy_name", "default", "Proxy asked about subscriptions."),
    switch("publish_proxy_enabled", "Ask the backend about publications."),
    text("publish_proxy_name", "default", "Proxy asked about publications."),
    switch("sub_refresh_proxy_enabled", "Ask the backend about expiring subscriptions."),
    text("sub_refresh_proxy_name", "default", "Proxy asked about expiring subscriptions."),
    switch("subscribe_stream_proxy_enabled", "Let the backend feed subscriptions over a stream."),
    text("subscribe_stream_proxy_name", "default", "Proxy that feeds subscriptions."),
    switch("subscribe_stream_proxy_bidirectional", "Send what subscribers publish back on that stream."),
    text("subscription_type", "", "Kind of subscriptions: stream, map, map_clients, map_users or shared_poll.").live(),
    section("map", MAP, "Options of map channels."),
    section("shared_poll", SHARED_POLL, "Options of shared-poll channels.").live(),
];

const MAP: &[Opt] = &[
    text("mode", "", "How long state lives and whether it can be recovered: ephemeral, recoverable or persistent.")
        .live(),
    duration("key_ttl", "", "How long a key lives without being published again.").live(),
    int("stream_size", "", "Most changes kept for recovery; 0 means 100.").live(),
    duration("stream_ttl", "", "How long changes are kept for recovery; 0 means a minute.").live(),
    duration("meta_ttl", "", "How long position and epoch are kept; 0 means ten times stream_ttl.").live(),
    switch("remove_client_on_unsubscribe", "Remove a client's key when it unsubscribes.").live(),
    text("client_key", "", "Key forced on what a client publishes: client_id or user_id.").live(),
    switch("allow_publish_for_client", "Let all clients publish keys.").live(),
    switch("allow_publish_for_subscriber", "Let subscribers publish keys.").live(),
    switch("allow_publish_for_anonymous", "Let anonymous users publish keys.").live(),
    switch("allow_remove_for_client", "Let all clients remove keys.").live(),
    switch("allow_remove_for_subscriber", "Let subscribers remove keys.").live(),
    switch("allow_remove_for_anonymous", "Let anonymous users remove keys.").live(),
    switch("publish_proxy_enabled", "Ask the backend about publications of keys."),
    text("publish_proxy_name", "default", "Proxy asked about publications of keys."),
    switch("remove_proxy_enabled", "Ask the backend about removals of keys."),
    text("remove_proxy_name", "default", "Proxy asked about removals of keys."),
    int("default_page_size", "", "Keys in a page when the client does not say; 0 means 100.").live(),
    int("min_page_size", "", "Fewest keys in a page; 0 means 100.").live(),
    int("max_page_size", "", "Most keys in a page; 0 means 1000.").live(),
    int(
        "live_transition_max_publication_limit",
        "",
        "Most changes sent while a client goes live; 0 means max_page_size.",
    )
    .live(),
    duration("subscribe_catch_up_timeout", "", "Longest time for a client to read all pages; 0 means 5s.").live(),
];

const SHARED_POLL: &[Opt] = &[
    text("proxy_name", "", "Proxy asked for the state of keys; empty means the default one.").live(),
    duration("refresh_interval", "", "Pause between two polls; 0 means 10s.").live(),
    int("refresh_batch_size", "", "Most keys in one request to the backend, up to 10000; 0 means 1000.").live(),
    int("max_keys_per_connection", "", "Most keys that one connection may track; 0 means 5000.").live(),
    text("mode", "", "Whether the backend numbers the versions of a key: versionless or versioned.").live(),
    duration(
        "channel_shutdown_delay",
        "",
        "How long a channel is remembered after its last key; 0 means 1s, what is negative not at all.",
    )
    .live(),
    duration("track_expired_extra_delay", "", "Time to renew an expired list of tracked keys; 0 means 25s.").live(),
    switch("publish_enabled", "Let publications update keys between polls; needs the versioned mode.").live(),
];

/// One entry of `channel.namespaces`.
pub const NAMESPACE: &[Opt] = &[text("name", "", "Unique name of the namespace.").live(), inline(CHANNEL_OPTIONS)];

/// `channel.*`.
pub const CHANNEL: &[Opt] = &[
    section("proxy", CHANNEL_PROXIES, "The default proxies of channel events."),
    section("without_namespace", CHANNEL_OPTIONS, "Options of channels without namespace."),
    named("namespaces", NAMESPACE, "Options of channels by namespace.").live(),
    duration("history_meta_ttl", "720h", "How long position and epoch of an idle channel are kept, in whole seconds.")
        .live(),
    text(
        "publication_data_format",
        "",
        "What payloads must be: json, json_object or binary; empty accepts all but empty.",
    )
    .live(),
    int("max_length", "255", "Longest channel name that can be subscribed to, in bytes; below 0 any.").live(),
    text("private_prefix", "$", "Prefix of channels that need a subscription token.").live(),
    text("namespace_boundary", ":", "What separates the namespace from the rest of a channel name.").live(),
    text("user_boundary", "#", "What separates the list of users from the rest of a channel name.").live(),
    text("user_separator", ",", "What separates the users in that list.").live(),
];
