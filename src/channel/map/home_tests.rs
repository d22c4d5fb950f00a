//! What a map's home answers and delivers, one behaviour at a time.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::channel::map::keys::Limits as MapLimits;
use crate::channel::map_op::{KeyMode, MapPhase, MapStreamOptions, StatePage};
use crate::channel::op::{Op, Since};
use crate::channel::publication::{MapEntry, Publication};

const EPHEMERAL: MapOptions = MapOptions { key_ttl_ms: 10_000, stream: None };
const STREAM: MapStreamOptions = MapStreamOptions { size: 3, ttl_ms: 60_000, meta_ttl_ms: 600_000 };
const RECOVERABLE: MapOptions = MapOptions { key_ttl_ms: 10_000, stream: Some(STREAM) };
const PERSISTENT: MapOptions = MapOptions { key_ttl_ms: 0, stream: Some(STREAM) };

/// Homes with one map and a clock. What they send is told in short words: `k=x@1` is key `k` set to `x` at offset 1,
/// `-k@2` its removal; deliveries have their shard in front, answers nothing.
struct Bench {
    homes: Homes,
    now: Now,
    options: MapOptions,
}

impl Bench {
    fn new(options: MapOptions) -> Self {
        Self { homes: Homes::new(StdRng::seed_from_u64(1)), now: Now::default(), options }
    }

    fn ask(&mut self, from: u16, op: MapOp) -> String {
        self.ask_op(from, Op::Map(Box::new(op)))
    }

    fn ask_op(&mut self, from: u16, op: Op) -> String {
        let mut said = Vec::new();
        let name = ChannelName::new("m");
        let reply = ReplyTo::Conn { conn: crate::base::ids::ConnId { slot: 0, generation: 0 }, tag: 0 };
        self.homes.handle(ShardId(from), &name, op, reply, self.now, &mut |to, sent| said.push(told(to, &sent)));
        said.join(", ")
    }

    fn set(&mut self, key: &str, data: &'static str) -> String {
        self.set_as(key, data, |_| ())
    }

    fn set_as(&mut self, key: &str, data: &'static str, how: impl FnOnce(&mut MapPublishOp)) -> String {
        let publication = Publication { entry: MapEntry::set(key), ..Publication::bare(data.into()) };
        let mut op = MapPublishOp::plain(self.options, publication);
        how(&mut op);
        self.ask(0, MapOp::Publish(op))
    }

    fn remove(&mut self, key: &str, once: Option<&str>) -> String {
        self.ask(0, MapOp::Remove { options: self.options, key: key.into(), idempotency_key: once.map(Box::from) })
    }

    fn read(&mut self, cursor: &str, limit: i32) -> String {
        let page = StatePage { cursor: cursor.into(), limit, revision: None };
        self.ask(0, MapOp::ReadState { options: self.options, key: None, page })
    }

    fn subscribe(&mut self, from: u16, phase: MapPhase) -> String {
        let op = MapSubscribeOp { options: self.options, phase, live_limit: 2, presence: None, join: None };
        self.ask(from, MapOp::Subscribe(op))
    }

    /// A client that has seen so much goes live.
    fn live(&mut self, offset: u64) -> String {
        let phase = MapPhase::Live { since: self.since(offset) };
        self.subscribe(1, phase)
    }

    fn stream(&mut self, offset: u64, limit: u32, aim: Option<u64>) -> String {
        let phase = MapPhase::Stream { since: self.since(offset), limit, aim };
        self.subscribe(1, phase)
    }

    fn since(&mut self, offset: u64) -> Since {
        Since { offset, epoch: self.position().epoch.as_str().into() }
    }

    fn position(&mut self) -> Position {
        let slot = self.homes.table.find(&ChannelName::new("m"));
        let map = slot.and_then(|slot| self.homes.table.get(slot)?.map.as_deref());
        map.map_or_else(Position::default, Map::position)
    }

    /// Time passes; then one turn with this budget.
    fn wait(&mut self, ms: u64, budget: usize) -> Vec<String> {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        let mut said = Vec::new();
        self.homes.expire(self.now, budget, &mut |to, sent| said.push(told(to, &sent)));
        said
    }
}

fn told(to: ShardId, sent: &Delivery) -> String {
    match sent {
        Delivery::Publication(_, publication) => format!("{}:{}", to.0, change(publication)),
        Delivery::PublicationBehind(_, publication, previous) => {
            format!("{}:{} behind {}", to.0, change(publication), change(previous))
        }
        Delivery::Answer(_, answer) => answered(answer),
        other => format!("{other:?}"),
    }
}

