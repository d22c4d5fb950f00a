//! Where the load goes and from which core: the flags that scenarios share.

use std::net::{SocketAddr, ToSocketAddrs};

use clap::{Args, ValueEnum};

use crate::Failure;
use crate::process::{Process, pin_to};

/// Encoding of the client protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// JSON text frames.
    Json,
    /// Protobuf binary frames.
    Protobuf,
}

/// The server under load.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Address of the server.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: String,
    /// Process id of the server: its CPU time and memory are read from /proc.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Core that this program runs on; keep it apart from the server's.
    #[arg(long)]
    core: Option<usize>,
    /// Key of the server API.
    #[arg(long, default_value = "loadtest", hide_default_value = true)]
    pub api_key: String,
    /// Connection token; without one the server must let anonymous clients in.
    #[arg(long, default_value = "")]
    pub token: String,
}

impl Target {
    /// Pins this thread to the wanted core.
    pub fn pin(&self) -> Result<(), Failure> {
        self.core.map_or(Ok(()), pin_to)
    }

    /// The server's process, when it was named.
    pub fn process(&self) -> Option<Process> {
        self.pid.map(Process::new)
    }

    /// `host:port` as in the URL, for the `Host` header.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// The address to connect to. Only loopback: a load meter pointed elsewhere is a weapon.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        if self.url.contains("://") && !self.url.starts_with("http://") {
            return Err(format!("{}: only http:// is served", self.url).into());
        }
        let address = self.host().to_socket_addrs()?.next().ok_or("the URL names no address")?;
        if !address.ip().is_loopback() {
            return Err(format!("{address}: not a loopback address").into());
        }
        Ok(address)
    }
}
