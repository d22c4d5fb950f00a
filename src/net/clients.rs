//! What clients ask for before they are connections: the WebSocket handshake and the init endpoint (upstream: the
//! middleware of connections in internal/app/mux.go).

use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::http::{Body, Reply};
use super::reply::{empty, plain_status, reply, text};
use super::routes::Host;
use crate::config::origin::Origins;
use crate::config::snapshot::Snapshot;
use crate::protocol::Protocol;
use crate::transport::handshake::{self, Handshake};

/// A connection that becomes a WebSocket.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// What it speaks.
    pub protocol: Protocol,
    /// Pings are WebSocket ping frames.
    pub native_ping: bool,
    /// Value of `client.user_id_http_header`.
    pub user_header: Option<Box<str>>,
}

/// Answers a WebSocket handshake.
pub fn websocket<H: Host>(host: &H, config: &Snapshot, request: &hyper::Request<Body>) -> (Reply, Option<Upgrade>) {
    if !host.admits_connection() {
        return (empty(StatusCode::SERVICE_UNAVAILABLE), None);
    }
    let headers = request.headers();
    let refused = |status: u16| {
        let mut reply = plain_status(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST));
        reply.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        allow_origin(host.origins(), headers, reply.headers_mut());
        reply
    };
    if !request.body().is_end_stream() {
        // It would be read as frames.
        return (refused(400), None);
    }
    let joined = |name: HeaderName| joined(headers, name);
    let decided = handshake::decide(&Handshake {
        is_get: request.method() == Method::GET,
        connection: &joined(header::CONNECTION),
        upgrade: &joined(header::UPGRADE),
        version: &joined(header::SEC_WEBSOCKET_VERSION),
        key: text(headers, &header::SEC_WEBSOCKET_KEY),
        subprotocols: text(headers, &header::SEC_WEBSOCKET_PROTOCOL),
        query: request.uri().query().unwrap_or(""),
        origin_allowed: is_allowed(host.origins(), headers),
    });
    let accept = match decided {
        Ok(accept) => accept,
        Err(status) => return (refused(status.0), None),
    };
    let mut reply = empty(StatusCode::SWITCHING_PROTOCOLS);
    let out = reply.headers_mut();
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(key) = HeaderValue::try_from(accept.accept_key) {
        out.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    }
    if let Some(subprotocol) = accept.subprotocol {
        out.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    let user_header = config
        .client
        .user_id_http_header
        .as_deref()
        .and_then(|name| headers.get(name))
        .filter(|user| !user.is_empty())
        .map(|user| String::from_utf8_lossy(user.as_bytes()).into());
    (reply, Some(Upgrade { protocol: accept.protocol, native_ping: accept.native_ping, user_header }))
}

/// Says that clients may connect (upstream: internal/conninit).
pub fn init<H: Host>(host: &H, request: &hyper::Request<Body>) -> Reply {
    if request.method() != Method::GET {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !host.admits_connection() {
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    }
    let mut reply = reply(StatusCode::OK, "application/json; charset=utf-8", b"{}".as_slice());
    allow_origin(host.origins(), request.headers(), reply.headers_mut());
    reply
}

/// Whether the page that asks may. What is no text is an origin too, and fits wildcards alone.
fn is_allowed(origins: &Origins, headers: &HeaderMap) -> bool {
    origins.allow(headers.get(header::ORIGIN).map(HeaderValue::as_bytes))
}

/// Lets pages of allowed origins read the reply (upstream: internal/middleware/cors.go).
fn allow_origin(origins: &Origins, asked: &HeaderMap, out: &mut HeaderMap) {
    if !is_allowed(origins, asked) {
        return;
    }
    let origin = asked.get(header::ORIGIN).cloned().unwrap_or(HeaderValue::from_static(""));
    out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if let Some(headers) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        && !headers.is_empty()
        && headers != "null"
    {
        out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
    }
    out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
