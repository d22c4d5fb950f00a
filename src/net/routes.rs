//! Which path is answered by what (upstream: internal/app/mux.go).

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::http::{Body, Reply};
use crate::api::{self, ScrapeForm};
use crate::config::origin::Origins;
use crate::config::snapshot::Snapshot;
use crate::protocol::Protocol;
use crate::transport::handshake::{self, Handshake};

/// Bytes of a body of the server API that are taken at most; more is answered with 413.
const MAX_API_BODY: usize = 64 * 1024 * 1024;

const DEMO_PAGE: &[u8] = include_bytes!("../../assets/demo.html");

/// Which listener a request came in on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The only one: everything is served.
    Both,
    /// The one for clients, beside an internal one.
    External,
    /// The one for backends and operators.
    Internal,
}

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

/// The shard as HTTP sees it.
pub trait Host: 'static {
    /// The configuration in force.
    fn config(&self) -> Arc<Snapshot>;
    /// Compiled `client.allowed_origins`.
    fn origins(&self) -> &Origins;
    /// The shard's clock, milliseconds.
    fn mono_ms(&self) -> u64;
    /// Whether one more client connection may be opened (`client.connection_limit`, `connection_rate_limit`).
    fn admits_connection(&self) -> bool;
    /// Counts a request to one of the node's own paths (`prometheus.instrument_http_handlers`).
    fn count_request(&self, path: &str, method: &str, status: u16);
    /// Whether the process is about to end.
    fn is_stopping(&self) -> bool;
    /// Runs a call of the server API to its end.
    fn call(&self, request: api::Request<'_>) -> impl Future<Output = api::Response>;
    /// Collects every shard's metrics.
    fn scrape(&self, form: ScrapeForm) -> impl Future<Output = api::Response>;
}

/// What answers a path.
enum Route<'p> {
    WebSocket,
    /// The server API, and the method that the path names.
    Api(&'p str),
    Init,
    Health,
    Prometheus,
    Demo,
    DemoStats,
}

/// Answers one request; an upgrade comes with the reply that announces it.
pub async fn answer<H: Host>(host: &H, side: Side, request: hyper::Request<Body>) -> (Reply, Option<Upgrade>) {
    let config = host.config();
    let uri = request.uri().clone();
    let Some(route) = route(&config, side, uri.path()) else { return (not_found(), None) };
    let method = request.method().clone();
    let answered = match route {
        Route::WebSocket => websocket(host, &config, &request),
        Route::Api(method) => (server_api(host, &config, request, method).await, None),
        Route::Init => (init(host, &request), None),
        Route::Health => (reply(StatusCode::OK, "application/json", b"{}".as_slice()), None),
        Route::Prometheus => (from_api(host.scrape(ScrapeForm::Prometheus).await), None),
        Route::Demo => (reply(StatusCode::OK, "text/html; charset=utf-8", DEMO_PAGE), None),
        Route::DemoStats => (from_api(host.scrape(ScrapeForm::Demo).await), None),
    };
    if config.instrument_http_handlers {
        let path = match uri.path().trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        host.count_request(path, method.as_str(), answered.0.status().as_u16());
    }
    answered
}

fn route<'p>(config: &Snapshot, side: Side, path: &'p str) -> Option<Route<'p>> {
    let on_external = side != Side::Internal;
    let on_internal = side != Side::External;
    if on_external && is_at(path, config.websocket.handler_prefix.as_deref()) {
        return Some(Route::WebSocket);
    }
    if on_external && is_at(path, config.init.as_deref()) {
        return Some(Route::Init);
    }
    let serves_api = match side {
        Side::Both => true,
        Side::External => config.http_api.external,
        Side::Internal => !config.http_api.external,
    };
    if serves_api
        && let Some(prefix) = config.http_api.handler_prefix.as_deref()
        && let Some(method) = api_method(path, prefix).filter(|method| api::is_method(method))
    {
        return Some(Route::Api(method));
    }
    if on_internal && is_at(path, config.health.as_deref()) {
        return Some(Route::Health);
    }
    if on_internal && is_at(path, config.prometheus.as_deref()) {
        return Some(Route::Prometheus);
    }
    match path {
        "/" if config.dev && on_external => Some(Route::Demo),
        "/dev/stats" if config.dev && on_external => Some(Route::DemoStats),
        _ => None,
    }
}

