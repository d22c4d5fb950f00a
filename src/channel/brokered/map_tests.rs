//! Maps before a broker that is a model: subscribers read pages of keys and changes while they change, messages are
//! lost with the connection, requests fail, maps are cleared.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::map_model::Maps;
use super::*;
use crate::channel::map_op::{MapOp, MapOptions, MapPhase, MapPublishOp, MapStreamOptions, MapSubscribeOp, StatePage};
use crate::channel::publication::{MapEntry, Position, Publication};

const MAP: &str = "map";
const STREAM: MapStreamOptions = MapStreamOptions { size: 3, ttl_ms: 60_000, meta_ttl_ms: 0 };
const WITH_STREAM: MapOptions = MapOptions { key_ttl_ms: 0, stream: Some(STREAM) };
const STREAMLESS: MapOptions = MapOptions { key_ttl_ms: 1 << 40, stream: None };

/// Keys and what they are set to.
type Content = BTreeMap<String, Bytes>;

/// A home, its broker, and what is between them.
struct Bench {
    homes: Brokered,
    options: MapOptions,
    maps: Maps,
    rng: StdRng,
    requests: VecDeque<BrokerRequest>,
    events: VecDeque<BrokerEvent>,
    sent: Vec<(ShardId, Delivery)>,
    /// The map after each change. Where a failover lost one its place was given again: then there are several.
    truth: HashMap<(Epoch, u64), Vec<Content>>,
    is_subscribed: bool,
    is_cut: bool,
    fails: bool,
    changes: u32,
}

impl Bench {
    fn new(options: MapOptions) -> Self {
        Self {
            homes: Brokered::new(Limits::default(), true),
            options,
            maps: Maps::default(),
            rng: StdRng::seed_from_u64(7),
            requests: VecDeque::new(),
            events: VecDeque::new(),
            sent: Vec::new(),
            truth: HashMap::new(),
            is_subscribed: false,
            is_cut: false,
            fails: false,
            changes: 0,
        }
    }

    fn op(&mut self, from: u16, op: Op, reply: ReplyTo) {
        let Self { homes, sent, .. } = self;
        let out = &mut |shard, delivery| sent.push((shard, delivery));
        homes.handle(ShardId(from), &ChannelName::new(MAP), op, reply, Now::default(), out);
        self.requests.extend(self.homes.take_requests());
    }

    fn map_op(&mut self, from: u16, op: MapOp, reply: ReplyTo) {
        self.op(from, Op::Map(Box::new(op)), reply);
    }

    /// The next change of the key: another value, or its removal.
    fn change(&mut self, key: u8, removes: bool) -> MapOp {
        self.changes += 1;
        let (options, key) = (self.options, format!("k{key}"));
        if removes {
            return MapOp::Remove { options, key: key.into(), idempotency_key: None };
        }
        let data = Bytes::from(self.changes.to_string());
        let publication = Publication { entry: MapEntry::set(&key), ..Publication::bare(data) };
        MapOp::Publish(MapPublishOp::plain(options, publication))
    }

    /// Another node does this.
    fn elsewhere(&mut self, op: MapOp) {
        let reply = self.at_broker(op);
        assert!(!matches!(reply, BrokerReply::Failed));
    }

    fn at_broker(&mut self, op: MapOp) -> BrokerReply {
        let name = ChannelName::new(MAP);
        // No two removals of a key are of the same moment.
        let now = Now { unix_ms: self.changes.into(), ..Now::default() };
        let (reply, change) = self.maps.carry_out(&name, op, &mut self.rng, now);
        let content = self.content();
        if let Some(map) = self.maps.find(MAP) {
            let Position { offset, epoch } = map.position();
            let known = self.truth.entry((epoch, offset)).or_default();
            if !known.contains(&content) {
                known.push(content);
            }
        }
        if let Some((publication, previous)) = change.filter(|_| self.is_subscribed && !self.is_cut) {
            let own = Arc::new((*publication).clone());
            self.events.push_back(BrokerEvent::Publication(name, own, previous));
        }
        reply
    }

