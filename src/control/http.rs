//! The HTTP client of the control plane.
//!
//! As the reference's clients for backends: redirects are followed, connections are kept, the system's certificates
//! are trusted (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), and the variables for proxies (`HTTP_PROXY`) are not
//! looked at. HTTP/1.1 only.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use crate::errand::{HttpError, HttpRequest, HttpResponse, Method};

/// Redirects that are followed (Go's net/http: 10).
const MAX_REDIRECTS: usize = 10;

/// Idle connections kept for one host (upstream: `MaxIdleConnsPerHost` of its clients).
const IDLE_CONNECTIONS: usize = 255;

/// A client; clones share its connections.
#[derive(Clone, Debug)]
pub struct Http(reqwest::Client);

impl Http {
    /// A client without connections. Where the system has no certificates, it speaks plain HTTP only.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, String> {
        let builder = || {
            reqwest::Client::builder()
                .redirect(Policy::limited(MAX_REDIRECTS))
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .user_agent(concat!("spindle/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
        };
        let client = builder().build().or_else(|error| {
            tracing::warn!(error = %cause(&error), "no certificates to trust: backends are reached by http:// only; install ca-certificates or set SSL_CERT_FILE");
            builder().tls_certs_only([]).build()
        });
        client.map(Self).map_err(|error| format!("cannot set up an HTTP client: {}", cause(&error)))
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
        let builder = self.0.request(method, &*url).timeout(Duration::from_millis(timeout_ms));
        let builder = builder.headers(head(&headers)?);
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
