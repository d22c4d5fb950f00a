//! Replies as Go's net/http makes them, for whoever compares.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::http::Reply;
use crate::api;

/// Plain text in UTF-8.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// A page.
pub const HTML: &str = "text/html; charset=utf-8";

/// A reply with a body.
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = hyper::Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    if !content_type.is_empty() {
        reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    reply
}

/// The status alone.
pub fn empty(status: StatusCode) -> Reply {
    reply(status, "", Bytes::new())
}

/// The status as text (Go: `http.Error`).
pub fn plain_status(status: StatusCode) -> Reply {
    error(status, format!("{}\n", status.canonical_reason().unwrap_or("")))
}

/// There is nothing at the path (Go: `http.NotFound`).
pub fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A refusal in plain text (Go: `http.Error`).
pub fn error(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = reply(status, TEXT, text);
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// The request target is no path. The connection ends with it.
pub fn bad_target() -> Reply {
    let mut reply = reply(StatusCode::BAD_REQUEST, TEXT, "400 Bad Request");
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// What the client meant is at another path of this server (Go: `http.Redirect` from a `ServeMux`).
pub fn moved(method: &Method, path: &str, query: Option<&str>) -> Reply {
    let place = query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
    let Ok(location) = HeaderValue::try_from(&*place) else { return not_found() };
    let mut reply = empty(StatusCode::TEMPORARY_REDIRECT);
    if matches!(*method, Method::GET | Method::HEAD) {
        let link = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escape(&place));
        reply = self::reply(StatusCode::TEMPORARY_REDIRECT, HTML, link);
    }
    reply.headers_mut().insert(header::LOCATION, location);
    reply
}

/// A response of the server API.
pub fn from_api(response: api::Response) -> Reply {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match response.content_type {
        TEXT => error(status, response.body),
        content_type => reply(status, content_type, response.body),
    }
}

/// The value of a header when it is text; empty when it is missing.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Text that can stand in HTML, in an attribute too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
