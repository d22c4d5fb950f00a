//! A home's answers and deliveries, one behaviour at a time.

use bytes::Bytes;
use rand::SeedableRng;

use super::*;
use crate::base::ids::{ClientId, ConnId};
use crate::channel::idempotency::RESULT_TTL_MS;
use crate::channel::map_op::{MapOp, MapOptions, MapPublishOp};
use crate::channel::op::{HistoryOptions, Recover};
use crate::channel::publication::MapEntry;

pub(in crate::channel) const HISTORY: HistoryOptions = HistoryOptions { size: 3, ttl_s: 10, meta_ttl_s: 60 };
pub(in crate::channel) const REPLY: ReplyTo = ReplyTo::Conn { conn: ConnId { slot: 1, generation: 2 }, tag: 3 };

/// A home with a clock, and what it sent, in short words: `1:pub x@1` is publication `x` with offset 1 to
/// shard 1, `0:Published @1` an answer to shard 0.
pub(super) struct Bench {
    pub(super) homes: Homes,
    pub(super) now: Now,
    pub(super) sent: Vec<(ShardId, Delivery)>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        Self { homes: Homes::with_limits(StdRng::seed_from_u64(1), limits), now: Now::default(), sent: Vec::new() }
    }

    pub(super) fn op(&mut self, from: u16, channel: &str, op: Op) -> Vec<String> {
        self.op_for(from, channel, op, REPLY)
    }

    fn op_for(&mut self, from: u16, channel: &str, op: Op, reply: ReplyTo) -> Vec<String> {
        self.sent.clear();
        let (homes, sent) = (&mut self.homes, &mut self.sent);
        homes.handle(ShardId(from), &ChannelName::new(channel), op, reply, self.now, &mut |shard, delivery| {
            sent.push((shard, delivery));
        });
        self.sent.iter().map(|(shard, delivery)| format!("{}:{}", shard.0, word(delivery))).collect()
    }

    fn epoch(&mut self, channel: &str) -> String {
        self.op(0, channel, Op::Position { meta_ttl_s: 60 });
        match &self.sent[..] {
            [(_, Delivery::Answer(_, Answer::Position(position)))] => position.epoch.as_str().into_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.homes.expire(self.now, 1000, &mut |_, _| ());
    }
}

pub(in crate::channel) fn word(delivery: &Delivery) -> String {
    let list = |publications: &[Arc<Publication>]| {
        publications.iter().map(|p| publication_word(p)).collect::<Vec<_>>().join(" ")
    };
    match delivery {
        Delivery::Publication(_, publication) => format!("pub {}", publication_word(publication)),
        Delivery::PublicationBehind(_, publication, previous) => {
            format!("pub {} behind {}", publication_word(publication), publication_word(previous))
        }
        Delivery::Join(_, info) => format!("join {}", info.user),
        Delivery::Leave(_, info) => format!("leave {}", info.user),
        Delivery::Key(told) => format!("key {}", publication_word(&told.publication)),
        Delivery::PollReset(name) => format!("reset {}", name.as_str()),
        Delivery::PositionLost(_) => "lost".to_owned(),
        Delivery::Answer(reply, answer) => {
            assert_eq!(*reply, REPLY);
            match answer {
                Answer::Done => "Done".to_owned(),
                Answer::Subscribed(subscribed) => format!(
                    "Subscribed @{}{} [{}]",
                    subscribed.position.offset,
                    if subscribed.recovered { " recovered" } else { "" },
                    list(&subscribed.publications)
                ),
                Answer::Published(position) => format!("Published @{}", position.offset),
                Answer::PollSubscribed(epoch) => format!("PollSubscribed {epoch}"),
                Answer::Presence(infos) => {
                    let mut users: Vec<_> = infos.iter().map(|info| &*info.user).collect();
                    users.sort_unstable();
                    format!("Presence {}", users.join(" "))
                }
                Answer::PresenceStats { clients, users } => format!("PresenceStats {clients} {users}"),
                Answer::History(publications, top) => format!("History @{} [{}]", top.offset, list(publications)),
                Answer::Position(position) => format!("Position @{}", position.offset),
                Answer::MapUpdated(..) | Answer::MapState(_) | Answer::MapKeys(_) | Answer::MapSubscribed(_) => {
                    unreachable!("no map here")
                }
                Answer::Failed(error) => format!("Failed {}", error.code),
            }
        }
    }
}

fn publication_word(publication: &Publication) -> String {
    assert_eq!(publication.offset == 0, publication.epoch.is_none());
    format!("{}@{}", String::from_utf8_lossy(&publication.data), publication.offset)
}

