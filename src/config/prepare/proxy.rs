//! Backends that are asked over HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use super::ms;
use super::tls::tls;
use crate::config::snapshot::{DEFAULT_PROXY, HttpProxy, Proxies};
use crate::config::value::Section;

/// What is asked over HTTP; others cannot be asked.
pub(super) fn proxies(options: &Section) -> Proxies {
    let mut named = HashMap::new();
    for (index, entry) in options.list("proxies").iter().enumerate() {
        let name = entry.text("name");
        named.extend(proxy(entry, name, &format!("proxies.[{index}]")).map(|proxy| (Box::from(name), proxy)));
    }
    let path = "channel.proxy.shared_poll_refresh";
    let shared_poll_refresh = proxy(options.section(path), DEFAULT_PROXY, path);
    Proxies { named, shared_poll_refresh }
}

fn proxy(options: &Section, name: &str, path: &str) -> Option<Arc<HttpProxy>> {
    let mut headers: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (name, value) in options.map("http.static_headers") {
        // Names that differ in case are one header, as in Go.
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.as_str().into(), value.as_str().into()));
    }
    let tls = tls(options.section("http"), &format!("{path}.http"), "tls");
    let timeout_ms = match options.duration_ns("timeout") {
        ..0 => u64::from(u32::MAX),
        _ => ms(options, "timeout").max(1),
    };
    let endpoint = options.text("endpoint");
    let is_http = endpoint.starts_with("http://") || endpoint.starts_with("https://");
    is_http.then(|| Arc::new(HttpProxy { name: name.into(), endpoint: endpoint.into(), timeout_ms, headers, tls }))
}
