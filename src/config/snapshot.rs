//! The configuration as the server uses it: typed, validated, with every default filled in.
//!
//! Made once from the loaded options (at start and on reload) and then shared, read-only, by all shards.
//! Durations are milliseconds. Only options that are in force stand here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::pattern::Pattern;

mod map;
mod map_rules;
mod nats;
mod poll;
mod proxy;
mod redis;
mod tls;

pub use map::{MapOptions, MapStreamOptions};
pub use map_rules::{ClientKey, MapPermission, MapRules};
pub use nats::{Nats, NatsBroker, NatsLogin, NatsRawMode, NatsServer};
pub use poll::{PollOptions, PollPlan, TrackKeys};
pub use proxy::{DEFAULT_PROXY, HttpProxy, Proxies};
pub use redis::{Broker, Controller, Maps, Presence, Redis, RedisAddress, RedisBroker, RedisLogin, RedisMaps};
pub use redis::{RedisPlace, RedisPresence, RedisServer};
pub use tls::ClientTls;

/// Everything that the shards, the server API and the command line need to know.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Listening address, ports, shutdown.
    pub server: Server,
    /// Cores and shards.
    pub shards: Shards,
    /// Rules of client connections.
    pub client: Client,
    /// Rules of channels.
    pub channel: Channels,
    /// Where channels live, other than maps and shared-poll channels (`engine.type`, `broker.*`).
    pub broker: Broker,
    /// Where their presence is kept (`engine.type`, `presence_manager.*`).
    pub presence: Presence,
    /// Where maps live (`map_broker.*`).
    pub maps: Maps,
    /// What carries control messages between nodes (`controller.*`).
    pub controller: Controller,
    /// `shared_poll.*`.
    pub track_keys: TrackKeys,
    /// `shared_poll.concurrency_limit`.
    pub polls_at_once: usize,
    /// Backends of the application.
    pub proxies: Proxies,
    /// `websocket.*`.
    pub websocket: WebSocket,
    /// `http_api.*`.
    pub http_api: HttpApi,
    /// `init.*`: prefix when enabled.
    pub init: Option<Box<str>>,
    /// `health.*`: prefix when enabled.
    pub health: Option<Box<str>>,
    /// `admin.*` when enabled.
    pub admin: Option<Admin>,
    /// `swagger.*`: prefix when enabled.
    pub swagger: Option<Box<str>>,
    /// `debug.*`: prefix when enabled.
    pub debug: Option<Box<str>>,
    /// `prometheus.*`: prefix when enabled.
    pub prometheus: Option<Box<str>>,
    /// `prometheus.recovered_publications_histogram`.
    pub recovered_publications_histogram: bool,
    /// `prometheus.instrument_http_handlers`.
    pub instrument_http_handlers: bool,
    /// `node.name`; a made-up one (host name and port) when empty.
    pub node_name: Box<str>,
    /// `node.info_metrics_aggregate_interval`, milliseconds.
    pub node_info_metrics_interval_ms: u64,
    /// The demo page and its live view are served (`--dev`).
    pub dev: bool,
}

/// `http_server.*`, `shutdown.*`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where API, health and metrics are served when split off (`http_server.internal_port`).
    pub internal_address: Option<SocketAddr>,
    /// Longest time from the stop signal to the exit (`shutdown.timeout`).
    pub shutdown_timeout: Duration,
    /// `pid_file`.
    pub pid_file: Option<PathBuf>,
}

/// How the process uses the machine. Options of Spindle alone (`shards.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    /// Number of shards; 0 = one per core the process may use (or per core of `cores`).
    pub count: u16,
    /// Cores to pin shards to, in order; empty = those the process may use.
    pub cores: Vec<usize>,
    /// Whether shards are pinned at all.
    pub pin: bool,
    /// Cores for everything beside the shards; empty = wherever the kernel puts it.
    pub control_cores: Vec<usize>,
    /// Microseconds a shard polls before it sleeps; 0 = sleep at once.
    pub spin_us: u32,
    /// Microseconds that a busy shard gathers requests for the broker at most; one that is about to sleep gathers none.
    pub broker_hold_us: u32,
}

