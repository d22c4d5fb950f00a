//! Subscriptions to maps: pages, going live, coming back (upstream: client_map_test.go).

use super::*;
use crate::channel::map_op::{MapOp, MapPublishOp};
use crate::channel::publication::MapEntry;

/// Pages of two keys or changes, of three when the client asks.
pub(super) const MAPS: &str = r#"
    {"name": "kv", "subscription_type": "map", "allow_subscribe_for_client": true, "map": {"mode": "recoverable",
        "key_ttl": "300s", "stream_size": 6, "default_page_size": 2, "min_page_size": 2, "max_page_size": 3,
        "allow_publish_for_client": true, "allow_remove_for_client": true}},
    {"name": "keep", "subscription_type": "map", "allow_subscribe_for_client": true, "map": {"mode": "persistent",
        "default_page_size": 2, "min_page_size": 2, "live_transition_max_publication_limit": 1,
        "subscribe_catch_up_timeout": "1s"}},
    {"name": "eph", "subscription_type": "map", "allow_subscribe_for_client": true, "map": {"mode": "ephemeral",
        "key_ttl": "300s", "default_page_size": 2, "min_page_size": 2, "allow_publish_for_subscriber": true}},
    {"name": "byclient", "subscription_type": "map", "allow_subscribe_for_client": true, "map": {"mode": "recoverable",
        "key_ttl": "300s", "client_key": "client_id", "allow_publish_for_client": true,
        "allow_remove_for_client": true, "remove_client_on_unsubscribe": true}},
    {"name": "byuser", "subscription_type": "map", "allow_subscribe_for_client": true, "map": {"mode": "recoverable",
        "key_ttl": "300s", "client_key": "user_id", "allow_publish_for_client": true,
        "allow_publish_for_anonymous": true, "allow_remove_for_client": true, "allow_remove_for_anonymous": true}},
    {"name": "jl", "subscription_type": "map", "allow_subscribe_for_client": true, "presence": true,
        "allow_presence_for_client": true, "join_leave": true, "force_push_join_leave": true,
        "map": {"mode": "recoverable", "key_ttl": "300s", "default_page_size": 2, "min_page_size": 2}},
    {"name": "tuned", "subscription_type": "map", "allow_subscribe_for_client": true, "allow_tags_filter": true,
        "allowed_delta_types": ["fossil"], "delta_publish": true,
        "map": {"mode": "recoverable", "key_ttl": "300s", "default_page_size": 2, "min_page_size": 2}},
    {"name": "open", "allow_subscribe_for_client": true, "allow_publish_for_client": true}
"#;

impl Bench {
    /// `set CHANNEL KEY DATA [TAG=VALUE]`, `remove CHANNEL KEY`, `clear CHANNEL`, or `fill CHANNEL N`: the keys `k1` to `kN`.
    pub(super) fn change_map(&mut self, change: &str) {
        let words: Vec<&str> = change.split(' ').collect();
        let channel = ChannelName::new(words[1]);
        let namespace = crate::channel::rules::options(&self.config.channel, words[1]).expect("a namespace");
        let (options, delta) = (namespace.map.expect("a map"), namespace.delta_publish);
        let tag = words.get(4).and_then(|tag| tag.split_once('='));
        let tags = tag.map(|(name, value)| Arc::new(Tags::from([(name.into(), value.into())])));
        let set = |key: &str, data: &str| {
            let publication = Publication {
                tags: tags.clone(),
                entry: MapEntry::set(key),
                ..Publication::bare(Bytes::copy_from_slice(data.as_bytes()))
            };
            MapOp::Publish(MapPublishOp { delta, ..MapPublishOp::plain(options, publication) })
        };
        let ops: Vec<MapOp> = match words[0] {
            "set" => vec![set(words[2], words[3])],
            "remove" => vec![MapOp::Remove { options, key: words[2].into(), idempotency_key: None }],
            "clear" => vec![MapOp::Clear],
            "fill" => (1..=words[2].parse().expect("a number")).map(|n: u32| set(&format!("k{n}"), "1")).collect(),
            verb => panic!("not understood: {verb}"),
        };
        for op in ops {
            self.ask_home(&channel, Op::Map(Box::new(op)), ReplyTo::None);
        }
        self.settle();
    }
}