/// Whether the path is the prefix; a slash at the prefix's end does not count, and an empty one means the root.
fn is_at(path: &str, prefix: Option<&str>) -> bool {
    prefix.is_some_and(|prefix| match prefix.trim_end_matches('/') {
        "" => path == "/",
        prefix => path == prefix,
    })
}

/// The method that a path of the server API names; empty for the prefix itself.
fn api_method<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

fn websocket<H: Host>(host: &H, config: &Snapshot, request: &hyper::Request<Body>) -> (Reply, Option<Upgrade>) {
    if !host.admits_connection() {
        return (empty(StatusCode::SERVICE_UNAVAILABLE), None);
    }
    if !request.body().is_end_stream() {
        // It would be read as frames.
        return (plain_status(StatusCode::BAD_REQUEST), None);
    }
    let headers = request.headers();
    let joined = |name: HeaderName| joined(headers, name);
    let decided = handshake::decide(&Handshake {
        is_get: request.method() == Method::GET,
        connection: &joined(header::CONNECTION),
        upgrade: &joined(header::UPGRADE),
        version: &joined(header::SEC_WEBSOCKET_VERSION),
        key: text(headers, &header::SEC_WEBSOCKET_KEY),
        subprotocols: text(headers, &header::SEC_WEBSOCKET_PROTOCOL),
        query: request.uri().query().unwrap_or(""),
        origin_allowed: host.origins().allow(headers.get(header::ORIGIN).and_then(|value| value.to_str().ok())),
    });
    let accept = match decided {
        Ok(accept) => accept,
        Err(refused) => {
            let status = StatusCode::from_u16(refused.0).unwrap_or(StatusCode::BAD_REQUEST);
            let mut reply = plain_status(status);
            reply.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            return (reply, None);
        }
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
        .and_then(|name| headers.get(name)?.to_str().ok())
        .filter(|user| !user.is_empty())
        .map(Box::from);
    (reply, Some(Upgrade { protocol: accept.protocol, native_ping: accept.native_ping, user_header }))
}

/// What clients may ask before they connect (upstream: internal/conninit, behind the middleware of connections).
fn init<H: Host>(host: &H, request: &hyper::Request<Body>) -> Reply {
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

/// Lets pages of allowed origins read the reply (upstream: internal/middleware/cors.go).
fn allow_origin(origins: &Origins, asked: &HeaderMap, out: &mut HeaderMap) {
    let origin = asked.get(header::ORIGIN);
    if !origins.allow(origin.map(|value| value.to_str().unwrap_or("?"))) {
        return;
    }
    let origin = origin.cloned().unwrap_or(HeaderValue::from_static(""));
    out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if let Some(headers) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        && !headers.is_empty()
        && headers != "null"
    {
        out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
    }
    out.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

async fn server_api<H: Host>(host: &H, config: &Snapshot, request: hyper::Request<Body>, method: &str) -> Reply {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if let Err(refused) = api::authorize(&config.http_api, head.method.as_str(), header, head.uri.query()) {
        return from_api(refused);
    }
    let body = match Limited::new(body, MAX_API_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return plain_status(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Err(_) => return plain_status(StatusCode::BAD_REQUEST),
    };
    let error_mode = header("x-centrifugo-error-mode");
    from_api(host.call(api::Request { method, error_mode, body: &body }).await)
}

fn from_api(response: api::Response) -> Reply {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply(status, response.content_type, response.body)
}

fn not_found() -> Reply {
    let mut reply = reply(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", b"404 page not found\n".as_slice());
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// The status as text, as Go's `http.Error` does it.
fn plain_status(status: StatusCode) -> Reply {
    let text = format!("{}\n", status.canonical_reason().unwrap_or(""));
    let mut reply = reply(status, "text/plain; charset=utf-8", text);
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn empty(status: StatusCode) -> Reply {
    reply(status, "", Bytes::new())
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = hyper::Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    if !content_type.is_empty() {
        reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    reply
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