impl Snapshot {
    /// Whether there may be other nodes.
    pub fn is_clustered(&self) -> bool {
        self.broker.is_shared() || self.controller.is_own()
    }

    /// Whether anything is asked of others.
    pub fn asks_others(&self) -> bool {
        self.is_clustered() || self.presence.is_shared() || self.maps.is_shared()
    }
}

/// `client.*`.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client.allowed_origins`, as written.
    pub allowed_origins: Vec<Box<str>>,
    /// `client.token.*`.
    pub token: Token,
    /// `client.subscription_token.*` when enabled; replaces `token` for subscription tokens.
    pub subscription_token: Option<Token>,
    /// `client.insecure`.
    pub insecure: bool,
    /// `client.insecure_skip_token_signature_verify`.
    pub insecure_skip_token_signature_verify: bool,
    /// `client.proxy.connect.enabled`: who connects without token is for the backend to say, which cannot be asked
    /// yet. So nobody does.
    pub connect_proxied: bool,
    /// `client.allow_anonymous_connect_without_token`.
    pub allow_anonymous_connect_without_token: bool,
    /// `client.disallow_anonymous_connection_tokens`.
    pub disallow_anonymous_connection_tokens: bool,
    /// `client.user_id_http_header`, lower-cased.
    pub user_id_http_header: Option<Box<str>>,
    /// `client.subscribe_to_user_personal_channel.*` when enabled.
    pub personal_channel: Option<PersonalChannel>,
    /// `client.connect_include_server_time`.
    pub connect_include_server_time: bool,
    /// `client.ping_interval`, milliseconds; 0 = no pings.
    pub ping_interval_ms: u64,
    /// `client.pong_timeout`, milliseconds; 0 = pongs are not required.
    pub pong_timeout_ms: u64,
    /// `client.stale_close_delay`, milliseconds.
    pub stale_close_delay_ms: u64,
    /// `client.expired_close_delay`, milliseconds.
    pub expired_close_delay_ms: u64,
    /// `client.expired_sub_close_delay`, milliseconds.
    pub expired_sub_close_delay_ms: u64,
    /// `client.presence_update_interval`, milliseconds.
    pub presence_update_interval_ms: u64,
    /// `client.channel_position_check_delay`, milliseconds.
    pub channel_position_check_delay_ms: u64,
    /// `client.channel_position_max_time_lag`, milliseconds; 0 = any lag.
    pub channel_position_max_time_lag_ms: u64,
    /// `client.queue_max_size`, bytes.
    pub queue_max_size: usize,
    /// `client.channel_limit`.
    pub channel_limit: usize,
    /// `client.user_connection_limit`; 0 = none.
    pub user_connection_limit: usize,
    /// `client.connection_limit` of this node; 0 = none.
    pub connection_limit: usize,
    /// `client.connection_rate_limit`; 0 = none.
    pub connection_rate_limit: usize,
    /// `client.history_max_publication_limit`.
    pub history_max_publication_limit: u32,
    /// `client.recovery_max_publication_limit`.
    pub recovery_max_publication_limit: u32,
}

/// Keys and claims of tokens (`client.token.*`). Never printed: `Debug` shows which are set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// `hmac_secret_key`.
    pub hmac_secret_key: Box<str>,
    /// `hmac_previous_secret_key`.
    pub hmac_previous_secret_key: Box<str>,
    /// `hmac_previous_secret_key_valid_until`, Unix seconds; 0 = no limit.
    pub hmac_previous_secret_key_valid_until: i64,
    /// `rsa_public_key`, PEM.
    pub rsa_public_key: Box<str>,
    /// `ecdsa_public_key`, PEM.
    pub ecdsa_public_key: Box<str>,
    /// `jwks_public_endpoint`.
    pub jwks_public_endpoint: Option<Endpoint>,
    /// `audience`.
    pub audience: Box<str>,
    /// `audience_regex`.
    pub audience_regex: Box<str>,
    /// `issuer`.
    pub issuer: Box<str>,
    /// `issuer_regex`.
    pub issuer_regex: Box<str>,
    /// `user_id_claim`.
    pub user_id_claim: Box<str>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("hmac", &!self.hmac_secret_key.is_empty())
            .field("rsa", &!self.rsa_public_key.is_empty())
            .field("ecdsa", &!self.ecdsa_public_key.is_empty())
            .finish_non_exhaustive()
    }
}

