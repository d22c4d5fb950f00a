//! The HTTP response to a request of the server API.

const TEXT: &str = "text/plain; charset=utf-8";

/// A whole response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`; empty = no such header.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An encoded reply.
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, content_type: "application/json", body }
    }

    /// The shard has too many calls already.
    pub fn overloaded() -> Self {
        Self::text(503, "Service Unavailable\n")
    }

    /// A body that could not be decoded.
    pub(crate) fn bad_request() -> Self {
        Self::text(400, "Bad Request\n")
    }

    /// Whether the body could not be decoded.
    pub fn is_bad_request(&self) -> bool {
        self.status == 400 && self.content_type == TEXT
    }

    /// A path that names no method.
    pub(crate) fn not_found() -> Self {
        Self::text(404, "404 page not found\n")
    }

    /// A result that could not be encoded.
    pub(crate) fn internal_error() -> Self {
        Self::text(500, "Internal Server Error\n")
    }

    /// A status alone.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, content_type: "", body: Vec::new() }
    }

    fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: TEXT, body: body.as_bytes().to_vec() }
    }
}