fn answered(answer: &Answer) -> String {
    match answer {
        Answer::MapUpdated(position, None) => format!("@{}", position.offset),
        Answer::MapUpdated(position, Some(reason)) => format!("@{} {}", position.offset, reason.name()),
        Answer::MapState(state) => {
            format!("[{}] @{} cursor '{}'", list(&state.entries), state.position.offset, state.cursor)
        }
        Answer::MapSubscribed(it) => {
            let step = if it.live { "live" } else { "page" };
            let aim = if it.aim > 0 { format!(" aim {}", it.aim) } else { String::new() };
            let (state, changes) = (list(&it.state), list(&it.publications));
            format!("{step} @{} [{state}] [{changes}] cursor '{}'{aim}", it.position.offset, it.cursor)
        }
        Answer::MapKeys(keys) => format!("{keys} keys"),
        Answer::History(changes, top) => format!("[{}] @{}", list(changes), top.offset),
        Answer::Position(position) => format!("@{}", position.offset),
        Answer::Failed(error) => format!("error {}", error.code),
        Answer::Done => "done".to_owned(),
        other => format!("{other:?}"),
    }
}

fn list(publications: &[Arc<Publication>]) -> String {
    publications.iter().map(|publication| change(publication)).collect::<Vec<_>>().join(" ")
}

fn change(publication: &Publication) -> String {
    let entry = publication.entry.as_ref().expect("changes of a map name their key");
    match entry.removed {
        true => format!("-{}@{}", entry.key, publication.offset),
        false => format!("{}={}@{}", entry.key, String::from_utf8_lossy(&publication.data), publication.offset),
    }
}

fn first_page(limit: i32) -> MapPhase {
    MapPhase::State { page: StatePage { cursor: Box::default(), limit, revision: None }, begun: None }
}

/// A map with changes 1 to 5, of which 3 to 5 are kept.
fn trimmed() -> Bench {
    let mut bench = Bench::new(PERSISTENT);
    for key in ["a", "b", "c", "d", "e"] {
        bench.set(key, "1");
    }
    bench
}

#[test]
fn keys_are_read_in_the_order_of_their_bytes_page_by_page() {
    let mut bench = Bench::new(PERSISTENT);
    for key in ["b", "a", "B", "ab"] {
        bench.set(key, "1");
    }
    assert_eq!(bench.read("", 3), "[B=1@3 a=1@2 ab=1@4] @4 cursor 'ab'");
    assert_eq!(bench.read("ab", 3), "[b=1@1] @4 cursor ''");
    assert_eq!(bench.read("", -1), "[B=1@3 a=1@2 ab=1@4 b=1@1] @4 cursor ''");
    assert_eq!(bench.read("", 0), "[] @4 cursor ''");
}

#[test]
fn without_a_stream_there_are_no_offsets_and_versions_are_refused() {
    let mut bench = Bench::new(EPHEMERAL);
    assert_eq!(bench.set("a", "1"), "@0");
    assert_eq!(bench.set_as("a", "2", |op| op.version = 1), "error 100");
    assert_eq!(bench.read("", -1), "[a=1@0] @0 cursor ''");
}

#[test]
fn key_modes_look_at_whether_the_key_is_there() {
    let mut bench = Bench::new(PERSISTENT);
    assert_eq!(bench.set_as("a", "1", |op| op.key_mode = KeyMode::IfExists), "@0 key_not_found");
    assert_eq!(bench.set_as("a", "2", |op| op.key_mode = KeyMode::IfNew), "@1");
    assert_eq!(bench.set_as("a", "3", |op| op.key_mode = KeyMode::IfNew), "@1 key_exists");
    assert_eq!(bench.set_as("a", "4", |op| op.key_mode = KeyMode::IfExists), "@2");
}

#[test]
fn versions_that_are_not_above_the_stored_one_are_suppressed() {
    let mut bench = Bench::new(PERSISTENT);
    let versioned = |number: u64, epoch: &'static str| {
        move |op: &mut MapPublishOp| (op.version, op.version_epoch) = (number, epoch.into())
    };
    assert_eq!(bench.set_as("a", "1", versioned(5, "x")), "@1");
    assert_eq!(bench.set_as("a", "2", versioned(5, "x")), "@1 version");
    assert_eq!(bench.set_as("a", "3", versioned(4, "")), "@1 version");
    assert_eq!(bench.set_as("b", "4", versioned(4, "x")), "@2");
    assert_eq!(bench.set("a", "5"), "@3");
    assert_eq!(bench.set_as("a", "6", versioned(5, "x")), "@3 version");
    assert_eq!(bench.set_as("a", "7", versioned(1, "y")), "@4");
    bench.remove("a", None);
    assert_eq!(bench.set_as("a", "8", versioned(1, "y")), "@6");
}