/// `client.subscribe_to_user_personal_channel.*`.
#[derive(Clone, Debug)]
pub struct PersonalChannel {
    /// `personal_channel_namespace`; empty = none.
    pub namespace: Box<str>,
    /// `single_connection`.
    pub single_connection: bool,
}

/// `channel.*`.
#[derive(Clone, Debug)]
pub struct Channels {
    /// `channel.max_length`, bytes.
    pub max_length: usize,
    /// `channel.private_prefix`; may be empty (off).
    pub private_prefix: Box<str>,
    /// `channel.namespace_boundary`; may be empty (no namespaces).
    pub namespace_boundary: Box<str>,
    /// `channel.user_boundary`; may be empty (off).
    pub user_boundary: Box<str>,
    /// `channel.user_separator`.
    pub user_separator: Box<str>,
    /// `channel.history_meta_ttl`, seconds: for namespaces that set none.
    pub history_meta_ttl_s: u32,
    /// `channel.publication_data_format`: for namespaces that set none.
    pub publication_data_format: DataFormat,
    /// Options of channels without a namespace.
    pub without_namespace: ChannelOptions,
    /// Options by namespace.
    pub namespaces: HashMap<Box<str>, ChannelOptions>,
}

/// Options of one namespace.
#[derive(Clone, Debug, Default)]
pub struct ChannelOptions {
    /// `presence`.
    pub presence: bool,
    /// `join_leave`.
    pub join_leave: bool,
    /// `force_push_join_leave`.
    pub force_push_join_leave: bool,
    /// `history_size`, `history_ttl`, and the effective `history_meta_ttl`.
    pub history: HistoryOptions,
    /// `force_positioning`.
    pub force_positioning: bool,
    /// `allow_positioning`.
    pub allow_positioning: bool,
    /// `force_recovery`.
    pub force_recovery: bool,
    /// `allow_recovery`.
    pub allow_recovery: bool,
    /// `force_recovery_mode` is `cache`.
    pub recovery_mode_cache: bool,
    /// `auto_cache_recover`.
    pub auto_cache_recover: bool,
    /// `allow_tags_filter`.
    pub allow_tags_filter: bool,
    /// `fossil` is among `allowed_delta_types`.
    pub delta_fossil: bool,
    /// `delta_publish`.
    pub delta_publish: bool,
    /// `subscribe_proxy_enabled` or `subscribe_stream_proxy_enabled`: the backend decides about subscriptions in place
    /// of flags. It cannot be asked yet, so they are not available.
    pub subscribe_proxied: bool,
    /// `publish_proxy_enabled` or `subscribe_stream_proxy_enabled`: the same for publications.
    pub publish_proxied: bool,
    /// `allow_subscribe_for_client`.
    pub allow_subscribe_for_client: bool,
    /// `allow_subscribe_for_anonymous`.
    pub allow_subscribe_for_anonymous: bool,
    /// `allow_publish_for_client`.
    pub allow_publish_for_client: bool,
    /// `allow_publish_for_subscriber`.
    pub allow_publish_for_subscriber: bool,
    /// `allow_publish_for_anonymous`.
    pub allow_publish_for_anonymous: bool,
    /// `allow_presence_for_client`.
    pub allow_presence_for_client: bool,
    /// `allow_presence_for_subscriber`.
    pub allow_presence_for_subscriber: bool,
    /// `allow_presence_for_anonymous`.
    pub allow_presence_for_anonymous: bool,
    /// `allow_history_for_client`.
    pub allow_history_for_client: bool,
    /// `allow_history_for_subscriber`.
    pub allow_history_for_subscriber: bool,
    /// `allow_history_for_anonymous`.
    pub allow_history_for_anonymous: bool,
    /// `allow_user_limited_channels`.
    pub allow_user_limited_channels: bool,
    /// `channel_regex`, compiled.
    pub channel_regex: Option<Pattern>,
    /// Effective `publication_data_format`.
    pub publication_data_format: DataFormat,
    /// `subscription_type`.
    pub subscription_type: SubscriptionType,
    /// How its maps are kept; none when `map.mode` is not set, or the durations contradict each other (every request
    /// to such a map fails with an internal error, as it does upstream).
    pub map: Option<MapOptions>,
    /// What clients may do in its maps.
    pub map_rules: MapRules,
    /// What clients may track in its shared-poll channels.
    pub poll: PollOptions,
    /// `map_clients_presence_channel_prefix`; empty = none.
    pub map_clients_prefix: Box<str>,
    /// `map_users_presence_channel_prefix`; empty = none.
    pub map_users_prefix: Box<str>,
}

