//! HTTP requests to backends, and what comes of them.

use std::fmt;

use bytes::Bytes;

/// A request. Redirects are followed as Go's HTTP client follows them, ten at most.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Absolute, `http://` or `https://`.
    pub url: Box<str>,
    /// In the order in which they are sent.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Empty for none.
    pub body: Bytes,
    /// From the first look-up of the host to the last byte of the response; above 0.
    pub timeout_ms: u64,
    /// Bytes of a response's body at most.
    pub max_response: usize,
}

/// Methods in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
}

/// A response, whatever its status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no response. For logs; URLs are left out, because they may hold secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpError {
    /// The URL or a header cannot be sent.
    Malformed(Box<str>),
    /// No connection, no TLS, or the connection broke.
    Unreachable(Box<str>),
    /// The time was over.
    Timeout,
    /// The body is longer than the request allows.
    TooLarge,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the request cannot be sent: {what}"),
            Self::Unreachable(what) => write!(f, "no response: {what}"),
            Self::Timeout => f.write_str("no response in time"),
            Self::TooLarge => f.write_str("the response is too large"),
        }
    }
}

impl std::error::Error for HttpError {}

impl fmt::Debug for HttpRequest {
    /// Headers, bodies and URLs may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).finish_non_exhaustive()
    }
}
