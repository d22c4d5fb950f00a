//! The configuration that both servers run with: many namespaces, each with other options.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// Signs the tokens.
pub const SECRET: &str = "secret";

/// Two servers, one after the other, have room for options that exclude each other.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Everybody needs a token.
    Tokens,
    /// Whatever is allowed to nobody is allowed to all; low limits.
    Open,
    /// Shared-poll channels and their backend.
    Polls,
    /// What is short-lived ends soon after its time.
    Expiry,
}

/// The configuration of a kind of server.
pub fn config(port: u16, kind: Kind, backend: SocketAddr) -> Value {
    let mut config = tokens(port);
    if matches!(kind, Kind::Expiry) {
        for (option, value) in [
            ("expired_close_delay", json!("1s")),
            ("expired_sub_close_delay", json!("1s")),
            ("presence_update_interval", json!("1s")),
        ] {
            config["client"][option] = value;
        }
    }
    if matches!(kind, Kind::Polls) {
        config["shared_poll"] = json!({"hmac_secret_key": POLL_SECRET});
        config["proxies"] = json!([{"name": "backend", "endpoint": format!("http://{backend}/")}]);
        let namespaces = config["channel"]["namespaces"].as_array_mut().expect("a list");
        namespaces.extend(POLLS.iter().map(|name| polls(name)));
    }
    if matches!(kind, Kind::Open) {
        for (option, value) in [
            ("insecure", json!(true)),
            ("connect_include_server_time", json!(true)),
            ("user_connection_limit", json!(2)),
            ("channel_limit", json!(3)),
            ("history_max_publication_limit", json!(3)),
            ("recovery_max_publication_limit", json!(3)),
            ("subscribe_to_user_personal_channel", json!({"enabled": true, "personal_channel_namespace": "full"})),
        ] {
            config["client"][option] = value;
        }
        config["channel"]["max_length"] = 20.into();
        config["channel"]["without_namespace"]["history_size"] = 2.into();
        config["channel"]["without_namespace"]["history_ttl"] = "300s".into();
    }
    config
}

fn tokens(port: u16) -> Value {
    json!({
        "http_server": {"address": "127.0.0.1", "port": port.to_string()},
        "client": {
            "token": {"hmac_secret_key": SECRET},
            "ping_interval": "10m",
            "presence_update_interval": "10m",
            "stale_close_delay": "10m",
            "channel_limit": 20,
        },
        "http_api": {"insecure": true},
        "channel": {
            "without_namespace": {"allow_subscribe_for_client": true, "allow_publish_for_client": true},
            "namespaces": namespaces(),
        },
    })
}

/// Signs lists of tracked keys.
pub const POLL_SECRET: &str = "poll-secret";

/// Namespaces for shared polls.
pub const POLLS: &[&str] = &["poll", "pollh", "polld", "pollm"];

/// Whether the backend numbers the versions of keys; else each server does.
pub fn is_numbered_by_backend(channel: &str) -> bool {
    !channel.starts_with("pollh")
}

fn polls(name: &str) -> Value {
    let is_numbered = is_numbered_by_backend(name);
    json!({"name": name, "subscription_type": "shared_poll", "allow_subscribe_for_client": true,
        "allowed_delta_types": if name == "polld" { json!(["fossil"]) } else { json!([]) },
        "shared_poll": {"proxy_name": "backend", "refresh_interval": "50ms",
            "mode": if is_numbered { "versioned" } else { "versionless" },
            "publish_enabled": is_numbered,
            // Never, so that it is not a matter of time which versions are forgotten.
            "channel_shutdown_delay": "1h",
            "max_keys_per_connection": if name == "pollm" { 2 } else { 0 }}})
}

/// Namespaces for streams.
pub const STREAMS: &[&str] = &[
    "open",
    "closed",
    "anon",
    "subpub",
    "hist",
    "rec",
    "quiet",
    "short",
    "pos",
    "cache",
    "acache",
    "tags",
    "pres",
    "jl",
    "jlopt",
    "user",
    "userany",
    "rx",
    "fjson",
    "fobj",
    "fbin",
    "full",
    "delta",
    "deltaopt",
    "deltacache",
    "seen",
];

/// Namespaces for maps.
pub const MAPS: &[&str] = &["kv", "keep", "eph", "mine", "own", "kvd", "cl", "us", "pages"];