fn publish_op(data: &str, history: HistoryOptions) -> PublishOp {
    let data = Bytes::from(data.to_owned());
    let publication = Publication::bare(data);
    PublishOp { publication, history, delta: false, idempotency_key: None, version_epoch: Box::default() }
}

pub(in crate::channel) fn publish(data: &str) -> Op {
    Op::Publish(Box::new(publish_op(data, HISTORY)))
}

pub(in crate::channel) fn publish_plain(data: &str) -> Op {
    Op::Publish(Box::new(publish_op(data, HistoryOptions::default())))
}

fn publish_keyed(data: &str, key: &str, history: HistoryOptions) -> Op {
    Op::Publish(Box::new(PublishOp { idempotency_key: Some(key.into()), ..publish_op(data, history) }))
}

fn publish_version(data: &str, version: u64, version_epoch: &str) -> Op {
    let mut op = publish_op(data, HISTORY);
    op.publication.version = version;
    Op::Publish(Box::new(PublishOp { version_epoch: version_epoch.into(), ..op }))
}

pub(in crate::channel) fn info(client: u8, user: &str) -> Arc<ClientInfo> {
    let (conn_info, chan_info) = (Bytes::new(), Bytes::new());
    Arc::new(ClientInfo { user: user.into(), client: ClientId([client; 16]), conn_info, chan_info })
}

pub(super) fn plain() -> SubscribeOp {
    SubscribeOp { position: false, recover: None, meta_ttl_s: 60, presence: None, join: None }
}

pub(super) fn subscribe(op: SubscribeOp) -> Op {
    Op::Subscribe(Box::new(op))
}

fn recover(offset: u64, epoch: &str, cache: bool) -> Op {
    let recover =
        Recover { since: Since { offset, epoch: epoch.into() }, limit: 300, cache, filter: None, or_fail: false };
    subscribe(SubscribeOp { recover: Some(recover), ..plain() })
}

fn history(since: Option<(u64, &str)>, limit: i32, reverse: bool) -> Op {
    let since = since.map(|(offset, epoch)| Since { offset, epoch: epoch.into() });
    Op::History { since, limit, reverse, meta_ttl_s: 60 }
}

fn unsubscribe(last: bool) -> Op {
    Op::Unsubscribe { last, presence: None, leave: None }
}

#[test]
fn a_publication_goes_once_to_each_interested_shard_and_then_is_answered() {
    let mut bench = Bench::new();
    for shard in [2, 0, 2, 700] {
        assert_eq!(bench.op(shard, "a", subscribe(plain())), [format!("{shard}:Subscribed @0 []")]);
    }
    bench.op(1, "b", subscribe(plain()));
    assert_eq!(bench.op(0, "a", publish_plain("x")), ["0:pub x@0", "2:pub x@0", "700:pub x@0", "0:Published @0"]);
    assert_eq!(bench.op(1, "a", publish("y")), ["0:pub y@1", "2:pub y@1", "700:pub y@1", "1:Published @1"]);
    bench.op(2, "a", unsubscribe(false));
    bench.op(0, "a", unsubscribe(true));
    assert_eq!(bench.op_for(1, "a", publish("z"), ReplyTo::None), ["2:pub z@2", "700:pub z@2"]);
}

#[test]
fn shards_share_one_publication_and_one_name() {
    let mut bench = Bench::new();
    bench.op(0, "a", subscribe(plain()));
    bench.op(1, "a", subscribe(plain()));
    bench.op_for(0, "a", publish_plain("x"), ReplyTo::None);
    let [(_, Delivery::Publication(_, first)), (_, Delivery::Publication(_, second))] = &bench.sent[..] else {
        panic!("{:?}", bench.sent)
    };
    assert!(Arc::ptr_eq(first, second));
    assert_eq!(Arc::strong_count(first), 2, "the home keeps nothing without history");
}

#[test]
fn where_patches_are_wanted_the_publication_before_goes_along() {
    let publish = |data, delta, history| Op::Publish(Box::new(PublishOp { delta, ..publish_op(data, history) }));
    let mut bench = Bench::new();
    bench.op(0, "a", subscribe(plain()));
    bench.op(1, "a", subscribe(plain()));
    let mut check = |op, expected: [&str; 2]| assert_eq!(bench.op_for(0, "a", op, ReplyTo::None), expected);
    check(publish("x", true, HISTORY), ["0:pub x@1", "1:pub x@1"]);
    check(publish("y", true, HISTORY), ["0:pub y@2 behind x@1", "1:pub y@2 behind x@1"]);
    check(publish("-", true, HistoryOptions::default()), ["0:pub -@0", "1:pub -@0"]);
    check(publish("z", false, HISTORY), ["0:pub z@3", "1:pub z@3"]);
    check(publish("a", true, HISTORY), ["0:pub a@4 behind z@3", "1:pub a@4 behind z@3"]);
    bench.op(0, "a", Op::HistoryRemove);
    let op = publish("b", true, HISTORY);
    assert_eq!(bench.op_for(0, "a", op, ReplyTo::None), ["0:pub b@5", "1:pub b@5"]);
}

