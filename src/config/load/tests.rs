//! File, environment and flags together: one helper, many tables.

use super::*;
use crate::config::file::Format;
use crate::config::write::write;
use proptest::prelude::*;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn pairs(pairs: Pairs<'_>) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

fn load_all(file: Option<(&str, &str)>, env: Pairs<'_>, flags: Pairs<'_>) -> Result<Loaded, Error> {
    load(Sources { file, env: &pairs(env).collect(), flags: &pairs(flags).collect::<Vec<_>>() })
}

/// The value at a path as text, whatever its kind. `list.0.name` looks into lists.
fn shown(section: &Section, path: &str) -> String {
    let value = match path.split_once("[]").map(|(list, rest)| (list, rest.split_once('.').unwrap())) {
        Some((list, (index, rest))) => {
            return shown(&section.list(list)[index.parse::<usize>().unwrap()], rest);
        }
        None => &section.find(path).unwrap().value,
    };
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Duration(ns) => crate::config::duration::format(*ns),
        Value::Text(text) => text.clone(),
        Value::Texts(texts) => texts.as_ref().map_or("-".to_owned(), |texts| texts.join("|")),
        Value::Map(pairs) => pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("|"),
        Value::List(items) => items.len().to_string(),
        Value::Section(_) => panic!("{path} is a section"),
    }
}

/// What one option is after loading: its value, or words of the error.
#[track_caller]
fn check(json: &str, env: Pairs<'_>, flags: Pairs<'_>, path: &str, expected: Result<&str, &str>) {
    let file = (!json.is_empty()).then_some(("config.json", json));
    let loaded =
        load_all(file, env, flags).map(|loaded| shown(&loaded.options, path)).map_err(|error| error.to_string());
    match (&loaded, expected) {
        (Ok(value), Ok(expected)) => assert_eq!(value, expected, "{json} {env:?} {flags:?}"),
        (Err(error), Err(expected)) => assert!(error.contains(expected), "{error} says {expected}"),
        _ => panic!("{json} {env:?} {flags:?}: {loaded:?}, expected {expected:?}"),
    }
}

const LIMIT: &str = "client.channel_limit";
const LIMIT_ENV: &str = "CENTRIFUGO_CLIENT_CHANNEL_LIMIT";
const PING: &str = "client.ping_interval";

#[test]
fn the_stronger_source_wins() {
    let file = r#"{"http_server":{"port":1}}"#;
    let env: Pairs<'_> = &[("CENTRIFUGO_HTTP_SERVER_PORT", "2")];
    let path = "http_server.port";
    check("", &[], &[], path, Ok("8000"));
    check(file, &[], &[], path, Ok("1"));
    check(file, env, &[], path, Ok("2"));
    check(file, env, &[(path, "3")], path, Ok("3"));
    check(file, env, &[(path, "3"), (path, "4")], path, Ok("4"));
    check(file, env, &[(path, "abc")], path, Err("http_server.port (flag): expected a whole number from 0 to 65535"));
}

