//! Which handler is at which path of which listener (upstream: internal/app/mux.go), found as Go's `ServeMux` finds it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use foldhash::fast::FixedState;

use crate::api;
use crate::config::snapshot::Snapshot;

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

/// What answers a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handler {
    /// Clients over WebSocket.
    WebSocket,
    /// What clients may ask before they connect.
    Init,
    /// The server API, and the method that the path names; empty for the legacy route.
    Api(&'static str),
    /// The admin pages and what is behind them.
    Admin(Page),
    /// What can be said of the process from inside.
    Debug,
    /// The description of the server API.
    Swagger,
    /// The health check.
    Health,
    /// Metrics for Prometheus.
    Prometheus,
    /// The demo page.
    Demo,
    /// What the demo page shows of the shards.
    DemoStats,
}

/// What there is below the prefix of the admin pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// Whether a password is asked for, and whether this caller gave it.
    Init,
    /// The password for a token.
    Auth,
    /// The server API, for whoever has a token.
    Api,
    /// The pages themselves.
    Web,
}

/// One row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// As Go writes it: a path, with everything below it when it ends with a slash; `/{$}` is the root alone. Names
    /// the route in the metrics.
    pub pattern: Box<str>,
    /// What is there.
    pub handler: Handler,
}

/// What is at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found<'m> {
    /// A handler.
    Route(&'m Route),
    /// Nothing, but something at this path without query: it is what the client meant.
    Moved(String),
    /// Nothing.
    Nothing,
    /// It is no path: it does not begin with a slash, or a percent sign is not followed by two hexadecimal digits.
    Malformed,
}

/// Two endpoints have the same path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    pattern: Box<str>,
    options: [&'static str; 2],
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pattern, options: [first, second] } = self;
        write!(f, "two endpoints have the path {pattern}: change {first} or {second}")
    }
}

/// The table of one listener.
#[derive(Clone, Debug, Default)]
pub struct Mux {
    routes: Vec<Route>,
    /// Routes by the paths that lead to them as they stand: nearly all requests come on one.
    plain: HashMap<Box<str>, usize, FixedState>,
    names: Vec<&'static str>,
}

/// An endpoint: its name, whether it is served here, where, and the option that says where.
type Endpoint<'c> = (&'static str, bool, Option<&'c str>, &'static str);

impl Mux {
    /// Nothing at all.
    pub const EMPTY: Self =
        Self { routes: Vec::new(), plain: HashMap::with_hasher(FixedState::with_seed(0)), names: Vec::new() };

    /// The table for a listener.
    ///
    /// # Errors
    /// Two endpoints have the same path.
    pub fn new(config: &Snapshot, side: Side) -> Result<Self, Conflict> {
        let external = side != Side::Internal;
        let internal = side != Side::External;
        let api = if config.http_api.external { external } else { internal };
        let admin = config.admin.as_ref().filter(|admin| if admin.external { external } else { internal });
        let demo = config.dev.then_some("/");
        // In the order in which the reference names them when it starts.
        let endpoints: &[Endpoint<'_>] = &[
            ("websocket", external, config.websocket.handler_prefix.as_deref(), "websocket.handler_prefix"),
            ("api", api, config.http_api.handler_prefix.as_deref(), "http_api.handler_prefix"),
            ("admin", true, admin.map(|admin| &*admin.handler_prefix), "admin.handler_prefix"),
            ("debug", internal, config.debug.as_deref(), "debug.handler_prefix"),
            ("swagger", internal, config.swagger.as_deref(), "swagger.handler_prefix"),
            ("prometheus", internal, config.prometheus.as_deref(), "prometheus.handler_prefix"),
            ("health", internal, config.health.as_deref(), "health.handler_prefix"),
            ("init", external, config.init.as_deref(), "init.handler_prefix"),
            ("demo", external, demo, "--dev"),
        ];
        let mut mux = Self::default();
        let mut options: Vec<&'static str> = Vec::new();
        for (name, is_here, prefix, option) in endpoints {
            let Some(prefix) = prefix.filter(|_| *is_here) else { continue };
            mux.names.push(name);
            for (pattern, handler) in rows(name, prefix.trim_end_matches('/')) {
                if let Some(taken) = mux.routes.iter().position(|route| *route.pattern == *pattern) {
                    return Err(Conflict { pattern: pattern.into(), options: [options[taken], option] });
                }
                mux.routes.push(Route { pattern: pattern.into(), handler });
                options.push(option);
            }
        }
        let paths: Vec<Box<str>> = mux.routes.iter().map(|route| route.path().into()).collect();
        for path in paths {
            if let Found::Route(found) = mux.search(&path)
                && let Some(index) = mux.routes.iter().position(|route| route == found)
            {
                mux.plain.insert(path, index);
            }
        }
        Ok(mux)
    }