#[test]
fn a_recovery_that_must_not_fail_leaves_no_trace_when_it_does() {
    let wanted = |offset, cache| {
        let since = Since { offset, epoch: "".into() };
        subscribe(SubscribeOp {
            recover: Some(Recover { since, limit: 300, cache, filter: None, or_fail: true }),
            presence: Some((info(1, "ann"), 60_000)),
            join: Some(info(1, "ann")),
            ..plain()
        })
    };
    let mut bench = Bench::new();
    bench.op(1, "a", subscribe(plain()));
    assert_eq!(bench.op(0, "a", wanted(7, false)), ["0:Failed 112"]);
    assert_eq!(bench.op(0, "a", Op::Presence), ["0:Presence "]);
    bench.op(0, "a", unsubscribe(true));
    assert_eq!(bench.op_for(1, "a", publish_plain("x"), ReplyTo::None), ["1:pub x@0"]);
    // In cache mode it may fail.
    assert_eq!(bench.op(0, "a", wanted(7, true)), ["0:Subscribed @0 []", "0:join ann", "1:join ann"]);
}

#[test]
fn the_home_stamps_publications() {
    let mut bench = Bench::new();
    bench.now.unix_ms = 1_700_000_000_000;
    bench.now.mono_us = 77;
    bench.op(0, "a", subscribe(plain()));
    bench.op_for(0, "a", publish("x"), ReplyTo::None);
    let epoch = bench.sent.iter().find_map(|(_, delivery)| match delivery {
        Delivery::Publication(_, publication) => Some((publication.unix_ms, publication.epoch.as_str().into_owned())),
        _ => None,
    });
    assert_eq!(epoch, Some((1_700_000_000_000, bench.epoch("a"))));
}

#[test]
fn join_follows_the_answer_and_leave_precedes_it() {
    let mut bench = Bench::new();
    bench.op(1, "a", subscribe(plain()));
    let join = SubscribeOp { join: Some(info(1, "ann")), ..plain() };
    assert_eq!(bench.op(0, "a", subscribe(join)), ["0:Subscribed @0 []", "0:join ann", "1:join ann"]);
    let leave = |last| Op::Unsubscribe { last, presence: None, leave: Some(info(1, "ann")) };
    assert_eq!(bench.op(0, "a", leave(false)), ["0:leave ann", "1:leave ann", "0:Done"]);
    assert_eq!(bench.op(0, "a", leave(true)), ["1:leave ann", "0:Done"]);
    assert_eq!(bench.op_for(1, "a", leave(true), ReplyTo::None), [""; 0]);
    assert_eq!(bench.op(1, "a", leave(true)), ["1:Done"]);
    assert!(bench.homes.is_empty());
}

#[test]
fn presence_comes_and_goes_with_subscriptions() {
    let mut bench = Bench::new();
    for (client, user) in [(1, "ann"), (2, "ann"), (3, "bob")] {
        bench.op(0, "a", subscribe(SubscribeOp { presence: Some((info(client, user), 60_000)), ..plain() }));
    }
    assert_eq!(bench.op(5, "a", Op::Presence), ["5:Presence ann ann bob"]);
    assert_eq!(bench.op(5, "a", Op::PresenceStats), ["5:PresenceStats 3 2"]);
    bench.op(0, "a", Op::Unsubscribe { last: false, presence: Some(info(1, "ann")), leave: None });
    bench.wait(30_000);
    assert_eq!(bench.op(0, "a", Op::PresenceUpdate { info: info(3, "bob"), ttl_ms: 60_000 }), ["0:Done"]);
    bench.wait(30_000);
    assert_eq!(bench.op(5, "a", Op::Presence), ["5:Presence bob"]);
    bench.wait(30_000);
    assert_eq!(bench.op(5, "a", Op::PresenceStats), ["5:PresenceStats 0 0"]);
    assert_eq!(bench.homes.len(), 1, "the shard still listens");
    assert_eq!(bench.homes.next_expiry(), None);
}

