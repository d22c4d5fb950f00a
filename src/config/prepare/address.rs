//! Where the server listens.

use super::Host;
use crate::config::error::Error;
use crate::config::snapshot::WebProxy;
use crate::config::value::Section;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The listening addresses.
pub struct Addresses {
    /// Where clients connect.
    pub external: SocketAddr,
    /// Where internal endpoints are served, when that is somewhere else.
    pub internal: Option<SocketAddr>,
}

/// Finds the addresses to listen on.
pub fn listen(options: &Section, host: &Host<'_>) -> Result<Addresses, Error> {
    let address = options.text("http_server.address");
    let port = options.int("http_server.port") as u16;
    let external = SocketAddr::new(ip(address, "http_server.address", host)?, port);
    let internal_ip = match options.text("http_server.internal_address") {
        "" => external.ip(),
        address => ip(address, "http_server.internal_address", host)?,
    };
    let internal_port = match options.text("http_server.internal_port") {
        "" => port,
        text => text.parse().map_err(|_| {
            let problem = format!("expected a whole number from 0 to 65535, found {text:?}");
            Error::invalid("http_server.internal_port", problem)
        })?,
    };
    let internal = SocketAddr::new(internal_ip, internal_port);
    Ok(Addresses { external, internal: (internal != external).then_some(internal) })
}

/// The server at an address such as `http://localhost:3000/pages`.
pub fn web_proxy(url: &str, host: &Host<'_>) -> Result<WebProxy, Error> {
    const OPTION: &str = "admin.web_proxy_address";
    let problem =
        || Error::invalid(OPTION, format!("expected an address such as http://localhost:3000, found {url:?}"));
    let rest = url.strip_prefix("http://").ok_or_else(problem)?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || !is_plain(rest) || rest.contains(['?', '#', '@']) {
        return Err(problem());
    }
    let (name, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((name, port)) => (name, port.parse().map_err(|_| problem())?),
        None => (authority, 80),
    };
    let address = SocketAddr::new(ip(name, OPTION, host)?, port);
    Ok(WebProxy { address, authority: authority.into(), path: path.trim_end_matches('/').into() })
}

/// An empty address means all interfaces, IPv4 and IPv6 alike: `[::]`, which on a host without IPv6 must be taken as
/// `0.0.0.0`.
fn ip(address: &str, option: &str, host: &Host<'_>) -> Result<IpAddr, Error> {
    if address.is_empty() {
        return Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    }
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    bare.parse()
        .ok()
        .or_else(|| (host.resolve)(address))
        .ok_or_else(|| Error::invalid(option, format!("no address found for the host {address:?}")))
}