    /// What the map holds.
    fn content(&mut self) -> Content {
        let mut content = Content::new();
        let page = StatePage { cursor: Box::default(), limit: -1, revision: None };
        let read = MapOp::ReadState { options: self.options, key: None, page };
        let name = ChannelName::new(MAP);
        let (reply, _) = self.maps.carry_out(&name, read, &mut self.rng, Now::default());
        let BrokerReply::MapState(state) = reply else { panic!("{reply:?}") };
        state.entries.iter().for_each(|entry| apply(&mut content, entry));
        content
    }

    /// The broker carries out one request. False when there is none.
    fn serve(&mut self) -> bool {
        let Some(BrokerRequest::Channel { op, ticket, .. }) = self.requests.pop_front() else { return false };
        let reply = match op {
            _ if self.fails => BrokerReply::Failed,
            BrokerOp::Subscribe(realm) => {
                assert_eq!(realm, Realm::Maps);
                self.is_subscribed = true;
                BrokerReply::Done
            }
            BrokerOp::Unsubscribe(realm) => {
                assert_eq!(realm, Realm::Maps);
                self.is_subscribed = false;
                BrokerReply::Done
            }
            BrokerOp::Map(op) => self.at_broker(*op),
            BrokerOp::ChangeMapEpoch { of, options } => {
                let name = ChannelName::new(MAP);
                let reply = self.maps.change_epoch(&name, of, options, &mut self.rng, Now::default());
                let content = self.content();
                let Position { offset, epoch } = self.position();
                self.truth.entry((epoch, offset)).or_insert_with(|| vec![content]);
                reply
            }
            other => panic!("{other:?}"),
        };
        self.events.extend(ticket.map(|ticket| BrokerEvent::Reply(ticket, reply)));
        true
    }

    /// The home takes one event. False when there is none.
    fn hear(&mut self) -> bool {
        let Some(event) = self.events.pop_front() else { return false };
        let Self { homes, sent, .. } = self;
        homes.event(event, Now::default(), &mut |shard, delivery| sent.push((shard, delivery)));
        self.requests.extend(self.homes.take_requests());
        true
    }

    fn cut(&mut self) {
        self.is_cut = true;
        self.events.retain(|event| matches!(event, BrokerEvent::Reply(..)));
    }

    fn resume(&mut self) {
        self.is_cut = false;
        if self.is_subscribed {
            self.events.push_back(BrokerEvent::Resumed(ChannelName::new(MAP)));
        }
    }

    /// A replica takes over that lacks so many changes. True when it can.
    fn fall_back(&mut self, lost: usize) -> bool {
        let has_lost = !self.maps.fall_back(MAP, lost).is_empty();
        if has_lost {
            self.resume();
        }
        has_lost
    }

    fn is_true(&self, at: Position, content: &Content) -> bool {
        self.truth.get(&(at.epoch, at.offset)).is_some_and(|known| known.contains(content))
    }

    /// Everything happens; gives the one answer.
    fn ask(&mut self, op: MapOp) -> Answer {
        let conn = ConnId { slot: 0, generation: 0 };
        self.map_op(0, op, ReplyTo::Conn { conn, tag: 0 });
        while self.serve() || self.hear() {}
        let answers: Vec<_> = std::mem::take(&mut self.sent)
            .into_iter()
            .filter_map(|(_, delivery)| match delivery {
                Delivery::Answer(_, answer) => Some(answer),
                _ => None,
            })
            .collect();
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        answer.clone()
    }

    fn subscribe(&mut self, phase: MapPhase) -> Answer {
        let op = MapSubscribeOp { options: self.options, phase, live_limit: 2, presence: None, join: None };
        self.ask(MapOp::Subscribe(op))
    }

    fn position(&self) -> Position {
        self.maps.find(MAP).map_or_else(Position::default, |map| map.position())
    }

    fn since(&self, offset: u64) -> Since {
        Since { offset, epoch: self.position().epoch.as_str().into() }
    }
}

fn apply(content: &mut Content, change: &Publication) {
    let entry = change.entry.as_ref().expect("changes of a map name their key");
    if entry.removed {
        content.remove(&*entry.key);
    } else {
        content.insert(entry.key.to_string(), change.data.clone());
    }
}