#[test]
fn a_stream_begins_with_its_first_use_and_keeps_its_epoch() {
    let mut bench = Bench::new();
    let positioned = || subscribe(SubscribeOp { position: true, ..plain() });
    assert_eq!(bench.op(0, "a", positioned()), ["0:Subscribed @0 []"]);
    let epoch = bench.epoch("a");
    assert_eq!(epoch.len(), 8);
    bench.op(0, "a", publish("x"));
    assert_eq!(bench.op(0, "a", positioned()), ["0:Subscribed @1 []"]);
    assert_eq!(bench.epoch("a"), epoch);
    assert_ne!(bench.epoch("b"), epoch);
    assert_eq!(bench.op(0, "a", subscribe(plain())), ["0:Subscribed @0 []"], "no position unless asked for");
}

#[test]
fn subscribers_recover_what_they_missed() {
    let mut bench = Bench::new();
    for data in ["v", "w", "x", "y"] {
        bench.op(0, "a", publish(data));
    }
    let epoch = bench.epoch("a");
    for (offset, epoch, cache, expected) in [
        (2, &*epoch, false, "1:Subscribed @4 recovered [x@3 y@4]"),
        (4, "", false, "1:Subscribed @4 recovered []"),
        (0, &*epoch, false, "1:Subscribed @4 []"),
        (2, "other", false, "1:Subscribed @4 []"),
        (2, "other", true, "1:Subscribed @4 recovered [y@4]"),
        (4, &*epoch, true, "1:Subscribed @4 recovered []"),
    ] {
        assert_eq!(bench.op(1, "a", recover(offset, epoch, cache)), [expected]);
    }
}

#[test]
fn history_reads_and_refusals() {
    let mut bench = Bench::new();
    for data in ["v", "w", "x", "y"] {
        bench.op(0, "a", publish(data));
    }
    let epoch = bench.epoch("a");
    for (op, expected) in [
        (history(None, 0, false), "0:History @4 []"),
        (history(None, -1, false), "0:History @4 [w@2 x@3 y@4]"),
        (history(None, 2, true), "0:History @4 [y@4 x@3]"),
        (history(Some((2, &epoch)), 10, false), "0:History @4 [x@3 y@4]"),
        (history(Some((2, "other")), 0, false), "0:Failed 112"),
        (history(Some((1, "")), 10, true), "0:History @4 []"),
        (history(Some((0, "")), 10, true), "0:Failed 107"),
        (Op::HistoryRemove, "0:Done"),
        (history(None, -1, false), "0:History @4 []"),
        (publish("z"), "0:Published @5"),
        (history(None, -1, false), "0:History @5 [z@5]"),
    ] {
        assert_eq!(bench.op(0, "a", op), [expected]);
    }
    assert_eq!(bench.epoch("a"), epoch);
}

#[test]
fn publications_expire_first_and_the_stream_later() {
    let mut bench = Bench::new();
    bench.op(0, "a", publish("x"));
    let epoch = bench.epoch("a");
    bench.wait(9999);
    assert_eq!(bench.op(0, "a", history(None, -1, false)), ["0:History @1 [x@1]"]);
    bench.wait(1);
    assert_eq!(bench.op(0, "a", history(None, -1, false)), ["0:History @1 []"]);
    assert_eq!(bench.op(0, "a", publish("y")), ["0:Published @2"]);
    bench.wait(59_999);
    assert_eq!(bench.epoch("a"), epoch);
    bench.wait(60_000);
    assert!(bench.homes.is_empty());
    assert_eq!(bench.op(0, "a", publish("z")), ["0:Published @1"]);
    assert_ne!(bench.epoch("a"), epoch);
}

#[test]
fn what_is_past_its_time_is_not_answered_though_nothing_swept_it() {
    let mut bench = Bench::new();
    bench.op(0, "a", publish("x"));
    bench.now.mono_ms += 10_000;
    assert_eq!(bench.op(0, "a", recover(0, "", false)), ["0:Subscribed @1 []"]);
    bench.now.mono_ms += 60_000;
    assert_eq!(bench.op(0, "a", publish("y")), ["0:pub y@1", "0:Published @1"]);
}

#[test]
fn a_key_publishes_once_in_its_time() {
    for (history, first, next) in [(HISTORY, 1, 2), (HistoryOptions::default(), 0, 0)] {
        let mut bench = Bench::new();
        bench.op(0, "a", subscribe(plain()));
        let sent = |data: &str, offset| [format!("0:pub {data}@{offset}"), format!("0:Published @{offset}")];
        assert_eq!(bench.op(0, "a", publish_keyed("x", "k", history)), sent("x", first));
        assert_eq!(bench.op(0, "a", publish_keyed("y", "other", history)), sent("y", next));
        assert_eq!(bench.op(0, "a", publish_keyed("z", "k", history)), [format!("0:Published @{first}")]);
        bench.wait(RESULT_TTL_MS);
        assert_eq!(bench.op(0, "a", publish_keyed("z", "k", history)).len(), 2);
    }
}

