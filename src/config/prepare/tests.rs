//! The snapshot, and what only a start refuses.

use super::*;

use crate::config::dev;
use crate::config::load::{Sources, load};
use crate::config::snapshot::{Broker, DataFormat, HistoryOptions, Presence, SubscriptionType};
use crate::config::validate::validate;

fn make(json: &str, env: &[(&str, &str)]) -> Result<Snapshot, Error> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded = load(Sources { file: Some(("a.json", json)), env: &env, flags: &[] }).unwrap();
    validate(&loaded.options).unwrap();
    let resolve = |host: &str| (host == "localhost").then_some(IpAddr::from([127, 0, 0, 1]));
    prepare(&loaded.options, &Host { name: "box", resolve: &resolve }, false)
}

fn snapshot(json: &str) -> Snapshot {
    make(json, &[]).unwrap()
}

/// A start with this configuration must fail and say why.
#[track_caller]
fn refused(json: &str, words: &str) {
    let error = make(json, &[]).unwrap_err().to_string();
    assert!(error.contains(words), "{json}: {error} says {words}");
}

#[test]
fn the_defaults() {
    let found = snapshot("{}");
    assert_eq!(found.server.address, "[::]:8000".parse().unwrap());
    assert_eq!(found.server.internal_address, None);
    assert_eq!(found.server.shutdown_timeout, Duration::from_secs(30));
    assert_eq!((found.server.pid_file, &*found.node_name), (None, "box_8000"));
    let shards = Shards { count: 0, cores: vec![], pin: true, control_cores: vec![], spin_us: 0, broker_hold_us: 100 };
    assert_eq!(found.shards, shards);
    let client = &found.client;
    assert_eq!((client.ping_interval_ms, client.pong_timeout_ms), (25_000, 8_000));
    assert_eq!((client.stale_close_delay_ms, client.presence_update_interval_ms), (10_000, 27_000));
    assert_eq!((client.channel_limit, client.queue_max_size, client.user_connection_limit), (128, 1_048_576, 0));
    assert!(
        client.subscription_token.is_none() && client.personal_channel.is_none() && client.allowed_origins.is_empty()
    );
    assert_eq!(found.websocket.handler_prefix.as_deref(), Some("/connection/websocket"));
    assert_eq!((found.websocket.message_size_limit, found.websocket.write_timeout_ms), (65_536, 1_000));
    assert_eq!(found.http_api.handler_prefix.as_deref(), Some("/api"));
    assert_eq!((found.health, found.prometheus), (None, None));
    let channel = &found.channel;
    assert_eq!((channel.max_length, channel.history_meta_ttl_s), (255, 2_592_000));
    assert_eq!((&*channel.private_prefix, &*channel.namespace_boundary), ("$", ":"));
    assert_eq!(channel.without_namespace.history, HistoryOptions { size: 0, ttl_s: 0, meta_ttl_s: 2_592_000 });
}

