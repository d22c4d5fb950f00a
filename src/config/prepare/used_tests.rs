//! Every option is either read, and marked as in force, or neither: none is forgotten, and none is passed over in
//! silence.

use super::{Host, prepare};
use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::option::asks_the_backend;
use crate::config::value::{Section, Value};
use std::collections::BTreeMap;

/// Configurations that together make the snapshot read everything it ever reads. Lists have one entry each.
const CONFIGURATIONS: &[&str] = &[
    r#"{"channel":{"namespaces":[{"name":"aa"}]},"rpc":{"namespaces":[{"name":"aa"}]}}"#,
    r#"{"client":{"subscription_token":{"enabled":true}}}"#,
    r#"{"client":{"subscribe_to_user_personal_channel":{"enabled":true}}}"#,
    r#"{"init":{"enabled":true},"health":{"enabled":true},"prometheus":{"enabled":true},"admin":{"enabled":true},
        "swagger":{"enabled":true},"debug":{"enabled":true}}"#,
    r#"{"controller":{"enabled":false},"presence_manager":{"enabled":true},"broker":{"enabled":true}}"#,
    r#"{"controller":{"enabled":true,"type":"redis"}}"#,
    r#"{"controller":{"enabled":true,"type":"nats"}}"#,
    r#"{"engine":{"type":"redis"},"map_broker":{"type":"redis"}}"#,
    r#"{"proxies":[{"name":"aa","endpoint":"http://backend.example"}]}"#,
    r#"{"broker":{"enabled":true,"type":"redis"},"presence_manager":{"enabled":true,"type":"redis"}}"#,
    r#"{"broker":{"enabled":true,"type":"redisnats"},"enable_unreleased_features":true}"#,
    r#"{"channel":{"namespaces":[{"name":"aa","map":{"mode":"persistent"}}],
        "without_namespace":{"map":{"mode":"persistent"}}}}"#,
];

/// Options in force that are not part of the snapshot, and what they do.
const BESIDE_THE_SNAPSHOT: &[(&str, &str)] = &[
    ("log.level", "read when the log is set up"),
    ("log.file", "read when the log is set up"),
    ("usage_stats.disabled", "nothing is ever reported"),
];

/// Options that are not in force but read all the same, so that what they ask for is refused and not passed over.
const READ_TO_REFUSE: &[&str] = &[
    "channel.namespaces[].map.publish_proxy_enabled",
    "channel.namespaces[].map.remove_proxy_enabled",
    "channel.namespaces[].publish_proxy_enabled",
    "channel.namespaces[].subscribe_proxy_enabled",
    "channel.namespaces[].subscribe_stream_proxy_enabled",
    "channel.without_namespace.map.publish_proxy_enabled",
    "channel.without_namespace.map.remove_proxy_enabled",
    "channel.without_namespace.publish_proxy_enabled",
    "channel.without_namespace.subscribe_proxy_enabled",
    "channel.without_namespace.subscribe_stream_proxy_enabled",
    "client.proxy.connect.enabled",
    "http_server.internal_tls.enabled",
    "http_server.tls.enabled",
    "http_server.tls_autocert.enabled",
    "webtransport.enabled",
];

/// Whether each option is in force, and was read, by path. Entries of lists stand for all.
fn look(section: &Section, path: &str, in_force: bool, found: &mut BTreeMap<String, (bool, bool)>) {
    for entry in &section.entries {
        let here = format!("{path}{}", entry.option.name);
        let in_force = in_force && entry.option.in_force;
        match &entry.value {
            Value::Section(inner) => look(inner, &format!("{here}."), in_force, found),
            Value::List(items) if !items.is_empty() => {
                items.iter().for_each(|item| look(item, &format!("{here}[]."), in_force, found));
            }
            _ => {
                let known = found.entry(here).or_insert((in_force, false));
                known.1 |= entry.was_read.get();
            }
        }
    }
}

fn forget(section: &Section) {
    for entry in &section.entries {
        entry.was_read.set(false);
        match &entry.value {
            Value::Section(inner) => forget(inner),
            Value::List(items) => items.iter().for_each(forget),
            _ => {}
        }
    }
}

#[test]
fn what_is_in_force_is_read_and_nothing_else_is() {
    let mut found = BTreeMap::new();
    for text in CONFIGURATIONS {
        let loaded = load(Sources { file: Some(("a.json", text)), env: &Env::default(), flags: &[] }).unwrap();
        // Loading itself looks at the names of entries.
        forget(&loaded.options);
        prepare(&loaded.options, &Host { name: "host", resolve: &|_| None }, false).unwrap();
        look(&loaded.options, "", true, &mut found);
    }
    let beside = |path: &str| BESIDE_THE_SNAPSHOT.iter().any(|(known, _)| *known == path);
    let refuses = |path: &str| READ_TO_REFUSE.contains(&path);
    let of = |wanted: &dyn Fn(&str, bool, bool) -> bool| -> Vec<&str> {
        let picked = found.iter().filter(|(path, (in_force, read))| wanted(path, *in_force, *read));
        picked.map(|(path, _)| path.as_str()).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(of(&|path, in_force, read| in_force && !read && !beside(path)), none, "in force, but nobody reads them");
    assert_eq!(of(&|path, in_force, read| read && !in_force && !refuses(path)), none, "read, but not marked live()");
    assert_eq!(of(&|path, in_force, read| beside(path) && (read || !in_force)), none, "known as read elsewhere");
    let backend = |path: &str| asks_the_backend(path) && !refuses(path);
    assert_eq!(of(&|path, _, _| backend(path)), none, "said to be refused");
    assert_eq!(of(&|path, in_force, read| refuses(path) && (in_force || !read)), none, "known as refused");
    assert!(found.len() > 500, "{}", found.len());
}
