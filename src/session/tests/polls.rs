//! Shared-poll channels: subscribing, tracking and untracking keys, versions and epochs (upstream:
//! client_shared_poll_test.go).

use super::*;
use crate::auth::track::{Tracked, sign};
use crate::channel::poll::key_name;
use crate::channel::poll::op::{KeyPublication, PollOp};
use crate::channel::publication::MapEntry;
use crate::fanout::key_variant::KeyVariants;
use crate::fanout::tailor::Form;

/// Three keys at most in `few`, grace of two seconds in `brief`.
const POLLS: &str = r#"
    {"name": "poll", "subscription_type": "shared_poll", "allow_subscribe_for_client": true,
        "shared_poll": {"proxy_name": "poller", "mode": "versioned", "publish_enabled": true}},
    {"name": "delta", "subscription_type": "shared_poll", "allow_subscribe_for_client": true,
        "allowed_delta_types": ["fossil"],
        "shared_poll": {"proxy_name": "poller", "mode": "versioned", "publish_enabled": true}},
    {"name": "few", "subscription_type": "shared_poll", "allow_subscribe_for_client": true,
        "shared_poll": {"proxy_name": "poller", "mode": "versioned", "publish_enabled": true,
            "max_keys_per_connection": 3}},
    {"name": "brief", "subscription_type": "shared_poll", "allow_subscribe_for_client": true,
        "shared_poll": {"proxy_name": "poller", "mode": "versioned", "publish_enabled": true,
            "track_expired_extra_delay": "2s"}},
    {"name": "closed", "subscription_type": "shared_poll",
        "shared_poll": {"proxy_name": "poller", "mode": "versioned", "publish_enabled": true}},
    {"name": "open", "allow_subscribe_for_client": true}
"#;