/// How a channel keeps its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HistoryOptions {
    /// Publications kept; 0 = no history.
    pub size: u32,
    /// Seconds a stream's publications are kept after the last one; 0 = no history.
    pub ttl_s: u32,
    /// Seconds offset and epoch are kept after the last use; 0 = for ever.
    pub meta_ttl_s: u32,
}

impl HistoryOptions {
    /// Whether publications are kept at all.
    pub fn is_on(&self) -> bool {
        self.size > 0 && self.ttl_s > 0
    }
}

/// What a publication's payload must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// Anything but empty.
    #[default]
    Any,
    /// Valid JSON.
    Json,
    /// A JSON object.
    JsonObject,
    /// Anything, empty included.
    Binary,
}

/// The kind of subscriptions a namespace serves, with its number on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionType {
    /// Publications as they come.
    #[default]
    Stream = 0,
    /// A map of keys.
    Map = 1,
    /// A map of clients.
    MapClients = 2,
    /// A map of users.
    MapUsers = 3,
    /// Polled from the backend.
    SharedPoll = 4,
}

/// `websocket.*`.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// `handler_prefix` unless disabled.
    pub handler_prefix: Option<Box<str>>,
    /// `message_size_limit`, bytes.
    pub message_size_limit: usize,
    /// `write_timeout`, milliseconds.
    pub write_timeout_ms: u64,
}

/// `admin.*`. Never printed with its secrets: `Debug` shows which are set.
#[derive(Clone)]
pub struct Admin {
    /// `handler_prefix` without a slash at its end; empty = the root.
    pub handler_prefix: Box<str>,
    /// `password`; empty = nobody can log in.
    pub password: Box<str>,
    /// `secret`; empty = nobody can log in.
    pub secret: Box<str>,
    /// `insecure`.
    pub insecure: bool,
    /// `external`.
    pub external: bool,
    /// `web_path`: a folder with other pages.
    pub web_path: Option<PathBuf>,
    /// `web_proxy_address`: a server with other pages; it comes before `web_path`.
    pub web_proxy: Option<WebProxy>,
}

/// Where admin pages are developed.
#[derive(Clone, Debug)]
pub struct WebProxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// Host and port as they were written.
    pub authority: Box<str>,
    /// What comes before the path of each request; without a slash at its end.
    pub path: Box<str>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("handler_prefix", &self.handler_prefix)
            .field("password", &!self.password.is_empty())
            .field("secret", &!self.secret.is_empty())
            .field("insecure", &self.insecure)
            .field("external", &self.external)
            .field("web_path", &self.web_path)
            .field("web_proxy", &self.web_proxy)
            .finish()
    }
}

/// `http_api.*`.
#[derive(Clone, Debug)]
pub struct HttpApi {
    /// `handler_prefix` unless disabled.
    pub handler_prefix: Option<Box<str>>,
    /// `key`; empty = no key is right.
    pub key: Box<str>,
    /// `insecure`.
    pub insecure: bool,
    /// `external`.
    pub external: bool,
    /// `error_mode` is `transport`.
    pub error_mode_transport: bool,
}