/// Plays a script after `a` has connected as user `u`.
pub(super) fn check_as_user(script: &str) {
    check_connected(r#""channel_limit": 3"#, MAPS, script);
}

#[test]
fn a_small_map_is_live_with_its_first_page() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        map> set kv:1 a 1
        a< {"push":{"channel":"kv:1","pub":{"data":1,"offset":1,"key":"a","epoch":"<e>"}}}
        map> set kv:1 a 2
        a< {"push":{"channel":"kv:1","pub":{"data":2,"offset":2,"key":"a"}}}
        map> remove kv:1 a
        a< {"push":{"channel":"kv:1","pub":{"offset":3,"key":"a","removed":true}}}
        map> remove kv:1 a
        a> {"id":3,"unsubscribe":{"channel":"kv:1"}}
        a< {"id":3,"unsubscribe":{}}
        map> set kv:1 b 1
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","offset":4,"type":1,"state":[{"data":1,"offset":4,"key":"b"}]}}
    "#,
    );
}

#[test]
fn a_larger_map_takes_pages() {
    check_as_user(
        r#"
        map> fill kv:1 5
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":5,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        # Not live yet.
        map> set kv:1 k9 1
        # Its key changed: it comes as a change.
        map> set kv:1 k4 2
        a> {"id":3,"subscribe":{"channel":"kv:1","type":1,"phase":2,"limit":100,"cursor":"k2","offset":5,"epoch":"$e"}}
        a< {"id":3,"subscribe":{"epoch":"<e>","offset":5,"type":1,"phase":2,"cursor":"k5","state":[{"data":1,"offset":3,"key":"k3"},{"data":1,"offset":5,"key":"k5"}]}}
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k5","offset":5,"epoch":"$e"}}
        a< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":1,"offset":6,"key":"k9"},{"data":2,"offset":7,"key":"k4"}],"offset":7,"type":1}}
        map> set kv:1 k1 2
        a< {"push":{"channel":"kv:1","pub":{"data":2,"offset":8,"key":"k1"}}}
    "#,
    );
}

#[test]
fn many_changes_come_in_pages_of_their_own() {
    check_as_user(
        r#"
        map> fill kv:1 3
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        map> fill kv:1 3
        # Three changes are more than a page of two.
        a> {"id":3,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k2","offset":3,"epoch":"$e"}}
        a< {"id":3,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2}}
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"phase":1,"offset":3,"epoch":"$e"}}
        a< {"id":4,"subscribe":{"epoch":"<e>","publications":[{"data":1,"offset":4,"key":"k1"},{"data":1,"offset":5,"key":"k2"}],"offset":5,"type":1,"phase":1}}
        # The aim stays where it was at the first page of changes.
        map> set kv:1 k4 1
        map> set kv:1 k5 1
        a> {"id":5,"subscribe":{"channel":"kv:1","type":1,"phase":1,"offset":5,"epoch":"$e"}}
        a< {"id":5,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":1,"offset":6,"key":"k3"},{"data":1,"offset":7,"key":"k4"},{"data":1,"offset":8,"key":"k5"}],"offset":8,"type":1}}
        map> set kv:1 k1 2
        a< {"push":{"channel":"kv:1","pub":{"data":2,"offset":9,"key":"k1"}}}
    "#,
    );
}

