//! Every rule once kept and once broken.

mod channels;

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
    proxy(
        r#"{"status_code":404,"to_error":{"code":1},"to_disconnect":{"code":1}}"#,
        Some(": takes to_error or to_disconnect"),
    );
    proxy(r#"{"status_code":404,"to_error":{"code":1,"message":"é"}}"#, Some(".to_error.message: must be ASCII"));
    proxy(
        r#"{"status_code":404,"to_disconnect":{"code":1,"reason":"é"}}"#,
        Some(".to_disconnect.reason: must be ASCII"),
    );
    let json = format!(r#"{{"status_code":404,"to_error":{{"code":1,"message":"{long}"}}}}"#);
    proxy(&json, Some(".to_error.message: is longer than 123 bytes"));
    let json = format!(r#"{{"status_code":404,"to_disconnect":{{"code":1,"reason":"{long}"}}}}"#);
    proxy(&json, Some(".to_disconnect.reason: is longer than 123 bytes"));
}

#[test]
fn rpc() {
    let rpc = |rpc: &str, problem| check(&format!(r#"{{"rpc":{{{rpc}}}}}"#), problem);
    rpc(r#""namespaces":[{"name":"aa"},{"name":"bb"}]"#, None);
    rpc(r#""namespaces":[{"name":"a b"}]"#, Some("rpc.namespaces.[0].name: the rpc namespace name \"a b\""));
    rpc(r#""namespaces":[{"name":"aa"},{"name":"aa"}]"#, Some("rpc.namespaces.[1].name: the rpc namespace \"aa\""));
    rpc(
        r#""namespaces":[{"name":"aa","proxy_name":"nope"}]"#,
        Some("rpc.namespaces.[0].proxy_name: there is no proxy"),
    );
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
    enabled(
        "nats_jetstream",
        &format!(r#"{nats},"deliver_policy":"last""#),
        Some("deliver_policy: must be new or all"),
    );
    enabled("nats_jetstream", &format!(r#"{nats},"deliver_policy":"last","use_existing_consumer":true"#), None);
    enabled("redis_stream", r#""streams":["s"],"consumer_group":"g""#, None);
    enabled("redis_stream", r#""consumer_group":"g""#, Some("streams: must be set"));
    enabled("redis_stream", r#""address":[],"streams":["s"],"consumer_group":"g""#, Some("address: must be set"));
    enabled("google_pub_sub", r#""project_id":"p","subscriptions":["s"]"#, None);
    enabled("google_pub_sub", r#""project_id":"p""#, Some("subscriptions: must be set"));
    enabled("aws_sqs", r#""queues":["q"]"#, None);
    enabled("aws_sqs", "", Some("queues: must be set"));
    enabled("azure_service_bus", r#""queues":["q"],"connection_string":"c""#, None);
    enabled("azure_service_bus", r#""queues":["q"]"#, Some("connection_string: must be set"));
    let identity =
        r#""queues":["q"],"use_azure_identity":true,"fully_qualified_namespace":"n","tenant_id":"t","client_id":"c""#;
    enabled("azure_service_bus", identity, Some("client_secret: must be set"));
    enabled("azure_service_bus", &format!(r#"{identity},"client_secret":"s""#), None);
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
            let json =
                format!(r#"{{"{transport}":{{"connect_code_to_http_response":{{"transforms":[{transforms}]}}}}}}"#);
            check(&json, problem);
        };
        http(r#"{"code":109,"to":{"status_code":404}}"#, None);
        http(r#"{"to":{"status_code":404}}"#, Some("transforms.[0].code: must be set"));
        http(r#"{"code":109}"#, Some("transforms.[0].to.status_code: must be set"));
    }
}