fn first_page(limit: i32) -> MapPhase {
    MapPhase::State { page: StatePage { cursor: Box::default(), limit, revision: None }, begun: None }
}

fn failed(answer: &Answer) -> Option<u32> {
    match answer {
        Answer::Failed(error) => Some(error.code),
        _ => None,
    }
}

/// A map with changes 1 to 5, of which 3 to 5 are kept.
fn trimmed() -> Bench {
    let mut bench = Bench::new(WITH_STREAM);
    for key in 0..5 {
        let change = bench.change(key, false);
        bench.elsewhere(change);
    }
    bench
}

#[test]
fn a_map_of_one_page_takes_two_round_trips() {
    let mut bench = trimmed();
    let conn = ConnId { slot: 0, generation: 0 };
    let op = MapSubscribeOp { options: WITH_STREAM, phase: first_page(9), live_limit: 2, presence: None, join: None };
    bench.map_op(0, MapOp::Subscribe(op), ReplyTo::Conn { conn, tag: 0 });
    assert!(bench.serve() && bench.hear() && bench.serve());
    // What is told before the reply comes along.
    let change = bench.change(7, false);
    bench.elsewhere(change);
    bench.events.rotate_right(1);
    assert!(bench.hear() && bench.hear() && bench.requests.is_empty());
    let Some((_, Delivery::Answer(_, Answer::MapSubscribed(answer)))) = bench.sent.pop() else { panic!() };
    assert!(answer.live && answer.state.len() == 5 && answer.publications.len() == 1);
    assert_eq!(answer.position.offset, 6);
}

#[test]
fn going_live_is_refused_when_changes_are_gone_or_too_many() {
    let mut bench = trimmed();
    for (offset, expected) in [(5, None), (3, None), (2, Some(112)), (1, Some(112)), (0, Some(112)), (6, Some(112))] {
        let since = bench.since(offset);
        assert_eq!(failed(&bench.subscribe(MapPhase::Live { since })), expected, "{offset}");
    }
    let other = Since { offset: 5, epoch: "".into() };
    assert_eq!(failed(&bench.subscribe(MapPhase::Live { since: other })), Some(112), "no epoch");
    for (offset, limit, expected) in [(1, 1, Some(112)), (2, 1, None), (4, 9, None)] {
        let phase = MapPhase::Stream { since: bench.since(offset), limit, aim: None };
        assert_eq!(failed(&bench.subscribe(phase)), expected, "{offset}");
    }
    let mut none = Bench::new(STREAMLESS);
    let phase = MapPhase::Stream { since: none.since(0), limit: 1, aim: None };
    assert_eq!(failed(&none.subscribe(phase)), Some(107));
}

#[test]
fn readers_of_the_server_api_get_pages_revisions_and_gaps() {
    let mut bench = trimmed();
    let options = WITH_STREAM;
    let read = |bench: &mut Bench, key: Option<&str>, epoch: &str| {
        let revision = Some(Since { offset: 1, epoch: epoch.into() });
        let page = StatePage { cursor: "".into(), limit: 2, revision };
        bench.ask(MapOp::ReadState { options, key: key.map(Box::from), page })
    };
    let epoch = bench.position().epoch;
    let Answer::MapState(state) = read(&mut bench, None, epoch.as_str().as_ref()) else { panic!() };
    assert_eq!((state.entries.len(), &*state.cursor), (2, "k1"));
    assert_eq!(failed(&read(&mut bench, None, "other")), Some(112));
    assert_eq!(failed(&read(&mut bench, Some("k1"), "other")), Some(112));
    let changes = |bench: &mut Bench, offset| {
        let since = Some(bench.since(offset));
        bench.ask(MapOp::ReadStream { options, since, limit: -1, reverse: false })
    };
    assert!(matches!(changes(&mut bench, 2), Answer::History(changes, _) if changes.len() == 3));
    assert_eq!(failed(&changes(&mut bench, 1)), Some(112));
    assert!(matches!(changes(&mut bench, 0), Answer::History(changes, _) if changes.len() == 3), "as upstream");
    assert_eq!(bench.ask(MapOp::Stats), Answer::MapKeys(5));
    assert_eq!(bench.ask(MapOp::Clear), Answer::Done);
    assert_eq!(bench.ask(MapOp::Stats), Answer::MapKeys(0));
    let removal = bench.change(0, true);
    let Answer::MapUpdated(_, Some(Suppression::KeyNotFound)) = bench.ask(removal) else { panic!() };
    assert_eq!(bench.homes.take_suppressed(), Some((Change::MapRemove, Suppression::KeyNotFound)));
    bench.fails = true;
    assert_eq!(failed(&bench.ask(MapOp::Stats)), Some(100));
    assert_eq!(bench.homes.pending(), 0);
}