#[test]
fn results_of_maps_are_forgotten_in_their_time() {
    let mut bench = Bench::new();
    let publication = Publication { entry: MapEntry::set("k"), ..Publication::bare(Bytes::from_static(b"x")) };
    let options = MapOptions { key_ttl_ms: 0, stream: None };
    let op = MapPublishOp { idempotency_key: Some("once".into()), ..MapPublishOp::plain(options, publication) };
    bench.op_for(0, "a", Op::Map(Box::new(MapOp::Publish(op))), ReplyTo::None);
    assert_eq!(bench.homes.map_results.len(), 1);
    assert_eq!(bench.homes.map_results.next_expiry(), Some(RESULT_TTL_MS));
    assert!(bench.homes.next_expiry().is_some_and(|at_ms| at_ms <= RESULT_TTL_MS));
    bench.wait(RESULT_TTL_MS);
    assert!(bench.homes.map_results.is_empty());
}

#[test]
fn old_versions_are_suppressed_until_an_unversioned_publication() {
    let mut bench = Bench::new();
    for (op, expected) in [
        (publish_version("v", 5, "e"), "0:Published @1"),
        (publish_version("w", 5, "e"), "0:Published @1"),
        (publish_version("w", 4, ""), "0:Published @1"),
        (publish_version("w", 1, "f"), "0:Published @2"),
        (publish_version("x", 2, "f"), "0:Published @3"),
        (publish("y"), "0:Published @4"),
        (publish_version("z", 1, "f"), "0:Published @5"),
    ] {
        assert_eq!(bench.op(0, "a", op), [expected]);
    }
}

#[test]
fn a_suppressed_version_is_no_result_for_its_key_but_prolongs_the_stream() {
    let mut bench = Bench::new();
    bench.op(0, "a", publish_version("x", 2, ""));
    let keyed = |data: &str, version| {
        let mut op = publish_op(data, HISTORY);
        op.publication.version = version;
        Op::Publish(Box::new(PublishOp { idempotency_key: Some("k".into()), ..op }))
    };
    bench.wait(9_000);
    assert_eq!(bench.op(0, "a", keyed("y", 1)), ["0:Published @1"]);
    bench.wait(9_000);
    assert_eq!(bench.op(0, "a", history(None, -1, false)), ["0:History @1 [x@1]"]);
    assert_eq!(bench.op(0, "a", keyed("z", 3)), ["0:Published @2"]);
}

#[test]
fn publishing_without_history_keeps_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.op(0, "a", publish_plain("x")), ["0:Published @0"]);
    bench.op(0, "b", subscribe(plain()));
    bench.op(0, "b", unsubscribe(true));
    assert!(bench.homes.is_empty());
    for op in [Op::Presence, Op::PresenceStats, Op::HistoryRemove, unsubscribe(true)] {
        bench.op(0, "a", op);
    }
    assert!(bench.homes.is_empty());
}

#[test]
fn a_full_home_refuses_what_needs_a_new_channel() {
    let mut bench = Bench::with_limits(Limits { channels: 1, ..Limits::default() });
    bench.op(0, "a", subscribe(plain()));
    let join = SubscribeOp { join: Some(info(1, "ann")), ..plain() };
    for op in [
        subscribe(join),
        publish("x"),
        history(None, 0, false),
        Op::Position { meta_ttl_s: 0 },
        Op::PresenceUpdate { info: info(1, "ann"), ttl_ms: 1 },
    ] {
        assert_eq!(bench.op(0, "b", op), ["0:Failed 106"]);
    }
    assert_eq!(bench.op(0, "b", publish_plain("x")), ["0:Published @0"]);
    assert_eq!(bench.op(0, "a", publish("x")), ["0:pub x@1", "0:Published @1"]);
}

#[test]
fn expiry_keeps_to_its_budget() {
    let mut bench = Bench::new();
    for n in 0..100 {
        bench.op(0, &format!("channel:{n}"), Op::Position { meta_ttl_s: 1 });
    }
    bench.now.mono_ms += 1000;
    for left in [70, 40, 10, 0] {
        bench.homes.expire(bench.now, 30, &mut |_, _| ());
        assert_eq!(bench.homes.len(), left);
    }
    assert_eq!(bench.homes.next_expiry(), None);
}