fn namespaces() -> Value {
    json!([
        {"name": "fence", "presence": true, "allow_presence_for_client": true, "allow_presence_for_anonymous": true},
        {"name": "open", "allow_subscribe_for_client": true, "allow_publish_for_client": true},
        {"name": "closed"},
        {"name": "anon", "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
            "allow_publish_for_client": true, "allow_publish_for_anonymous": true, "presence": true,
            "allow_presence_for_client": true, "allow_presence_for_anonymous": true,
            "allow_history_for_client": true, "allow_history_for_anonymous": true,
            "history_size": 10, "history_ttl": "300s"},
        {"name": "subpub", "allow_subscribe_for_client": true, "allow_publish_for_subscriber": true, "presence": true,
            "allow_presence_for_subscriber": true, "allow_history_for_subscriber": true,
            "history_size": 10, "history_ttl": "300s"},
        {"name": "hist", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "allow_history_for_client": true, "allow_positioning": true, "allow_recovery": true,
            "history_size": 10, "history_ttl": "300s"},
        {"name": "rec", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "allow_history_for_client": true, "force_recovery": true, "history_size": 10, "history_ttl": "300s"},
        {"name": "quiet", "allow_subscribe_for_client": true, "history_size": 10, "history_ttl": "300s"},
        {"name": "short", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "allow_history_for_client": true, "force_recovery": true, "history_size": 3, "history_ttl": "300s"},
        {"name": "pos", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "force_positioning": true, "history_size": 10, "history_ttl": "300s"},
        {"name": "cache", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "force_recovery": true, "force_recovery_mode": "cache", "history_size": 10, "history_ttl": "300s"},
        {"name": "acache", "allow_subscribe_for_client": true, "force_recovery": true, "force_recovery_mode": "cache",
            "auto_cache_recover": true, "history_size": 10, "history_ttl": "300s"},
        {"name": "tags", "allow_subscribe_for_client": true, "allow_tags_filter": true, "force_recovery": true,
            "allow_history_for_client": true, "history_size": 10, "history_ttl": "300s"},
        {"name": "pres", "allow_subscribe_for_client": true, "presence": true, "allow_presence_for_client": true},
        {"name": "jl", "allow_subscribe_for_client": true, "presence": true, "allow_presence_for_client": true,
            "join_leave": true, "force_push_join_leave": true, "allow_publish_for_client": true},
        {"name": "jlopt", "allow_subscribe_for_client": true, "presence": true, "allow_presence_for_subscriber": true,
            "join_leave": true},
        {"name": "user", "allow_user_limited_channels": true, "allow_publish_for_subscriber": true},
        {"name": "userany", "allow_user_limited_channels": true, "allow_subscribe_for_client": true},
        {"name": "rx", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "channel_regex": "^[a-z0-9]+$"},
        {"name": "fjson", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "publication_data_format": "json"},
        {"name": "fobj", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "publication_data_format": "json_object"},
        {"name": "fbin", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "publication_data_format": "binary"},
        {"name": "full", "allow_subscribe_for_client": true, "allow_publish_for_subscriber": true, "presence": true,
            "join_leave": true, "force_push_join_leave": true, "allow_presence_for_subscriber": true,
            "allow_history_for_subscriber": true, "force_recovery": true, "allow_tags_filter": true,
            "history_size": 5, "history_ttl": "300s"},
        {"name": "delta", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "allow_history_for_client": true, "force_recovery": true, "allowed_delta_types": ["fossil"],
            "delta_publish": true, "history_size": 10, "history_ttl": "300s"},
        {"name": "deltaopt", "allow_subscribe_for_client": true, "allow_history_for_client": true,
            "allow_recovery": true, "allowed_delta_types": ["fossil"], "allow_tags_filter": true,
            "history_size": 10, "history_ttl": "300s"},
        {"name": "deltacache", "allow_subscribe_for_client": true, "force_recovery": true,
            "force_recovery_mode": "cache", "allowed_delta_types": ["fossil"], "delta_publish": true,
            "history_size": 1, "history_ttl": "300s"},
        {"name": "seen", "allow_subscribe_for_client": true, "map_clients_presence_channel_prefix": "cl:",
            "map_users_presence_channel_prefix": "us:"},
        {"name": "kv", "subscription_type": "map", "allow_subscribe_for_client": true,
            "map": {"mode": "recoverable", "key_ttl": "300s", "allow_publish_for_client": true,
                "allow_remove_for_client": true}},
        {"name": "keep", "subscription_type": "map", "allow_subscribe_for_client": true,
            "map": {"mode": "persistent", "allow_publish_for_subscriber": true, "allow_remove_for_subscriber": true}},
        {"name": "eph", "subscription_type": "map", "allow_subscribe_for_client": true,
            "map": {"mode": "ephemeral", "key_ttl": "300s", "allow_publish_for_client": true}},
        {"name": "mine", "subscription_type": "map", "allow_subscribe_for_client": true,
            "map": {"mode": "recoverable", "key_ttl": "300s", "allow_publish_for_client": true,
                "client_key": "user_id"}},
        {"name": "own", "subscription_type": "map", "allow_subscribe_for_client": true,
            "map": {"mode": "recoverable", "key_ttl": "300s", "allow_publish_for_client": true,
                "client_key": "client_id", "remove_client_on_unsubscribe": true}},
        {"name": "kvd", "subscription_type": "map", "allow_subscribe_for_client": true, "allow_tags_filter": true,
            "allowed_delta_types": ["fossil"], "map": {"mode": "recoverable", "key_ttl": "300s"}},
        {"name": "cl", "subscription_type": "map_clients", "allow_subscribe_for_client": true,
            "map": {"mode": "recoverable", "key_ttl": "300s"}},
        {"name": "us", "subscription_type": "map_users", "allow_subscribe_for_client": true,
            "map": {"mode": "recoverable", "key_ttl": "300s"}},
        {"name": "pages", "subscription_type": "map", "allow_subscribe_for_client": true,
            "map": {"mode": "recoverable", "key_ttl": "300s", "default_page_size": 2, "min_page_size": 1,
                "max_page_size": 3, "stream_size": 4, "live_transition_max_publication_limit": 2,
                "allow_publish_for_client": true}},
    ])
}