#[test]
fn who_comes_to_a_map_is_told_to_those_who_keep_streams() {
    let mut bench = Bench::new(WITH_STREAM);
    bench.homes = Brokered::new(Limits::default(), false);
    bench.homes.keep_presence(10);
    let info = crate::channel::home::tests::info(1, "ann");
    let op = MapSubscribeOp {
        options: WITH_STREAM,
        phase: first_page(9),
        live_limit: 2,
        presence: Some((info.clone(), 5)),
        join: Some(info.clone()),
    };
    bench.ask(MapOp::Subscribe(op));
    let arrived = bench.homes.take_arrived();
    let [arrived] = &arrived[..] else { panic!("{arrived:?}") };
    assert_eq!((arrived.from, arrived.presence.as_ref().map(|(_, ttl_ms)| *ttl_ms)), (ShardId(0), Some(5)));
    assert!(arrived.join.is_some());
    bench.op(0, Op::Unsubscribe { last: true, presence: Some(info.clone()), leave: Some(info) }, ReplyTo::None);
    assert_eq!(bench.requests.len(), 1, "nothing but that messages are not wanted any more");
    assert!(!bench.homes.holds_map(&ChannelName::new(MAP)));
}

/// What a failover lost, whoever goes live is told when others took its place: the map goes on under another epoch.
#[test]
fn a_map_that_lost_changes_goes_on_under_another_epoch() {
    // Whether changes came since the keys were read or none did.
    for later in [false, true] {
        let mut bench = Bench::new(WITH_STREAM);
        let change = |bench: &mut Bench, key| {
            let change = bench.change(key, false);
            bench.elsewhere(change);
        };
        change(&mut bench, 0);
        change(&mut bench, 1);
        let answer = bench.subscribe(first_page(9));
        assert!(matches!(&answer, Answer::MapSubscribed(page) if page.live && page.state.len() == 2), "{answer:?}");
        if later {
            change(&mut bench, 2);
            while bench.serve() || bench.hear() {}
        }
        let lost = bench.position();
        bench.sent.clear();
        bench.cut();
        assert!(bench.fall_back(1 + usize::from(later)));
        bench.cut();
        // The same places, and one more.
        (0..3).for_each(|_| change(&mut bench, 3));
        bench.resume();
        while bench.serve() || bench.hear() {}
        assert!(bench.sent.iter().any(|(_, told)| matches!(told, Delivery::PositionLost(_))), "{:?}", bench.sent);
        assert_ne!(bench.position().epoch, lost.epoch);
        let content = bench.content();
        assert_eq!(content.keys().collect::<Vec<_>>(), ["k0", "k3"], "its keys stay");
        let since = map_steps::since(lost);
        assert_eq!(failed(&bench.subscribe(MapPhase::Live { since })), Some(112));
    }
}

/// A client that reads the map.
#[derive(Debug)]
struct Reader {
    shard: u16,
    content: Content,
    /// Where the map stood at the first page of keys; then the place of the last change of a page.
    begun: Option<Position>,
    aim: Option<u64>,
    /// Once it is live.
    at: Option<Position>,
    is_lost: bool,
    /// A failover lost changes that it may have while it was not live: nobody could know.
    is_doubtful: bool,
}