#[test]
fn addresses() {
    let listen = |json: &str| {
        let server = snapshot(&format!(r#"{{"http_server":{{{json}}}}}"#)).server;
        (server.address.to_string(), server.internal_address.map(|address| address.to_string()))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(listen(r#""address":"127.0.0.1","port":9"#), ("127.0.0.1:9".to_owned(), None));
    assert_eq!(listen(r#""address":"localhost""#).0, "127.0.0.1:8000");
    assert_eq!(listen(r#""address":"::1""#).0, "[::1]:8000");
    assert_eq!(listen(r#""address":"[::1]""#).0, "[::1]:8000");
    assert_eq!(listen(r#""address":"127.0.0.1","internal_port":9000"#).1, some("127.0.0.1:9000"));
    assert_eq!(listen(r#""internal_address":"127.0.0.1""#).1, some("127.0.0.1:8000"));
    assert_eq!(listen(r#""internal_port":"8000""#).1, None);
    refused(r#"{"http_server":{"address":"nohost"}}"#, "http_server.address: no address found for the host \"nohost\"");
    refused(r#"{"http_server":{"internal_port":"abc"}}"#, "http_server.internal_port: expected a whole number");
    refused(r#"{"http_server":{"internal_port":"70000"}}"#, "http_server.internal_port: expected a whole number");
}

#[test]
fn where_admin_pages_are_developed() {
    let proxy = |url: &str| {
        let json = serde_json::json!({ "admin": { "enabled": true, "web_proxy_address": url } }).to_string();
        make(&json, &[]).map(|snapshot| {
            let proxy = snapshot.admin.unwrap().web_proxy.unwrap();
            format!("{} {} {}", proxy.address, proxy.authority, proxy.path)
        })
    };
    assert_eq!(proxy("http://localhost:3000").unwrap(), "127.0.0.1:3000 localhost:3000 ");
    assert_eq!(proxy("http://localhost").unwrap(), "127.0.0.1:80 localhost ");
    assert_eq!(proxy("http://127.0.0.1:1/a/b/").unwrap(), "127.0.0.1:1 127.0.0.1:1 /a/b");
    assert_eq!(proxy("http://[::1]:1").unwrap(), "[::1]:1 [::1]:1 ");
    assert_eq!(proxy("http://[::1]").unwrap(), "[::1]:80 [::1] ");
    for bad in [
        "localhost:3000",
        "https://localhost",
        "http://",
        "http:///x",
        "http://localhost:x",
        "http://a b",
        "http://u@localhost",
        "http://localhost/?q",
        "http://nowhere",
    ] {
        assert!(proxy(bad).unwrap_err().to_string().contains("admin.web_proxy_address"), "{bad}");
    }
}

#[test]
fn cores() {
    let cores = |text: &str| snapshot(&format!(r#"{{"shards":{{"cores":"{text}"}}}}"#)).shards.cores;
    assert_eq!(cores("0-3, 8"), [0, 1, 2, 3, 8]);
    assert_eq!(cores("5"), [5]);
    for (text, words) in [
        ("a", "shards.cores: expected cores such as 0-3,8-11, found \"a\""),
        ("1,", "found \"\""),
        ("3-1", "\"3-1\" runs backwards"),
        ("1-3,2", "core 2 stands twice"),
        ("5000", "found \"5000\""),
    ] {
        refused(&format!(r#"{{"shards":{{"cores":"{text}"}}}}"#), words);
    }
    refused(r#"{"shards":{"control_cores":"x"}}"#, "shards.control_cores");
    refused(r#"{"shards":{"cores":"0-1","count":3}}"#, "shards.count: 3 shards cannot each have one of 2 cores");
    assert_eq!(snapshot(r#"{"shards":{"cores":"0-1","count":3,"pin":false}}"#).shards.count, 3);
}

#[test]
fn what_is_not_available_is_refused() {
    refused(r#"{"engine":{"type":"strange"}}"#, "engine.type: unknown value \"strange\"");
    refused(r#"{"broker":{"enabled":true,"type":"postgres"}}"#, "broker.type: postgres is not available");
    refused(
        r#"{"broker":{"enabled":true,"type":"redisnats"}}"#,
        "broker.type: redisnats needs enable_unreleased_features",
    );
    refused(r#"{"presence_manager":{"enabled":true,"type":"nats"}}"#, "presence_manager.type: unknown value");
    refused(r#"{"map_broker":{"type":"postgres"}}"#, "map_broker.type: postgres is not available");
    refused(
        r#"{"controller":{"enabled":true,"type":"postgres"}}"#,
        "controller.type: postgres is not available in this version: use redis or nats",
    );
    refused(r#"{"controller":{"enabled":true}}"#, "controller.type: unknown value \"\", expected redis or nats");
    refused(r#"{"http_server":{"tls":{"enabled":true}}}"#, "http_server.tls.enabled: TLS is not available");
    refused(r#"{"http_server":{"tls_autocert":{"enabled":true}}}"#, "http_server.tls_autocert.enabled: TLS");
    refused(r#"{"http_server":{"internal_tls":{"enabled":true}}}"#, "http_server.internal_tls.enabled: TLS");
    refused(r#"{"webtransport":{"enabled":true}}"#, "webtransport.enabled: needs http_server.http3.enabled");
    // Types that nothing uses do not matter.
    snapshot(r#"{"broker":{"type":"nats"},"presence_manager":{"type":"redis"},"controller":{"type":"x"}}"#);
    snapshot(r#"{"engine":{"type":"x"},"broker":{"enabled":true},"presence_manager":{"enabled":true}}"#);
}

/// Where channels live, where presence is kept, and the options of the first Redis.
#[track_caller]
fn places(json: &str, broker: &str, presence: &str, option: &str) {
    let snapshot = snapshot(json);
    let (found, redis) = match &snapshot.broker {
        Broker::Memory => ("memory", None),
        Broker::Redis(broker) => ("redis", Some(&broker.redis)),
        Broker::Nats(_) => ("nats", None),
        Broker::RedisNats(broker, _) => ("redisnats", Some(&broker.redis)),
    };
    let (found_presence, of_presence) = match &snapshot.presence {
        Presence::Memory => ("memory", None),
        Presence::Redis(presence) => ("redis", Some(&presence.redis)),
    };
    assert_eq!((found, found_presence), (broker, presence), "{json}");
    assert_eq!(redis.or(of_presence).map_or("", |redis| redis.option), option, "{json}");
}

#[test]
fn parts_of_different_kinds() {
    let redis = r#""type":"redis""#;
    places("{}", "memory", "memory", "");
    places(&format!(r#"{{"engine":{{{redis}}}}}"#), "redis", "redis", "engine.redis");
    let nats = r#""broker":{"enabled":true,"type":"nats"}"#;
    places(&format!("{{{nats}}}"), "nats", "memory", "");
    places(&format!(r#"{{{nats},"engine":{{{redis}}}}}"#), "nats", "redis", "engine.redis");
    let presence = r#""presence_manager":{"enabled":true,"type":"redis"}"#;
    places(&format!("{{{nats},{presence}}}"), "nats", "redis", "presence_manager.redis");
    places(&format!("{{{presence}}}"), "memory", "redis", "presence_manager.redis");
    places(&format!(r#"{{"broker":{{"enabled":true,{redis}}}}}"#), "redis", "memory", "broker.redis");
    places(
        &format!(r#"{{"engine":{{{redis}}},"presence_manager":{{"enabled":true}}}}"#),
        "redis",
        "memory",
        "engine.redis",
    );
    places(&format!(r#"{{"engine":{{{redis}}},"broker":{{"enabled":true}}}}"#), "memory", "redis", "engine.redis");
    places(
        r#"{"enable_unreleased_features":true,"broker":{"enabled":true,"type":"redisnats"}}"#,
        "redisnats",
        "memory",
        "broker.redis",
    );
}

#[test]
fn nats() {
    let nats =
        |options: &str| match snapshot(&format!(r#"{{"broker":{{"enabled":true,"type":"nats","nats":{options}}}}}"#))
            .broker
        {
            Broker::Nats(nats) => nats,
            other => panic!("{other:?}"),
        };
    let plain = nats("{}");
    assert_eq!((&*plain.nats.prefix, plain.wildcards, plain.raw), ("centrifugo", false, None));
    assert_eq!(
        (plain.nats.dial_timeout_ms, plain.nats.write_timeout_ms, plain.nats.tls.is_some()),
        (1_000, 1_000, false)
    );
    assert_eq!(plain.nats.servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["localhost:4222"]);
    let other = nats(
        r#"{"url":"tls://a:1,b","prefix":"x.y","allow_wildcards":true,"dial_timeout":"3s",
            "raw_mode":{"enabled":true,"prefix":"raw.","channel_replacements":{":":"."}}}"#,
    );
    assert_eq!((other.nats.servers.len(), other.wildcards, other.nats.dial_timeout_ms), (2, true, 3_000));
    assert_eq!(other.nats.tls.unwrap().option, "broker.nats.tls");
    let raw = other.raw.unwrap();
    assert_eq!((&*raw.prefix, &raw.replacements[..]), ("raw.", &[(":".into(), ".".into())][..]));
    assert!(nats(r#"{"tls":{"enabled":true,"insecure_skip_verify":true}}"#).nats.tls.unwrap().skips_verification);
    for (options, words) in [
        (r#"{"prefix":"a b"}"#, "broker.nats.prefix: must be words between dots"),
        (r#"{"url":"http://h"}"#, "broker.nats.url: address 1: must be host:port"),
    ] {
        refused(&format!(r#"{{"broker":{{"enabled":true,"type":"nats","nats":{options}}}}}"#), words);
    }
}

#[test]
fn clients() {
    refused(r#"{"client":{"ping_interval":"5s","pong_timeout":"5s"}}"#, "client.ping_interval: must be longer than");
    refused(
        r#"{"client":{"allowed_origins":["http://a","[a"]}}"#,
        "client.allowed_origins: malformed origin pattern \"[a\"",
    );
    let client = snapshot(
        r#"{"client":{"ping_interval":"-1s","pong_timeout":"-2s","user_id_http_header":"X-User","channel_limit":-1,
            "write":1,"user_connection_limit":3,"subscribe_to_user_personal_channel":{"enabled":true,
            "personal_channel_namespace":"aa"}},"channel":{"namespaces":[{"name":"aa"}]}}"#,
    )
    .client;
    assert_eq!((client.ping_interval_ms, client.pong_timeout_ms), (0, 0));
    assert_eq!((client.user_id_http_header.as_deref(), client.channel_limit), (Some("x-user"), 128));
    assert_eq!((client.user_connection_limit, &*client.personal_channel.unwrap().namespace), (3, "aa"));
}

#[test]
fn a_zero_that_the_environment_forces_takes_the_inner_default() {
    let env = ["CHANNEL_LIMIT", "QUEUE_MAX_SIZE"].map(|name| format!("CENTRIFUGO_CLIENT_{name}"));
    let stale = "CENTRIFUGO_CLIENT_STALE_CLOSE_DELAY";
    let found = make("{}", &[(&env[0], "0"), (&env[1], "0"), (stale, "0s")]).unwrap().client;
    assert_eq!((found.channel_limit, found.queue_max_size, found.stale_close_delay_ms), (128, 1_048_576, 15_000));
    let found = make("{}", &[("CENTRIFUGO_WEBSOCKET_MESSAGE_SIZE_LIMIT", "0")]).unwrap();
    assert_eq!(found.websocket.message_size_limit, 65_536);
}

#[test]
fn a_negative_message_limit_leaves_the_bound_of_the_house() {
    let limit = |size: &str| {
        let json = format!(r#"{{"websocket":{{"message_size_limit":{size}}}}}"#);
        snapshot(&json).websocket.message_size_limit
    };
    assert_eq!([limit("0"), limit("5"), limit("-1")], [65_536, 5, 256 << 20]);
}

#[test]
fn tokens() {
    let key = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n\
               q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----\n";
    let with = |name: &str, value: &str| serde_json::json!({ "client": { "token": { name: value } } }).to_string();
    assert_eq!(&*snapshot(&with("ecdsa_public_key", key)).client.token.ecdsa_public_key, key);
    refused(&with("ecdsa_public_key", "nope"), "client.token.ecdsa_public_key: is not the PEM text");
    refused(&with("rsa_public_key", "nope"), "client.token.rsa_public_key: is not the PEM text");
    refused(&with("rsa_public_key", key), "client.token.rsa_public_key: is not the PEM text");
    refused(&with("issuer_regex", "["), "client.token.issuer_regex: is not a valid pattern");
    refused(&with("audience_regex", "("), "client.token.audience_regex: is not a valid pattern");
    for name in ["audience", "issuer"] {
        let both = format!(r#"{{"client":{{"token":{{"{name}":"a","{name}_regex":"a"}}}}}}"#);
        refused(&both, &format!("client.token.{name}: cannot be used together with client.token.{name}_regex"));
    }
    // Keys of subscription tokens matter once they are switched on.
    let own = |enabled: bool| {
        format!(
            r#"{{"client":{{"subscription_token":{{"enabled":{enabled},"hmac_secret_key":"s","rsa_public_key":"x"}}}}}}"#
        )
    };
    assert!(snapshot(&own(false)).client.subscription_token.is_none());
    refused(&own(true), "client.subscription_token.rsa_public_key");
}

#[test]
fn the_key_of_a_token_command() {
    let secret = |subscription: bool, enabled: bool| {
        let json = format!(
            r#"{{"client":{{"token":{{"hmac_secret_key":"one"}},"subscription_token":{{"enabled":{enabled},"hmac_secret_key":"two"}}}}}}"#
        );
        let loaded = load(Sources { file: Some(("a.json", &json)), env: &Default::default(), flags: &[] }).unwrap();
        client::token_of(&loaded.options, subscription).unwrap().hmac_secret_key
    };
    assert_eq!(
        ["one", "one", "one", "two"],
        [&*secret(false, false), &*secret(false, true), &*secret(true, false), &*secret(true, true)]
    );
}

#[test]
fn namespaces() {
    let found = snapshot(
        r#"{"channel":{"publication_data_format":"json","history_meta_ttl":"100s","namespaces":[
            {"name":"aa","history_size":5,"history_ttl":"10s","force_recovery":true,"force_recovery_mode":"cache",
             "allowed_delta_types":["fossil"],"channel_regex":"^\\d+$","publication_data_format":"binary"},
            {"name":"bb","history_meta_ttl":"50s","subscription_type":"map_users","map":{"mode":"ephemeral","key_ttl":"9s"}}]}}"#,
    )
    .channel;
    let (aa, bb) = (&found.namespaces["aa"], &found.namespaces["bb"]);
    assert_eq!(aa.history, HistoryOptions { size: 5, ttl_s: 10, meta_ttl_s: 100 });
    assert!(aa.recovery_mode_cache && aa.delta_fossil && aa.force_recovery && !aa.presence);
    assert!(aa.channel_regex.as_ref().is_some_and(|regex| regex.is_match("12") && !regex.is_match("\u{663}")));
    assert_eq!((aa.publication_data_format, aa.subscription_type), (DataFormat::Binary, SubscriptionType::Stream));
    assert_eq!((bb.history.meta_ttl_s, bb.channel_regex.is_some()), (50, false));
    assert_eq!((bb.publication_data_format, bb.subscription_type), (DataFormat::Json, SubscriptionType::MapUsers));
    assert_eq!(found.without_namespace.publication_data_format, DataFormat::Json);
}

#[test]
fn endpoints() {
    let found = snapshot(
        r#"{"health":{"enabled":true,"handler_prefix":"/h/"},"prometheus":{"enabled":true,"handler_prefix":"/"},
            "init":{"enabled":true},"websocket":{"disabled":true},"http_api":{"handler_prefix":"/v1//","error_mode":"transport","key":"k"}}"#,
    );
    assert_eq!((found.health.as_deref(), found.prometheus.as_deref()), (Some("/h"), Some("/")));
    assert_eq!(found.init.as_deref(), Some("/connection/init"));
    assert_eq!((found.websocket.handler_prefix, found.http_api.handler_prefix.as_deref()), (None, Some("/v1")));
    assert!(found.http_api.error_mode_transport);
    refused(r#"{"http_api":{"error_mode":"strange"}}"#, "http_api.error_mode: unknown value \"strange\"");
    assert!(snapshot(r#"{"http_api":{"error_mode":"strange","disabled":true}}"#).http_api.handler_prefix.is_none());
}

#[test]
fn dev_is_for_this_machine_alone() {
    let json = r#"{"http_server":{"address":"0.0.0.0","port":9000,"internal_port":9001},"engine":{"type":"redis"},
        "client":{"allowed_origins":["*"]},"http_api":{"key":"k"}}"#;
    let mut loaded = load(Sources { file: Some(("a.json", json)), env: &Default::default(), flags: &[] }).unwrap();
    dev::apply(&mut loaded.options);
    let host = Host { name: "box", resolve: &|_| None };
    let found = prepare(&loaded.options, &host, true).unwrap();
    assert!(found.dev && found.client.insecure && found.http_api.insecure);
    assert_eq!(found.server.address.to_string(), "127.0.0.1:9000");
    assert_eq!(found.server.internal_address.map(|address| address.to_string()).as_deref(), Some("127.0.0.1:9001"));
    assert_eq!(*found.client.allowed_origins, [Box::from("http://localhost:9000"), Box::from("http://127.0.0.1:9000")]);
}

#[test]
fn what_is_left_to_the_backend() {
    let proxies = r#""proxy":{"subscribe":{"endpoint":"http://a"},"publish":{"endpoint":"http://a"},
        "subscribe_stream":{"endpoint":"grpc://a"},"sub_refresh":{"endpoint":"http://a"}}"#;
    for (option, subscribe, publish) in [
        ("subscribe_proxy_enabled", true, false),
        ("publish_proxy_enabled", false, true),
        ("subscribe_stream_proxy_enabled", true, true),
        ("sub_refresh_proxy_enabled", false, false),
    ] {
        let found = snapshot(&format!(r#"{{"channel":{{{proxies},"namespaces":[{{"name":"aa","{option}":true}}]}}}}"#));
        let options = &found.channel.namespaces["aa"];
        assert_eq!((options.subscribe_proxied, options.publish_proxied), (subscribe, publish), "{option}");
        assert!(!found.channel.without_namespace.subscribe_proxied);
    }
    let found = snapshot(r#"{"client":{"proxy":{"connect":{"enabled":true,"endpoint":"http://a"}}}}"#);
    assert!(found.client.connect_proxied);
}

#[test]
fn negative_bounds_of_channels_are_none() {
    let found = snapshot(
        r#"{"channel":{"max_length":-1,"without_namespace":{"history_size":-5,"history_ttl":"5s"},
            "namespaces":[{"name":"aa","history_size":99999999999,"history_ttl":"5s"}]}}"#,
    )
    .channel;
    assert_eq!((found.max_length, found.without_namespace.history.is_on()), (0, false));
    assert_eq!(found.namespaces["aa"].history.size, u32::MAX);
    assert_eq!(snapshot(r#"{"channel":{"max_length":0}}"#).channel.max_length, 255);
}

#[test]
fn prefixes_begin_with_a_slash() {
    for section in ["health", "init", "prometheus", "swagger", "debug", "admin"] {
        let at = |prefix: &str| format!(r#"{{"{section}":{{"enabled":true,"handler_prefix":"{prefix}"}}}}"#);
        refused(&at("x"), &format!("{section}.handler_prefix: must begin with a slash, found \"x\""));
        refused(&at("host/x/"), &format!("{section}.handler_prefix: must begin with a slash"));
        snapshot(&at(""));
        // Nobody serves it.
        snapshot(&at("x").replace("true", "false"));
    }
    refused(r#"{"websocket":{"handler_prefix":"x"}}"#, "websocket.handler_prefix: must begin");
    refused(r#"{"http_api":{"handler_prefix":"x"}}"#, "http_api.handler_prefix: must begin");
}

#[test]
fn backends_of_shared_polls_speak_http() {
    let with = |endpoint: &str, name: &str| {
        format!(
            r#"{{"shared_poll":{{"hmac_secret_key":"x"}},"proxies":[{{"name":"named","endpoint":"{endpoint}"}}],
                "channel":{{"proxy":{{"shared_poll_refresh":{{"endpoint":"{endpoint}"}}}},"namespaces":[{{"name":"poll",
                    "subscription_type":"shared_poll","shared_poll":{{"proxy_name":"{name}"}}}}]}}}}"#
        )
    };
    for name in ["named", "default"] {
        snapshot(&with("https://backend.example", name));
        let words = format!("channel.namespaces.poll.shared_poll.proxy_name: the backend {name:?} is a GRPC one");
        refused(&with("grpc://backend.example", name), &words);
        refused(&with("backend.example:80", name), "begins with http:// or https://");
    }
}