#[test]
fn requests_with_the_same_idempotency_key_are_carried_out_once() {
    let mut bench = Bench::new(PERSISTENT);
    let once = |op: &mut MapPublishOp| op.idempotency_key = Some("once".into());
    assert_eq!(bench.set_as("a", "1", once), "@1");
    assert_eq!(bench.set("b", "1"), "@2");
    assert_eq!(bench.set_as("a", "2", once), "@1 idempotency");
    assert_eq!(bench.remove("b", Some("once")), "@1 idempotency");
    assert_eq!(bench.remove("b", Some("other")), "@3");
    bench.ask(0, MapOp::Clear);
    assert_eq!(bench.set_as("a", "3", once), "@1");
}

#[test]
fn removing_what_is_not_there_changes_and_begins_nothing() {
    let mut bench = Bench::new(PERSISTENT);
    assert_eq!(bench.remove("a", None), "@0 key_not_found");
    assert!(bench.homes.is_empty());
    bench.set("a", "1");
    assert_eq!(bench.remove("b", None), "@1 key_not_found");
    assert_eq!(bench.remove("a", None), "@2");
    assert_eq!(bench.ask(0, MapOp::Stats), "0 keys");
}

#[test]
fn subscribers_get_changes_before_the_publisher_its_answer() {
    let mut bench = Bench::new(PERSISTENT);
    assert_eq!(bench.subscribe(3, first_page(10)), "live @0 [] [] cursor ''");
    assert_eq!(bench.set("a", "1"), "3:a=1@1, @1");
    assert_eq!(bench.set_as("a", "2", |op| op.delta = true), "3:a=2@2 behind a=1@1, @2");
    assert_eq!(bench.remove("a", None), "3:-a@3, @3");
    let leave = Op::Unsubscribe { last: true, presence: None, leave: None };
    assert_eq!(bench.ask_op(3, leave), "done");
    assert_eq!(bench.set("a", "4"), "@4");
}

#[test]
fn a_reader_whose_map_changed_between_pages_gets_those_changes_when_it_goes_live() {
    let mut bench = Bench::new(PERSISTENT);
    for key in ["a", "b", "c"] {
        bench.set(key, "1");
    }
    assert_eq!(bench.subscribe(1, first_page(2)), "page @3 [a=1@1 b=1@2] [] cursor 'b'");
    let (begun, revision) = (Some(bench.position()), Some(bench.since(3)));
    bench.set("a", "2");
    bench.set("c", "2");
    let page = StatePage { cursor: "b".into(), limit: 2, revision };
    assert_eq!(bench.subscribe(1, MapPhase::State { page, begun }), "live @5 [] [a=2@4 c=2@5] cursor ''");
}

#[test]
fn a_reader_that_is_far_behind_its_first_page_goes_on_with_changes() {
    let mut bench = Bench::new(PERSISTENT);
    bench.set("a", "1");
    let begun = Some(bench.position());
    bench.set("b", "1");
    bench.set("c", "1");
    let page = StatePage { cursor: "a".into(), limit: 1, revision: Some(bench.since(1)) };
    assert_eq!(bench.subscribe(1, MapPhase::State { page, begun }), "page @3 [] [] cursor 'b'");
    assert_eq!(bench.stream(1, 1, None), "page @3 [] [b=1@2] cursor '' aim 3");
    assert_eq!(bench.set("d", "1"), "@4");
    assert_eq!(bench.stream(2, 1, Some(3)), "live @4 [] [c=1@3 d=1@4] cursor ''");
}

#[test]
fn going_live_brings_what_was_missed() {
    let mut bench = trimmed();
    assert_eq!(bench.live(5), "live @5 [] [] cursor ''");
    assert_eq!(bench.live(3), "live @5 [] [d=1@4 e=1@5] cursor ''");
    // More than a subscriber may catch up with at once.
    assert_eq!(bench.live(2), "error 112");
}

#[test]
fn going_live_is_refused_when_changes_since_then_were_trimmed() {
    let mut bench = trimmed();
    for offset in [0, 1] {
        assert_eq!(bench.live(offset), "error 112", "{offset}");
        assert_eq!(bench.stream(offset, 1, None), "error 112", "{offset}");
        assert_eq!(bench.stream(offset, 9, None), "error 112", "{offset}");
    }
    assert_eq!(bench.set("a", "2"), "@6", "nobody was subscribed");
}

#[test]
fn going_live_is_refused_when_changes_since_then_are_past_their_time() {
    let mut bench = trimmed();
    bench.wait(STREAM.ttl_ms, 100);
    assert_eq!(bench.live(4), "error 112");
    assert_eq!(bench.stream(4, 9, None), "error 112");
    assert_eq!(bench.live(5), "live @5 [] [] cursor ''");
    let begun = Some(Position { offset: 4, ..bench.position() });
    assert_eq!(
        bench.subscribe(1, MapPhase::State { page: StatePage { cursor: "d".into(), limit: 9, revision: None }, begun }),
        "error 112"
    );
}

