//! Options of one TLS endpoint, used wherever something listens or connects with TLS. Sections that cannot use TLS yet
//! are idle.

use crate::config::option::{Opt, switch, text};

/// TLS of a listener or of a connection to another service.
pub const TLS: &[Opt] = &[
    switch("enabled", "Use TLS here.").live(),
    text("cert_pem", "", "Certificate chain: PEM text, PEM in base64, or the path of a PEM file.").live(),
    text("key_pem", "", "Private key of the certificate: PEM text, PEM in base64, or the path of a PEM file.").live(),
    text("server_ca_pem", "", "Authorities trusted when verifying the other side's server certificate, as PEM.").live(),
    text(
        "client_ca_pem",
        "",
        "Authorities trusted for client certificates; setting it makes client certificates required.",
    )
    .live(),
    switch("insecure_skip_verify", "Do not verify the server's certificate; for tests only.").live(),
    text("server_name", "", "Host name expected in the server's certificate when it differs from the address.").live(),
];