#[derive(Clone, Debug)]
enum Deed {
    /// Begin to read, pages of so many keys.
    Begin {
        shard: u16,
        limit: i32,
    },
    /// Go on with what was answered with a page.
    GoOn(usize),
    Leave(usize),
    /// A reader that is live drops out and comes back.
    ComeBack(usize),
    Change {
        key: u8,
        removes: bool,
        here: bool,
    },
    Clear,
    /// A replica takes over that lacks so many changes.
    FallBack(usize),
    Serve,
    Hear,
    Cut,
    Resume,
    Fail(bool),
    Check,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0u16..2, 1i32..4).prop_map(|(shard, limit)| Deed::Begin { shard, limit }),
        4 => (0usize..4).prop_map(Deed::GoOn),
        1 => (0usize..4).prop_map(Deed::Leave),
        2 => (0usize..4).prop_map(Deed::ComeBack),
        6 => (0u8..4, prop::bool::weighted(0.2), any::<bool>())
            .prop_map(|(key, removes, here)| Deed::Change { key, removes, here }),
        1 => Just(Deed::Clear),
        1 => (1usize..3).prop_map(Deed::FallBack),
        14 => Just(Deed::Serve),
        14 => Just(Deed::Hear),
        1 => Just(Deed::Cut),
        2 => Just(Deed::Resume),
        1 => prop_oneof![1 => Just(Deed::Fail(true)), 4 => Just(Deed::Fail(false))],
        1 => Just(Deed::Check),
    ]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    prop::collection::vec(deed(), 1..120)
}

/// A home under random deeds, and what readers make of what it sends.
struct Trial {
    bench: Bench,
    readers: BTreeMap<u32, Reader>,
    /// Those that a page was answered to, and that go on when it is their turn; with the phase that is next.
    idle: Vec<(u32, MapPhase)>,
    next_tag: u32,
    /// A failover lost changes of this epoch.
    fallen: Option<Epoch>,
}

impl Trial {
    fn new(options: MapOptions) -> Self {
        Self { bench: Bench::new(options), readers: BTreeMap::new(), idle: Vec::new(), next_tag: 0, fallen: None }
    }

    fn deed(&mut self, deed: Deed) {
        match deed {
            Deed::Begin { shard, limit } => {
                let (begun, aim, at) = (None, None, None);
                let content = Content::new();
                let reader = Reader { shard, content, begun, aim, at, is_lost: false, is_doubtful: false };
                self.readers.insert(self.next_tag, reader);
                self.ask(self.next_tag, first_page(limit));
                self.next_tag += 1;
            }
            Deed::GoOn(which) if which < self.idle.len() => {
                let (tag, phase) = self.idle.swap_remove(which);
                self.ask(tag, phase);
            }
            Deed::Leave(which) => {
                // Perhaps before it was answered.
                let Some(tag) = self.readers.keys().copied().nth(which) else { return };
                match self.idle.iter().position(|(idle, _)| *idle == tag) {
                    Some(at) => {
                        self.idle.swap_remove(at);
                        self.readers.remove(&tag);
                    }
                    None => self.forget(tag),
                }
            }
            Deed::ComeBack(which) => {
                let live = self.readers.iter_mut().filter(|(_, reader)| reader.at.is_some() && !reader.is_lost);
                let Some((tag, reader)) = live.map(|(tag, reader)| (*tag, reader)).nth(which) else { return };
                let Some(at) = reader.at.take() else { return };
                // Those who knew better may all be gone.
                reader.is_doubtful |= self.fallen == Some(at.epoch);
                let shard = reader.shard;
                reader.begun = Some(at);
                reader.aim = None;
                self.release(shard, tag);
                let since = map_steps::since(at);
                let phase = match which % 2 {
                    1 if self.bench.options.stream.is_some() => MapPhase::Stream { since, limit: 1, aim: None },
                    _ => MapPhase::Live { since },
                };
                self.ask(tag, phase);
            }
            Deed::Change { key, removes, here } => {
                let change = self.bench.change(key, removes);
                match here {
                    true => self.bench.map_op(0, change, ReplyTo::None),
                    false => self.bench.elsewhere(change),
                }
            }
            Deed::Clear => self.bench.elsewhere(MapOp::Clear),
            Deed::FallBack(lost) => {
                if self.bench.fall_back(lost) {
                    self.fallen = Some(self.bench.position().epoch);
                    self.readers.values_mut().for_each(|reader| reader.is_doubtful |= reader.at.is_none());
                }
            }
            Deed::Serve => drop(self.bench.serve()),
            Deed::Hear => drop(self.bench.hear()),
            Deed::Cut => self.bench.cut(),
            Deed::Resume => self.bench.resume(),
            Deed::Fail(fails) => self.bench.fails = fails,
            Deed::Check => {
                let options = self.bench.options;
                self.bench.map_op(0, MapOp::Position { options }, ReplyTo::None);
            }
            Deed::GoOn(_) => {}
        }
        self.take();
    }

