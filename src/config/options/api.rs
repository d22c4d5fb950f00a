//! The server API, the admin pages, and what operators look at.

use super::tls::TLS;
use crate::config::option::{Opt, duration, int, section, switch, text};

/// `http_api.*`.
pub const HTTP_API: &[Opt] = &[
    switch("disabled", "Do not serve the HTTP API.").live(),
    text("handler_prefix", "/api", "Path prefix of the HTTP API.").live(),
    text("key", "", "Key that callers must present.").live(),
    text("error_mode", "", "How errors are reported: empty for the body alone, transport for the HTTP status.").live(),
    switch("external", "Serve the HTTP API on the external port as well.").live(),
    switch("insecure", "Do not ask for the key; for development only.").live(),
];

/// `grpc_api.*`.
pub const GRPC_API: &[Opt] = &[
    switch("enabled", "Serve the GRPC API."),
    text("error_mode", "", "How errors are reported: empty for the reply alone, transport for the GRPC status."),
    text("address", "", "Interface to listen on; empty means all interfaces."),
    int("port", "10000", "Port to listen on."),
    text("key", "", "Key that callers must present."),
    section("tls", TLS, "TLS of the listening socket.").idle(),
    switch("reflection", "Describe the service to tools that ask."),
    int("max_receive_message_size", "", "Largest message accepted, in bytes; 0 means the library's limit."),
];

/// `admin.*`.
pub const ADMIN: &[Opt] = &[
    switch("enabled", "Serve the admin pages.").live(),
    text("handler_prefix", "", "Path prefix of the admin pages; empty means the root.").live(),
    text("password", "", "Password of the admin pages.").live(),
    text("secret", "", "Secret that signs admin sessions.").live(),
    switch("insecure", "Do not ask for the password; for development only.").live(),
    text("web_path", "", "Folder of other admin pages to serve, read when the server starts.").live(),
    text("web_proxy_address", "", "Address that serves other admin pages, for their development.").live(),
    switch("external", "Serve the admin pages on the external port as well.").live(),
];

/// `prometheus.*`.
pub const PROMETHEUS: &[Opt] = &[
    switch("enabled", "Serve metrics for Prometheus.").live(),
    text("handler_prefix", "/metrics", "Path of the metrics.").live(),
    switch("instrument_http_handlers", "Measure HTTP handlers.").live(),
    switch("recovered_publications_histogram", "Measure how many publications a recovery returns.").live(),
    switch(
        "native_histograms",
        "Histograms without fixed buckets, which only the Protobuf format shows, in the place of summaries.",
    ),
];

/// `health.*`.
pub const HEALTH: &[Opt] = &[
    switch("enabled", "Serve a health check.").live(),
    text("handler_prefix", "/health", "Path of the health check.").live(),
];

/// `swagger.*`.
pub const SWAGGER: &[Opt] = &[
    switch("enabled", "Serve a description of the HTTP API.").live(),
    text("handler_prefix", "/swagger", "Path of the description.").live(),
];

/// `debug.*`.
pub const DEBUG: &[Opt] = &[
    switch("enabled", "Serve profiling endpoints; never in public.").live(),
    text("handler_prefix", "/debug/pprof", "Path of the profiling endpoints.").live(),
];

/// `opentelemetry.*`.
pub const OPENTELEMETRY: &[Opt] = &[
    switch("enabled", "Export traces over OpenTelemetry."),
    switch("api", "Trace calls of the server API."),
    switch("consuming", "Trace consumers."),
    switch("google_cloud_adc_auth", "Authenticate exports with Google's default credentials."),
];

/// `graphite.*`.
pub const GRAPHITE: &[Opt] = &[
    switch("enabled", "Export metrics to Graphite."),
    text("host", "localhost", "Host of Graphite."),
    int("port", "2003", "Port of Graphite."),
    text("prefix", "centrifugo", "Prefix of all metric names."),
    duration("interval", "10s", "Pause between two exports."),
    switch("tags", "Export labels as Graphite tags."),
];

/// `usage_stats.*`.
pub const USAGE_STATS: &[Opt] =
    &[switch("disabled", "Accepted for compatibility: nothing is ever reported to anyone, whatever it says.").live()];
