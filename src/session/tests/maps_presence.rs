//! Maps that mirror who is in a channel, and keys that go with their client (upstream: client_map_test.go).

use super::*;

const MAPS: &str = r#"
    {"name": "seen", "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
        "map_clients_presence_channel_prefix": "cl:", "map_users_presence_channel_prefix": "us:"},
    {"name": "kvseen", "subscription_type": "map", "allow_subscribe_for_client": true,
        "map": {"mode": "recoverable", "key_ttl": "60s"},
        "map_clients_presence_channel_prefix": "cl:", "map_users_presence_channel_prefix": "us:"},
    {"name": "cl", "subscription_type": "map_clients", "allow_subscribe_for_client": true,
        "map": {"mode": "recoverable", "key_ttl": "60s"}},
    {"name": "us", "subscription_type": "map_users", "allow_subscribe_for_client": true,
        "map": {"mode": "ephemeral", "key_ttl": "60s"}},
    {"name": "own", "subscription_type": "map", "allow_subscribe_for_client": true, "map": {"mode": "recoverable",
        "key_ttl": "300s", "client_key": "client_id", "allow_publish_for_client": true,
        "remove_client_on_unsubscribe": true}}
"#;

/// Plays a script; `a` watches the maps of a channel of the namespace.
fn check_watched(namespace: &str, script: &str) {
    let mut bench = Bench::new(config(r#""allow_anonymous_connect_without_token": true"#, MAPS));
    bench.play(
        &r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"cl:NS:1","type":2,"phase":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":3,"subscribe":{"channel":"us:NS:1","type":3,"phase":2}}
        a< {"id":3,"subscribe":{"epoch":"<e>","type":1}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"v","info":{"i":1}}}}
        b< {"id":1,"connect":{"client":"<b>"}}
    "#
        .replace("NS", namespace),
    );
    bench.play(script);
}

