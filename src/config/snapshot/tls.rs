//! TLS towards servers.

use std::fmt;

/// TLS towards a server. PEM is what was written: PEM text, PEM in base64, or the path of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// The section with its options, such as `engine.redis.tls`, for messages.
    pub option: String,
    /// `cert_pem`; counts together with `key_pem` only.
    pub cert_pem: Box<str>,
    /// `key_pem`.
    pub key_pem: Box<str>,
    /// `server_ca_pem`; empty = whom the system trusts.
    pub server_ca_pem: Box<str>,
    /// `client_ca_pem`: means nothing to a client, yet must be readable.
    pub client_ca_pem: Box<str>,
    /// `insecure_skip_verify`.
    pub skips_verification: bool,
    /// `server_name`; empty = the host of the address.
    pub server_name: Box<str>,
}

impl ClientTls {
    /// TLS by nothing but what the system trusts.
    pub fn of_system(option: &str) -> Self {
        Self {
            option: option.to_owned(),
            cert_pem: Box::default(),
            key_pem: Box::default(),
            server_ca_pem: Box::default(),
            client_ca_pem: Box::default(),
            skips_verification: false,
            server_name: Box::default(),
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("option", &self.option)
            .field("has_certificate", &!self.cert_pem.is_empty())
            .field("skips_verification", &self.skips_verification)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
