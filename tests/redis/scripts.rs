//! What no recording shows: what scripts do with what was evicted or expired.

use bytes::Bytes;
use spindle::base::ids::ClientId;
use spindle::broker::frame::{self, Message};
use spindle::broker::history;
use spindle::broker::presence::{self, Keeping};
use spindle::broker::{Layout, Names, Script};
use spindle::channel::broker_op::Read;
use spindle::channel::op::{HistoryOptions, PublishOp};
use spindle::channel::publication::{ClientInfo, Epoch, Position, Publication};

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
    assert_eq!(redis.send(&["TTL", "p.stream.meta.a"]), spindle::broker::Value::Int(-1));
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
fn whoever_shares_a_redis_can_read_deltas_over_lists() {
    let server = Redis::start();
    let (mut redis, mut subscriber, names) = (server.connect(), server.connect(), names(true));
    subscriber.send(&["SUBSCRIBE", "p.client.a"]);
    publish(&mut redis, &names, &op("a", true), "one");
    publish(&mut redis, &names, &op("b", true), "one");
    for expected in [&b"__d1:1:one:0::3:\"\x01a"[..], b"__d1:2:one:3:\"\x01a:3:\"\x01b"] {
        let Ok(spindle::broker::Value::List(parts)) = subscriber.read() else { panic!("no message") };
        let spindle::broker::Value::Bytes(bytes) = &parts[2] else { panic!("no frame") };
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