#[test]
fn clients_and_users_come_and_go() {
    check_watched(
        "seen",
        r#"
        b> {"id":2,"subscribe":{"channel":"seen:1"}}
        b< {"id":2,"subscribe":{}}
        a< {"push":{"channel":"cl:seen:1","pub":{"info":{"user":"v","client":"<b>","conn_info":{"i":1}},"offset":1,"key":"<b>","epoch":"<e>"}}}
        a< {"push":{"channel":"us:seen:1","pub":{"key":"v"}}}
        # The user is there already.
        c> {"id":1,"connect":{"token":$jwt{"sub":"v"}}}
        c< {"id":1,"connect":{"client":"<c>"}}
        c> {"id":2,"subscribe":{"channel":"seen:1"}}
        c< {"id":2,"subscribe":{}}
        a< {"push":{"channel":"cl:seen:1","pub":{"info":{"user":"v","client":"<c>"},"offset":2,"key":"<c>"}}}
        # Nobody has no key among the users.
        d> {"id":1,"connect":{}}
        d< {"id":1,"connect":{"client":"<d>"}}
        d> {"id":2,"subscribe":{"channel":"seen:1"}}
        d< {"id":2,"subscribe":{}}
        a< {"push":{"channel":"cl:seen:1","pub":{"info":{"user":"","client":"<d>"},"offset":3,"key":"<d>"}}}
        b> {"id":3,"unsubscribe":{"channel":"seen:1"}}
        a< {"push":{"channel":"cl:seen:1","pub":{"offset":4,"key":"<b>","removed":true}}}
        b< {"id":3,"unsubscribe":{}}
        c! close
        a< {"push":{"channel":"cl:seen:1","pub":{"offset":5,"key":"<c>","removed":true}}}
        d! unsubscribe seen:1
        d< {"push":{"channel":"seen:1","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
        a< {"push":{"channel":"cl:seen:1","pub":{"offset":6,"key":"<d>","removed":true}}}
        # The user's key ends with its time.
        +61000
        a< {"push":{"channel":"us:seen:1","pub":{"key":"v","removed":true}}}
    "#,
    );
}

#[test]
fn a_client_sees_itself_come_and_go() {
    check_watched(
        "seen",
        r#"
        a> {"id":4,"subscribe":{"channel":"seen:1"}}
        a< {"id":4,"subscribe":{}}
        a< {"push":{"channel":"cl:seen:1","pub":{"info":{"user":"u","client":"<a>"},"offset":1,"key":"<a>","epoch":"<e>"}}}
        a< {"push":{"channel":"us:seen:1","pub":{"key":"u"}}}
        a> {"id":5,"unsubscribe":{"channel":"seen:1"}}
        a< {"push":{"channel":"cl:seen:1","pub":{"offset":2,"key":"<a>","removed":true}}}
        a< {"id":5,"unsubscribe":{}}
    "#,
    );
}

#[test]
fn a_client_that_stays_keeps_its_keys() {
    check_watched(
        "kvseen",
        r#"
        b> {"id":2,"subscribe":{"channel":"kvseen:1","type":1,"phase":2}}
        b< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a< {"push":{"channel":"cl:kvseen:1","pub":{"info":{"user":"v","client":"<b>","conn_info":{"i":1}},"offset":1,"key":"<b>","epoch":"<e>"}}}
        a< {"push":{"channel":"us:kvseen:1","pub":{"key":"v"}}}
        +300000
        b! close
        a< {"push":{"channel":"cl:kvseen:1","pub":{"offset":2,"key":"<b>","removed":true}}}
    "#,
    );
}

#[test]
fn subscriptions_by_token_and_by_the_server_leave_no_keys() {
    check_watched(
        "seen",
        r#"
        b> {"id":2,"subscribe":{"channel":"seen:1","token":$jwt{"sub":"v","channel":"seen:1"}}}
        b< {"id":2,"subscribe":{}}
        b> {"id":3,"unsubscribe":{"channel":"seen:1"}}
        b< {"id":3,"unsubscribe":{}}
        b! subscribe seen:1
        b< {"push":{"channel":"seen:1","subscribe":{}}}
        c> {"id":1,"connect":{"token":$jwt{"sub":"w","channels":["seen:1"]}}}
        c< {"id":1,"connect":{"client":"<c>","subs":{"seen:1":{}}}}
    "#,
    );
}

#[test]
fn a_key_goes_with_its_client() {
    let mut bench = Bench::new(config("", MAPS));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        a> {"id":2,"subscribe":{"channel":"own:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"v"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        b> {"id":2,"subscribe":{"channel":"own:1","type":1,"phase":2}}
        b< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        b> {"id":3,"publish":{"channel":"own:1","type":1,"data":1}}
        a< {"push":{"channel":"own:1","pub":{"data":1,"info":{"user":"v","client":"<b>"},"offset":1,"key":"<b>","epoch":"<e>"}}}
        b< {"push":{"channel":"own:1","pub":{"data":1,"info":{"user":"v","client":"<b>"},"offset":1,"key":"<b>","epoch":"<e>"}}}
        b< {"id":3,"publish":{}}
        b> {"id":4,"unsubscribe":{"channel":"own:1"}}
        a< {"push":{"channel":"own:1","pub":{"offset":2,"key":"<b>","removed":true}}}
        b< {"id":4,"unsubscribe":{}}
        b> {"id":5,"subscribe":{"channel":"own:1","type":1,"phase":2}}
        b< {"id":5,"subscribe":{"recoverable":true,"epoch":"<e>","offset":2,"type":1}}
        b> {"id":6,"publish":{"channel":"own:1","type":1,"data":2}}
        a< {"push":{"channel":"own:1","pub":{"data":2,"info":{"user":"v","client":"<b>"},"offset":3,"key":"<b>"}}}
        b< {"push":{"channel":"own:1","pub":{"data":2,"info":{"user":"v","client":"<b>"},"offset":3,"key":"<b>"}}}
        b< {"id":6,"publish":{}}
        b! close
        a< {"push":{"channel":"own:1","pub":{"offset":4,"key":"<b>","removed":true}}}
        # A token says nothing about keys.
        c> {"id":1,"connect":{"token":$jwt{"sub":"w"}}}
        c< {"id":1,"connect":{"client":"<c>"}}
        c> {"id":2,"subscribe":{"channel":"own:1","type":1,"phase":2,"token":$jwt{"sub":"w","channel":"own:1"}}}
        c< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","offset":4,"type":1}}
        c> {"id":3,"publish":{"channel":"own:1","type":1,"data":3}}
        a< {"push":{"channel":"own:1","pub":{"data":3,"info":{"user":"w","client":"<c>"},"offset":5,"key":"<c>"}}}
        c< {"push":{"channel":"own:1","pub":{"data":3,"info":{"user":"w","client":"<c>"},"offset":5,"key":"<c>"}}}
        c< {"id":3,"publish":{}}
        c! close
    "#,
    );
}
