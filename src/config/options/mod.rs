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
    section("http_server", server::HTTP_SERVER, "The HTTP server: addresses, ports, TLS."),
    section("log", server::LOG, "Logging."),
    section("engine", engine::ENGINE, "Where channels are kept: broker and presence in one."),
    section("broker", engine::BROKER, "The broker when it is not the engine's."),
    section("presence_manager", engine::PRESENCE_MANAGER, "The presence manager when it is not the engine's."),
    section("map_broker", engine::MAP_BROKER, "The broker of map channels."),
    section("controller", engine::CONTROLLER, "Control messages between nodes."),
    section("shared_poll", engine::SHARED_POLL, "Shared-poll channels in general.").live(),
    section("client", client::CLIENT, "Client connections: authentication, limits, timing."),
    section("channel", channel::CHANNEL, "Channels and namespaces."),
    section("rpc", proxy::RPC, "RPC calls of clients."),
    named("proxies", proxy::NAMED_PROXY, "Proxies that namespaces refer to by name.").live(),
    section("http_api", api::HTTP_API, "The server API over HTTP."),
    section("grpc_api", api::GRPC_API, "The server API over GRPC."),
    named("consumers", consumer::CONSUMER, "Queues from which API commands and publications are taken."),
    section("websocket", transport::WEBSOCKET, "WebSocket."),
    section("sse", transport::SSE, "Server-Sent Events in both directions."),
    section("http_stream", transport::HTTP_STREAM, "HTTP streaming in both directions."),
    section("webtransport", transport::WEBTRANSPORT, "WebTransport."),
    section("uni_sse", transport::UNI_SSE, "Server-Sent Events in one direction."),
    section("uni_http_stream", transport::UNI_HTTP_STREAM, "HTTP streaming in one direction."),
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
    section("usage_stats", api::USAGE_STATS, "Reports about usage, which Spindle never makes."),
    section("node", server::NODE, "This node as part of a cluster."),
    section("shutdown", server::SHUTDOWN, "The end of the process."),
    text("pid_file", "", "File that holds the process ID while the server runs.").live(),
    switch("enable_unreleased_features", "Allow features that are not released yet.").live(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Value;
    use std::collections::HashSet;

    /// Calls `each` for every option with its path.
    fn walk(options: &'static [Opt], path: &str, each: &mut impl FnMut(&str, &'static Opt)) {
        for option in rows(options) {
            let here = format!("{path}.{}", option.name);
            each(&here, option);
            match option.kind {
                Kind::Section(inner) => walk(inner, &here, each),
                Kind::List { item, .. } => walk(item, &format!("{here}[]"), each),
                _ => {}
            }
        }
    }

    #[test]
    fn every_row_is_sound() {
        let mut seen = HashSet::new();
        walk(ROOT, "", &mut |path, option| {
            assert!(seen.insert(path.to_owned()), "{path} stands twice");
            let name_is_plain = option.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            assert!(name_is_plain && !option.name.is_empty(), "{path}");
            assert!(option.doc.len() > 5 && option.doc.ends_with('.'), "{path} is explained by a sentence");
            assert!(option.doc.len() < 120, "{path} is explained by one sentence");
            let (is_zero, has_default) =
                (Value::default_of(option) == Value::zero(option.kind), !option.default.is_empty());
            // `db` says its zero aloud, as in the reference.
            assert!(
                is_zero != has_default || option.default == "0",
                "{path} has a default only where it says something"
            );
        });
        assert!(seen.len() > 1_000, "{}", seen.len());
    }

    #[test]
    fn named_lists_have_names() {
        walk(ROOT, "", &mut |path, option| {
            if let Kind::List { item, named: true } = option.kind {
                assert_eq!(item[0].name, "name", "{path}");
            }
        });
    }

    #[test]
    fn options_are_found_by_path() {
        assert_eq!(find("client.token.audience").map(|option| option.name), Some("audience"));
        assert_eq!(find("engine.redis.address").map(|option| option.default), Some("redis://127.0.0.1:6379"));
        for path in ["", "client.nope", "client.insecure.more", "channel.namespaces.name"] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
