//! The server under load: where it is, and how to be let in.

use std::net::{SocketAddr, ToSocketAddrs};

use clap::ValueEnum;

use crate::Failure;
use crate::token::Tokens;

/// Encoding of the client protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// JSON text frames.
    Json,
    /// Protobuf binary frames.
    Protobuf,
}

impl Protocol {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Json => "json",
            Protocol::Protobuf => "protobuf",
        }
    }
}

/// The server under load.
#[derive(Clone)]
pub struct Target {
    /// Where clients connect.
    pub address: SocketAddr,
    /// `name:port` of it, for the `Host` header.
    pub host: String,
    /// Where the server API is.
    pub api_address: SocketAddr,
    /// `name:port` of it.
    pub api_host: String,
    /// Key of the server API.
    pub api_key: String,
    /// How clients prove who they are.
    pub tokens: Tokens,
}

impl Target {
    /// Resolves addresses. Off the machine only with `remote`: a load generator pointed elsewhere is a weapon.
    pub fn new(
        url: &str,
        api_url: Option<&str>,
        remote: bool,
        api_key: &str,
        tokens: Tokens,
    ) -> Result<Target, Failure> {
        let (address, host) = resolve(url, remote)?;
        let (api_address, api_host) = api_url.map_or(Ok((address, host.clone())), |url| resolve(url, remote))?;
        Ok(Target { address, host, api_address, api_host, api_key: api_key.to_owned(), tokens })
    }

    /// One for tests.
    #[cfg(test)]
    pub fn example() -> Target {
        Target::new("http://127.0.0.1:8000", None, false, "key", Tokens::Anonymous).expect("a good address")
    }
}

fn resolve(url: &str, remote: bool) -> Result<(SocketAddr, String), Failure> {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://")).unwrap_or(url);
    if host.contains("://") {
        return Err(format!("{url}: only http:// is spoken; put TLS in front of nothing that is measured").into());
    }
    let host = host.split('/').next().unwrap_or_default();
    let address = host
        .to_socket_addrs()
        .map_err(|e| format!("{url}: {e}; give it as http://NAME:PORT"))?
        .next()
        .ok_or_else(|| format!("{url} names no address"))?;
    if !address.ip().is_loopback() && !remote {
        return Err(format!("{address} is another machine: say --remote if the server is yours to load").into());
    }
    Ok((address, host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for (url, remote, expected) in [
            ("http://127.0.0.1:8000", false, Ok("127.0.0.1:8000")),
            ("ws://127.0.0.1:8000/connection/websocket", false, Ok("127.0.0.1:8000")),
            ("http://10.0.0.1:80", true, Ok("10.0.0.1:80")),
            ("http://10.0.0.1:80", false, Err("--remote")),
            ("https://127.0.0.1:8000", false, Err("http://")),
            ("http://127.0.0.1", false, Err("http://NAME:PORT")),
        ] {
            match (resolve(url, remote), expected) {
                (Ok((_, host)), Ok(expected)) => assert_eq!(host, expected),
                (Err(failure), Err(expected)) => assert!(failure.to_string().contains(expected), "{failure}"),
                (found, _) => panic!("{url}: {found:?}"),
            }
        }
    }
}