    fn ask(&mut self, tag: u32, phase: MapPhase) {
        let Some(reader) = self.readers.get(&tag) else { return };
        let (conn, options) = (ConnId { slot: 0, generation: 0 }, self.bench.options);
        let op = MapSubscribeOp { options, phase, live_limit: 2, presence: None, join: None };
        let shard = reader.shard;
        self.bench.map_op(shard, MapOp::Subscribe(op), ReplyTo::Conn { conn, tag });
    }

    /// A reader's shard takes its interest back.
    fn release(&mut self, shard: u16, tag: u32) {
        let is_idle = |tag: &u32| self.idle.iter().any(|(idle, _)| idle == tag);
        let others = self.readers.iter().filter(|(other, _)| **other != tag && !is_idle(other));
        let last = others.filter(|(_, reader)| reader.shard == shard).count() == 0;
        self.bench.op(shard, Op::Unsubscribe { last, presence: None, leave: None }, ReplyTo::None);
    }

    fn forget(&mut self, tag: u32) {
        if let Some(reader) = self.readers.remove(&tag) {
            self.release(reader.shard, tag);
        }
    }

    fn take(&mut self) {
        for (shard, delivery) in std::mem::take(&mut self.bench.sent) {
            let Self { bench, readers, fallen, .. } = self;
            let live = readers.values_mut().filter(|reader| reader.shard == shard.0 && reader.at.is_some());
            match delivery {
                Delivery::Publication(_, change) => live.for_each(|reader| reader.on_change(&change, bench, *fallen)),
                Delivery::PositionLost(_) => live.for_each(|reader| reader.is_lost = true),
                Delivery::Answer(ReplyTo::Conn { tag, .. }, answer) => self.answer(tag, answer),
                _ => {}
            }
        }
    }

    fn answer(&mut self, tag: u32, answer: Answer) {
        let Some(reader) = self.readers.get_mut(&tag) else { return };
        let answer = match answer {
            Answer::MapSubscribed(answer) => *answer,
            Answer::Failed(_) => return self.forget(tag),
            other => panic!("{other:?}"),
        };
        // What changed since the first page comes with the changes.
        let is_of_page = |entry: &Arc<Publication>| reader.begun.is_none_or(|begun| entry.offset <= begun.offset);
        assert!(answer.state.iter().all(is_of_page), "{reader:?}");
        answer.state.iter().for_each(|entry| apply(&mut reader.content, entry));
        answer.publications.iter().for_each(|change| apply(&mut reader.content, change));
        if answer.live {
            reader.at = Some(answer.position);
            let has_fallen = self.fallen == Some(answer.position.epoch);
            if self.bench.options.stream.is_some() && !reader.is_doubtful && !has_fallen {
                assert!(self.bench.is_true(answer.position, &reader.content), "{reader:?}");
            }
            return;
        }
        let shard = reader.shard;
        let begun = *reader.begun.get_or_insert(answer.position);
        let phase = if !answer.cursor.is_empty() {
            let revision = Some(map_steps::since(begun));
            MapPhase::State { page: StatePage { cursor: answer.cursor, limit: 1, revision }, begun: Some(begun) }
        } else {
            let offset = answer.publications.last().map_or(begun.offset, |last| last.offset);
            reader.begun = Some(Position { offset, ..begun });
            reader.aim = (answer.aim > 0).then_some(answer.aim);
            MapPhase::Stream { since: map_steps::since(Position { offset, ..begun }), limit: 1, aim: reader.aim }
        };
        self.idle.push((tag, phase));
        self.release(shard, tag);
    }
}

