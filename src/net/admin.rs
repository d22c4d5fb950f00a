//! The admin pages: logging in, and the server API for whoever has (upstream: internal/admin).

use hyper::header::{self, HeaderMap};
use hyper::{Method, StatusCode};

use super::http::{Body, Reply};
use super::mux::{Page, below};
use super::reply::{empty, from_api, not_found, plain_status, reply, text};
use super::routes::{Host, MAX_API_BODY, collect};
use super::{form, proxy};
use crate::api;
use crate::auth::admin;
use crate::base::secret::is_same;
use crate::base::time::Now;
use crate::config::snapshot::{Admin, Snapshot};

/// Bytes of a login form that are taken at most.
const MAX_FORM: usize = 1 << 20;

const JSON: &str = "application/json";

/// Answers a request to one of the admin pages.
pub async fn answer<H: Host>(host: &H, config: &Snapshot, page: Page, request: hyper::Request<Body>) -> Reply {
    let Some(admin) = &config.admin else { return not_found() };
    let is_post = request.method() == Method::POST;
    match page {
        Page::Init => init(admin, request.headers(), host.now()),
        Page::Auth | Page::Api if !is_post => empty(StatusCode::METHOD_NOT_ALLOWED),
        Page::Auth => auth(host, admin, request).await,
        Page::Api => api(host, admin, request).await,
        Page::Web => match &admin.web_proxy {
            Some(to) => proxy::pass_on(host, to, request).await,
            None => below(request.uri().path(), &admin.handler_prefix)
                .map_or_else(not_found, |path| host.sites().admin.answer(&path, request.uri())),
        },
    }
}

/// What the page shows first.
fn init(admin: &Admin, headers: &HeaderMap, now: Now) -> Reply {
    let (insecure, authenticated) = (admin.insecure, is_let_in(admin, headers, now));
    let body = format!("{{\"authenticated\":{authenticated},\"edition\":\"oss\",\"insecure\":{insecure}}}\n");
    reply(StatusCode::OK, JSON, body)
}

/// A token for the password.
async fn auth<H: Host>(host: &H, admin: &Admin, request: hyper::Request<Body>) -> Reply {
    let (head, body) = request.into_parts();
    // A form that is too long holds no password, as upstream.
    let body = collect(body, MAX_FORM).await.unwrap_or_default();
    let content_type = text(&head.headers, &header::CONTENT_TYPE);
    let given = form::value("password", content_type, head.uri.query(), &body).unwrap_or_default();
    let may_log_in = !admin.password.is_empty() && !admin.secret.is_empty();
    if !may_log_in || !is_same(admin.password.as_bytes(), &given) {
        return plain_status(StatusCode::BAD_REQUEST);
    }
    reply(StatusCode::OK, JSON, format!("{{\"token\":\"{}\"}}\n", admin::issue(&admin.secret, host.now())))
}

/// The legacy route of the server API.
async fn api<H: Host>(host: &H, admin: &Admin, request: hyper::Request<Body>) -> Reply {
    if !is_let_in(admin, request.headers(), host.now()) {
        return empty(StatusCode::UNAUTHORIZED);
    }
    match collect(request.into_body(), MAX_API_BODY).await {
        Ok(body) => from_api(host.call(api::Request { method: "", error_mode: None, body: &body }).await),
        Err(status) => plain_status(status),
    }
}

/// Whether nothing is asked for, or `Authorization: token <token>` is good.
fn is_let_in(admin: &Admin, headers: &HeaderMap, now: Now) -> bool {
    let mut fields = text(headers, &header::AUTHORIZATION).split_whitespace();
    let (scheme, token, rest) = (fields.next(), fields.next(), fields.next());
    let token = token.filter(|_| rest.is_none() && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("token")));
    admin.insecure || token.is_some_and(|token| admin::is_valid(&admin.secret, token, now))
}
