//! What no recording shows: what scripts do with what was evicted or expired.

use std::collections::BTreeSet;

use bytes::Bytes;
use spindle::base::ids::ClientId;
use spindle::broker::frame::{self, Message};
use spindle::broker::history;
use spindle::broker::map::{self, expiry};
use spindle::broker::presence::{self, Keeping};
use spindle::broker::{Layout, Names, Script, Value};
use spindle::channel::broker_op::Read;
use spindle::channel::map_op::{KeyMode, MapOptions, MapPublishOp, MapStreamOptions};
use spindle::channel::op::{HistoryOptions, PublishOp};
use spindle::channel::publication::{ClientInfo, Epoch, MapEntry, Position, Publication};

use super::redis::{Connection, Redis};

fn names(lists: bool) -> Names {
    Names::new("p", Layout::Plain, lists)
}

fn epoch(text: &str) -> Epoch {
    Epoch::parse(text).unwrap()
}

/// Without times to live beyond the stream's.
fn op(data: &str, delta: bool) -> PublishOp {
    PublishOp {
        publication: Publication::bare(Bytes::copy_from_slice(data.as_bytes())),
        history: HistoryOptions { size: 10, ttl_s: 60, meta_ttl_s: 0 },
        delta,
        idempotency_key: None,
        version_epoch: "".into(),
    }
}

fn publish(redis: &mut Connection, names: &Names, op: &PublishOp, fresh: &str) -> Position {
    let call = history::publish(names, "a", op, epoch(fresh), true).unwrap();
    history::published(redis.call(&call)).unwrap().0
}

fn read(redis: &mut Connection, names: &Names, reverse: bool, fresh: &str) -> (Vec<(u64, Bytes)>, Position) {
    let read = Read { since: None, limit: -1, reverse, meta_ttl_s: 0 };
    let reply = redis.call(&history::read(names, "a", &read, epoch(fresh)));
    let (found, top) = history::publications(names, &read, reply).unwrap();
    (found.iter().map(|publication| (publication.offset, publication.data.clone())).collect(), top)
}

#[test]
fn a_stream_that_outlived_its_meta_data_begins_anew() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    for (offset, data) in [(1, "a"), (2, "b")] {
        assert_eq!(publish(&mut redis, &names, &op(data, false), "one"), Position { offset, epoch: epoch("one") });
    }
    redis.send(&["DEL", "p.stream.meta.a"]);
    assert_eq!(publish(&mut redis, &names, &op("c", true), "two"), Position { offset: 1, epoch: epoch("two") });
    assert_eq!(read(&mut redis, &names, false, "x").0, [(1, "c".into())]);
}

#[test]
fn meta_data_without_a_lifetime_stays() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    publish(&mut redis, &names, &op("a", false), "one");
    assert_eq!(redis.send(&["TTL", "p.stream.meta.a"]), Value::Int(-1));
}

#[test]
fn reading_gives_a_channel_its_epoch() {
    let server = Redis::start();
    let mut redis = server.connect();
    for lists in [false, true] {
        let names = names(lists);
        assert_eq!(read(&mut redis, &names, true, "one").1, Position { offset: 0, epoch: epoch("one") });
        assert_eq!(read(&mut redis, &names, false, "two").1, Position { offset: 0, epoch: epoch("one") });
        assert_eq!(publish(&mut redis, &names, &op("a", false), "two"), Position { offset: 1, epoch: epoch("one") });
        publish(&mut redis, &names, &op("b", false), "two");
        assert_eq!(read(&mut redis, &names, true, "x").0, [(2, "b".into()), (1, "a".into())]);
        redis.call(&history::remove(&names, "a"));
        assert_eq!(read(&mut redis, &names, true, "x"), (vec![], Position { offset: 2, epoch: epoch("one") }));
    }
}