impl Reader {
    fn on_change(&mut self, change: &Publication, bench: &Bench, fallen: Option<Epoch>) {
        let Some(at) = self.at.filter(|_| !self.is_lost) else { return };
        if bench.options.stream.is_none() {
            return apply(&mut self.content, change);
        }
        if change.epoch == at.epoch && change.offset <= at.offset {
            return;
        }
        let expected = Position { offset: at.offset + 1, epoch: at.epoch };
        assert_eq!(Position { offset: change.offset, epoch: change.epoch }, expected, "{self:?}");
        apply(&mut self.content, change);
        // What was lost may come late, behind what took its place. Then the reader is told before long.
        let is_certain = !self.is_doubtful && fallen != Some(at.epoch);
        assert!(!is_certain || bench.is_true(expected, &self.content), "{self:?}");
        self.at = Some(expected);
    }
}

/// Who is live has the map as it was at some moment, and in the end as it is, or was told that it has not.
fn holds(options: MapOptions, deeds: Vec<Deed>) -> Result<(), TestCaseError> {
    let mut trial = Trial::new(options);
    deeds.into_iter().for_each(|deed| trial.deed(deed));
    trial.deed(Deed::Fail(false));
    trial.deed(Deed::Resume);
    loop {
        while trial.bench.serve() || trial.bench.hear() {
            trial.take();
        }
        trial.take();
        if trial.idle.is_empty() {
            break;
        }
        trial.deed(Deed::GoOn(0));
    }
    prop_assert_eq!(trial.bench.homes.pending(), 0);
    let (content, top) = (trial.bench.content(), trial.bench.position());
    let is_another = |reader: &Reader| options.stream.is_some() && reader.at.is_some_and(|at| at.epoch != top.epoch);
    for (tag, reader) in &trial.readers {
        prop_assert!(reader.at.is_some(), "{} was never answered", tag);
        // Whoever has a map that was cleared notices with the next change, or when its position is looked at.
        if !reader.is_lost && !is_another(reader) && !reader.is_doubtful {
            prop_assert_eq!(&reader.content, &content, "{} {:?}", tag, reader);
        }
    }
    for tag in trial.readers.keys().copied().collect::<Vec<_>>() {
        trial.forget(tag);
    }
    prop_assert_eq!(trial.bench.homes.with_subscribers(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn who_is_live_has_the_map(deeds in deeds()) {
        holds(WITH_STREAM, deeds)?;
    }

    /// As long as no message is lost, which nobody could tell, and keys come on one page, as upstream.
    #[test]
    fn who_is_live_has_the_map_without_a_stream(deeds in deeds()) {
        let harmless = |deed| match deed {
            Deed::Begin { shard, .. } => Deed::Begin { shard, limit: 9 },
            Deed::ComeBack(_) | Deed::Clear | Deed::FallBack(_) | Deed::Cut | Deed::Resume | Deed::Fail(_) => Deed::Serve,
            deed => deed,
        };
        holds(STREAMLESS, deeds.into_iter().map(harmless).collect())?;
    }
}

/// The first of the properties above can fail.
#[cfg(feature = "mutations")]
#[test]
fn faults_are_noticed() {
    use crate::base::mutation::{Mutation, switch};
    for mutation in [
        Mutation::ResumeSilently,
        Mutation::PassOverGap,
        Mutation::ForgetSince,
        Mutation::MapPageOfNow,
        Mutation::MapGoesLiveAnyway,
        Mutation::TrustMapOffsets,
    ] {
        let config =
            ProptestConfig { cases: 20_000, failure_persistence: None, max_shrink_iters: 0, ..Default::default() };
        switch(Some(mutation));
        let test = |deeds| holds(WITH_STREAM, deeds);
        let outcome = proptest::test_runner::TestRunner::new(config).run(&deeds(), test);
        switch(None);
        assert!(outcome.is_err(), "{mutation:?} went unnoticed");
    }
}
