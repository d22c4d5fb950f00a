//! Backends that are asked over HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use super::ms;
use crate::config::snapshot::{DEFAULT_PROXY, HttpProxy, Proxies};
use crate::config::value::Section;

/// What is asked over HTTP; others cannot be asked.
pub(super) fn proxies(options: &Section) -> Proxies {
    let mut named = HashMap::new();
    for entry in options.list("proxies") {
        let name = entry.text("name");
        named.extend(proxy(entry, name).map(|proxy| (Box::from(name), proxy)));
    }
    let shared_poll_refresh = proxy(options.section("channel.proxy.shared_poll_refresh"), DEFAULT_PROXY);
    Proxies { named, shared_poll_refresh }
}

fn proxy(options: &Section, name: &str) -> Option<Arc<HttpProxy>> {
    let headers = options.map("http.static_headers").iter();
    let headers = headers.map(|(name, value)| (Box::from(&**name), Box::from(&**value))).collect();
    let (endpoint, timeout_ms) = (options.text("endpoint"), ms(options, "timeout").max(1));
    let is_http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
    is_http.then(|| Arc::new(HttpProxy { name: name.into(), endpoint: endpoint.into(), timeout_ms, headers }))
}
