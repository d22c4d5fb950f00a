//! The lists of what is taken over, held against what really changes, option by option.

use super::*;
use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::option::Kind;
use crate::config::prepare::{Host, prepare};

/// What makes every option count.
const BASE: &str = r#"{"init":{"enabled":true},"health":{"enabled":true},"prometheus":{"enabled":true},
    "admin":{"enabled":true},"swagger":{"enabled":true},"debug":{"enabled":true},
    "client":{"subscription_token":{"enabled":true},"subscribe_to_user_personal_channel":{"enabled":true}},
    "channel":{"without_namespace":{"map":{"mode":"persistent"}},
        "proxy":{"shared_poll_refresh":{"endpoint":"http://backend.example","http":{"tls":{"enabled":true}}}}},
    "proxies":[{"name":"named","endpoint":"http://backend.example"}]}"#;

/// Options of which not every value is one, or not every change can be seen.
const VALUES: &[(&str, &str)] = &[
    ("http_server.address", "127.0.0.1"),
    ("http_server.internal_address", "127.0.0.2"),
    ("http_server.internal_port", "9000"),
    ("shards.cores", "0"),
    ("shards.control_cores", "0"),
    ("http_api.error_mode", "transport"),
    ("admin.web_proxy_address", "http://127.0.0.1:1"),
    ("channel.publication_data_format", "json"),
    ("channel.without_namespace.publication_data_format", "json"),
    ("channel.without_namespace.force_recovery_mode", "cache"),
    ("channel.without_namespace.allowed_delta_types", "fossil"),
    ("channel.without_namespace.subscription_type", "map"),
    ("channel.without_namespace.map.client_key", "user_id"),
    ("channel.without_namespace.map.meta_ttl", "9s"),
    ("channel.without_namespace.shared_poll.mode", "versioned"),
    ("channel.without_namespace.shared_poll.channel_shutdown_delay", "9s"),
    ("client.token.jwks_public_endpoint", "https://keys.example"),
    ("client.subscription_token.jwks_public_endpoint", "https://keys.example"),
    ("client.token.rsa_public_key", ""),
    ("client.token.ecdsa_public_key", ""),
    ("client.subscription_token.rsa_public_key", ""),
    ("client.subscription_token.ecdsa_public_key", ""),
];

/// Options that take one value only, or none that the snapshot would hold.
const UNSEEN: &[&str] = &[
    "log.level",
    "log.file",
    "engine.type",
    "broker.enabled",
    "broker.type",
    "presence_manager.enabled",
    "presence_manager.type",
    "map_broker.type",
    "controller.enabled",
    "controller.type",
    "usage_stats.disabled",
    "enable_unreleased_features",
    "client.token.insecure_skip_jwks_endpoint_safety_check",
    "client.subscription_token.insecure_skip_jwks_endpoint_safety_check",
    "client.token.rsa_public_key",
    "client.token.ecdsa_public_key",
    "client.subscription_token.rsa_public_key",
    "client.subscription_token.ecdsa_public_key",
    "channel.namespaces",
];

fn options(text: &str) -> Section {
    load(Sources { file: Some(("config.json", text)), env: &Env::default(), flags: &[] }).unwrap().options
}

fn snapshot(options: &Section) -> Snapshot {
    prepare(options, &Host { name: "host", resolve: &|_| None }, false).unwrap()
}

/// Everything that a snapshot holds, keys of tokens included.
fn show(snapshot: &Snapshot) -> String {
    let token = |token: &crate::config::snapshot::Token| {
        [
            &token.hmac_secret_key,
            &token.hmac_previous_secret_key,
            &token.audience,
            &token.audience_regex,
            &token.issuer,
            &token.issuer_regex,
            &token.user_id_claim,
        ]
        .map(|text| text.to_string())
        .join("|")
            + &token.hmac_previous_secret_key_valid_until.to_string()
            + &token.jwks_public_endpoint.as_ref().and_then(|endpoint| endpoint.fill(|_| None)).unwrap_or_default()
    };
    let client = &snapshot.client;
    let tokens = [Some(token(&client.token)), client.subscription_token.as_ref().map(token)];
    // The order of namespaces in their table is nobody's; there is one.
    let track = [&snapshot.track_keys.secret, &snapshot.track_keys.previous];
    let backend = snapshot.proxies.shared_poll_refresh.as_ref();
    let backend = backend.map(|proxy| {
        let tls = proxy.tls.as_ref().map(|tls| {
            let pem = [&tls.cert_pem, &tls.key_pem, &tls.server_ca_pem, &tls.client_ca_pem];
            (pem, tls.skips_verification, &tls.server_name)
        });
        (&proxy.endpoint, &proxy.headers, tls)
    });
    format!("{snapshot:?} {tokens:?} {track:?} {backend:?}")
}

/// The paths of all options in force that are no sections.
fn in_force(section: &Section, path: &str, found: &mut Vec<String>) {
    for entry in section.entries.iter().filter(|entry| entry.option.in_force) {
        let here = format!("{path}{}", entry.option.name);
        match &entry.value {
            Value::Section(inner) => in_force(inner, &format!("{here}."), found),
            _ => found.push(here),
        }
    }
}

