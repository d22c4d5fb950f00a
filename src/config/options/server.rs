//! `http_server`, `log`, `shutdown`, `node` and the process itself.

use super::tls::TLS;
use crate::config::option::{Opt, duration, int_in, section, switch, text, texts};

/// `http_server.*`.
pub const HTTP_SERVER: &[Opt] = &[
    text("address", "", "Interface to listen on; empty means all interfaces.").live(),
    int_in("port", 0, 65535, "8000", "Port that clients connect to.").live(),
    text("internal_address", "", "Interface of the internal port; empty means the same as address.").live(),
    text("internal_port", "", "Port of the server API, metrics and other internal endpoints; empty means port.").live(),
    section("tls", TLS, "TLS of the listening sockets.").idle(),
    section("tls_autocert", TLS_AUTOCERT, "Certificates obtained automatically over ACME.").idle(),
    switch("tls_external", "Use TLS on the external port only and leave the internal port plain."),
    section("internal_tls", TLS, "TLS of the internal port when it differs from that of the external one.").idle(),
    section("http3", HTTP3, "HTTP/3 on the external port.").idle(),
    switch("h2c_external", "Accept HTTP/2 without TLS on the external port; needs a separate internal port."),
];

const TLS_AUTOCERT: &[Opt] = &[
    switch("enabled", "Obtain and renew certificates from Let's Encrypt."),
    texts("host_whitelist", "", "Host names to obtain certificates for; empty allows any."),
    text("cache_dir", "", "Folder that keeps obtained certificates between runs."),
    text("email", "", "Contact address handed to the certificate authority."),
    text("server_name", "", "Host name assumed for clients that send none in their TLS greeting."),
    switch("http", "Answer HTTP-01 challenges on a port of their own."),
    text("http_addr", ":80", "Address of the HTTP-01 challenge server."),
];

const HTTP3: &[Opt] = &[switch("enabled", "Serve HTTP/3; experimental.")];

/// `log.*`.
pub const LOG: &[Opt] = &[
    text("level", "info", "Least severe level that is logged: trace, debug, info, warn, error, fatal or none.").live(),
    text("file", "", "File that receives the log in place of the standard error output.").live(),
];

/// `node.*`.
pub const NODE: &[Opt] = &[
    text("name", "", "Name of this node as shown to operators; by default the host name and the port.").live(),
    duration("info_metrics_aggregate_interval", "60s", "Span over which the metrics in node info are aggregated.")
        .live(),
];

/// `shutdown.*`.
pub const SHUTDOWN: &[Opt] =
    &[duration("timeout", "30s", "Longest time from the stop signal until the process ends itself.").live()];

/// `shards.*`, options of Spindle alone.
pub const SHARDS: &[Opt] = &[
    int_in("count", 0, 1024, "", "Number of shards; 0 means one for each core that the process may use.").live().own(),
    text("cores", "", "Cores to pin shards to, such as 0-3,8-11; empty means those the process may use.").live().own(),
    switch("pin", "Pin each shard to a core of its own.").default("true").live().own(),
    text("control_cores", "", "Cores for all threads beside the shards; empty leaves them to the kernel.").live().own(),
    int_in("spin_us", 0, 1_000_000, "", "Microseconds that an idle shard keeps polling before it sleeps.").live().own(),
    int_in(
        "broker_hold_us",
        0,
        100_000,
        "100",
        "Longest time in microseconds that a busy shard gathers requests for the broker before it wakes who sends them.",
    )
    .live()
    .own(),
];