#[test]
fn an_epoch_is_changed_once_and_nothing_else() {
    let server = Redis::start();
    let mut redis = server.connect();
    for lists in [false, true] {
        let names = names(lists);
        publish(&mut redis, &names, &op("a", false), "one");
        publish(&mut redis, &names, &op("b", false), "one");
        for (old, fresh, expected) in [("other", "two", "one"), ("one", "two", "two"), ("one", "three", "two")] {
            let reply = redis.call(&history::change_epoch(&names, "a", epoch(old), epoch(fresh), 0));
            let (newest, top) = history::publications(&names, &history::newest(0), reply).unwrap();
            assert_eq!(top, Position { offset: 2, epoch: epoch(expected) });
            assert_eq!((newest.len(), newest[0].offset, &newest[0].data), (1, 2, &Bytes::from("b")));
        }
        assert_eq!(read(&mut redis, &names, false, "x").0, [(1, "a".into()), (2, "b".into())]);
        assert_eq!(publish(&mut redis, &names, &op("c", false), "x"), Position { offset: 3, epoch: epoch("two") });
        redis.send(&["FLUSHALL"]);
        let reply = redis.call(&history::change_epoch(&names, "a", epoch("one"), epoch("four"), 0));
        let (kept, top) = history::publications(&names, &history::newest(0), reply).unwrap();
        assert_eq!((kept.len(), top), (0, Position { offset: 0, epoch: epoch("four") }));
    }
}

#[test]
fn whoever_shares_a_redis_can_read_deltas_over_lists() {
    let server = Redis::start();
    let (mut redis, mut subscriber, names) = (server.connect(), server.connect(), names(true));
    subscriber.send(&["SUBSCRIBE", "p.client.a"]);
    publish(&mut redis, &names, &op("a", true), "one");
    publish(&mut redis, &names, &op("b", true), "one");
    for expected in [&b"__d1:1:one:0::3:\"\x01a"[..], b"__d1:2:one:3:\"\x01a:3:\"\x01b"] {
        let Ok(Value::List(parts)) = subscriber.read() else { panic!("no message") };
        let Value::Bytes(bytes) = &parts[2] else { panic!("no frame") };
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert!(matches!(frame::read(bytes), Ok(Message::Publication(..))));
    }
}

#[test]
fn a_result_without_history_is_none_with_history() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    let keyed = |history| PublishOp { idempotency_key: Some("k".into()), history, ..op("a", false) };
    let (none, some) = (HistoryOptions::default(), op("", false).history);
    assert_eq!(publish(&mut redis, &names, &keyed(none), "one"), Position::default());
    assert_eq!(publish(&mut redis, &names, &keyed(some), "one"), Position::default());
    redis.send(&["FLUSHALL"]);
    let first = Position { offset: 1, epoch: epoch("one") };
    assert_eq!(publish(&mut redis, &names, &keyed(some), "one"), first);
    assert_eq!(publish(&mut redis, &names, &keyed(none), "one"), first);
}

#[test]
fn who_expired_is_not_present() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    let keeping = Keeping { ttl_s: 60, fields_expire: false, users_counted: true };
    for (number, second) in [(1, 100), (2, 140)] {
        let info = ClientInfo {
            user: format!("u{number}").into(),
            client: ClientId([number; 16]),
            conn_info: Bytes::new(),
            chan_info: Bytes::new(),
        };
        redis.call(&presence::add(&names, keeping, "a", &info, second));
    }
    for (second, expected) in [(159, (2, 2)), (160, (1, 1)), (199, (1, 1)), (200, (0, 0))] {
        let reply = redis.call(&presence::count(&names, keeping, "a", second));
        assert_eq!(presence::counts(keeping, reply), Ok(expected), "{second}");
        let entries = presence::entries(redis.call(&presence::read(&names, keeping, "a", second))).unwrap();
        assert_eq!(entries.len() as u32, expected.0, "{second}");
    }
}