#[test]
fn who_comes_back_gets_what_was_missed() {
    check_as_user(
        r#"
        map> fill kv:1 2
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","offset":2,"type":1,"state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        a> {"id":3,"unsubscribe":{"channel":"kv:1"}}
        a< {"id":3,"unsubscribe":{}}
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"recover":true,"offset":2,"epoch":"$e"}}
        a< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","recovered":true,"offset":2,"was_recovering":true,"type":1}}
        a> {"id":5,"unsubscribe":{"channel":"kv:1"}}
        a< {"id":5,"unsubscribe":{}}
        map> set kv:1 k3 1
        map> remove kv:1 k1
        a> {"id":6,"subscribe":{"channel":"kv:1","type":1,"recover":true,"offset":2,"epoch":"$e"}}
        a< {"id":6,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"data":1,"offset":3,"key":"k3"},{"offset":4,"key":"k1","removed":true}],"recovered":true,"offset":4,"was_recovering":true,"type":1}}
        map> set kv:1 k3 2
        a< {"push":{"channel":"kv:1","pub":{"data":2,"offset":5,"key":"k3"}}}
        # By pages of changes as well.
        a> {"id":7,"unsubscribe":{"channel":"kv:1"}}
        a< {"id":7,"unsubscribe":{}}
        a> {"id":8,"subscribe":{"channel":"kv:1","type":1,"phase":1,"recover":true,"offset":1,"epoch":"$e"}}
        a< {"id":8,"subscribe":{"epoch":"<e>","publications":[{"data":1,"offset":2,"key":"k2"},{"data":1,"offset":3,"key":"k3"}],"offset":3,"type":1,"phase":1}}
        a> {"id":9,"subscribe":{"channel":"kv:1","type":1,"phase":1,"recover":true,"offset":3,"epoch":"$e"}}
        a< {"id":9,"subscribe":{"recoverable":true,"epoch":"<e>","publications":[{"offset":4,"key":"k1","removed":true},{"data":2,"offset":5,"key":"k3"}],"recovered":true,"offset":5,"was_recovering":true,"type":1}}
    "#,
    );
}

#[test]
fn who_cannot_get_everything_begins_anew() {
    check_as_user(
        r#"
        map> fill kv:1 2
        # Neither position nor epoch.
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1}}
        a< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"recover":true,"offset":1,"epoch":"zzzzzzzz"}}
        a< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}
        a> {"id":2,"subscribe":{"channel":"kv:untouched","type":1,"recover":true,"offset":1,"epoch":"zzzzzzzz"}}
        a< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":1,"recover":true,"epoch":"zzzzzzzz"}}
        a< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}
        # More changes than are sent at once, three here.
        a> {"id":3,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":3,"subscribe":{"recoverable":true,"epoch":"<e>","offset":2,"type":1,"state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        a> {"id":3,"unsubscribe":{"channel":"kv:1"}}
        a< {"id":3,"unsubscribe":{}}
        map> fill kv:1 4
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"recover":true,"offset":2,"epoch":"$e"}}
        a< {"id":4,"error":{"code":112,"message":"unrecoverable position"}}
        # More changes than are kept, six here.
        map> fill kv:1 5
        a> {"id":5,"subscribe":{"channel":"kv:1","type":1,"phase":1,"recover":true,"offset":2,"epoch":"$e"}}
        a< {"id":5,"error":{"code":112,"message":"unrecoverable position"}}
        # Nothing of all that is left.
        a> {"id":6,"subscribe":{"channel":"kv:1","type":1,"phase":1,"offset":9,"epoch":"$e"}}
        a< {"id":6,"error":{"code":103,"message":"permission denied"}}
    "#,
    );
}

