//! Connecting to a server: over TCP, a Unix socket, or TLS.

pub mod tls;

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::snapshot::ClientTls;

/// A connection, whatever it goes over.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// TLS, ready for use.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// Expected in certificates in place of the address's host.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads what the options name.
    ///
    /// # Errors
    /// What is wrong with which option, in a sentence.
    pub fn new(options: &ClientTls) -> Result<Self, String> {
        let name = match &*options.server_name {
            "" => None,
            name => Some(
                ServerName::try_from(name.to_owned())
                    .map_err(|_| format!("{}.server_name: {name:?} is no name of a host", options.option))?,
            ),
        };
        Ok(Self { config: tls::config(options)?, name })
    }

    /// Speaks TLS over a connection to a host.
    pub async fn over(&self, stream: TcpStream, host: &str) -> io::Result<Box<dyn Socket>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        Ok(Box::new(TlsConnector::from(self.config.clone()).connect(name, stream).await?))
    }
}

/// Connects to a port of a host; what is written goes out at once.
pub async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