#[test]
fn every_script_compiles() {
    let server = Redis::start();
    let mut redis = server.connect();
    for script in Script::ALL {
        redis.send(&["SCRIPT", "LOAD", script.text()]);
    }
}

const MAPS: map::Keeping = map::Keeping { result_ttl_ms: 300_000, is_told: true };

/// Sets a key of the map `a`, which lives for a second, at a moment.
fn set(redis: &mut Connection, key: &str, now_ms: u64, fresh: &str, change: impl Fn(&mut MapPublishOp)) -> u64 {
    let stream = MapStreamOptions { size: 10, ttl_ms: 60_000, meta_ttl_ms: 600_000 };
    let options = MapOptions { key_ttl_ms: 1000, stream: Some(stream) };
    let publication =
        Publication { entry: MapEntry::set(key), unix_ms: now_ms, ..Publication::bare(Bytes::from_static(b"d")) };
    let mut op = MapPublishOp::plain(options, publication);
    change(&mut op);
    let reply = redis.call(&map::publish(&names(false), MAPS, "a", &op, epoch(fresh)));
    history::published(reply).unwrap().0.offset
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Nil => None,
        Value::Int(number) => u64::try_from(number).ok(),
        Value::Bytes(text) => std::str::from_utf8(&text).unwrap().parse().ok(),
        other => panic!("no number: {other:?}"),
    }
}

#[test]
fn keys_of_another_epoch_are_gone() {
    let server = Redis::start();
    let mut redis = server.connect();
    set(&mut redis, "k", 1, "one", |op| op.version = 7);
    redis.send(&["DEL", "p:meta:a"]);
    // Neither the key nor its version stand in the way.
    let offset = set(&mut redis, "k", 2, "two", |op| (op.version, op.key_mode) = (7, KeyMode::IfNew));
    assert_eq!(offset, 1);
    set(&mut redis, "l", 2, "two", |_| {});
    redis.send(&["DEL", "p:state:meta:a"]);
    set(&mut redis, "m", 2, "two", |_| {});
    assert_eq!(redis.send(&["HKEYS", "p:state:a"]), Value::List(vec![Value::Bytes("m".into())]));
    assert_eq!(number(redis.send(&["XLEN", "p:stream:a"])), Some(3));
}

#[test]
fn what_is_read_belongs_to_the_epoch() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    set(&mut redis, "k", 1, "one", |_| {});
    redis.send(&["DEL", "p:meta:a"]);
    let options = MapOptions { key_ttl_ms: 0, stream: Some(MapStreamOptions { size: 1, ttl_ms: 1, meta_ttl_ms: 0 }) };
    let call = map::read::read_state(&names, "a", &options, "", 10, 1_764_327_600_000);
    let state = map::read::state(redis.call(&call)).unwrap();
    assert_eq!((state.entries.len(), state.position.epoch), (0, epoch("1764327600000")));
    redis.send(&["DEL", "p:meta:a"]);
    let call = map::read::read_changes(&names, "a", 0, (None, -1, false), epoch("two"));
    let (changes, top) = map::read::changes(redis.call(&call)).unwrap();
    assert_eq!((changes.len(), top), (0, Position { offset: 0, epoch: epoch("two") }));
}

#[test]
fn a_key_that_is_there_is_renewed() {
    let server = Redis::start();
    let mut redis = server.connect();
    let mut expiry = |now_ms, renew| {
        set(&mut redis, "k", now_ms, "one", |op| (op.key_mode, op.refresh_ttl) = (KeyMode::IfNew, renew));
        number(redis.send(&["ZSCORE", "p:state:expire:a", "k"]))
    };
    assert_eq!(expiry(100, true), Some(1100));
    assert_eq!(expiry(200, false), Some(1100));
    assert_eq!(expiry(300, true), Some(1300));
    // The registry still has the moment before. Who looks then finds nothing, and registers the map anew.
    let mut registered = || number(redis.send(&["ZSCORE", "p:cleanup:channels", "a"]));
    assert_eq!(registered(), Some(1100));
    let (names, options) = (names(false), MapOptions { key_ttl_ms: 1000, stream: None });
    let expired = expiry::expired(redis.call(&expiry::find(&names, "a", 1100, 10))).unwrap();
    assert!(expired.is_empty());
    let call = expiry::expire(&names, MAPS, "a", &options, &expired, epoch("x"), 1100);
    assert_eq!(expiry::removed(redis.call(&call)), Ok(0));
    assert_eq!(number(redis.send(&["ZSCORE", "p:cleanup:channels", "a"])), Some(1300));
}

