//! Where the server listens.

use super::Host;
use crate::config::error::Error;
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
