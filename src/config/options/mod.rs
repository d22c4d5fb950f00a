//! The table of all options: the single source of names, kinds, defaults and documentation.
//!
//! One file per part; the order is that of `defaultconfig`. Upstream: `internal/config/config.go`,
//! `internal/configtypes`.

mod api;
mod channel;
mod client;
mod consumer;
mod engine;
mod postgres;
mod proxy;
mod redis;
mod server;
mod tls;
mod transport;

use super::option::{Kind, Opt, named, rows, section, switch, text};

/// All options, from the top.
pub const ROOT: &[Opt] = &[
    section(
        "http_server",
        server::HTTP_SERVER,
        "The HTTP server: addresses, ports, TLS.",
    ),
    section("log", server::LOG, "Logging."),
    section(
        "engine",
        engine::ENGINE,
        "Where channels are kept: broker and presence in one.",
    ),
    section("broker", engine::BROKER, "The broker when it is not the engine's."),
    section(
        "presence_manager",
        engine::PRESENCE_MANAGER,
        "The presence manager when it is not the engine's.",
    ),
    section("map_broker", engine::MAP_BROKER, "The broker of map channels."),
    section("controller", engine::CONTROLLER, "Control messages between nodes."),
    section("shared_poll", engine::SHARED_POLL, "Shared-poll channels in general."),
    section(
        "client",
        client::CLIENT,
        "Client connections: authentication, limits, timing.",
    ),
    section("channel", channel::CHANNEL, "Channels and namespaces."),
    section("rpc", proxy::RPC, "RPC calls of clients."),
    named(
        "proxies",
        proxy::NAMED_PROXY,
        "Proxies that namespaces refer to by name.",
    ),
    section("http_api", api::HTTP_API, "The server API over HTTP."),
    section("grpc_api", api::GRPC_API, "The server API over GRPC."),
    named(
        "consumers",
        consumer::CONSUMER,
        "Queues from which API commands and publications are taken.",
    ),
    section("websocket", transport::WEBSOCKET, "WebSocket."),
    section("sse", transport::SSE, "Server-Sent Events in both directions."),
    section(
        "http_stream",
        transport::HTTP_STREAM,
        "HTTP streaming in both directions.",
    ),
    section("webtransport", transport::WEBTRANSPORT, "WebTransport."),
    section("uni_sse", transport::UNI_SSE, "Server-Sent Events in one direction."),
    section(
        "uni_http_stream",
        transport::UNI_HTTP_STREAM,
        "HTTP streaming in one direction.",
    ),
    section("uni_websocket", transport::UNI_WEBSOCKET, "WebSocket in one direction."),
    section("uni_grpc", transport::UNI_GRPC, "GRPC in one direction."),
    section("emulation", transport::EMULATION, "Commands of emulated connections."),
    section("admin", api::ADMIN, "The admin pages."),
    section("prometheus", api::PROMETHEUS, "Metrics for Prometheus."),
    section("health", api::HEALTH, "The health check."),
    section("swagger", api::SWAGGER, "The description of the HTTP API."),
    section("debug", api::DEBUG, "Profiling."),
    section("init", transport::INIT, "An endpoint called before connecting."),
    section("opentelemetry", api::OPENTELEMETRY, "Traces."),
    section("graphite", api::GRAPHITE, "Metrics for Graphite."),
    section(
        "usage_stats",
        api::USAGE_STATS,
        "Reports about usage, which Spindle never makes.",
    ),
    section("node", server::NODE, "This node as part of a cluster."),
    section("shutdown", server::SHUTDOWN, "The end of the process."),
    text("pid_file", "", "File that holds the process ID while the server runs.").live(),
    switch(
        "enable_unreleased_features",
        "Allow features that are not released yet.",
    ),
    section("shards", server::SHARDS, "Cores and shards.").own(),
];

/// The option at a path such as `client.token.audience`. Lists cannot be passed through.
pub fn find(path: &str) -> Option<&'static Opt> {
    let mut options = ROOT;
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let option = rows(options).into_iter().find(|option| option.name == name)?;
        if names.peek().is_none() {
            return Some(option);
        }
        let Kind::Section(inner) = option.kind else { return None };
        options = inner;
    }
    None
}