/// A track batch for user `u`, signed now and for so many seconds; keys by spaces, each with its version behind `=`.
fn batch(channel: &str, keys: &str, lives_s: i64) -> String {
    let keys: Vec<(&str, &str)> = keys.split(' ').map(|key| key.split_once('=').unwrap_or((key, "0"))).collect();
    let names: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
    let tracked = Tracked { user: "u", channel, keys: &names.join("\0") };
    let signature = sign("poll-secret", (START.unix_s(), START.unix_s() + lives_s), tracked);
    let items: Vec<String> =
        keys.iter().map(|(key, version)| format!(r#"{{"key":"{key}","version":{version}}}"#)).collect();
    format!(r#"{{"signature":"{signature}","items":[{}]}}"#, items.join(","))
}

/// `a> track ID CHANNEL KEYS` in a script is a command with one batch that lives for 300 s.
fn play(script: &str) {
    let lines = script.lines().map(|line| match line.trim().split_once("> track ") {
        None => line.to_owned(),
        Some((who, track)) => {
            let mut words = track.splitn(3, ' ');
            let mut next = || words.next().expect("id, channel and keys");
            let (id, channel, keys) = (next(), next(), next());
            let batch = batch(channel, keys, 300);
            format!(r#"{who}> {{"id":{id},"sub_refresh":{{"channel":"{channel}","type":1,"track":[{batch}]}}}}"#)
        }
    });
    check_connected("", POLLS, &lines.collect::<Vec<_>>().join("\n"));
}

impl Bench {
    /// `CHANNEL KEY VERSION DATA [EPOCH]`.
    pub(super) fn publish_key(&mut self, publication: &str) {
        let words: Vec<&str> = publication.split(' ').collect();
        let publication = Publication {
            entry: MapEntry::set(words[1]),
            version: words[2].parse().expect("a version"),
            ..Publication::bare(Bytes::copy_from_slice(words[3].as_bytes()))
        };
        let (key, epoch) = (key_name(words[0], words[1]), words.get(4).copied().unwrap_or("").into());
        let op = Op::Poll(Box::new(PollOp::Publish { publication, key, epoch }));
        self.ask_home(&ChannelName::new(words[0]), op, ReplyTo::None);
        self.settle();
    }

    pub(super) fn deliver_key(&mut self, told: &KeyPublication) {
        let (Some(channel), Some(key)) = (self.hub.find_name(&told.channel), self.tracked.find_name(&told.key)) else {
            return;
        };
        let (mut variants, mut builder) = (KeyVariants::new(told), FrameBuilder::new());
        let is_removal = told.is_removal();
        for member in self.tracked.members(key).to_vec() {
            let who = member.conn.slot as usize;
            let form = match is_removal {
                true => Some(Form::Plain),
                false => self.sessions[who].takes_version(channel, key, member.flags(), told),
            };
            if let Some(form) = form.filter(|_| self.is_open[who]) {
                let frame = variants.frame(member.flags().protocol(), form, &mut builder).expect("JSON");
                let message = &frame.as_bytes()[frame.len() - frame.message_len()..];
                let text = self.shown(message);
                self.came.push_back(format!("{}< {text}", name(who)));
            }
            if is_removal {
                self.step(who, |session, cx| session.on_key_removed(cx, channel, key));
            }
        }
    }

    pub(super) fn reset(&mut self, channel: &ChannelName) {
        let Some(local) = self.hub.find_name(channel) else { return };
        for member in self.hub.members(local).to_vec() {
            self.step(member.conn.slot as usize, |session, cx| {
                session.on_poll_reset(cx, local);
            });
        }
    }
}

const SUBSCRIBED: &str = r#"
    a> {"id":2,"subscribe":{"channel":"poll:a","type":4}}
    a< {"id":2,"subscribe":{"type":4}}
"#;

fn play_subscribed(script: &str) {
    play(&[SUBSCRIBED, script].concat());
}

#[test]
fn who_may_subscribe() {
    play(
        r#"
        a> {"id":2,"subscribe":{"channel":"poll:a"}}
        a< {"id":2,"error":{"code":107,"message":"bad request"}}
        a> {"id":3,"subscribe":{"channel":"poll:a","type":1}}
        a< {"id":3,"error":{"code":107,"message":"bad request"}}
        a> {"id":4,"subscribe":{"channel":"open:a","type":4}}
        a< {"id":4,"error":{"code":108,"message":"not available"}}
        a> {"id":5,"subscribe":{"channel":"nowhere:a","type":4}}
        a< {"id":5,"error":{"code":108,"message":"not available"}}
        a> {"id":6,"subscribe":{"channel":"closed:a","type":4}}
        a< {"id":6,"error":{"code":103,"message":"permission denied"}}
        a> {"id":8,"subscribe":{"channel":"closed:a","type":4,"token":$jwt{"sub":"u","channel":"closed:a","exp":1700000060}}}
        a< {"id":8,"subscribe":{"expires":true,"ttl":60,"type":4}}
        a> {"id":9,"subscribe":{"channel":"poll:a","type":4}}
        a< {"id":9,"subscribe":{"type":4}}
        a> {"id":10,"subscribe":{"channel":"poll:a","type":4}}
        a< {"id":10,"error":{"code":105,"message":"already subscribed"}}
        a> {"id":11,"publish":{"channel":"poll:a","data":1}}
        a< {"id":11,"error":{"code":103,"message":"permission denied"}}
        "#,
    );
}

#[test]
fn newer_versions_of_tracked_keys_are_pushed() {
    play_subscribed(
        r#"
        a> track 3 poll:a k l=5
        a< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        poll> poll:a k 2 {"a":1}
        a< {"push":{"channel":"poll:a","pub":{"data":{"a":1},"key":"k","version":2}}}
        poll> poll:a k 2 {"a":2}
        poll> poll:a k 1 {"a":2}
        poll> poll:a l 5 1
        poll> poll:a l 6 1
        a< {"push":{"channel":"poll:a","pub":{"data":1,"key":"l","version":6}}}
        poll> poll:a m 1 1
        poll> poll:b k 9 1
        a> track 4 poll:a k=7
        a< {"id":4,"sub_refresh":{"expires":true,"ttl":300}}
        poll> poll:a k 7 1
        poll> poll:a k 8 1
        a< {"push":{"channel":"poll:a","pub":{"data":1,"key":"k","version":8}}}
        "#,
    );
}

#[test]
fn untracked_keys_are_silent() {
    play_subscribed(
        r#"
        a> track 3 poll:a k l
        a< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        a> {"id":4,"sub_refresh":{"channel":"poll:a","type":2,"untrack":["k","unknown"]}}
        a< {"id":4,"sub_refresh":{}}
        poll> poll:a k 1 1
        poll> poll:a l 1 1
        a< {"push":{"channel":"poll:a","pub":{"data":1,"key":"l","version":1}}}
        a> {"id":5,"sub_refresh":{"channel":"poll:a","type":2}}
        a< {"id":5,"error":{"code":107,"message":"bad request"}}
        a> {"id":6,"unsubscribe":{"channel":"poll:a"}}
        a< {"id":6,"unsubscribe":{}}
        poll> poll:a l 2 1
        a> {"id":7,"sub_refresh":{"channel":"poll:a","type":2,"untrack":["l"]}}
        a< {"id":7,"error":{"code":103,"message":"permission denied"}}
        "#,
    );
}

#[test]
fn another_epoch_ends_subscriptions_that_track_keys() {
    play_subscribed(
        r#"
        b> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        b> {"id":2,"subscribe":{"channel":"poll:a","type":4}}
        b< {"id":2,"subscribe":{"type":4}}
        a> track 3 poll:a k
        a< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        poll> poll:a k 5 1 epochone
        a< {"push":{"channel":"poll:a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
        b> track 3 poll:a k
        b< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        poll> poll:a k 1 2 epochtwo
        b< {"push":{"channel":"poll:a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
        "#,
    );
}

#[test]
fn who_tracked_nothing_when_versions_became_void_does_not_go_on_with_them() {
    play_subscribed(
        r#"
        a> track 3 poll:a k
        a< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        b> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        b> {"id":2,"subscribe":{"channel":"poll:a","type":4}}
        b< {"id":2,"subscribe":{"type":4}}
        poll> poll:a k 5 1 epochone
        a< {"push":{"channel":"poll:a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
        b> track 3 poll:a k
        b< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        b> track 4 poll:a l=7
        b< {"push":{"channel":"poll:a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
        b< {"id":4,"error":{"code":103,"message":"permission denied"}}
        "#,
    );
}

#[test]
fn the_epoch_is_told_to_who_subscribes_and_with_publications() {
    play_subscribed(
        r#"
        b> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        b< {"id":1,"connect":{"client":"<b>"}}
        b> {"id":2,"subscribe":{"channel":"poll:a","type":4}}
        b< {"id":2,"subscribe":{"type":4}}
        a> track 3 poll:a k
        a< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        b> track 3 poll:a l
        b< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        poll> poll:a x 5 1 epochone
        a< {"push":{"channel":"poll:a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
        b< {"push":{"channel":"poll:a","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
        "#,
    );
}

#[test]
fn payloads_are_strings_for_clients_with_delta() {
    play(
        r#"
        a> {"id":2,"subscribe":{"channel":"delta:a","type":4,"delta":"fossil"}}
        a< {"id":2,"subscribe":{"delta":true,"type":4}}
        a> track 3 delta:a k
        a< {"id":3,"sub_refresh":{"expires":true,"ttl":300}}
        poll> delta:a k 1 {"a":1}
        a< {"push":{"channel":"delta:a","pub":{"data":"{\"a\":1}","key":"k","version":1}}}
        "#,
    );
}

#[test]
fn a_patch_is_for_who_has_the_data_of_the_version_before() {
    let mut bench = Bench::new(config("", POLLS));
    bench.play(&format!(
        r#"
        a> {{"id":1,"connect":{{"token":$jwt{{"sub":"u"}}}}}}
        a< {{"id":1,"connect":{{"client":"<a>"}}}}
        a> {{"id":2,"subscribe":{{"channel":"delta:a","type":4,"delta":"fossil"}}}}
        a< {{"id":2,"subscribe":{{"delta":true,"type":4}}}}
        a> {{"id":3,"sub_refresh":{{"channel":"delta:a","type":1,"track":[{}]}}}}
        a< {{"id":3,"sub_refresh":{{"expires":true,"ttl":300}}}}
        "#,
        batch("delta:a", "k=4", 300)
    ));
    let name = ChannelName::new("delta:a");
    let (local, key) =
        (bench.hub.find_name(&name).unwrap(), bench.tracked.find_name(&key_name("delta:a", "k")).unwrap());
    let told = |version: u64, base: u64| KeyPublication {
        channel: name.clone(),
        key: key_name("delta:a", "k"),
        publication: Publication { version, entry: MapEntry::set("k"), ..Publication::bare(Bytes::from_static(b"1")) },
        before: Some((Bytes::from_static(b"0"), base)),
        epoch: Box::default(),
    };
    let delta = MemberFlags::DELTA;
    for (version, base, flags, expected) in [
        // Version 4 is known, but its data is not from us.
        (4, 3, delta, None),
        (5, 4, delta, Some(Form::Whole)),
        (6, 5, delta, Some(Form::Patch)),
        (8, 7, delta, Some(Form::Whole)),
        (8, 7, delta, None),
        (9, 8, MemberFlags::NONE, Some(Form::Plain)),
    ] {
        let form = bench.sessions[0].takes_version(local, key, flags, &told(version, base));
        assert_eq!(form, expected, "version {version} upon {base}");
    }
}

#[test]
fn keys_are_bounded() {
    play(
        r#"
        a> {"id":2,"subscribe":{"channel":"few:a","type":4}}
        a< {"id":2,"subscribe":{"type":4}}
        a> track 3 few:a a b c d
        a< {"id":3,"error":{"code":106,"message":"limit exceeded"}}
        a> track 4 few:a a b c
        a< {"id":4,"sub_refresh":{"expires":true,"ttl":300}}
        a> track 5 few:a a d
        a< {"id":5,"error":{"code":106,"message":"limit exceeded"}}
        a> {"id":6,"sub_refresh":{"channel":"few:a","type":2,"untrack":["b"]}}
        a< {"id":6,"sub_refresh":{}}
        a> track 7 few:a a d
        a< {"id":7,"sub_refresh":{"expires":true,"ttl":300}}
        "#,
    );
}

#[test]
fn every_batch_must_be_signed() {
    let track = |id: u32, batches: &[String], untrack: &str| {
        let batches = batches.join(",");
        format!(
            r#"a> {{"id":{id},"sub_refresh":{{"channel":"poll:a","type":1,"track":[{batches}],"untrack":[{untrack}]}}}}"#
        )
    };
    let good = |keys, lives_s| batch("poll:a", keys, lives_s);
    let lines = [
        track(3, &[], ""),
        r#"a< {"id":3,"error":{"code":107,"message":"bad request"}}"#.into(),
        track(4, &[r#"{"signature":"x","items":[{"key":"k"}]}"#.into()], ""),
        r#"a< {"id":4,"error":{"code":103,"message":"permission denied"}}"#.into(),
        track(5, &[good("k", 300), batch("poll:b", "l", 300)], ""),
        r#"a< {"id":5,"error":{"code":103,"message":"permission denied"}}"#.into(),
        track(6, &[good("k", 300), good("l", -60)], ""),
        r#"a< {"id":6,"error":{"code":109,"message":"token expired"}}"#.into(),
        // The shortest life is told; of a key in two batches the last one counts; what is untracked too is not tracked.
        track(7, &[good("k l=3", 300), good("l=7 m n", 60)], r#""n""#),
        r#"a< {"id":7,"sub_refresh":{"expires":true,"ttl":60}}"#.into(),
        "poll> poll:a l 5 1\npoll> poll:a n 1 1\npoll> poll:a l 8 1".into(),
        r#"a< {"push":{"channel":"poll:a","pub":{"data":1,"key":"l","version":8}}}"#.into(),
    ];
    play_subscribed(&lines.join("\n"));
}

#[test]
fn keys_end_silently_after_their_signature_and_a_grace_time() {
    let command = |id: u32, batch: String| {
        format!(r#"a> {{"id":{id},"sub_refresh":{{"channel":"brief:a","type":1,"track":[{batch}]}}}}"#)
    };
    let lines = [
        r#"a> {"id":2,"subscribe":{"channel":"brief:a","type":4}}"#.into(),
        r#"a< {"id":2,"subscribe":{"type":4}}"#.into(),
        command(3, batch("brief:a", "k", 1)),
        r#"a< {"id":3,"sub_refresh":{"expires":true,"ttl":1}}"#.into(),
        command(4, batch("brief:a", "l", 300)),
        r#"a< {"id":4,"sub_refresh":{"expires":true,"ttl":300}}"#.into(),
        "poll> brief:a k 1 1".into(),
        r#"a< {"push":{"channel":"brief:a","pub":{"data":1,"key":"k","version":1}}}"#.into(),
        "+60000\npoll> brief:a k 2 1\npoll> brief:a l 1 1".into(),
        r#"a< {"push":{"channel":"brief:a","pub":{"data":1,"key":"l","version":1}}}"#.into(),
    ];
    play(&lines.join("\n"));
}

#[test]
fn nothing_is_left_behind() {
    let mut bench = Bench::new(config("", POLLS));
    for who in ["a", "b"] {
        bench.play(&format!(
            r#"
            {who}> {{"id":1,"connect":{{"token":$jwt{{"sub":"u"}}}}}}
            {who}< {{"id":1,"connect":{{"client":"<{who}>"}}}}
            {who}> {{"id":2,"subscribe":{{"channel":"poll:a","type":4}}}}
            {who}< {{"id":2,"subscribe":{{"type":4}}}}
            {who}> {{"id":3,"sub_refresh":{{"channel":"poll:a","type":1,"track":[{}]}}}}
            {who}< {{"id":3,"sub_refresh":{{"expires":true,"ttl":300}}}}
            "#,
            batch("poll:a", "k l m", 300)
        ));
    }
    assert_eq!((bench.tracked.channel_count(), bench.tracked.member_count(), bench.homes.polled_keys()), (3, 6, 3));
    bench.play("b> {\"id\":4,\"unsubscribe\":{\"channel\":\"poll:a\"}}\nb< {\"id\":4,\"unsubscribe\":{}}");
    assert_eq!((bench.tracked.channel_count(), bench.tracked.member_count(), bench.homes.polled_keys()), (3, 3, 3));
    bench.close(0);
    assert_eq!((bench.tracked.channel_count(), bench.homes.polled_keys(), bench.hub.channel_count()), (0, 0, 0));
}
