//! Every rule once kept and once broken.

use super::validate;
use crate::config::load::{Sources, load};

/// Validates a configuration; a broken rule must be told with the given words.
#[track_caller]
fn check(json: &str, problem: Option<&str>) {
    let loaded = load(Sources { file: Some(("a.json", json)), env: &Default::default(), flags: &[] }).unwrap();
    match (validate(&loaded.options).map_err(|error| error.to_string()), problem) {
        (Ok(()), None) => {}
        (Err(error), Some(words)) => assert!(error.contains(words), "{json}: {error} says {words}"),
        (found, _) => panic!("{json}: {found:?}, expected {problem:?}"),
    }
}

#[track_caller]
fn good(json: &str) {
    check(json, None);
}

#[track_caller]
fn bad(json: &str, words: &str) {
    check(json, Some(words));
}

/// Validates options of channels, both without namespace and in one, and names the option at fault.
#[track_caller]
fn channel(options: &str, problem: Option<&str>) {
    check(&format!(r#"{{"channel":{{"without_namespace":{{{options}}}}}}}"#), problem);
    let named = format!(r#"{{"channel":{{"namespaces":[{{"name":"aa",{options}}}]}}}}"#);
    check(&named, problem);
    if let Some(problem) = problem {
        check(&named, Some(&format!("channel.namespaces.aa.{problem}")));
    }
}

#[test]
fn an_empty_configuration_is_good() {
    good("{}");
    // Things that only a start refuses, as in the reference.
    good(r#"{"client":{"ping_interval":"5s","pong_timeout":"8s"}}"#);
    good(r#"{"engine":{"type":"strange"},"http_api":{"error_mode":"strange"}}"#);
    good(r#"{"client":{"token":{"audience":"a","audience_regex":"[","rsa_public_key":"nope"}}}"#);
    good(r#"{"client":{"allowed_origins":["[a"]},"admin":{"enabled":true}}"#);
}

#[test]
fn http_server() {
    good(r#"{"http_server":{"h2c_external":true,"internal_port":9000}}"#);
    bad(r#"{"http_server":{"h2c_external":true}}"#, "http_server.h2c_external: needs an internal port");
    bad(r#"{"http_server":{"h2c_external":true,"port":9000,"internal_port":"9000"}}"#, "needs an internal port");
    bad(
        r#"{"http_server":{"h2c_external":true,"internal_port":9000,"tls":{"enabled":true}}}"#,
        "http_server.h2c_external: cannot be used together with http_server.tls.enabled",
    );
}

#[test]
fn brokers() {
    good(r#"{"broker":{"enabled":true,"type":"nats"},"map_broker":{"type":"postgres"}}"#);
    bad(r#"{"broker":{"type":"strange"}}"#, "broker.type: unknown value \"strange\", expected one of: memory, nats");
    bad(r#"{"map_broker":{"type":"nats"}}"#, "map_broker.type: unknown value \"nats\"");
}

#[test]
fn claims() {
    good(r#"{"client":{"token":{"user_id_claim":"user_id"},"subscription_token":{"user_id_claim":"UID"}}}"#);
    bad(r#"{"client":{"token":{"user_id_claim":"a-b"}}}"#, "client.token.user_id_claim: the claim \"a-b\"");
    bad(r#"{"client":{"subscription_token":{"user_id_claim":"a1"}}}"#, "client.subscription_token.user_id_claim");
}

#[test]
fn proxies_of_connections() {
    good(r#"{"client":{"proxy":{"connect":{"enabled":true,"endpoint":"http://x"}}}}"#);
    good(r#"{"client":{"proxy":{"connect":{"endpoint":""}}}}"#);
    bad(r#"{"client":{"proxy":{"connect":{"enabled":true}}}}"#, "client.proxy.connect.endpoint: must be set");
    bad(r#"{"client":{"proxy":{"refresh":{"enabled":true}}}}"#, "client.proxy.refresh.endpoint: must be set");
}

#[test]
fn named_proxies() {
    let proxies = |proxies: &str| format!(r#"{{"proxies":[{proxies}]}}"#);
    let pp = r#"{"name":"pp","endpoint":"http://x"}"#;
    good(&proxies(pp));
    bad(&proxies(&format!("{pp},{pp}")), "proxies.[1].name: the proxy name \"pp\" is used twice");
    bad(&proxies(r#"{"name":"p","endpoint":"x"}"#), "proxies.[0].name: the proxy name \"p\" must be at least two");
    bad(&proxies(r#"{"name":"default","endpoint":"x"}"#), "\"default\" is reserved");
    bad(&proxies(r#"{"name":"pp"}"#), "proxies.[0].endpoint: must be set");
}

#[test]
fn status_transforms() {
    let proxy = |transform: &str, problem: Option<&str>| {
        let json = format!(
            r#"{{"proxies":[{{"name":"pp","endpoint":"x","http":{{"status_to_code_transforms":[{transform}]}}}}]}}"#
        );
        let problem = problem.map(|words| format!("proxies.[0].http.status_to_code_transforms.[0]{words}"));
        check(&json, problem.as_deref());
    };
    let long = "x".repeat(124);
    proxy(r#"{"status_code":404,"to_error":{"code":404,"message":"gone"}}"#, None);
    proxy(r#"{"status_code":404,"to_disconnect":{"code":4504,"reason":"gone"}}"#, None);
    proxy(r#"{"to_error":{"code":404}}"#, Some(".status_code: must be set"));
    proxy(r#"{"status_code":404}"#, Some(": needs to_error.code or to_disconnect.code"));
    proxy(r#"{"status_code":404,"to_error":{"code":1},"to_disconnect":{"code":1}}"#, Some(": takes to_error or to_disconnect"));
    proxy(r#"{"status_code":404,"to_error":{"code":1,"message":"é"}}"#, Some(".to_error.message: must be ASCII"));
    proxy(r#"{"status_code":404,"to_disconnect":{"code":1,"reason":"é"}}"#, Some(".to_disconnect.reason: must be ASCII"));
    let json = format!(r#"{{"status_code":404,"to_error":{{"code":1,"message":"{long}"}}}}"#);
    proxy(&json, Some(".to_error.message: is longer than 123 bytes"));
    let json = format!(r#"{{"status_code":404,"to_disconnect":{{"code":1,"reason":"{long}"}}}}"#);
    proxy(&json, Some(".to_disconnect.reason: is longer than 123 bytes"));
}

#[test]
fn names_of_namespaces() {
    let namespaces = |list: &str, problem| check(&format!(r#"{{"channel":{{"namespaces":[{list}]}}}}"#), problem);
    namespaces(r#"{"name":"a-1_.b"},{"name":"bb"}"#, None);
    namespaces(r#"{"name":"a b"}"#, Some("channel.namespaces.[0].name: the namespace name \"a b\""));
    namespaces(r#"{"name":"a"}"#, Some("the namespace name \"a\" must be at least two"));
    namespaces("{}", Some("the namespace name \"\""));
    namespaces(r#"{"name":"aa"},{"name":"aa"}"#, Some("channel.namespaces.[1].name: the namespace \"aa\" stands twice"));
}

#[test]
fn history() {
    channel(r#""history_size":5,"history_ttl":"10s""#, None);
    channel(r#""history_size":5"#, Some("history_size: history needs both"));
    channel(r#""history_ttl":"5s""#, Some("history_size: history needs both"));
    channel(r#""history_size":5,"history_ttl":"1500ms""#, Some("history_ttl: must be whole seconds"));
    channel(r#""history_meta_ttl":"1500ms""#, Some("history_meta_ttl: must be whole seconds"));
    channel(r#""history_size":5,"history_ttl":"10s","history_meta_ttl":"5s""#, Some("history_ttl: must not be longer"));
    channel(r#""history_size":5,"history_ttl":"721h""#, Some("history_ttl: must not be longer"));
    channel(r#""history_size":5,"history_ttl":"721h","history_meta_ttl":"800h""#, None);
    bad(r#"{"channel":{"history_meta_ttl":"1.5s"}}"#, "channel.history_meta_ttl: must be whole seconds");
    bad(
        r#"{"channel":{"history_meta_ttl":"5s","without_namespace":{"history_size":1,"history_ttl":"6s"}}}"#,
        "channel.without_namespace.history_ttl: must not be longer",
    );
}

#[test]
fn recovery() {
    let history = r#""history_size":5,"history_ttl":"10s","force_recovery":true"#;
    channel(history, None);
    channel(r#""force_recovery":true"#, Some("force_recovery: recovery needs"));
    channel(&format!(r#"{history},"force_recovery_mode":"cache","auto_cache_recover":true"#), None);
    channel(&format!(r#"{history},"force_recovery_mode":"stream""#), None);
    channel(&format!(r#"{history},"force_recovery_mode":"strange""#), Some("force_recovery_mode: unknown value \"strange\""));
    channel(&format!(r#"{history},"auto_cache_recover":true"#), Some("auto_cache_recover: needs force_recovery"));
    channel(r#""force_recovery_mode":"cache","auto_cache_recover":true"#, Some("auto_cache_recover: needs force_recovery"));
}

#[test]
fn choices_of_channels() {
    channel(r#""channel_regex":"^[a-z]+$","allowed_delta_types":["fossil"],"publication_data_format":"json_object""#, None);
    channel(r#""channel_regex":"[""#, Some("channel_regex: is not a valid pattern"));
    channel(r#""allowed_delta_types":["fossil","vcdiff"]"#, Some("allowed_delta_types: unknown value \"vcdiff\""));
    channel(r#""publication_data_format":"xml""#, Some("publication_data_format: unknown value \"xml\""));
    channel(r#""subscription_type":"stream""#, None);
    channel(r#""subscription_type":"strange""#, Some("subscription_type: unknown value \"strange\""));
    good(r#"{"channel":{"publication_data_format":"binary"}}"#);
    bad(r#"{"channel":{"publication_data_format":"xml"}}"#, "channel.publication_data_format: unknown value \"xml\"");
}

#[test]
fn proxies_of_channels() {
    for (kind, place) in [
        ("subscribe", "channel.proxy.subscribe"),
        ("publish", "channel.proxy.publish"),
        ("sub_refresh", "channel.proxy.sub_refresh"),
        ("subscribe_stream", "channel.proxy.subscribe_stream"),
    ] {
        channel(&format!(r#""{kind}_proxy_name":"nope""#), Some(&format!("{kind}_proxy_name: there is no proxy")));
        let used = format!(r#"{{"channel":{{"without_namespace":{{"{kind}_proxy_enabled":true}}}}}}"#);
        bad(&used, &format!("{place}.endpoint: must be set"));
        let named = format!(
            r#"{{"channel":{{"without_namespace":{{"{kind}_proxy_enabled":true,"{kind}_proxy_name":"pp"}}}},
                "proxies":[{{"name":"pp","endpoint":"x"}}]}}"#
        );
        good(&named);
    }
    let map = r#""subscription_type":"map","map":{"mode":"persistent",KIND}"#;
    for kind in ["publish", "remove"] {
        let with = |text: &str| map.replace("KIND", &text.replace("KIND", kind));
        channel(&with(r#""KIND_proxy_name":"nope""#), Some(&format!("map.{kind}_proxy_name: there is no proxy")));
        let used = format!(r#"{{"channel":{{"without_namespace":{{{}}}}}}}"#, with(r#""KIND_proxy_enabled":true"#));
        bad(&used, &format!("channel.proxy.map_{kind}.endpoint: must be set"));
    }
    let streams = r#""subscribe_stream_proxy_enabled":true,"publish_proxy_enabled":true"#;
    channel(streams, Some("subscribe_stream_proxy_enabled: cannot be used together with publish_proxy_enabled"));
}

#[test]
fn maps() {
    let map = |kind: &str, map: &str, problem: Option<&str>| {
        let problem = problem.map(|words| format!("map.{words}"));
        channel(&format!(r#""subscription_type":"{kind}","map":{{{map}}}"#), problem.as_deref());
    };
    let recoverable = r#""mode":"recoverable","key_ttl":"60s""#;
    let more = |text: &str| format!("{recoverable},{text}");
    map("map", r#""mode":"ephemeral","key_ttl":"60s""#, None);
    map("map", recoverable, None);
    map("map", r#""mode":"persistent""#, None);
    map("stream", "", None);
    map("map", "", Some("mode: must be set when subscription_type is map"));
    map("map_users", "", Some("mode: must be set when subscription_type is map_users"));
    map("map", r#""mode":"strange""#, Some("mode: unknown value \"strange\""));
    map("map", r#""mode":"ephemeral""#, Some("key_ttl: must be set and positive when mode is ephemeral"));
    map("map", r#""mode":"recoverable","key_ttl":"-1s""#, Some("key_ttl: must be set and positive"));
    map("map", r#""mode":"persistent","key_ttl":"1s""#, Some("key_ttl: must not be set when mode is persistent"));
    map("map_clients", r#""mode":"persistent""#, Some("mode: must be ephemeral or recoverable"));
    for name in ["stream_size\":5", "stream_ttl\":\"5s\"", "meta_ttl\":\"5s\""] {
        let option = name.split('"').next().unwrap();
        let words = format!("{option}: must not be set when mode is ephemeral");
        map("map", &format!(r#""mode":"ephemeral","key_ttl":"60s","{name}"#), Some(&words));
    }
    map("map", &more(r#""stream_size":5,"stream_ttl":"30s","meta_ttl":"30s""#), None);
    map("map", &more(r#""stream_size":-1"#), Some("stream_size: must not be negative"));
    map("map", &more(r#""stream_ttl":"-1s""#), Some("stream_ttl: must not be negative"));
    map("map", &more(r#""meta_ttl":"-1s""#), Some("meta_ttl: must not be negative"));
    map("map", &more(r#""stream_ttl":"30s","meta_ttl":"29s""#), Some("meta_ttl: must not be shorter than stream_ttl (30s)"));
    map("map", &more(r#""meta_ttl":"59s""#), Some("meta_ttl: must not be shorter than stream_ttl (1m0s)"));
    map("map", &more(r#""remove_client_on_unsubscribe":true"#), None);
    map("stream", r#""remove_client_on_unsubscribe":true"#, Some("remove_client_on_unsubscribe: needs"));
    map("map", &more(r#""client_key":"user_id""#), None);
    map("map", &more(r#""client_key":"strange""#), Some("client_key: unknown value \"strange\""));
}

#[test]
fn forced_keys_exclude_proxies() {
    for kind in ["publish", "remove"] {
        let json = format!(
            r#"{{"proxies":[{{"name":"pp","endpoint":"x"}}],"channel":{{"without_namespace":{{"subscription_type":"map",
                "map":{{"mode":"persistent","client_key":"user_id","{kind}_proxy_enabled":true,"{kind}_proxy_name":"pp"}}}}}}}}"#
        );
        bad(&json, &format!("map.client_key: cannot be used together with {kind}_proxy_enabled"));
        good(&json.replace("\"client_key\":\"user_id\",", ""));
    }
}

#[test]
fn pages_of_maps() {
    let pages = |pages: &str, problem: Option<&str>| {
        channel(&format!(r#""map":{{{pages}}}"#), problem.map(|words| format!("map.{words}")).as_deref());
    };
    pages(r#""min_page_size":10,"default_page_size":20,"max_page_size":30"#, None);
    pages(r#""min_page_size":10,"max_page_size":10"#, None);
    pages(r#""min_page_size":-1"#, Some("min_page_size: must not be negative"));
    pages(r#""max_page_size":-1"#, Some("max_page_size: must not be negative"));
    pages(r#""default_page_size":-1"#, Some("default_page_size: must not be negative"));
    pages(r#""min_page_size":11,"max_page_size":10"#, Some("min_page_size: must not be above max_page_size"));
    pages(r#""default_page_size":11,"max_page_size":10"#, Some("default_page_size: must not be above max_page_size"));
    pages(r#""min_page_size":11,"default_page_size":10"#, Some("min_page_size: must not be above default_page_size"));
}

#[test]
fn shared_polls() {
    let poll = |key: &str, poll: &str, problem| {
        check(
            &format!(
                r#"{{"shared_poll":{{"hmac_secret_key":"{key}"}},"proxies":[{{"name":"pp","endpoint":"x"}}],"channel":
                    {{"namespaces":[{{"name":"aa","subscription_type":"shared_poll","shared_poll":{{{poll}}}}}]}}}}"#
            ),
            problem,
        );
    };
    poll("k", r#""proxy_name":"pp","mode":"versioned","publish_enabled":true"#, None);
    poll("", r#""proxy_name":"pp""#, Some("shared_poll needs the option shared_poll.hmac_secret_key"));
    poll("k", "", Some("channel.proxy.shared_poll_refresh.endpoint: must be set"));
    poll("k", r#""proxy_name":"nope""#, Some("aa.shared_poll.proxy_name: there is no proxy"));
    poll("k", r#""proxy_name":"pp","mode":"strange""#, Some("aa.shared_poll.mode: unknown value \"strange\""));
    poll("k", r#""proxy_name":"pp","publish_enabled":true"#, Some("aa.shared_poll.publish_enabled: needs mode"));
}

#[test]
fn prefixes_of_mirrored_presence() {
    for kind in ["map_clients", "map_users"] {
        let with = |place: &str, prefix: &str, problem| {
            let option = format!(r#""{kind}_presence_channel_prefix":"{prefix}""#);
            let target = format!(r#"{{"name":"mm","subscription_type":"{kind}","map":{{"mode":"ephemeral","key_ttl":"9s"}}}}"#);
            let json = match place {
                "named" => format!(r#"{{"channel":{{"namespaces":[{{"name":"aa",{option}}},{target}]}}}}"#),
                _ => format!(r#"{{"channel":{{"without_namespace":{{{option}}},"namespaces":[{target}]}}}}"#),
            };
            check(&json, problem);
        };
        for place in ["named", "unnamed"] {
            with(place, "mm:", None);
            with(place, "nn:", Some("leads to the namespace \"nn\", which does not exist"));
        }
        with("named", "aa:", Some("leads to the namespace \"aa\", whose subscription_type is not"));
        with("named", "mm", Some("must begin with the name of a namespace"));
        with("unnamed", "mm", Some("leads to the namespace \"\", whose subscription_type is not"));
    }
}

#[test]
fn personal_channels() {
    let personal = |options: &str, channel: &str, problem| {
        let json = format!(
            r#"{{"client":{{"subscribe_to_user_personal_channel":{{{options}}}}},"channel":{{{channel}}}}}"#
        );
        check(&json, problem);
    };
    let single = r#""enabled":true,"single_connection":true"#;
    personal(single, r#""without_namespace":{"presence":true}"#, None);
    personal(single, "", Some("single_connection: needs presence in channel.without_namespace"));
    let named = format!(r#"{single},"personal_channel_namespace":"aa""#);
    personal(&named, r#""namespaces":[{"name":"aa","presence":true}]"#, None);
    personal(&named, r#""namespaces":[{"name":"aa"}]"#, Some("single_connection: needs presence in the namespace \"aa\""));
    personal(&named, "", Some("personal_channel_namespace: there is no namespace \"aa\""));
    personal(r#""personal_channel_namespace":"aa""#, "", None);
}

#[test]
fn rpc() {
    let rpc = |rpc: &str, problem| check(&format!(r#"{{"rpc":{{{rpc}}}}}"#), problem);
    rpc(r#""namespaces":[{"name":"aa"},{"name":"bb"}]"#, None);
    rpc(r#""namespaces":[{"name":"a b"}]"#, Some("rpc.namespaces.[0].name: the rpc namespace name \"a b\""));
    rpc(r#""namespaces":[{"name":"aa"},{"name":"aa"}]"#, Some("rpc.namespaces.[1].name: the rpc namespace \"aa\""));
    rpc(r#""namespaces":[{"name":"aa","proxy_name":"nope"}]"#, Some("rpc.namespaces.[0].proxy_name: there is no proxy"));
    rpc(r#""without_namespace":{"proxy_name":"nope"}"#, Some("rpc.without_namespace.proxy_name: there is no proxy"));
    rpc(r#""without_namespace":{"proxy_enabled":true}"#, None);
}

#[test]
fn consumers() {
    let consumers = |list: &str, problem: Option<&str>| check(&format!(r#"{{"consumers":[{list}]}}"#), problem);
    consumers(r#"{"name":"c1","type":"kafka"},{"name":"c_2","type":"aws_sqs"}"#, None);
    consumers(r#"{"name":"c-1","type":"kafka"}"#, Some("consumers.[0].name: the consumer name \"c-1\""));
    consumers(r#"{"name":"cc","type":"kafka"},{"name":"cc","type":"kafka"}"#, Some("\"cc\" is used twice"));
    consumers(r#"{"name":"cc","type":"rabbitmq"}"#, Some("consumers.[0].type: unknown value \"rabbitmq\""));
    let enabled = |kind: &str, options: &str, problem: Option<&str>| {
        let json = format!(r#"{{"name":"cc","type":"{kind}","enabled":true,"{kind}":{{{options}}}}}"#);
        consumers(&json, problem.map(|words| format!("consumers.cc.{kind}.{words}")).as_deref());
    };
    let kafka = r#""brokers":["b"],"topics":["t"],"consumer_group":"g""#;
    enabled("kafka", kafka, None);
    enabled("kafka", &kafka.replace(r#"["b"]"#, "[]"), Some("brokers: must be set"));
    enabled("kafka", &kafka.replace(r#""g""#, r#""""#), Some("consumer_group: must be set"));
    enabled("kafka", &format!(r#"{kafka},"assume_role_arn":"a""#), Some("assume_role_arn: needs sasl_mechanism"));
    enabled("kafka", &format!(r#"{kafka},"assume_role_arn":"a","sasl_mechanism":"aws-msk-iam""#), None);
    enabled("postgresql", r#""dsn":"d","outbox_table_name":"t""#, None);
    enabled("postgresql", r#""dsn":"d""#, Some("outbox_table_name: must be set"));
    let nats = r#""stream_name":"s","durable_consumer_name":"d""#;
    enabled("nats_jetstream", nats, None);
    enabled("nats_jetstream", r#""stream_name":"s""#, Some("durable_consumer_name: must be set"));
    enabled("nats_jetstream", &format!(r#"{nats},"deliver_policy":"last""#), Some("deliver_policy: must be new or all"));
    enabled("nats_jetstream", &format!(r#"{nats},"deliver_policy":"last","use_existing_consumer":true"#), None);
    enabled("redis_stream", r#""streams":["s"],"consumer_group":"g""#, None);
    enabled("redis_stream", r#""consumer_group":"g""#, Some("streams: must be set"));
    enabled("google_pub_sub", r#""project_id":"p","subscriptions":["s"]"#, None);
    enabled("google_pub_sub", r#""project_id":"p""#, Some("subscriptions: must be set"));
    enabled("aws_sqs", r#""queues":["q"]"#, None);
    enabled("aws_sqs", "", Some("queues: must be set"));
    enabled("azure_service_bus", r#""queues":["q"],"connection_string":"c""#, None);
    enabled("azure_service_bus", r#""queues":["q"]"#, Some("connection_string: must be set"));
    let identity = r#""queues":["q"],"use_azure_identity":true,"fully_qualified_namespace":"n","tenant_id":"t","client_id":"c""#;
    enabled("azure_service_bus", identity, Some("client_secret: must be set"));
    enabled("azure_service_bus", &format!(r#"{identity},"client_secret":"s""#), None);
}

#[test]
fn channels_of_publication_data_mode_need_a_name() {
    // An empty name in a file means the default: only the environment can force one that is empty, and it cannot be
    // empty there either. So the rule holds by itself.
    good(
        r#"{"consumers":[{"name":"cc","type":"aws_sqs","enabled":true,"aws_sqs":{"queues":["q"],
            "publication_data_mode":{"enabled":true,"channels_attribute":""}}}]}"#,
    );
}

#[test]
fn transforms_of_connect_codes() {
    let uni = |transforms: &str, problem| {
        let json =
            format!(r#"{{"client":{{"connect_code_to_unidirectional_disconnect":{{"transforms":[{transforms}]}}}}}}"#);
        check(&json, problem);
    };
    uni(r#"{"code":109,"to":{"code":4504,"reason":"gone"}}"#, None);
    uni(r#"{"to":{"code":4504}}"#, Some("transforms.[0].code: must be set"));
    uni(r#"{"code":109}"#, Some("transforms.[0].to.code: must be set"));
    uni(r#"{"code":109,"to":{"code":4504,"reason":"é"}}"#, Some("transforms.[0].to.reason: must be ASCII"));
    for transport in ["uni_sse", "uni_http_stream"] {
        let http = |transforms: &str, problem: Option<&str>| {
            let json = format!(r#"{{"{transport}":{{"connect_code_to_http_response":{{"transforms":[{transforms}]}}}}}}"#);
            check(&json, problem);
        };
        http(r#"{"code":109,"to":{"status_code":404}}"#, None);
        http(r#"{"to":{"status_code":404}}"#, Some("transforms.[0].code: must be set"));
        http(r#"{"code":109}"#, Some("transforms.[0].to.status_code: must be set"));
    }
}