/// The configuration with another value for one option.
fn changed(base: &Section, path: &str) -> Section {
    let mut options = base.clone();
    let entry = options.find_mut(path).expect("an option");
    let given = VALUES.iter().find(|(known, _)| *known == path).map(|(_, value)| *value);
    entry.value = match (given, &entry.value) {
        (Some(text), _) => crate::config::text::parse(entry.option.kind, text).expect("a value"),
        (None, Value::Bool(value)) => Value::Bool(!value),
        (None, Value::Int(value)) => Value::Int(value + 1),
        (None, Value::Duration(value)) => Value::Duration(value + 1_000_000_000),
        (None, Value::Text(_)) if path.ends_with(".handler_prefix") => Value::Text("/other".to_owned()),
        (None, Value::Text(_)) => Value::Text("other".to_owned()),
        (None, Value::Texts(_)) => Value::Texts(Some(vec!["other".to_owned()])),
        (None, Value::Map(_)) => Value::Map(vec![("other".to_owned(), "other".to_owned())]),
        (None, Value::List(_)) if matches!(entry.option.kind, Kind::List { .. }) => Value::List(Vec::new()),
        (None, _) => panic!("{path}: another kind of value"),
    };
    options
}

#[test]
fn what_is_taken_over_is_what_the_lists_say() {
    let base = options(BASE);
    let running = snapshot(&base);
    let (before, mut paths) = (show(&running), Vec::new());
    in_force(&base, "", &mut paths);
    // What is said of Redis and NATS counts where they are used: see below.
    paths.retain(|path| !path.contains(".redis.") && !path.contains(".nats."));
    for path in paths.iter().filter(|path| !UNSEEN.contains(&path.as_str())) {
        let newer = changed(&base, path);
        let wanted = snapshot(&newer);
        let after = show(&running.reloaded(wanted.clone()));
        assert_ne!(before, show(&wanted), "{path}: the test sees no difference");
        match is_taken_over(path) {
            true => assert_eq!(after, show(&wanted), "{path} is taken over"),
            false => assert_eq!(after, before, "{path} waits for a restart"),
        }
        let named = if is_taken_over(path) { Vec::new() } else { vec![path.clone()] };
        assert_eq!(waiting(&base, &newer), named);
    }
    for path in UNSEEN.iter().chain(VALUES.iter().map(|(path, _)| path)) {
        assert!(paths.iter().any(|known| known == path), "{path} is no option in force");
    }
    for path in TAKEN_OVER.iter().chain(KEPT) {
        assert!(base.find(path).is_some(), "{path} is no option");
    }
}

#[test]
fn brokers_stay_where_they_are_until_the_next_start() {
    let redis = |address: &str| format!(r#"{{"engine":{{"type":"redis","redis":{{"address":"{address}"}}}}}}"#);
    let nats = |url: &str| format!(r#"{{"broker":{{"enabled":true,"type":"nats","nats":{{"url":"{url}"}}}}}}"#);
    let places = |snapshot: &Snapshot| format!("{:?} {:?} {:?}", snapshot.broker, snapshot.presence, snapshot.maps);
    let check = |old: String, new: String, option: &str| {
        let (old, new) = (options(&old), options(&new));
        assert_ne!(places(&snapshot(&old)), places(&snapshot(&new)));
        assert_eq!(places(&snapshot(&old).reloaded(snapshot(&new))), places(&snapshot(&old)));
        assert_eq!(waiting(&old, &new), [option]);
    };
    check(redis("a:1"), redis("b:2"), "engine.redis.address");
    let maps = |address: &str| format!(r#"{{"map_broker":{{"type":"redis","redis":{{"address":"{address}"}}}}}}"#);
    check(maps("a:1"), maps("b:2"), "map_broker.redis.address");
    check(nats("a:1"), nats("b:2"), "broker.nats.url");
}

#[test]
fn namespaces_change() {
    let (old, new) = (options(BASE), options(r#"{"channel":{"namespaces":[{"name":"aa","presence":true}]}}"#));
    let reloaded = snapshot(&old).reloaded(snapshot(&new));
    assert!(reloaded.channel.namespaces["aa"].presence);
    assert!(!waiting(&old, &new).contains(&"channel.namespaces".to_owned()));
}

#[test]
fn several_options_are_named_in_order_and_idle_ones_are_not() {
    let new = options(
        r#"{"health":{"enabled":true},"client":{"ping_interval":"99s","insecure":true,"concurrency":5,"allowed_origins":[]},
            "http_server":{"port":5000},"channel":{"max_length":5}}"#,
    );
    let expected = ["http_server.port", "client.ping_interval", "channel.max_length", "health.enabled"];
    assert_eq!(waiting(&options("{}"), &new), expected);
    assert!(waiting(&new, &new).is_empty());
}

#[test]
fn separate_keys_change_where_there_were_some() {
    let with = |secret: &str| {
        let text = format!(r#"{{"client":{{"subscription_token":{{"enabled":true,"hmac_secret_key":"{secret}"}}}}}}"#);
        snapshot(&options(&text))
    };
    let secret = |config: &Snapshot| config.client.subscription_token.clone().map(|token| token.hmac_secret_key);
    assert_eq!(secret(&with("a").reloaded(with("b"))).as_deref(), Some("b"));
    assert_eq!(secret(&with("a").reloaded(snapshot(&options("{}")))).as_deref(), Some("a"));
    assert_eq!(secret(&snapshot(&options("{}")).reloaded(with("a"))), None);
}
