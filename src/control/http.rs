//! The HTTP client of the control plane.
//!
//! As the reference's clients for backends: redirects are followed, connections are kept, the system's certificates
//! are trusted (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), and the variables for proxies (`HTTP_PROXY`) are not
//! looked at. HTTP/1.1 only.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::dial::tls;
use crate::config::snapshot::ClientTls;
use crate::errand::{HttpError, HttpRequest, HttpResponse, Method};

/// Redirects that are followed (Go's net/http: 10).
const MAX_REDIRECTS: usize = 10;

/// Idle connections kept for one host (upstream: `MaxIdleConnsPerHost` of its clients).
const IDLE_CONNECTIONS: usize = 255;

/// A client; clones share its connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    /// Under which name the server is spoken to, where that is not the one of the address.
    alias: Option<Arc<str>>,
}

impl Http {
    /// A client without connections. Where the system has no certificates, it speaks plain HTTP only.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, String> {
        let client = builder().build().or_else(|error| {
            tracing::warn!(error = %cause(&error), "no certificates to trust: backends are reached by http:// only; install ca-certificates or set SSL_CERT_FILE");
            builder().tls_certs_only([]).build()
        });
        let client = client.map_err(|error| format!("cannot set up an HTTP client: {}", cause(&error)))?;
        Ok(Self { client, alias: None })
    }

    /// A client for one address, with TLS of its own.
    ///
    /// # Errors
    /// What is wrong with which option, in a sentence.
    pub fn towards(address: &str, options: &ClientTls) -> Result<Self, String> {
        let config = tls::config(options)?;
        let mut builder = builder().tls_backend_preconfigured(ClientConfig::clone(&config));
        let mut alias = None;
        if !options.server_name.is_empty() {
            let named = |problem: &str| format!("{}.server_name: {problem}", options.option);
            let name = match ServerName::try_from(&*options.server_name) {
                Ok(ServerName::DnsName(name)) => Arc::from(name.as_ref().to_ascii_lowercase()),
                _ => return Err(named("must be the name of a host")),
            };
            let host = Url::parse(address).ok().and_then(|url| url.host_str().map(Arc::from));
            let host = host.ok_or_else(|| named("the endpoint has no host"))?;
            builder = builder.dns_resolver(Renamed { name: Arc::clone(&name), host });
            alias = Some(name);
        }
        let client = builder.build().map_err(|error| format!("{}: {}", options.option, cause(&error)))?;
        Ok(Self { client, alias })
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// There is no response, or it is longer than it may be.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let HttpRequest { method, url, headers, body, timeout_ms, max_response } = request;
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let (mut head, mut url) = (head(&headers)?, Url::parse(&url).map_err(|error| malformed(&error))?);
        if let Some(name) = &self.alias {
            let host = [Some(url.host_str().unwrap_or_default().to_owned()), url.port().map(|port| port.to_string())];
            let host = host.into_iter().flatten().collect::<Vec<_>>().join(":");
            head.insert(HOST, HeaderValue::from_str(&host).map_err(|error| malformed(&error))?);
            url.set_host(Some(name)).map_err(|error| malformed(&error))?;
        }
        let builder = self.client.request(method, url).timeout(Duration::from_millis(timeout_ms));
        let builder = builder.headers(head);
        let builder = if body.is_empty() { builder } else { builder.body(body) };
        let mut response = builder.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        if response.content_length().is_some_and(|length| length > max_response as u64) {
            return Err(HttpError::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > max_response {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, body: Bytes::from(body) })
    }
}

/// Looks up the host of the address when asked for the name that its server is spoken to under.
struct Renamed {
    name: Arc<str>,
    host: Arc<str>,
}

impl Resolve for Renamed {
    fn resolve(&self, name: Name) -> Resolving {
        let host = if *name.as_str() == *self.name { self.host.clone() } else { Arc::from(name.as_str()) };
        Box::pin(async move {
            let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let found: Vec<_> = tokio::net::lookup_host((bare, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn builder() -> ClientBuilder {
    reqwest::Client::builder()
        .redirect(Policy::limited(MAX_REDIRECTS))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .user_agent(concat!("spindle/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
}

fn malformed(error: &dyn std::fmt::Display) -> HttpError {
    HttpError::Malformed(error.to_string().into())
}

fn head(headers: &[(Box<str>, Box<str>)]) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let malformed = |what: &str| HttpError::Malformed(format!("{what} of the header {name:?}").into());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed("the name"))?;
        map.append(name, HeaderValue::from_str(value).map_err(|_| malformed("the value"))?);
    }
    Ok(map)
}

fn failure(error: reqwest::Error) -> HttpError {
    if error.is_timeout() {
        HttpError::Timeout
    } else if error.is_builder() {
        HttpError::Malformed(cause(&error.without_url()))
    } else {
        HttpError::Unreachable(cause(&error.without_url()))
    }
}

/// The innermost reason: those around it say little.
fn cause(error: &reqwest::Error) -> Box<str> {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().into()
}

#[cfg(test)]
#[path = "http_tests.rs"]
pub(super) mod tests;
