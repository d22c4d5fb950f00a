//! Backends of the application that are asked over HTTP.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::ClientTls;

/// A backend, asked by `POST` with a JSON body. Never printed with its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpProxy {
    /// Its name in `proxies`, or `default`.
    pub name: Box<str>,
    /// `endpoint`; begins with `http://` or `https://`.
    pub endpoint: Box<str>,
    /// `timeout`, milliseconds; at least 1. A negative one is none, as upstream: whoever asks has a bound of its own.
    pub timeout_ms: u64,
    /// `http.static_headers`.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// `http.tls`, where it is enabled; else whom the system trusts.
    pub tls: Option<ClientTls>,
}

/// All backends that can be asked. What a reload changes of them waits for a restart.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// `proxies[]`, by name.
    pub named: HashMap<Box<str>, Arc<HttpProxy>>,
    /// `channel.proxy.shared_poll_refresh`, where any namespace asks it.
    pub shared_poll_refresh: Option<Arc<HttpProxy>>,
}

/// The name of a proxy that is configured at the place where it is used.
pub const DEFAULT_PROXY: &str = "default";

impl Proxies {
    /// All of them, each once.
    pub fn all(&self) -> impl Iterator<Item = &Arc<HttpProxy>> {
        self.named.values().chain(&self.shared_poll_refresh)
    }

    /// Who knows the state of the keys of a namespace with this `proxy_name`; nobody, if it cannot be asked.
    pub fn shared_poll(&self, name: &str) -> Option<&Arc<HttpProxy>> {
        match name {
            DEFAULT_PROXY => self.shared_poll_refresh.as_ref(),
            name => self.named.get(name),
        }
    }
}

impl fmt::Debug for HttpProxy {
    /// Addresses and headers may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProxy")
            .field("name", &self.name)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}