#[test]
fn a_key_that_was_renewed_meanwhile_does_not_expire() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    set(&mut redis, "k", 100, "one", |_| {});
    set(&mut redis, "l", 100, "one", |_| {});
    let expired = expiry::expired(redis.call(&expiry::find(&names, "a", 1100, 10))).unwrap();
    assert_eq!(expired.len(), 2);
    set(&mut redis, "k", 1100, "one", |_| {});
    let options = MapOptions { key_ttl_ms: 1000, stream: None };
    let call = expiry::expire(&names, MAPS, "a", &options, &expired, epoch("x"), 1100);
    assert_eq!(expiry::removed(redis.call(&call)), Ok(1));
    assert_eq!(redis.send(&["HKEYS", "p:state:a"]), Value::List(vec![Value::Bytes("k".into())]));
}

#[test]
fn large_maps_are_read_by_pages() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    for number in 0..1000 {
        set(&mut redis, &format!("k{number}"), 1, "one", |_| {});
    }
    let options = MapOptions { key_ttl_ms: 0, stream: None };
    let (mut cursor, mut keys, mut pages) = (Box::<str>::default(), BTreeSet::new(), 0);
    loop {
        let call = map::read::read_state(&names, "a", &options, &cursor, 100, 1);
        let state = map::read::state(redis.call(&call)).unwrap();
        keys.extend(state.entries.iter().map(|found| found.entry.as_ref().unwrap().key.clone()));
        (cursor, pages) = (state.cursor, pages + 1);
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(keys.len(), 1000);
    assert!(pages > 5, "{pages}");
}

#[test]
fn a_map_that_lost_changes_goes_on_under_another_epoch_with_its_keys() {
    let server = Redis::start();
    let (mut redis, names) = (server.connect(), names(false));
    let stream = MapStreamOptions { size: 10, ttl_ms: 60_000, meta_ttl_ms: 600_000 };
    let options = MapOptions { key_ttl_ms: 1000, stream: Some(stream) };
    set(&mut redis, "k", 1, "one", |_| {});
    set(&mut redis, "l", 1, "one", |_| {});
    for (old, fresh, expected) in [("other", "two", "one"), ("one", "two", "two"), ("one", "three", "two")] {
        let call = map::read::change_epoch(&names, "a", epoch(old), epoch(fresh), 600_000);
        let (newest, top) = map::read::changes(redis.call(&call)).unwrap();
        assert_eq!(top, Position { offset: 2, epoch: epoch(expected) });
        let page = map::read::state(redis.call(&map::read::read_state(&names, "a", &options, "", 0, 1))).unwrap();
        assert_eq!((page.entries.len(), page.position), (2, top));
        assert_eq!((newest.len(), newest.last()), (1, page.newest.as_ref()));
    }
    assert_eq!(set(&mut redis, "m", 1, "x", |_| {}), 3, "and they are not wiped with the next change");
    assert_eq!(redis.send(&["HLEN", "p:state:a"]), Value::Int(3));
    redis.send(&["FLUSHALL"]);
    let call = map::read::change_epoch(&names, "a", epoch("two"), epoch("four"), 0);
    let (kept, top) = map::read::changes(redis.call(&call)).unwrap();
    assert_eq!((kept.len(), top), (0, Position { offset: 0, epoch: epoch("four") }));
}
