//! The rules of channels and namespaces.

use super::{bad, check, good};

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
fn names_of_namespaces() {
    let namespaces = |list: &str, problem| check(&format!(r#"{{"channel":{{"namespaces":[{list}]}}}}"#), problem);
    namespaces(r#"{"name":"a-1_.b"},{"name":"bb"}"#, None);
    namespaces(r#"{"name":"a b"}"#, Some("channel.namespaces.[0].name: the namespace name \"a b\""));
    namespaces(r#"{"name":"a"}"#, Some("the namespace name \"a\" must be at least two"));
    namespaces("{}", Some("the namespace name \"\""));
    namespaces(
        r#"{"name":"aa"},{"name":"aa"}"#,
        Some("channel.namespaces.[1].name: the namespace \"aa\" stands twice"),
    );
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
    // What is negative is none, for the size as for the times; both halves must still be there.
    channel(r#""history_size":-5,"history_ttl":"5s""#, None);
    channel(r#""history_size":-5,"history_ttl":"-5s""#, None);
    channel(r#""history_size":-5"#, Some("history_size: history needs both"));
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
    channel(
        &format!(r#"{history},"force_recovery_mode":"strange""#),
        Some("force_recovery_mode: unknown value \"strange\""),
    );
    channel(&format!(r#"{history},"auto_cache_recover":true"#), Some("auto_cache_recover: needs force_recovery"));
    channel(
        r#""force_recovery_mode":"cache","auto_cache_recover":true"#,
        Some("auto_cache_recover: needs force_recovery"),
    );
}

#[test]
fn choices_of_channels() {
    channel(
        r#""channel_regex":"^[a-z]+$","allowed_delta_types":["fossil"],"publication_data_format":"json_object""#,
        None,
    );
    channel(r#""channel_regex":"[""#, Some("channel_regex: is not a valid pattern"));
    channel(r#""channel_regex":"a{1001}""#, Some("channel_regex: is not a valid pattern: invalid repeat count"));
    channel(r#""channel_regex":"^(?P<n>a{,5})\\x41$""#, None);
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
    map(
        "map",
        &more(r#""stream_ttl":"30s","meta_ttl":"29s""#),
        Some("meta_ttl: must not be shorter than stream_ttl (30s)"),
    );
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
            let target =
                format!(r#"{{"name":"mm","subscription_type":"{kind}","map":{{"mode":"ephemeral","key_ttl":"9s"}}}}"#);
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
        let json =
            format!(r#"{{"client":{{"subscribe_to_user_personal_channel":{{{options}}}}},"channel":{{{channel}}}}}"#);
        check(&json, problem);
    };
    let single = r#""enabled":true,"single_connection":true"#;
    personal(single, r#""without_namespace":{"presence":true}"#, None);
    personal(single, "", Some("single_connection: needs presence in channel.without_namespace"));
    let named = format!(r#"{single},"personal_channel_namespace":"aa""#);
    personal(&named, r#""namespaces":[{"name":"aa","presence":true}]"#, None);
    personal(
        &named,
        r#""namespaces":[{"name":"aa"}]"#,
        Some("single_connection: needs presence in the namespace \"aa\""),
    );
    personal(&named, "", Some("personal_channel_namespace: there is no namespace \"aa\""));
    personal(r#""personal_channel_namespace":"aa""#, "", None);
}