#[test]
fn another_epoch_is_refused() {
    let mut bench = trimmed();
    let old = bench.since(5);
    bench.ask(0, MapOp::Clear);
    bench.set("a", "1");
    for since in [old, Since { offset: 1, epoch: Box::default() }] {
        assert_eq!(bench.subscribe(1, MapPhase::Live { since }), "error 112");
    }
    assert_eq!(bench.live(1), "live @1 [] [] cursor ''");
}

#[test]
fn keys_expire_with_a_removal_that_subscribers_see() {
    let mut bench = Bench::new(RECOVERABLE);
    bench.subscribe(2, first_page(10));
    bench.set("a", "1");
    bench.wait(5_000, 100);
    bench.set("b", "1");
    assert_eq!(bench.wait(4_999, 100), [""; 0]);
    assert_eq!(bench.wait(1, 100), ["2:-a@3"]);
    assert_eq!(bench.read("", -1), "[b=1@2] @3 cursor ''");
}

#[test]
fn setting_or_refreshing_a_key_gives_it_another_lifetime() {
    let mut bench = Bench::new(RECOVERABLE);
    bench.subscribe(2, first_page(10));
    for key in ["set", "kept", "left"] {
        bench.set(key, "1");
    }
    bench.wait(9_000, 100);
    bench.set("set", "2");
    let present =
        |refresh: bool| move |op: &mut MapPublishOp| (op.key_mode, op.refresh_ttl) = (KeyMode::IfNew, refresh);
    assert_eq!(bench.set_as("kept", "2", present(true)), "@4 key_exists");
    assert_eq!(bench.set_as("left", "2", present(false)), "@4 key_exists");
    assert_eq!(bench.wait(1_000, 100), ["2:-left@5"]);
    assert_eq!(bench.wait(9_000, 100), ["2:-kept@6", "2:-set@7"]);
}

#[test]
fn a_turn_tells_no_more_shards_of_expired_keys_than_its_budget() {
    let mut bench = Bench::new(RECOVERABLE);
    for shard in 0..3 {
        bench.subscribe(shard, first_page(10));
    }
    for key in ["a", "b", "c", "d", "e"] {
        bench.set(key, "1");
    }
    bench.now.mono_ms += 10_000;
    let turns: Vec<_> = std::iter::from_fn(|| Some(bench.wait(0, 6).len())).take(4).collect();
    assert_eq!(turns, [6, 6, 3, 0]);
    // However small it is, it goes on.
    bench.set("a", "2");
    bench.now.mono_ms += 10_000;
    assert_eq!(bench.wait(0, 1).len(), 3);
}

#[test]
fn a_map_at_its_bound_takes_no_further_key_but_lets_others_change_and_go() {
    for limits in [MapLimits { keys: 2, bytes: 100 }, MapLimits { keys: 100, bytes: 6 }] {
        let mut bench = Bench::new(PERSISTENT);
        bench.homes.map_limits = limits;
        assert_eq!((&*bench.set("a", "11"), &*bench.set("b", "11")), ("@1", "@2"));
        assert_eq!(bench.set("c", "1"), "error 106", "{limits:?}");
        assert_eq!(bench.set("a", "2"), "@3");
        assert_eq!(bench.remove("a", None), "@4");
        assert_eq!(bench.set("c", "11"), "@5");
    }
}

#[test]
fn a_cleared_map_is_gone_at_once_and_freed_in_pieces() {
    let mut bench = Bench::new(PERSISTENT);
    for number in 0..1000 {
        bench.set(&number.to_string(), "1");
    }
    assert_eq!(bench.ask(0, MapOp::Clear), "done");
    assert_eq!(bench.ask(0, MapOp::Stats), "0 keys");
    for _ in 0..10 {
        assert_eq!(bench.homes.next_expiry(), Some(0));
        bench.wait(0, 100);
    }
    assert_eq!(bench.homes.next_expiry(), None);
}

#[test]
fn a_map_ends_when_nobody_used_it_and_begins_in_another_epoch() {
    let mut bench = Bench::new(RECOVERABLE);
    bench.set("a", "1");
    let first = bench.position().epoch;
    bench.wait(10_000, 100);
    bench.wait(STREAM.meta_ttl_ms, 100);
    assert!(bench.homes.is_empty());
    assert_eq!(bench.set("a", "1"), "@1");
    assert_ne!(bench.position().epoch, first);
}
