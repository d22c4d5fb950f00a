//! Options of a proxy: how the application backend is asked.

use super::tls::TLS;
use crate::config::option::{Opt, duration, inline, int, int_in, list, map, named, section, switch, text, texts};

const U32: i64 = u32::MAX as i64;

/// One proxy.
pub const PROXY: &[Opt] = &[
    text("endpoint", "", "Address of the backend; http:// and https:// mean HTTP, grpc:// means GRPC.").live(),
    duration("timeout", "1s", "Longest time to wait for the backend.").live(),
    texts("http_headers", "", "Names of client headers that are passed on."),
    texts("grpc_metadata", "", "Names of GRPC metadata that are passed on."),
    texts("emulated_headers", "", "Names of headers that clients may send inside the connect command."),
    switch("binary_encoding", "Send payloads in base64, for data that is not JSON."),
    switch("include_connection_meta", "Send the meta object of the connection along."),
    section("http", PROXY_HTTP, "Options of HTTP proxies."),
    section("grpc", PROXY_GRPC, "Options of GRPC proxies."),
];

/// A proxy with a switch of its own.
pub const SWITCHED_PROXY: &[Opt] = &[switch("enabled", "Ask the backend."), inline(PROXY)];

/// One entry of `proxies`.
pub const NAMED_PROXY: &[Opt] = &[text("name", "", "Unique name that namespaces refer to.").live(), inline(PROXY)];

const PROXY_HTTP: &[Opt] = &[
    section("tls", TLS, "TLS towards the backend."),
    map("static_headers", "Headers added to each request.").live(),
    list("status_to_code_transforms", STATUS_TRANSFORM, "What a client is told for a given status of the backend."),
];

const STATUS_TRANSFORM: &[Opt] = &[
    int("status_code", "", "HTTP status that this entry is about."),
    section("to_error", TO_ERROR, "Error sent to the client."),
    section("to_disconnect", TO_DISCONNECT, "Disconnect sent to the client."),
];

const TO_ERROR: &[Opt] = &[
    int_in("code", 0, U32, "", "Error code."),
    text("message", "", "Error message, ASCII and at most 123 bytes."),
    switch("temporary", "Tell the client that it may try again."),
];

/// A disconnect as target of a mapping.
pub const TO_DISCONNECT: &[Opt] = &[
    int_in("code", 0, U32, "", "Disconnect code."),
    text("reason", "", "Disconnect reason, ASCII and at most 123 bytes."),
];

const PROXY_GRPC: &[Opt] = &[
    section("tls", TLS, "TLS towards the backend.").idle(),
    text("credentials_key", "", "Name of the metadata that carries the credentials of each call."),
    text("credentials_value", "", "Value of the credentials of each call."),
    switch("compression", "Compress requests with gzip."),
    map("static_metadata", "Metadata added to each request."),
];

/// `client.proxy.*`.
pub const CLIENT_PROXIES: &[Opt] = &[
    section("connect", SWITCHED_PROXY, "Asks the backend when a client connects.").idle(),
    section("refresh", SWITCHED_PROXY, "Asks the backend when a connection is about to expire.").idle(),
];

/// `channel.proxy.*`.
pub const CHANNEL_PROXIES: &[Opt] = &[
    section("subscribe", PROXY, "Asks the backend when a client subscribes.").idle(),
    section("publish", PROXY, "Asks the backend when a client publishes.").idle(),
    section("sub_refresh", PROXY, "Asks the backend when a subscription is about to expire.").idle(),
    section("subscribe_stream", PROXY, "Lets the backend feed a subscription over a GRPC stream.").idle(),
    section("map_publish", PROXY, "Asks the backend when a client publishes into a map.").idle(),
    section("map_remove", PROXY, "Asks the backend when a client removes from a map.").idle(),
    section("shared_poll_refresh", PROXY, "Asks the backend for the state of shared-poll keys."),
];

/// Options of one RPC namespace.
pub const RPC_OPTIONS: &[Opt] = &[
    switch("proxy_enabled", "Send RPC calls to the backend."),
    text("proxy_name", "default", "Proxy that RPC calls go to."),
];

const RPC_NAMESPACE: &[Opt] = &[text("name", "", "Unique name of the RPC namespace."), inline(RPC_OPTIONS)];

const RPC_PING: &[Opt] = &[
    switch("enabled", "Answer an RPC method with an empty result, for connection checks."),
    text("method", "ping", "Name of that method."),
];

/// `rpc.*`.
pub const RPC: &[Opt] = &[
    section("proxy", PROXY, "The default proxy of RPC calls.").idle(),
    section("without_namespace", RPC_OPTIONS, "Options of RPC methods without namespace."),
    named("namespaces", RPC_NAMESPACE, "Options of RPC methods by namespace."),
    section("ping", RPC_PING, "An RPC method that only answers."),
    text("namespace_boundary", ":", "What separates the namespace from the rest of an RPC method."),
];
