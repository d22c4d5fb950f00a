//! Answering one request: the handler that the table names, and what happens around every handler.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Method, StatusCode};

use super::admin;
use super::clients::{self, Upgrade};
use super::debug;
use super::http::{Body, Reply};
use super::mux::{Found, Handler, Mux, Side, below};
use super::reply::{HTML, bad_target, empty, from_api, moved, not_found, plain_status, reply};
use super::site::Sites;
use super::stream::HttpSocket;
use crate::api::{self, ScrapeForm};
use crate::base::ids::ConnId;
use crate::base::time::Now;
use crate::config::origin::Origins;
use crate::config::snapshot::Snapshot;

/// Bytes of a body of the server API that are taken at most; more is answered with 413.
pub(super) const MAX_API_BODY: usize = 64 * 1024 * 1024;

const DEMO_PAGE: &[u8] = include_bytes!("../../assets/demo.html");

/// The shard as HTTP sees it.
pub trait Host: 'static {
    /// The configuration in force.
    fn config(&self) -> Arc<Snapshot>;
    /// What is served on a listener.
    fn mux(&self, side: Side) -> &Mux;
    /// Compiled `client.allowed_origins`.
    fn origins(&self) -> &Origins;
    /// Pages that are served from memory.
    fn sites(&self) -> &Sites;
    /// The time of the shard's turn.
    fn now(&self) -> Now;
    /// Whether one more client connection may be opened (`client.connection_limit`, `connection_rate_limit`).
    fn admits_connection(&self) -> bool;
    /// Counts a request to one of the node's own paths (`prometheus.instrument_http_handlers`).
    fn count_request(&self, path: &str, method: &str, status: u16);
    /// Begins to connect to another server. None when it cannot, or too many connections are made already.
    fn dial(&self, address: SocketAddr) -> Option<(ConnId, Rc<HttpSocket>)>;
    /// Ends such a connection.
    fn hang_up(&self, key: ConnId);
    /// Whether the process is about to end.
    fn is_stopping(&self) -> bool;
    /// Runs a call of the server API to its end.
    fn call(&self, request: api::Request<'_>) -> impl Future<Output = api::Response>;
    /// Collects every shard's metrics.
    fn scrape(&self, form: ScrapeForm) -> impl Future<Output = api::Response>;
}

/// Answers one request; an upgrade comes with the reply that announces it.
pub async fn answer<H: Host>(host: &H, side: Side, request: hyper::Request<Body>) -> (Reply, Option<Upgrade>) {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    if uri.path() == "*" {
        return (about_the_server(&method), None);
    }
    let route = match host.mux(side).find(uri.path()) {
        // Its target is no path, and hyper takes the connection away when it succeeds.
        _ if method == Method::CONNECT => return (not_found(), None),
        Found::Route(route) => route,
        Found::Moved(path) => return (moved(&method, &path, uri.query()), None),
        Found::Malformed => return (bad_target(), None),
        Found::Nothing => return (not_found(), None),
    };
    let config = host.config();
    let (reply, upgrade) = match route.handler {
        Handler::WebSocket => clients::websocket(host, &config, &request),
        handler => (handle(host, &config, handler, request).await, None),
    };
    let status = reply.status().as_u16();
    if config.instrument_http_handlers {
        host.count_request(&route.pattern, method.as_str(), status);
    }
    tracing::debug!(%method, status, path = uri.path(), "http request");
    (reply, upgrade)
}

async fn handle<H: Host>(host: &H, config: &Snapshot, handler: Handler, request: hyper::Request<Body>) -> Reply {
    match handler {
        Handler::WebSocket => plain_status(StatusCode::BAD_REQUEST),
        Handler::Init => clients::init(host, &request),
        Handler::Api(method) => server_api(host, config, request, method).await,
        Handler::Admin(page) => admin::answer(host, config, page, request).await,
        Handler::Debug => {
            let name = config.debug.as_deref().and_then(|prefix| below(request.uri().path(), prefix));
            name.map_or_else(not_found, |name| debug::answer(&name))
        }
        Handler::Swagger => {
            let path = config.swagger.as_deref().and_then(|prefix| below(request.uri().path(), prefix));
            path.map_or_else(not_found, |path| host.sites().swagger.answer(&path, request.uri()))
        }
        Handler::Health => reply(StatusCode::OK, "application/json", b"{}".as_slice()),
        Handler::Prometheus => from_api(host.scrape(ScrapeForm::Prometheus).await),
        Handler::Demo => reply(StatusCode::OK, HTML, DEMO_PAGE),
        Handler::DemoStats => from_api(host.scrape(ScrapeForm::Demo).await),
    }
}

async fn server_api<H: Host>(host: &H, config: &Snapshot, request: hyper::Request<Body>, method: &str) -> Reply {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if let Err(refused) = api::authorize(&config.http_api, head.method.as_str(), header, head.uri.query()) {
        return from_api(refused);
    }
    let body = match collect(body, MAX_API_BODY).await {
        Ok(body) => body,
        Err(status) => return plain_status(status),
    };
    let error_mode = header("x-centrifugo-error-mode");
    let response = host.call(api::Request { method, error_mode, body: &body }).await;
    if response.is_bad_request() {
        tracing::error!(path = head.uri.path(), "error decoding API request body");
    }
    from_api(response)
}

/// The whole body.
///
/// # Errors
/// The status to refuse it with: it is longer than the limit, or broken off.
pub(super) async fn collect(body: Body, limit: usize) -> Result<Bytes, StatusCode> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// A request to no path, but to the server: only OPTIONS makes sense (Go: `globalOptionsHandler`).
fn about_the_server(method: &Method) -> Reply {
    if *method == Method::OPTIONS {
        return empty(StatusCode::OK);
    }
    let mut reply = bad_target();
    *reply.body_mut() = Default::default();
    reply.headers_mut().remove(hyper::header::CONTENT_TYPE);
    reply
}