#[test]
fn a_map_that_was_cleared_meanwhile_is_another_one() {
    check_as_user(
        r#"
        map> fill kv:1 3
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        map> clear kv:1
        a> {"id":3,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k2","offset":3,"epoch":"$e"}}
        a< {"id":3,"error":{"code":112,"message":"unrecoverable position"}}
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k2","offset":3,"epoch":"$e"}}
        a< {"id":4,"error":{"code":103,"message":"permission denied"}}
        a> {"id":5,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":5,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        map> clear kv:1
        map> set kv:1 a 1
        a< {"push":{"channel":"kv:1","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
    "#,
    );
}

#[test]
fn steps_that_make_no_sense() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":1,"limit":9}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":7}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k2"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"eph:1","type":1,"phase":1,"recover":true}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        map> fill kv:1 3
        a> {"id":3,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":3,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":4,"error":{"code":105,"message":"already subscribed"}}
        # A step into nowhere ends the whole.
        a> {"id":5,"subscribe":{"channel":"kv:1","type":1,"phase":-1}}
        a< {"id":5,"error":{"code":107,"message":"bad request"}}
        a> {"id":6,"subscribe":{"channel":"kv:1","type":1,"phase":2,"limit":3}}
        a< {"id":6,"subscribe":{"recoverable":true,"epoch":"<e>","offset":3,"type":1,"state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"},{"data":1,"offset":3,"key":"k3"}]}}
        a> {"id":7,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":7,"error":{"code":105,"message":"already subscribed"}}
        a> {"id":8,"subscribe":{"type":1,"phase":2}}
        a< !3501
    "#,
    );
}