#[test]
fn zero_means_the_default_in_a_file_and_zero_elsewhere() {
    check(r#"{"client":{"channel_limit":0}}"#, &[], &[], LIMIT, Ok("128"));
    check(r#"{"client":{"channel_limit":5}}"#, &[(LIMIT_ENV, "0")], &[], LIMIT, Ok("0"));
    check(r#"{"client":{"channel_limit":5}}"#, &[(LIMIT_ENV, "")], &[], LIMIT, Ok("5"));
    check("", &[(LIMIT_ENV, "")], &[], LIMIT, Ok("128"));
    check("", &[], &[("http_server.port", "0")], "http_server.port", Ok("0"));
    check(r#"{"client":{"ping_interval":"0s"}}"#, &[], &[], PING, Ok("25s"));
    check(r#"{"channel":{"private_prefix":""}}"#, &[], &[], "channel.private_prefix", Ok("$"));
    // An empty list was set, so it stays.
    check(r#"{"engine":{"redis":{"address":[]}}}"#, &[], &[], "engine.redis.address", Ok(""));
    check("", &[], &[], "engine.redis.address", Ok("redis://127.0.0.1:6379"));
    check("", &[], &[], "client.allowed_origins", Ok("-"));
    // Options of Spindle alone take what is written.
    check(r#"{"shards":{"pin":false}}"#, &[], &[], "shards.pin", Ok("false"));
    check("", &[], &[], "shards.pin", Ok("true"));
}

#[test]
fn values_in_a_file_may_be_written_in_several_ways() {
    let client = |text: &str| format!(r#"{{"client":{text}}}"#);
    for (text, path, expected) in [
        (r#"{"channel_limit":"12"}"#, LIMIT, Ok("12")),
        (r#"{"channel_limit":"0x10"}"#, LIMIT, Ok("16")),
        (r#"{"channel_limit":12.0}"#, LIMIT, Ok("12")),
        (r#"{"channel_limit":""}"#, LIMIT, Ok("128")),
        (r#"{"channel_limit":null}"#, LIMIT, Ok("128")),
        (r#"{"channel_limit":1.5}"#, LIMIT, Err("client.channel_limit: expected a whole number, found 1.5")),
        (r#"{"channel_limit":"many"}"#, LIMIT, Err("client.channel_limit: expected a whole number, found \"many\"")),
        (r#"{"channel_limit":[]}"#, LIMIT, Err("client.channel_limit: expected a whole number, found a list")),
        (r#"{"channel_limit":true}"#, LIMIT, Ok("1")),
        (r#"{"channel_limit":{}}"#, LIMIT, Ok("128")),
        (r#"{"ping_interval":true}"#, PING, Ok("1ns")),
        (r#"{"allowed_origins":[null]}"#, "client.allowed_origins", Ok("")),
        (r#"{"insecure":1}"#, "client.insecure", Ok("true")),
        (r#"{"insecure":"t"}"#, "client.insecure", Ok("true")),
        (r#"{"insecure":""}"#, "client.insecure", Ok("false")),
        (r#"{"insecure":"yes"}"#, "client.insecure", Err("client.insecure: expected true or false, found \"yes\"")),
        (r#"{"ping_interval":31000000000}"#, PING, Ok("31s")),
        (r#"{"ping_interval":3.1e10}"#, PING, Ok("31s")),
        (r#"{"ping_interval":"1m"}"#, PING, Ok("1m0s")),
        (r#"{"ping_interval":"5 parsecs"}"#, PING, Err("client.ping_interval: expected a duration such as")),
        (r#"{"ping_interval":""}"#, PING, Err("client.ping_interval: expected a duration")),
        (r#"{"token":{"audience":5}}"#, "client.token.audience", Ok("5")),
        (r#"{"token":{"audience":1.5}}"#, "client.token.audience", Ok("1.5")),
        (r#"{"token":{"audience":true}}"#, "client.token.audience", Ok("1")),
        (
            r#"{"token":{"audience":[]}}"#,
            "client.token.audience",
            Err("client.token.audience: expected a text, found a list"),
        ),
        (r#"{"allowed_origins":["a","b"]}"#, "client.allowed_origins", Ok("a|b")),
        (r#"{"allowed_origins":[5,true]}"#, "client.allowed_origins", Ok("5|1")),
        (r#"{"allowed_origins":"a b"}"#, "client.allowed_origins", Ok("a b")),
        (r#"{"allowed_origins":{}}"#, "client.allowed_origins", Ok("-")),
        (r#"{"allowed_origins":[{}]}"#, "client.allowed_origins", Err("expected a list of texts, found a list")),
        ("null", LIMIT, Ok("128")),
        ("5", LIMIT, Err("client: expected an object with options, found 5")),
        ("[]", LIMIT, Err("client: expected an object with options, found a list")),
    ] {
        check(&client(text), &[], &[], path, expected);
    }
    check(
        r#"{"http_server":{"port":70000}}"#,
        &[],
        &[],
        LIMIT,
        Err("http_server.port: expected a whole number from 0 to 65535"),
    );
}

#[test]
fn keys_disregard_case_and_may_hold_dots() {
    check(r#"{"Client":{"CHANNEL_limit":5}}"#, &[], &[], LIMIT, Ok("5"));
    check(r#"{"client.channel_limit":5}"#, &[], &[], LIMIT, Ok("5"));
    check(r#"{"client":{"Token.Audience":"a"}}"#, &[], &[], "client.token.audience", Ok("a"));
    // Inside of lists a dot is part of the key.
    check(
        r#"{"channel":{"namespaces":[{"name":"aa","map.mode":"x"}]}}"#,
        &[],
        &[],
        "channel.namespaces[]0.map.mode",
        Ok(""),
    );
    check(r#"{"client.insecure":"zzz"}"#, &[], &[], LIMIT, Err("client.insecure: expected true or false"));
}

#[test]
fn all_formats_hold_the_same() {
    for (name, text) in [
        ("a.json", r#"{"client":{"channel_limit":5,"ping_interval":"7s"},"channel":{"namespaces":[{"name":"aa"}]}}"#),
        ("a.yaml", "client: {channel_limit: 5}\nclient.ping_interval: 7s\nchannel:\n  namespaces:\n  - name: aa\n"),
        ("a.yml", "client:\n  channel_limit: 5\n  ping_interval: 7000000000\nchannel: {namespaces: [{name: aa}]}\n"),
        ("a.toml", "[client]\nchannel_limit = 5\nping_interval = '7s'\n[[channel.namespaces]]\nname = 'aa'\n"),
    ] {
        let options = load_all(Some((name, text)), &[], &[]).unwrap().options;
        let found = [LIMIT, PING, "channel.namespaces[]0.name"].map(|path| shown(&options, path));
        assert_eq!(found, ["5", "7s", "aa"], "{name}");
    }
    for name in ["a.yaml", "a.toml"] {
        assert_eq!(load_all(Some((name, "")), &[], &[]).unwrap().options, load_all(None, &[], &[]).unwrap().options);
    }
}

#[test]
fn broken_files_are_named() {
    for (name, text, words) in [
        ("config.json", "{", "config.json"),
        ("config.json", "", "config.json"),
        ("config.json", "[]", "config.json: expected an object"),
        ("config.json", "{} {}", "config.json"),
        ("config.yaml", "x: [", "config.yaml"),
        ("config.toml", "x = ", "config.toml"),
        ("config.ini", "x=1", "config.ini: the name must end in"),
        ("config", "{}", "config: the name must end in"),
        ("config.JSON", "{}", "the name must end in"),
    ] {
        let error = load_all(Some((name, text)), &[], &[]).unwrap_err().to_string();
        assert!(error.contains(words), "{error} says {words}");
    }
}

#[test]
fn values_in_the_environment() {
    for (name, text, path, expected) in [
        (LIMIT_ENV, "0x10", LIMIT, Ok("16")),
        (LIMIT_ENV, "many", LIMIT, Err("CENTRIFUGO_CLIENT_CHANNEL_LIMIT: expected a whole number, found \"many\"")),
        ("CENTRIFUGO_CLIENT_INSECURE", "True", "client.insecure", Ok("true")),
        (
            "CENTRIFUGO_CLIENT_INSECURE",
            "yes",
            "client.insecure",
            Err("CENTRIFUGO_CLIENT_INSECURE: expected true or false"),
        ),
        ("CENTRIFUGO_CLIENT_PING_INTERVAL", "1m30s", PING, Ok("1m30s")),
        ("CENTRIFUGO_CLIENT_PING_INTERVAL", "25", PING, Err("CENTRIFUGO_CLIENT_PING_INTERVAL: expected a duration")),
        ("CENTRIFUGO_CLIENT_ALLOWED_ORIGINS", "http://a http://b", "client.allowed_origins", Ok("http://a|http://b")),
        ("CENTRIFUGO_CLIENT_ALLOWED_ORIGINS", " ", "client.allowed_origins", Ok("")),
        ("CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY", "s", "client.token.hmac_secret_key", Ok("s")),
        ("CENTRIFUGO_PID_FILE", "x", "pid_file", Ok("x")),
        ("CENTRIFUGO_SHARDS_COUNT", "3", "shards.count", Ok("3")),
        ("CENTRIFUGO_RPC_PROXY_HTTP_STATIC_HEADERS", r#"{"X-S":"1"}"#, "rpc.proxy.http.static_headers", Ok("X-S=1")),
        ("CENTRIFUGO_RPC_PROXY_HTTP_STATIC_HEADERS", "X-S", "pid_file", Err("STATIC_HEADERS: expected a JSON object")),
        (
            "CENTRIFUGO_UNI_SSE_CONNECT_CODE_TO_HTTP_RESPONSE_TRANSFORMS",
            r#"[{"code":101,"to":{"status_code":401}}]"#,
            "uni_sse.connect_code_to_http_response.transforms[]0.to.status_code",
            Ok("401"),
        ),
        ("CENTRIFUGO_RPC_PROXY_HTTP_STATIC_HEADERS", r#"{"a":null}"#, "rpc.proxy.http.static_headers", Ok("a=")),
        ("CENTRIFUGO_RPC_PROXY_HTTP_STATIC_HEADERS", "null", "rpc.proxy.http.static_headers", Ok("")),
        ("CENTRIFUGO_PROXIES", "[1", "proxies", Ok("1")),
        ("CENTRIFUGO_PROXIES", "[1]", "proxies", Err("CENTRIFUGO_PROXIES.[0]: expected an object")),
        ("CENTRIFUGO_PROXIES", "[oops]", "proxies", Err("CENTRIFUGO_PROXIES: expected a JSON list")),
    ] {
        check("", &[(name, text)], &[], path, expected);
    }
}

#[test]
fn named_lists_in_the_environment() {
    let name = |index| format!("channel.namespaces[]{index}.name");
    let names = "CENTRIFUGO_CHANNEL_NAMESPACES";
    let env: Pairs<'_> = &[
        (names, "chat.eu news"),
        ("CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_EU_HISTORY_SIZE", "3"),
        ("CENTRIFUGO_CHANNEL_NAMESPACES_NEWS_MAP_MODE", "ephemeral"),
    ];
    check("", env, &[], &name(0), Ok("chat.eu"));
    check("", env, &[], "channel.namespaces[]0.history_size", Ok("3"));
    check("", env, &[], "channel.namespaces[]0.subscribe_proxy_name", Ok("default"));
    check("", env, &[], "channel.namespaces[]1.map.mode", Ok("ephemeral"));
    // Names are added to the entries of the file, JSON replaces them.
    let file = r#"{"channel":{"namespaces":[{"name":"old"}]}}"#;
    check(file, env, &[], &name(0), Ok("old"));
    check(file, env, &[], &name(2), Ok("news"));
    check(
        file,
        &[("CENTRIFUGO_CHANNEL_NAMESPACES_OLD_PRESENCE", "true")],
        &[],
        "channel.namespaces[]0.presence",
        Ok("true"),
    );
    let json: Pairs<'_> = &[(names, r#"[{"name":"new","history_ttl":"5s"}]"#)];
    check(file, json, &[], &name(0), Ok("new"));
    check(file, json, &[], "channel.namespaces[]0.history_ttl", Ok("5s"));
    check(file, json, &[], "channel.namespaces", Ok("1"));
    let proxy: Pairs<'_> = &[("CENTRIFUGO_PROXIES", "pp"), ("CENTRIFUGO_PROXIES_PP_ENDPOINT", "http://x")];
    check("", proxy, &[], "proxies[]0.endpoint", Ok("http://x"));
    check("", proxy, &[], "proxies[]0.timeout", Ok("1s"));
}

#[test]
fn maps_and_variables_in_them() {
    let file = |map: &str| format!(r#"{{"rpc":{{"proxy":{{"http":{{"static_headers":{map}}}}}}}}}"#);
    let env: Pairs<'_> = &[("CENTRIFUGO_VAR_A", "one"), ("CENTRIFUGO_VAR_B", "$1"), ("OTHER", "no")];
    for (map, expected) in [
        (r#"{"X-A":"v"}"#, Ok("x-a=v")),
        (r#"[{"key":"X-A","value":"v"},{"key":"b","value":""}]"#, Ok("X-A=v|b=")),
        (r#"{"a":"<${CENTRIFUGO_VAR_A}${CENTRIFUGO_VAR_B}>"}"#, Ok("a=<one$1>")),
        (r#"{"a":"${OTHER} $CENTRIFUGO_VAR_A"}"#, Ok("a=${OTHER} $CENTRIFUGO_VAR_A")),
        (r#"{"a":"${CENTRIFUGO_VAR_C}"}"#, Err("static_headers: environment variable CENTRIFUGO_VAR_C not found")),
        (r#"{"a":null,"b":"c"}"#, Ok("b=c")),
        (r#"{"a":1}"#, Err("rpc.proxy.http.static_headers.a: expected a text, found 1")),
        (r#"[{"key":"a","value":"1"},{"key":"a","value":"2"}]"#, Err("\"a\" stands twice")),
        (r#"[{"key":"a"}]"#, Err("static_headers.[0]: expected an object with the texts key and value")),
        (r#""x""#, Err("static_headers: expected an object of texts")),
    ] {
        check(&file(map), env, &[], "rpc.proxy.http.static_headers", expected);
    }
}

#[test]
fn what_no_option_has_is_reported() {
    // Keys that lead to nothing are not seen, as in viper.
    let file = r#"{"none":null,"rpc":{"none":{"a":{}}},"zz":1,"client":{"yy":{"a":1},"insecure":true},"channel":{"namespaces":[{"name":"aa"},{"qq":1}]},
        "proxies":[{"http":{"status_to_code_transforms":[{"to_error":{"Zz":1}}],"static_headers":{"any":"x"}}}],"a.b":1}"#;
    let env: Pairs<'_> = &[
        ("CENTRIFUGO_NOPE", "1"),
        ("CENTRIFUGO_CLIENT_INSECURE", ""),
        ("CENTRIFUGO_VAR_X", "1"),
        ("CENTRIFUGO_PORT_8000_TCP", "1"),
        ("CENTRIFUGO_NODE_SERVICE_HOST", "1"),
        ("CENTRIFUGOX", "1"),
        ("OTHER", "1"),
        ("CENTRIFUGO_CHANNEL_NAMESPACES_AA_PRESENCE", "true"),
        ("CENTRIFUGO_CHANNEL_NAMESPACES_BB_PRESENCE", "true"),
        ("CENTRIFUGO_CONSUMERS", r#"[{"name":"cc","colour":1}]"#),
    ];
    let loaded = load_all(Some(("config.json", file)), env, &[]).unwrap();
    let unknown = [
        "zz",
        "client.yy",
        "channel.namespaces.[1].qq",
        "proxies.[0].http.status_to_code_transforms.[0].to_error.zz",
        "a.b",
    ];
    assert_eq!(loaded.unknown_keys, unknown);
    let unknown = ["CENTRIFUGO_CHANNEL_NAMESPACES_BB_PRESENCE", "CENTRIFUGO_NOPE", "CENTRIFUGO_CONSUMERS.[0].colour"];
    assert_eq!(loaded.unknown_env, unknown);
}

#[test]
fn options_without_effect_are_reported_once_when_set_to_something() {
    let file = r#"{"client":{"concurrency":8,"channel_limit":5,"insecure":false},"sse":{"enabled":true,"handler_prefix":"/connection/sse"},
        "channel":{"namespaces":[{"name":"aa","map":{"publish_proxy_name":"pp"}}]},"proxies":[{"name":"pp","endpoint":"x","binary_encoding":true}],
        "broker":{"redisnats":{"nats":{"tls":{"enabled":true}}}},"usage_stats":{"disabled":true}}"#;
    let idle = load_all(Some(("config.json", file)), &[], &[]).unwrap().idle;
    let expected = [
        "broker.redisnats.nats.tls.enabled",
        "client.concurrency",
        "channel.namespaces.[0].map.publish_proxy_name",
        "proxies.[0].binary_encoding",
        "sse.enabled",
    ];
    assert_eq!(idle, expected);
}

#[test]
fn a_written_configuration_reads_back_as_it_was() {
    let base = r#"{"client":{"ping_interval":"7s","allowed_origins":["http://a"]},"shards":{"count":2},
        "channel":{"namespaces":[{"name":"chat","presence":true}]},
        "proxies":[{"name":"pp","endpoint":"x","http":{"static_headers":[{"key":"a","value":"b"}]}}]}"#;
    for file in [None, Some(("base.json", base))] {
        let loaded = load_all(file, &[], &[]).unwrap();
        for (name, format) in [("a.json", Format::Json), ("a.yaml", Format::Yaml), ("a.toml", Format::Toml)] {
            let text = write(&loaded.options, format);
            let again = load_all(Some((name, &text)), &[], &[]).unwrap();
            assert!(again.unknown_keys.is_empty(), "{name}: {:?}", again.unknown_keys);
            assert_eq!(again.idle, loaded.idle, "{name}");
            // Lists that nobody set come back as empty ones in formats without null: compare what is written.
            assert_eq!(write(&again.options, Format::Yaml), write(&loaded.options, Format::Yaml), "{name}");
        }
        let text = write(&loaded.options, Format::Json);
        assert_eq!(text.contains("\"shards\""), file.is_some(), "options of Spindle alone are shown once set");
        assert!(!text.contains("redisnats"));
    }
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let file = r#"{"client":{"token":{"hmac_secret_key":"hush"}}}"#;
    let loaded = load_all(Some(("config.json", file)), &[("CENTRIFUGO_HTTP_API_KEY", "hush")], &[]).unwrap();
    assert!(!format!("{loaded:?}").contains("hush"));
}

proptest! {
    #[test]
    fn any_text_loads_or_is_an_error(text in ".{0,64}", value in r#"[\[\]{}":,a-z0-9]{0,24}"#) {
        for name in ["a.json", "a.yaml", "a.toml"] {
            let _ = load_all(Some((name, &text)), &[], &[]);
        }
        let _ = load_all(None, &[("CENTRIFUGO_CHANNEL_NAMESPACES", &value), ("CENTRIFUGO_PROXIES", &value)], &[]);
    }
}
