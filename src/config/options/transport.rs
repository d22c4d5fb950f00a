//! The transports that clients connect over.

use super::tls::TLS;
use crate::config::option::{Opt, duration, inline, int, int_in, list, section, switch, text};

const U32: i64 = u32::MAX as i64;

const WEBSOCKET_COMPRESSION: &[Opt] = &[
    switch("compression", "Compress messages when the client offers it."),
    int("compression_min_size", "", "Smallest message that is compressed, in bytes."),
    int("compression_level", "1", "Compression level."),
    int("read_buffer_size", "", "Bytes of the read buffer of a connection."),
    switch("use_write_buffer_pool", "Share write buffers between connections."),
    int("write_buffer_size", "", "Bytes of the write buffer of a connection."),
];

/// `websocket.*`.
pub const WEBSOCKET: &[Opt] = &[
    switch("disabled", "Do not serve WebSocket.").live(),
    text("handler_prefix", "/connection/websocket", "Path of the endpoint.").live(),
    inline(WEBSOCKET_COMPRESSION),
    duration("write_timeout", "1000ms", "Longest time that one write to a client may block.").live(),
    int("message_size_limit", "65536", "Largest message accepted from a client, in bytes.").live(),
    int(
        "decompressed_message_size_limit",
        "",
        "Largest message after decompression; 0 means ten times the limit above.",
    ),
];

/// `sse.*`.
pub const SSE: &[Opt] = &[
    switch("enabled", "Serve clients over Server-Sent Events with emulation."),
    text("handler_prefix", "/connection/sse", "Path of the endpoint."),
    int("max_request_body_size", "65536", "Largest request body, in bytes."),
];

/// `http_stream.*`.
pub const HTTP_STREAM: &[Opt] = &[
    switch("enabled", "Serve clients over HTTP streaming with emulation."),
    text("handler_prefix", "/connection/http_stream", "Path of the endpoint."),
    int("max_request_body_size", "65536", "Largest request body, in bytes."),
];

/// `webtransport.*`.
pub const WEBTRANSPORT: &[Opt] = &[
    switch("enabled", "Serve clients over WebTransport; experimental, needs HTTP/3."),
    text("handler_prefix", "/connection/webtransport", "Path of the endpoint."),
    int("message_size_limit", "65536", "Largest message accepted from a client, in bytes."),
];

const HTTP_TRANSFORM: &[Opt] = &[
    int_in("code", 0, U32, "", "Error code of connect."),
    section("to", HTTP_RESPONSE, "HTTP response sent in its place."),
];

const HTTP_RESPONSE: &[Opt] =
    &[int("status_code", "", "HTTP status."), text("body", "", "Body; empty means the message of the error.")];

const CONNECT_CODE: &[Opt] = &[
    switch("enabled", "Map error codes of connect to HTTP responses."),
    list("transforms", HTTP_TRANSFORM, "The mapping."),
];

/// `uni_sse.*`.
pub const UNI_SSE: &[Opt] = &[
    switch("enabled", "Serve unidirectional clients over Server-Sent Events."),
    text("handler_prefix", "/connection/uni_sse", "Path of the endpoint."),
    int("max_request_body_size", "65536", "Largest request body, in bytes."),
    section("connect_code_to_http_response", CONNECT_CODE, "HTTP responses for failed connects."),
];

/// `uni_http_stream.*`.
pub const UNI_HTTP_STREAM: &[Opt] = &[
    switch("enabled", "Serve unidirectional clients over HTTP streaming."),
    text("handler_prefix", "/connection/uni_http_stream", "Path of the endpoint."),
    int("max_request_body_size", "65536", "Largest request body, in bytes."),
    section("connect_code_to_http_response", CONNECT_CODE, "HTTP responses for failed connects."),
];

/// `uni_websocket.*`.
pub const UNI_WEBSOCKET: &[Opt] = &[
    switch("enabled", "Serve unidirectional clients over WebSocket."),
    text("handler_prefix", "/connection/uni_websocket", "Path of the endpoint."),
    inline(WEBSOCKET_COMPRESSION),
    duration("write_timeout", "1000ms", "Longest time that one write to a client may block."),
    int("message_size_limit", "65536", "Largest message accepted from a client, in bytes."),
    int(
        "decompressed_message_size_limit",
        "",
        "Largest message after decompression; 0 means ten times the limit above.",
    ),
    switch("disable_closing_handshake", "End connections without a closing handshake."),
    switch("disable_disconnect_push", "Do not send a disconnect push before closing."),
    switch("join_push_messages", "Put several pushes into one WebSocket message."),
];

/// `uni_grpc.*`.
pub const UNI_GRPC: &[Opt] = &[
    switch("enabled", "Serve unidirectional clients over GRPC."),
    text("address", "", "Interface to listen on; empty means all interfaces."),
    int("port", "11000", "Port to listen on."),
    int("max_receive_message_size", "", "Largest message accepted, in bytes; 0 means the library's limit."),
    section("tls", TLS, "TLS of the listening socket.").idle(),
];

/// `emulation.*`.
pub const EMULATION: &[Opt] = &[
    text("handler_prefix", "/emulation", "Path of the endpoint that takes commands of emulated connections."),
    int("max_request_body_size", "65536", "Largest request body, in bytes."),
];

/// `init.*`.
pub const INIT: &[Opt] = &[
    switch("enabled", "Serve an endpoint that clients can call before connecting.").live(),
    text("handler_prefix", "/connection/init", "Path of the endpoint.").live(),
];