    /// The names of the endpoints that are served.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// What is at the path of a request, as it stands in the request line, without the query.
    pub fn find(&self, path: &str) -> Found<'_> {
        match self.plain.get(path) {
            Some(index) => Found::Route(&self.routes[*index]),
            None => self.search(path),
        }
    }

    fn search(&self, path: &str) -> Found<'_> {
        if !path.starts_with('/') || !is_escaped(path) {
            return Found::Malformed;
        }
        let cleaned = clean(path);
        let decoded = decode(&cleaned);
        let found = self.routes.iter().filter(|route| route.covers(&decoded)).max_by_key(|route| route.pattern.len());
        if !cleaned.ends_with('/') && found.is_none_or(|route| !route.is_at(&decoded)) {
            let below = [&*decoded, b"/"].concat();
            if self.routes.iter().any(|route| route.is_at(&below)) {
                return Found::Moved(format!("{cleaned}/"));
            }
        }
        match found {
            _ if *cleaned != *path => Found::Moved(cleaned.into_owned()),
            Some(route) => Found::Route(route),
            None => Found::Nothing,
        }
    }
}

impl Route {
    /// The path alone, without what marks the end of it.
    fn path(&self) -> &str {
        self.pattern.strip_suffix("{$}").unwrap_or(&self.pattern)
    }

    fn covers(&self, path: &[u8]) -> bool {
        self.is_at(path) || (self.pattern.ends_with('/') && path.starts_with(self.path().as_bytes()))
    }

    fn is_at(&self, path: &[u8]) -> bool {
        path == self.path().as_bytes()
    }
}

/// The rows of an endpoint below a prefix without a slash at its end.
fn rows(name: &str, prefix: &str) -> Vec<(String, Handler)> {
    let root = if prefix.is_empty() { "/" } else { prefix };
    let at_root = |handler| vec![(root.to_owned(), handler)];
    match name {
        "websocket" => at_root(Handler::WebSocket),
        "init" => at_root(Handler::Init),
        "prometheus" => at_root(Handler::Prometheus),
        "health" => at_root(Handler::Health),
        "admin" => vec![
            (format!("{prefix}/admin/init"), Handler::Admin(Page::Init)),
            (format!("{prefix}/admin/auth"), Handler::Admin(Page::Auth)),
            (format!("{prefix}/admin/api"), Handler::Admin(Page::Api)),
            (format!("{prefix}/"), Handler::Admin(Page::Web)),
        ],
        "debug" => ["", "cmdline", "profile", "symbol", "trace"]
            .map(|name| (format!("{prefix}/{name}"), Handler::Debug))
            .into(),
        "swagger" => vec![(format!("{prefix}/"), Handler::Swagger)],
        "api" => {
            let methods = api::methods().map(|method| (format!("{prefix}/{method}"), Handler::Api(method)));
            at_root(Handler::Api("")).into_iter().chain(methods).collect()
        }
        _ => vec![("/{$}".to_owned(), Handler::Demo), ("/dev/stats".to_owned(), Handler::DemoStats)],
    }
}

/// What stands below a prefix (with or without a slash at its end) in the path of a request, decoded.
pub fn below(path: &str, prefix: &str) -> Option<String> {
    let path = String::from_utf8_lossy(&decode(path)).into_owned();
    path.strip_prefix(prefix.trim_end_matches('/'))?.strip_prefix('/').map(str::to_owned)
}

/// Whether every percent sign begins an escape.
fn is_escaped(path: &str) -> bool {
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
    path.split('%').skip(1).all(|rest| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(is_hex)))
}

/// The path without empty names, `.` and `..`; a slash at its end stays (upstream: Go's `path.Clean`).
fn clean(path: &str) -> Cow<'_, str> {
    let is_clean = |name: &str| !matches!(name, "" | "." | "..");
    let body = path.strip_prefix('/').unwrap_or(path);
    if body.strip_suffix('/').unwrap_or(body).split('/').all(is_clean) || body.is_empty() {
        return Cow::Borrowed(path);
    }
    let mut names: Vec<&str> = Vec::new();
    for name in body.split('/') {
        match name {
            "" | "." => {}
            ".." => _ = names.pop(),
            name => names.push(name),
        }
    }
    let end = if path.ends_with('/') && !names.is_empty() { "/" } else { "" };
    Cow::Owned(format!("/{}{end}", names.join("/")))
}

/// The path with its escapes decoded, but for slashes: an escaped one is part of a name.
fn decode(path: &str) -> Cow<'_, [u8]> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = path.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|byte| *byte != b'/') {
            Some(byte) => (out.push(byte), at += 3),
            None => (out.push(bytes[at]), at += 1),
        };
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
