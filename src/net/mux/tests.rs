//! What is served where, and what a path leads to.

use super::*;
use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};

fn config(json: &str, dev: bool) -> Snapshot {
    let env = Env::default();
    let loaded = load(Sources { file: Some(("config.json", json)), env: &env, flags: &[] }).unwrap();
    prepare(&loaded.options, &Host { name: "test", resolve: &|_| None }, dev).unwrap()
}

const ALL: &str = r#"{"init":{"enabled":true},"health":{"enabled":true},"prometheus":{"enabled":true}}"#;

/// The endpoints on the only port, and on each of two.
#[track_caller]
fn check_sides(json: &str, both: &str, external: &str, internal: &str) {
    let config = config(json, false);
    let names = |side| Mux::new(&config, side).unwrap().names().join(" ");
    assert_eq!([names(Side::Both), names(Side::External), names(Side::Internal)], [both, external, internal], "{json}");
}

#[test]
fn endpoints_are_where_the_options_say() {
    check_sides("{}", "websocket api", "websocket", "api");
    check_sides(ALL, "websocket api prometheus health init", "websocket init", "api prometheus health");
    let debug = r#"{"debug":{"enabled":true},"swagger":{"enabled":true}}"#;
    check_sides(debug, "websocket api debug swagger", "websocket", "api debug swagger");
    check_sides(r#"{"admin":{"enabled":true}}"#, "websocket api admin", "websocket", "api admin");
    check_sides(r#"{"admin":{"enabled":true,"external":true}}"#, "websocket api admin", "websocket admin", "api");
    check_sides(r#"{"http_api":{"external":true}}"#, "websocket api", "websocket api", "");
    check_sides(r#"{"http_api":{"disabled":true}}"#, "websocket", "websocket", "");
    check_sides(r#"{"http_api":{"disabled":true,"external":true}}"#, "websocket", "websocket", "");
    check_sides(r#"{"websocket":{"disabled":true}}"#, "api", "", "api");
}

/// What a path leads to: a pattern, `-> place`, `nothing` or `malformed`.
#[track_caller]
fn check(json: &str, table: &[(&str, &str)]) {
    let mux = Mux::new(&config(json, false), Side::Both).unwrap();
    for (path, expected) in table {
        let found = match mux.find(path) {
            Found::Route(route) => route.pattern.to_string(),
            Found::Moved(place) => format!("-> {place}"),
            Found::Nothing => "nothing".to_owned(),
            Found::Malformed => "malformed".to_owned(),
        };
        assert_eq!(found, *expected, "{path}");
    }
}

/// Asked of the reference.
#[test]
fn paths_lead_where_go_finds_them() {
    check(
        ALL,
        &[
            ("/health", "/health"),
            ("/health/", "nothing"),
            ("//health", "-> /health"),
            ("/health//", "-> /health/"),
            ("/./health", "-> /health"),
            ("/../health", "-> /health"),
            ("/a/../health", "-> /health"),
            ("/a/b/../../health", "-> /health"),
            ("/health/..", "-> /"),
            ("//", "-> /"),
            ("/he%61lth", "/health"),
            ("/%68ealth", "/health"),
            ("/health%2F", "nothing"),
            ("/he%2561lth", "nothing"),
            ("/%2e%2e/health", "nothing"),
            ("/health;x", "nothing"),
            ("/Health", "nothing"),
            ("/", "nothing"),
            ("/api", "/api"),
            ("/api/", "nothing"),
            ("/api/publish", "/api/publish"),
            ("/api/publish/", "nothing"),
            ("/api//publish", "-> /api/publish"),
            ("/api/broadcast_publish", "nothing"),
            ("/api/nosuch", "nothing"),
            ("/connection/websocket", "/connection/websocket"),
            ("/connection/websocket/", "nothing"),
            ("/connection", "nothing"),
            ("/%", "malformed"),
            ("/%z1", "malformed"),
            ("/a%4", "malformed"),
            ("/%é1", "malformed"),
            ("health", "malformed"),
            ("*", "malformed"),
            ("", "malformed"),
        ],
    );
}

#[test]
fn prefixes_may_be_anything() {
    check(
        r#"{"websocket":{"handler_prefix":"/"},"http_api":{"handler_prefix":"/a/b///"}}"#,
        &[
            ("/", "/"),
            ("/anything/else", "/"),
            ("/a", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/"),
            ("/a/b/info", "/a/b/info"),
            ("//x", "-> /x"),
        ],
    );
    check(r#"{"http_api":{"handler_prefix":"/"}}"#, &[("/publish", "/publish"), ("/", "/"), ("/x", "/")]);
}

#[test]
fn the_admin_pages_have_what_nothing_else_has() {
    check(
        r#"{"admin":{"enabled":true}}"#,
        &[
            ("/", "/"),
            ("/anything", "/"),
            ("/admin", "/"),
            ("/admin/init", "/admin/init"),
            ("/admin/init/", "/"),
            ("/admin/x", "/"),
            ("/api/publish", "/api/publish"),
            ("/api/publish/", "/"),
            ("//admin/auth", "-> /admin/auth"),
        ],
    );
    check(
        r#"{"admin":{"enabled":true,"handler_prefix":"/ops/"}}"#,
        &[("/ops", "-> /ops/"), ("/ops/", "/ops/"), ("/ops/admin/api", "/ops/admin/api"), ("/", "nothing")],
    );
}

#[test]
fn profiles_and_the_description_have_folders() {
    check(
        r#"{"debug":{"enabled":true},"swagger":{"enabled":true}}"#,
        &[
            ("/debug/pprof", "-> /debug/pprof/"),
            ("/debug/pprof/", "/debug/pprof/"),
            ("/debug/pprof/heap", "/debug/pprof/"),
            ("/debug/pprof/trace", "/debug/pprof/trace"),
            ("/debug", "nothing"),
            ("/swagger", "-> /swagger/"),
            ("/swagger/index.html", "/swagger/"),
        ],
    );
    assert_eq!(below("/debug/pprof/he%61p", "/debug/pprof"), Some("heap".to_owned()));
    assert_eq!(below("/debug/pprof/", "/debug/pprof/"), Some(String::new()));
    assert_eq!(below("/x", "/"), Some("x".to_owned()));
    assert_eq!(below("/debug/pprof", "/debug/pprof"), None);
}

#[test]
fn two_endpoints_at_one_path_are_a_mistake() {
    let config = |json| config(json, false);
    let conflict = Mux::new(
        &config(r#"{"health":{"enabled":true,"handler_prefix":"/x/"},"init":{"enabled":true,"handler_prefix":"/x"}}"#),
        Side::Both,
    );
    let told = conflict.unwrap_err().to_string();
    assert_eq!(told, "two endpoints have the path /x: change health.handler_prefix or init.handler_prefix");
    let apart =
        config(r#"{"health":{"enabled":true,"handler_prefix":"/x"},"init":{"enabled":true,"handler_prefix":"/x"}}"#);
    assert!(Mux::new(&apart, Side::External).is_ok() && Mux::new(&apart, Side::Internal).is_ok());
}

#[test]
fn the_demo_has_the_root_alone() {
    let mux = Mux::new(&config("{}", true), Side::Both).unwrap();
    let handler = |path| match mux.find(path) {
        Found::Route(route) => Some(route.handler),
        _ => None,
    };
    assert_eq!(handler("/"), Some(Handler::Demo));
    assert_eq!(handler("/dev/stats"), Some(Handler::DemoStats));
    assert_eq!(handler("/x"), None);
}