#[test]
fn who_may_subscribe_to_a_map() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"nowhere:1","type":1,"phase":2}}
        a< {"id":2,"error":{"code":102,"message":"unknown channel"}}
        a> {"id":2,"subscribe":{"channel":"kv:ü","type":1,"phase":2}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":2,"subscribe":{"channel":"kv:1"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"open:1","type":1,"phase":2}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"kv:1","type":3,"phase":2}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"$kv:1","type":1,"phase":2}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2,"token":"rubbish"}}
        a< {"id":2,"error":{"code":103,"message":"permission denied"}}
        # The data of a token is not shown.
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2,"token":$jwt{"sub":"u","channel":"kv:1","data":{"d":1},"exp":1700000300}}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":2,"subscribe":{"channel":"kv:2","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        map> fill kv:3 3
        # A map that is being read counts as well.
        a> {"id":2,"subscribe":{"channel":"kv:3","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        a> {"id":2,"subscribe":{"channel":"kv:4","type":1,"phase":2}}
        a< {"id":2,"error":{"code":106,"message":"limit exceeded"}}
        a> {"id":2,"subscribe":{"channel":"open:4"}}
        a< {"id":2,"error":{"code":106,"message":"limit exceeded"}}
        a> {"id":2,"subscribe":{"channel":"kv:3","type":1,"phase":2,"cursor":"k2","offset":3,"epoch":"$e"}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","offset":3,"type":1,"state":[{"data":1,"offset":3,"key":"k3"}]}}
    "#,
    );
}

#[test]
fn a_map_without_a_stream_promises_nothing() {
    check_as_user(
        r#"
        map> fill eph:1 3
        a> {"id":2,"subscribe":{"channel":"eph:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","type":1,"phase":2,"cursor":"k2","state":[{"data":1,"key":"k1"},{"data":1,"key":"k2"}]}}
        a> {"id":3,"subscribe":{"channel":"eph:1","type":1,"phase":2,"cursor":"k2","epoch":"$e"}}
        a< {"id":3,"subscribe":{"epoch":"<e>","type":1,"state":[{"data":1,"key":"k3"}]}}
        map> set eph:1 a 1
        a< {"push":{"channel":"eph:1","pub":{"data":1,"key":"a"}}}
        map> remove eph:1 a
        a< {"push":{"channel":"eph:1","pub":{"key":"a","removed":true}}}
        a> {"id":4,"unsubscribe":{"channel":"eph:1"}}
        a< {"id":4,"unsubscribe":{}}
        a> {"id":5,"subscribe":{"channel":"eph:1","type":1,"recover":true,"offset":1,"epoch":"zzzzzzzz"}}
        a< {"id":5,"subscribe":{"epoch":"<e>","recovered":true,"was_recovering":true,"type":1}}
    "#,
    );
}

#[test]
fn a_client_that_takes_too_long_is_slow() {
    check_as_user(
        r#"
        map> fill keep:1 3
        a> {"id":2,"subscribe":{"channel":"keep:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        +1000
        # Another map shows that the first one is still known ...
        a> {"id":3,"subscribe":{"channel":"keep:2","type":1,"phase":2}}
        a< {"id":3,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":4,"subscribe":{"channel":"keep:1","type":1,"phase":2}}
        a< {"id":4,"error":{"code":105,"message":"already subscribed"}}
        +1
        a> {"id":5,"subscribe":{"channel":"keep:1","type":1,"phase":2,"cursor":"k2"}}
        a< !3008
    "#,
    );
    check_as_user(
        r#"
        map> fill keep:1 3
        a> {"id":2,"subscribe":{"channel":"keep:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        +1001
        # ... and forgets it later.
        a> {"id":3,"subscribe":{"channel":"keep:2","type":1,"phase":2}}
        a< {"id":3,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":4,"subscribe":{"channel":"keep:1","type":1,"phase":2,"cursor":"k2"}}
        a< {"id":4,"error":{"code":103,"message":"permission denied"}}
    "#,
    );
}

#[test]
fn changes_that_are_sent_at_once_have_a_limit_of_their_own() {
    check_as_user(
        r#"
        map> fill keep:1 3
        a> {"id":2,"subscribe":{"channel":"keep:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        map> fill keep:1 2
        a> {"id":3,"subscribe":{"channel":"keep:1","type":1,"phase":2,"cursor":"k2"}}
        a< {"id":3,"error":{"code":112,"message":"unrecoverable position"}}
    "#,
    );
}

#[test]
fn a_map_that_is_being_read_can_be_left() {
    check_as_user(
        r#"
        map> fill kv:1 3
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        a> {"id":3,"unsubscribe":{"channel":"kv:1"}}
        a< {"id":3,"unsubscribe":{}}
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k2","epoch":"$e","offset":3}}
        a< {"id":4,"error":{"code":103,"message":"permission denied"}}
        map> set kv:1 a 1
        a> {"id":5,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":5,"subscribe":{"epoch":"<e>","offset":4,"type":1,"phase":2,"cursor":"k1","state":[{"data":1,"offset":4,"key":"a"},{"data":1,"offset":1,"key":"k1","epoch":"<e>"}]}}
        a! unsubscribe kv:1
        a< {"push":{"channel":"kv:1","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
        a> {"id":6,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k1","epoch":"$e","offset":4}}
        a< {"id":6,"error":{"code":103,"message":"permission denied"}}
        a! close
    "#,
    );
}

#[test]
fn nothing_is_held_between_two_pages() {
    let mut bench = Bench::new(config("", MAPS));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
        map> fill kv:1 3
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
    "#,
    );
    assert_eq!((bench.hub.channel_count(), bench.homes.with_subscribers()), (0, 0));
    assert_eq!(bench.sessions[0].loading().len(), 1);
    bench.play(
        r#"
        a> {"id":3,"subscribe":{"channel":"kv:1","type":1,"phase":2,"cursor":"k2","offset":3,"epoch":"zzzzzzzz"}}
        a< {"id":3,"error":{"code":112,"message":"unrecoverable position"}}
    "#,
    );
    assert_eq!((bench.hub.channel_count(), bench.homes.with_subscribers()), (0, 0));
    assert!(bench.sessions[0].background.is_none(), "an idle session holds nothing");
    bench.play(
        r#"
        a> {"id":4,"subscribe":{"channel":"kv:1","type":1,"phase":2,"limit":3}}
        a< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","offset":3,"type":1,"state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"},{"data":1,"offset":3,"key":"k3"}]}}
    "#,
    );
    assert_eq!((bench.hub.channel_count(), bench.homes.with_subscribers()), (1, 1));
    bench.play("a! close");
    assert_eq!((bench.hub.channel_count(), bench.homes.with_subscribers()), (0, 0));
}

#[test]
fn a_token_keeps_its_lifetime_on_a_map() {
    check_as_user(
        r#"
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2,"token":$jwt{"sub":"u","channel":"kv:1","exp":1700000010}}}
        a< {"id":2,"subscribe":{"recoverable":true,"epoch":"<e>","type":1}}
        a> {"id":3,"sub_refresh":{"channel":"kv:1","token":$jwt{"sub":"u","channel":"kv:1","exp":1700000040}}}
        a< {"id":3,"sub_refresh":{"expires":true,"ttl":40}}
        +120000
        a< {"push":{"channel":"kv:1","unsubscribe":{"code":2501,"reason":"subscription expired"}}}
    "#,
    );
}

#[test]
fn a_map_in_a_connection_token_is_a_plain_stream() {
    let mut bench = Bench::new(config("", MAPS));
    bench.play(
        r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u","channels":["kv:1"]}}}
        a< {"id":1,"connect":{"client":"<a>","subs":{"kv:1":{}}}}
        map> set kv:1 a 1
        a< {"push":{"channel":"kv:1","pub":{"data":1,"offset":1,"key":"a","epoch":"<e>"}}}
        a> {"id":2,"subscribe":{"channel":"kv:1","type":1,"phase":2}}
        a< {"id":2,"error":{"code":105,"message":"already subscribed"}}
    "#,
    );
}

#[test]
fn subscribers_of_a_map_join_when_they_are_live() {
    check_as_user(
        r#"
        map> fill jl:1 3
        a> {"id":2,"subscribe":{"channel":"jl:1","type":1,"phase":2}}
        a< {"id":2,"subscribe":{"epoch":"<e>","offset":3,"type":1,"phase":2,"cursor":"k2","state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"}]}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"v"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        b> {"id":2,"presence":{"channel":"jl:1"}}
        b< {"id":2,"presence":{"presence":{}}}
        a> {"id":3,"subscribe":{"channel":"jl:1","type":1,"phase":2,"cursor":"k2"}}
        a< {"id":3,"subscribe":{"recoverable":true,"epoch":"<e>","offset":3,"type":1,"state":[{"data":1,"offset":3,"key":"k3"}]}}
        a< {"push":{"channel":"jl:1","join":{"info":{"user":"u","client":"<a>"}}}}
        b> {"id":3,"presence":{"channel":"jl:1"}}
        b< {"id":3,"presence":{"presence":{"<a>":{"user":"u","client":"<a>"}}}}
        b> {"id":4,"subscribe":{"channel":"jl:1","type":1,"phase":2,"limit":3}}
        b< {"id":4,"subscribe":{"recoverable":true,"epoch":"<e>","offset":3,"type":1,"state":[{"data":1,"offset":1,"key":"k1","epoch":"<e>"},{"data":1,"offset":2,"key":"k2"},{"data":1,"offset":3,"key":"k3"}]}}
        a< {"push":{"channel":"jl:1","join":{"info":{"user":"v","client":"<b>"}}}}
        b< {"push":{"channel":"jl:1","join":{"info":{"user":"v","client":"<b>"}}}}
        a! close
        b< {"push":{"channel":"jl:1","leave":{"info":{"user":"u","client":"<a>"}}}}
    "#,
    );
}

#[test]
fn streams_of_maps_are_not_read_as_history() {
    check_as_user(
        r#"
        a> {"id":2,"history":{"channel":"kv:1","limit":1}}
        a< {"id":2,"error":{"code":108,"message":"not available"}}
        a> {"id":3,"presence":{"channel":"kv:1"}}
        a< {"id":3,"error":{"code":108,"message":"not available"}}
    "#,
    );
}
