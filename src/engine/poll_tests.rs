//! Shared-poll channels at one shard: what the backend is asked, who is told what it answers, and that nothing of it
//! takes a turn too long.

use std::io::IoSlice;
use std::sync::Arc;

use super::test_support::{config, frame};
use super::*;
use crate::auth::track::{Tracked, sign};
use crate::channel::poll::key_name;
use crate::channel::poll::op::{Refreshed, RefreshedKey};
use crate::channel::publication::MapEntry;
use crate::errand::{PollAnswer, PollQuery};
use crate::mesh::{Limits, desk, mesh};
use crate::protocol::Protocol;

const CHANNEL: &str = "poll:a";

/// A shard and the other side of its desk.
struct Bench {
    engine: Engine,
    window: ShardWindow,
    now: Now,
    /// What clients subscribe to.
    channel: String,
}

impl Bench {
    fn new() -> Self {
        let config = config(
            r#"{"client":{"allow_anonymous_connect_without_token":true},
                "shared_poll":{"hmac_secret_key":"secret"},
                "proxies":[{"name":"poller","endpoint":"http://backend.example"}],
                "channel":{"namespaces":[{"name":"poll","subscription_type":"shared_poll",
                    "allow_subscribe_for_client":true,"allow_subscribe_for_anonymous":true,
                    "shared_poll":{"proxy_name":"poller","mode":"versioned","refresh_interval":"1s"}}]}}"#,
        );
        let now = Now { mono_ms: 1, mono_us: 1000, unix_ms: 1_700_000_000_000 };
        let (desk, window) = desk(MAX_ERRANDS);
        let engine = Engine::new(Parts {
            id: ShardId(0),
            port: mesh(1, Limits::default()).remove(0),
            desk,
            line: None,
            shards: 1,
            verifiers: Arc::new(Verifiers::new(&config).unwrap()),
            config,
            node: Arc::new(Node { uid: "n".into(), version: "0".into() }),
            seed: [1; 32],
            now,
        });
        Self { engine, window, now, channel: CHANNEL.into() }
    }

    /// A client that tracks the keys, which stand between spaces.
    fn client(&mut self, keys: &str) -> ConnId {
        let opening = Opening { socket: 0, protocol: Protocol::Json, native_ping: false, user_header: None };
        let conn = self.engine.open(opening).unwrap();
        for command in [
            r#"{"id":1,"connect":{}}"#.to_owned(),
            format!(r#"{{"id":2,"subscribe":{{"channel":"{}","type":4}}}}"#, self.channel),
            self.track(keys),
        ] {
            self.engine.input(conn, &mut frame(&command));
            self.settle();
        }
        conn
    }

    fn track(&self, keys: &str) -> String {
        let keys: Vec<&str> = keys.split(' ').collect();
        let tracked = Tracked { user: "", channel: &self.channel, keys: &keys.join("\0") };
        let signature = sign("secret", (self.now.unix_s(), 0), tracked);
        let items: Vec<String> = keys.iter().map(|key| format!(r#"{{"key":"{key}"}}"#)).collect();
        let batch = format!(r#"{{"signature":"{signature}","items":[{}]}}"#, items.join(","));
        let channel = &self.channel;
        format!(r#"{{"id":3,"sub_refresh":{{"channel":"{channel}","type":1,"track":[{batch}]}}}}"#)
    }

    /// Turns until nothing is left; how many had more to do.
    fn settle(&mut self) -> usize {
        let mut turns = 0;
        loop {
            self.engine.set_now(self.now);
            let more = self.engine.work();
            if !more {
                return turns;
            }
            turns += 1;
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.settle();
    }

    /// The next question.
    fn question(&mut self) -> Option<(Ticket, PollQuery)> {
        match self.window.take()? {
            (ticket, Errand::Poll(query)) => Some((ticket, query)),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// Answers it with these keys; the shard was not told yet.
    fn answer(&mut self, (ticket, query): (Ticket, PollQuery), epoch: &str, keys: impl Iterator<Item = (String, u64)>) {
        let keys = keys.map(|(key, version)| RefreshedKey {
            name: key_name(query.channel.as_str(), &key),
            entry: MapEntry { key: (&*key).into(), removed: version == 0 },
            data: bytes::Bytes::from_static(b"1"),
            before: bytes::Bytes::new(),
            version,
        });
        let refreshed = Refreshed { keys: keys.collect(), epoch: epoch.into() };
        let answer = PollAnswer { proxy: query.proxy, result: Ok(refreshed), waited_us: 0, took_us: 0 };
        assert!(!self.window.answer(ticket, ErrandAnswer::Poll(answer)), "it is awake");
    }

    /// What the client was sent since the last time.
    fn sent(&mut self, conn: ConnId) -> String {
        let mut dirty = Vec::new();
        self.engine.take_dirty(&mut dirty);
        let mut sent = Vec::new();
        for owed in dirty {
            let Some((_, outbox, pool)) = self.engine.outbox(owed) else { continue };
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 8];
                let filled = outbox.fill(&mut slices);
                let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
                if owed == conn {
                    sent.extend(&bytes);
                }
                outbox.advance(bytes.len(), pool);
            }
            self.engine.flushed(owed, true);
        }
        String::from_utf8_lossy(&sent).into_owned()
    }
}

fn keys_of(query: &PollQuery) -> Vec<String> {
    query.keys.iter().map(|(name, version)| format!("{}={version}", name.as_str())).collect()
}

#[test]
fn what_the_backend_answers_reaches_those_who_track_the_key() {
    let mut bench = Bench::new();
    let (first, second) = (bench.client("k"), bench.client("k l"));
    let (ticket, query) = bench.question().unwrap();
    assert_eq!((&*query.proxy.name, query.channel.as_str()), ("poller", CHANNEL));
    assert_eq!(keys_of(&query), ["6:poll:ak=0"]);
    assert!(bench.question().is_none(), "one at a time");
    bench.sent(first);
    bench.answer((ticket, query), "", [("k".into(), 3)].into_iter());
    bench.settle();
    assert!(bench.sent(first).contains(r#"{"push":{"channel":"poll:a","pub":{"data":1,"key":"k","version":3}}}"#));
    // The key of the second client that nobody knew.
    let (ticket, query) = bench.question().unwrap();
    assert_eq!(keys_of(&query), ["6:poll:al=0"]);
    bench.answer((ticket, query), "", [("l".into(), 1)].into_iter());
    bench.settle();
    bench.sent(second);
    bench.pass(999);
    assert!(bench.question().is_none());
    bench.pass(1);
    let (ticket, query) = bench.question().unwrap();
    assert_eq!(keys_of(&query), ["6:poll:ak=3", "6:poll:al=1"]);
    // A key that is gone is forgotten on the way.
    bench.answer((ticket, query), "", [("k".into(), 0)].into_iter());
    bench.settle();
    assert!(bench.sent(second).contains(r#"{"push":{"channel":"poll:a","pub":{"key":"k","removed":true}}}"#));
    let audit = bench.engine.audit();
    assert_eq!((audit.tracked_keys, audit.polled_keys, audit.errands), (1, 1, 0));
    for conn in [first, second] {
        bench.engine.gone(conn);
    }
    bench.settle();
    let audit = bench.engine.audit();
    assert_eq!((audit.tracked_keys, audit.polled_keys, audit.homes_with_subscribers), (0, 0, 0));
    bench.pass(10_000);
    assert!(bench.question().is_none() && bench.engine.prepare_to_sleep());
}

#[test]
fn a_long_answer_is_told_by_and_by() {
    const KEYS: usize = 3000;
    let mut bench = Bench::new();
    let keys: Vec<String> = (0..KEYS).map(|key| format!("k{key}")).collect();
    let conn = bench.client(&keys[..500].join(" "));
    let (ticket, query) = bench.question().unwrap();
    bench.sent(conn);
    bench.answer((ticket, query), "", keys.iter().map(|key| (key.clone(), 1)));
    let turns = bench.settle();
    assert!((2..10).contains(&turns), "{turns} turns");
    assert_eq!(bench.sent(conn).matches(r#""version":1"#).count(), 500);
}

#[test]
fn another_epoch_is_told_by_and_by() {
    const CLIENTS: usize = 1500;
    let mut bench = Bench::new();
    let clients: Vec<ConnId> = (0..CLIENTS).map(|_| bench.client("k")).collect();
    assert_eq!(bench.engine.audit().members, CLIENTS);
    let (ticket, query) = bench.question().unwrap();
    bench.sent(clients[0]);
    bench.answer((ticket, query), "two", [("k".into(), 7)].into_iter());
    bench.engine.set_now(bench.now);
    assert!(bench.engine.work(), "some are left");
    let left = bench.engine.audit().members;
    assert!(left > 0 && left < CLIENTS, "{left} of {CLIENTS} left after a turn");
    bench.settle();
    let audit = bench.engine.audit();
    assert_eq!((audit.members, audit.tracked_keys, audit.polled_keys), (0, 0, 0));
    assert!(bench.sent(clients[0]).contains(r#""unsubscribe":{"code":2500"#));
}

#[test]
fn a_backend_that_fails_is_asked_again_in_the_next_round() {
    let mut bench = Bench::new();
    bench.client("k");
    let (ticket, query) = bench.question().unwrap();
    assert!(!bench.window.answer(ticket, ErrandAnswer::Poll(PollAnswer::timeout(query))));
    bench.settle();
    assert!(bench.question().is_none());
    assert_eq!(bench.engine.next_timer_ms().map(|ms| ms <= 1000), Some(true));
    bench.pass(1000);
    assert_eq!(keys_of(&bench.question().unwrap().1), ["6:poll:ak=0"]);
}

#[test]
fn no_more_than_256_questions_are_asked_at_once() {
    const CHANNELS: usize = 300;
    let mut bench = Bench::new();
    for at in 0..CHANNELS {
        bench.channel = format!("poll:{at}");
        bench.client("k");
    }
    let mut questions: Vec<_> = std::iter::from_fn(|| bench.question()).collect();
    assert_eq!(questions.len(), 256);
    // Each answer makes room for one more.
    bench.answer(questions.remove(0), "", [("k".into(), 1)].into_iter());
    bench.settle();
    let more: Vec<_> = std::iter::from_fn(|| bench.question()).collect();
    assert_eq!(more.len(), 1);
    for question in questions.into_iter().chain(more) {
        bench.answer(question, "", [("k".into(), 1)].into_iter());
    }
    bench.settle();
    assert_eq!(std::iter::from_fn(|| bench.question()).count(), CHANNELS - 257);
}

#[test]
fn polled_channels_are_not_listed() {
    let mut bench = Bench::new();
    bench.client("k");
    let hub = &bench.engine.hub;
    assert_eq!((hub.channel_count(), hub.listed_members(), bench.engine.homes.listed()), (1, 0, 0));
    assert!((0..hub.slots()).all(|slot| hub.channel_at(slot).is_none()));
}
