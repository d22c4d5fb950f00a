//! Homes before a broker that is a model: streams, messages that are lost with the connection, requests that fail.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::ids::ConnId;
use crate::channel::home::tests::{HISTORY, REPLY, info, publish, publish_plain, word};
use crate::channel::op::{Recover, SubscribeOp, Subscribed};
use crate::channel::publication::{Position, Publication};

#[path = "crowd_tests.rs"]
mod crowd;
#[path = "trial_tests.rs"]
mod trial;

use trial::{Step, Trial};

const CHANNEL: &str = "news";

/// Keeps one stream, and tells the home of it unless the line is cut.
struct Model {
    kept: VecDeque<Arc<Publication>>,
    top: Position,
    epochs: u8,
    is_subscribed: bool,
    is_cut: bool,
    fails: bool,
    present: Vec<ClientId>,
    /// So many publications there were; each has a time of its own.
    published: u64,
    /// When what is in the stream, or was before it was trimmed, was published, by offset.
    truth: HashMap<u64, u64>,
}

impl Model {
    fn new() -> Self {
        let (kept, present) = (VecDeque::new(), Vec::new());
        let mut model = Self {
            kept,
            top: Position::default(),
            epochs: 0,
            is_subscribed: false,
            is_cut: false,
            fails: false,
            present,
            published: 0,
            truth: HashMap::new(),
        };
        model.begin();
        model
    }

    /// A new epoch.
    fn begin(&mut self) {
        self.kept.clear();
        self.truth.clear();
        self.top = Position { offset: 0, epoch: self.next_epoch() };
    }

    fn publish(&mut self, data: Bytes, size: usize) -> Option<BrokerEvent> {
        let (offset, epoch) = if size > 0 {
            self.top.offset += 1;
            (self.top.offset, self.top.epoch)
        } else {
            (0, Epoch::NONE)
        };
        self.published += 1;
        let publication = Arc::new(Publication { offset, epoch, unix_ms: self.published, ..Publication::bare(data) });
        if size > 0 {
            self.truth.insert(offset, self.published);
            self.kept.push_back(publication.clone());
            while self.kept.len() > size {
                self.kept.pop_front();
            }
        }
        let name = ChannelName::new(CHANNEL);
        self.tell(BrokerEvent::Publication(name, Arc::new((*publication).clone()), None))
    }

    /// A replica takes over that did not get the last publications, but has one at least: offsets are given again.
    fn fail_over(&mut self, lost: usize) {
        for _ in 0..lost.min(self.kept.len().saturating_sub(1)) {
            self.kept.pop_back();
            self.truth.remove(&self.top.offset);
            self.top.offset -= 1;
        }
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch::from_random([self.epochs; 8])
    }

    fn tell(&self, event: BrokerEvent) -> Option<BrokerEvent> {
        (self.is_subscribed && !self.is_cut).then_some(event)
    }

    /// Carries a request out; what follows from it comes in this order.
    fn carry_out(&mut self, request: BrokerRequest) -> Vec<BrokerEvent> {
        let BrokerRequest::Channel { channel, op, ticket } = request else { unreachable!("homes tell no nodes") };
        let mut events = Vec::new();
        let reply = match op {
            _ if self.fails => BrokerReply::Failed,
            BrokerOp::PublishKey(_) => unreachable!("no keys are published"),
            BrokerOp::Subscribe(_) => {
                self.is_subscribed = true;
                BrokerReply::Done
            }
            BrokerOp::Unsubscribe(_) => {
                self.is_subscribed = false;
                BrokerReply::Done
            }
            BrokerOp::Publish(op) => {
                events.extend(self.publish(op.publication.data, op.history.size as usize));
                let position = if op.history.is_on() { self.top } else { Position::default() };
                BrokerReply::Published(position, None)
            }
            BrokerOp::Join(info) => {
                events.extend(self.tell(BrokerEvent::Join(channel, info)));
                BrokerReply::Done
            }
            BrokerOp::Leave(info) => {
                events.extend(self.tell(BrokerEvent::Leave(channel, info)));
                BrokerReply::Done
            }
            BrokerOp::History(read) => {
                let behind =
                    |publication: &&Arc<Publication>| read.since.is_none_or(|since| publication.offset > since);
                let mut found: Vec<_> = self.kept.iter().filter(behind).cloned().collect();
                if read.reverse {
                    found.reverse();
                }
                found.truncate(usize::try_from(read.limit).unwrap_or(usize::MAX));
                let epoch = self.top.epoch;
                let at_top = |found: Arc<Publication>| Arc::new(Publication { epoch, ..(*found).clone() });
                BrokerReply::History(found.into_iter().map(at_top).collect(), self.top)
            }
            BrokerOp::ChangeEpoch { of, .. } => {
                if self.top.epoch == of {
                    self.top.epoch = self.next_epoch();
                }
                let epoch = self.top.epoch;
                let newest = self.kept.back().map(|newest| Arc::new(Publication { epoch, ..(**newest).clone() }));
                BrokerReply::History(newest.into_iter().collect(), self.top)
            }
            BrokerOp::RemoveHistory => {
                self.kept.clear();
                BrokerReply::Done
            }
            BrokerOp::AddPresence(info) => {
                self.present.push(info.client);
                BrokerReply::Done
            }
            BrokerOp::RemovePresence(info) => {
                self.present.retain(|client| *client != info.client);
                BrokerReply::Done
            }
            BrokerOp::Map(_) | BrokerOp::ChangeMapEpoch { .. } => unreachable!("no map is here"),
            BrokerOp::Presence => BrokerReply::Presence(Vec::new()),
            BrokerOp::PresenceStats => BrokerReply::PresenceStats(self.present.len() as u32, 1),
        };
        events.extend(ticket.map(|ticket| BrokerEvent::Reply(ticket, reply)));
        events
    }
}

/// A home, its broker, and what is between them.
struct Bench {
    homes: Brokered,
    model: Model,
    requests: VecDeque<BrokerRequest>,
    events: VecDeque<BrokerEvent>,
    sent: Vec<(ShardId, Delivery)>,
}

impl Bench {
    /// With room for one read that fills a gap.
    fn new() -> Self {
        Self::with_limits(Limits { fills: 1, ..Limits::default() })
    }

    fn with_limits(limits: Limits) -> Self {
        let (requests, events) = (VecDeque::new(), VecDeque::new());
        Self { homes: Brokered::new(limits, true), model: Model::new(), requests, events, sent: Vec::new() }
    }

    fn op(&mut self, from: u16, op: Op, reply: ReplyTo) {
        let Self { homes, sent, .. } = self;
        let name = ChannelName::new(CHANNEL);
        let out = &mut |shard, delivery| sent.push((shard, delivery));
        homes.handle(ShardId(from), &name, op, reply, Now::default(), out);
        self.requests.extend(self.homes.take_requests());
    }

    /// The broker carries out one request. False when there is none.
    fn serve(&mut self) -> bool {
        let Some(request) = self.requests.pop_front() else { return false };
        self.events.extend(self.model.carry_out(request));
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

    /// Another node publishes.
    fn elsewhere(&mut self, data: &str) {
        self.events.extend(self.model.publish(Bytes::from(data.to_owned()), HISTORY.size as usize));
    }

    /// The connection for messages is lost, with what is under way on it, and comes back.
    fn cut(&mut self) {
        self.model.is_cut = true;
        self.events.retain(|event| matches!(event, BrokerEvent::Reply(..)));
    }

    fn resume(&mut self) {
        self.model.is_cut = false;
        if self.model.is_subscribed {
            self.events.push_back(BrokerEvent::Resumed(ChannelName::new(CHANNEL)));
        }
    }

    /// Everything happens; gives what was sent, in short words.
    fn settle(&mut self) -> Vec<String> {
        while self.serve() || self.hear() {}
        self.sent.drain(..).map(|(shard, delivery)| format!("{}:{}", shard.0, word(&delivery))).collect()
    }

    fn ask(&mut self, from: u16, op: Op) -> Vec<String> {
        self.op(from, op, REPLY);
        self.settle()
    }
}

fn plain() -> SubscribeOp {
    SubscribeOp { position: false, recover: None, meta_ttl_s: 60, presence: None, join: None }
}

fn positioned() -> SubscribeOp {
    SubscribeOp { position: true, ..plain() }
}

fn recovering(offset: u64) -> SubscribeOp {
    recovering_from(Position { offset, epoch: Epoch::NONE })
}

fn recovering_from(at: Position) -> SubscribeOp {
    let since = Since { offset: at.offset, epoch: at.epoch.as_str().into() };
    let recover = Recover { since, limit: 0, cache: false, filter: None, or_fail: false };
    SubscribeOp { recover: Some(recover), ..positioned() }
}

fn subscribe(op: SubscribeOp) -> Op {
    Op::Subscribe(Box::new(op))
}

fn unsubscribe(last: bool) -> Op {
    Op::Unsubscribe { last, presence: None, leave: None }
}

#[test]
fn publications_come_back_before_their_answer() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(0, subscribe(plain())), ["0:Subscribed @0 []"]);
    assert_eq!(bench.ask(1, publish_plain("x")), ["0:pub x@0", "1:Published @0"]);
    assert_eq!(bench.ask(1, publish("y")), ["0:pub y@1", "1:Published @1"]);
    assert_eq!(bench.ask(1, subscribe(positioned())), ["1:Subscribed @1 []"]);
    assert_eq!(bench.ask(1, publish("z")), ["0:pub z@2", "1:pub z@2", "1:Published @2"]);
    bench.elsewhere("w");
    assert_eq!(bench.settle(), ["0:pub w@3", "1:pub w@3"]);
    assert_eq!(bench.ask(0, unsubscribe(true)), ["0:Done"]);
    assert_eq!(bench.ask(1, unsubscribe(true)), ["1:Done"]);
    assert!(!bench.model.is_subscribed && bench.homes.with_subscribers() == 0 && bench.homes.pending() == 0);
}

#[test]
fn a_returning_subscriber_gets_what_it_missed() {
    let mut bench = Bench::new();
    for data in ["a", "b", "c", "d"] {
        bench.elsewhere(data);
    }
    for (offset, expected) in [
        (1, "0:Subscribed @4 recovered [b@2 c@3 d@4]"),
        (4, "0:Subscribed @4 recovered []"),
        (0, "0:Subscribed @4 []"),
        (5, "0:Subscribed @4 []"),
    ] {
        assert_eq!(bench.ask(0, subscribe(recovering(offset))), [expected], "{offset}");
    }
    let mut refused = recovering(0);
    refused.recover = refused.recover.map(|recover| Recover { or_fail: true, ..recover });
    assert_eq!(bench.ask(0, subscribe(refused)), ["0:Failed 112"]);
}

#[test]
fn what_is_published_during_a_read_is_added_to_it() {
    let mut bench = Bench::new();
    bench.elsewhere("a");
    bench.op(0, subscribe(recovering(0)), REPLY);
    assert!(bench.serve() && bench.hear(), "subscribed");
    assert!(bench.serve(), "read");
    bench.elsewhere("b");
    // The message overtakes the reply.
    bench.events.rotate_right(1);
    assert_eq!(bench.settle(), ["0:pub b@2", "0:Subscribed @2 recovered [a@1 b@2]"]);
    bench.elsewhere("c");
    assert_eq!(bench.settle(), ["0:pub c@3"]);
}

#[test]
fn gaps_are_filled_from_the_stream() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(0, subscribe(positioned())), ["0:Subscribed @0 []"]);
    bench.elsewhere("a");
    bench.elsewhere("b");
    bench.events.pop_front();
    assert_eq!(bench.settle(), ["0:pub a@1", "0:pub b@2"]);
    bench.cut();
    bench.elsewhere("c");
    bench.resume();
    assert_eq!(bench.settle(), ["0:pub c@3"], "nothing needs to come after it");
    bench.cut();
    for data in ["d", "e", "f", "g"] {
        bench.elsewhere(data);
    }
    bench.resume();
    assert_eq!(bench.settle(), ["0:lost"], "three are kept");
    assert_eq!(bench.ask(0, subscribe(positioned())), ["0:Subscribed @7 []"]);
    bench.cut();
    bench.model.begin();
    bench.resume();
    assert_eq!(bench.settle(), ["0:lost"], "another stream");
    bench.model.begin();
    bench.elsewhere("h");
    assert_eq!(bench.settle(), ["0:lost", "0:pub h@1"], "another one, and a message says so");
}

/// A failover lost what a subscriber has, and the stream cannot be read for a while.
#[test]
fn who_leaves_while_the_stream_cannot_be_read_is_told_later_what_was_lost() {
    for comes_back_at_once in [true, false] {
        let mut bench = Bench::new();
        bench.elsewhere("a");
        bench.elsewhere("b");
        let had = bench.model.top;
        assert_eq!(bench.ask(0, subscribe(positioned())), ["0:Subscribed @2 []"]);
        bench.cut();
        bench.model.fail_over(1);
        bench.elsewhere("c");
        bench.model.fails = true;
        bench.resume();
        assert_eq!(bench.settle(), ["0:lost"]);
        bench.elsewhere("d");
        assert_eq!(bench.settle(), ["0:pub d@3"], "for those without a position");
        assert_eq!(bench.ask(0, subscribe(recovering_from(had))), ["0:Failed 100"]);
        if !comes_back_at_once {
            assert_eq!(bench.ask(0, unsubscribe(true)), ["0:Done"]);
            assert_eq!(bench.homes.with_subscribers(), 0);
        }
        bench.model.fails = false;
        let told = bench.ask(0, subscribe(recovering_from(had)));
        assert_eq!(told.last().map(|last| &**last), Some("0:Subscribed @3 []"), "not recovered: {told:?}");
        assert_ne!(bench.model.top.epoch, had.epoch, "nobody else is, either");
    }
}

/// A failover while nobody is subscribed.
#[test]
fn who_left_before_a_failover_is_told_what_it_lost() {
    for op in [recovering_from, |_| positioned()] {
        let mut bench = Bench::new();
        bench.elsewhere("a");
        bench.elsewhere("b");
        let had = bench.model.top;
        bench.ask(0, subscribe(positioned()));
        bench.ask(0, unsubscribe(true));
        bench.model.fail_over(1);
        bench.elsewhere("c");
        let told = bench.ask(0, subscribe(op(had)));
        assert_eq!(told.last().map(|last| &**last), Some("0:Subscribed @2 []"), "not recovered: {told:?}");
        assert_ne!(bench.model.top.epoch, had.epoch, "nobody else is, either");
    }
}

/// Messages over NATS do not have the time that what is kept in Redis has.
#[test]
fn a_message_without_its_time_is_the_one_that_is_kept() {
    let mut bench = Bench::new();
    bench.ask(0, subscribe(positioned()));
    bench.elsewhere("a");
    for event in &mut bench.events {
        if let BrokerEvent::Publication(_, publication, _) = event {
            *publication = Arc::new(Publication { unix_ms: 0, ..(**publication).clone() });
        }
    }
    assert_eq!(bench.settle(), ["0:pub a@1"]);
    let had = bench.model.top;
    bench.cut();
    bench.resume();
    assert_eq!(bench.settle(), [""; 0], "nothing is missing");
    bench.ask(0, unsubscribe(true));
    assert_eq!(bench.ask(0, subscribe(recovering_from(had))), ["0:Subscribed @1 recovered []"]);
}

/// Coming back costs one read as ever.
#[test]
fn who_comes_back_reads_once() {
    let reads = |op: fn(Position) -> SubscribeOp, missed: usize| {
        let mut bench = Bench::new();
        bench.elsewhere("a");
        let had = bench.model.top;
        bench.ask(0, subscribe(positioned()));
        bench.ask(0, unsubscribe(true));
        ["b", "c"].into_iter().take(missed).for_each(|data| bench.elsewhere(data));
        bench.op(0, subscribe(op(had)), REPLY);
        let mut count = 0;
        loop {
            let is_read =
                |request: &BrokerRequest| matches!(request, BrokerRequest::Channel { op: BrokerOp::History(_), .. });
            count += usize::from(bench.requests.front().is_some_and(is_read));
            if !bench.serve() && !bench.hear() {
                break;
            }
        }
        (count, bench.settle())
    };
    assert_eq!(reads(recovering_from, 0), (1, vec!["0:Subscribed @1 recovered []".into()]));
    assert_eq!(reads(recovering_from, 2), (1, vec!["0:Subscribed @3 recovered [b@2 c@3]".into()]));
    assert_eq!(reads(|_| positioned(), 2), (1, vec!["0:Subscribed @3 []".into()]));
}

/// What does not find room to wait is read from the stream.
#[test]
fn any_number_of_messages_may_come_while_a_gap_is_filled() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(0, subscribe(positioned())), ["0:Subscribed @0 []"]);
    let publish = |bench: &mut Bench, n: usize| {
        let event = bench.model.publish(Bytes::from(n.to_string()), 10_000);
        bench.events.extend(event);
    };
    bench.cut();
    publish(&mut bench, 1);
    bench.resume();
    assert!(bench.hear(), "it asks what it missed");
    for n in 2..=3_000 {
        publish(&mut bench, n);
        assert!(bench.hear());
    }
    let told = bench.settle();
    let expected: Vec<_> = (1..=3_000).map(|n| format!("0:pub {n}@{n}")).collect();
    assert_eq!(told, expected);
}

#[test]
fn who_asks_for_the_position_gets_what_is_missing_first() {
    let mut bench = Bench::new();
    bench.ask(0, subscribe(positioned()));
    bench.elsewhere("a");
    bench.events.clear();
    bench.op(1, Op::Position { meta_ttl_s: 60 }, REPLY);
    assert_eq!(bench.ask(0, Op::Position { meta_ttl_s: 60 }), ["0:pub a@1", "1:Position @1", "0:Position @1"]);
}

#[test]
fn a_broker_that_fails_is_told_to_those_who_wait() {
    let mut bench = Bench::new();
    bench.model.fails = true;
    for op in [subscribe(positioned()), publish("x"), Op::Presence, Op::HistoryRemove, Op::Position { meta_ttl_s: 1 }] {
        assert_eq!(bench.ask(0, op), ["0:Failed 100"]);
    }
    bench.model.fails = false;
    assert_eq!(bench.ask(0, subscribe(positioned())), ["0:Subscribed @0 []"], "the next one tries again");
    bench.cut();
    bench.elsewhere("a");
    bench.model.fails = true;
    bench.resume();
    assert_eq!(bench.settle(), ["0:lost"], "nobody knows what is missing");
    assert_eq!(bench.homes.pending(), 0);
}

/// A subscriber that others see.
fn seen(client: u8) -> (SubscribeOp, Arc<ClientInfo>) {
    let info = info(client, "ann");
    (SubscribeOp { presence: Some((info.clone(), 1_000)), join: Some(info.clone()), ..plain() }, info)
}

fn leaves(info: Arc<ClientInfo>) -> Op {
    Op::Unsubscribe { last: false, presence: Some(info.clone()), leave: Some(info) }
}

#[test]
fn presence_may_be_kept_here() {
    let mut bench = Bench::new();
    bench.homes.keep_presence(10);
    let (subscriber, info) = seen(1);
    assert_eq!(bench.ask(0, subscribe(subscriber)).len(), 2, "an answer and a join");
    assert_eq!((bench.ask(1, Op::Presence), bench.model.present.len()), (vec!["1:Presence ann".to_owned()], 0));
    let renewed = Op::PresenceUpdate { info: info.clone(), ttl_ms: 5_000 };
    assert_eq!(bench.ask(0, renewed), ["0:Done"]);
    assert_eq!(bench.homes.next_expiry(), Some(1_000));
    bench.homes.expire(Now { mono_ms: 4_999, ..Now::default() }, 10);
    assert_eq!(bench.ask(1, Op::PresenceStats), ["1:PresenceStats 1 1"]);
    bench.ask(0, leaves(info));
    assert_eq!(bench.ask(1, Op::Presence), ["1:Presence "]);
    // Who is not let in is not present.
    bench.model.fails = true;
    let (subscriber, _) = seen(2);
    assert_eq!(bench.ask(0, subscribe(SubscribeOp { position: true, ..subscriber })), ["0:Failed 100"]);
    assert_eq!((bench.ask(1, Op::Presence), bench.homes.next_expiry()), (vec!["1:Presence ".to_owned()], None));
}

/// Asks of a home that is elsewhere on this node; what is left of the request for that.
fn pass(bench: &mut Bench, op: Op) -> Option<Op> {
    let Bench { homes, sent, .. } = bench;
    let name = ChannelName::new(CHANNEL);
    let rest = homes.pass(ShardId(0), &name, op, REPLY, &mut |shard, delivery| sent.push((shard, delivery)));
    bench.requests.extend(bench.homes.take_requests());
    rest
}

#[test]
fn presence_alone_may_be_kept_there() {
    let mut bench = Bench::new();
    assert!(pass(&mut bench, publish("x")).is_some() && pass(&mut bench, subscribe(plain())).is_some());
    let (subscriber, info) = seen(1);
    assert!(pass(&mut bench, subscribe(subscriber)).is_none() && bench.homes.take_admitted().is_none());
    assert!(bench.settle().is_empty(), "the home answers");
    let admitted = bench.homes.take_admitted().expect("it is present");
    assert!(admitted.op.presence.is_none() && admitted.op.join.is_some());
    assert_eq!((bench.model.present.len(), bench.homes.pending()), (1, 0));
    assert!(pass(&mut bench, Op::PresenceStats).is_none());
    assert_eq!(bench.settle(), ["0:PresenceStats 1 1"]);
    let rest = pass(&mut bench, leaves(info)).expect("the home is told");
    assert!(matches!(rest, Op::Unsubscribe { presence: None, leave: Some(_), .. }));
    bench.settle();
    assert!(bench.model.present.is_empty());

    // Who leaves on the way in is not let in any more, and was not there.
    let (subscriber, info) = seen(2);
    pass(&mut bench, subscribe(subscriber));
    let rest = pass(&mut bench, leaves(info)).expect("the home is told");
    assert!(matches!(rest, Op::Unsubscribe { presence: None, leave: None, .. }));
    assert_eq!(bench.settle(), ["0:Failed 100"]);
    assert!(bench.homes.take_admitted().is_none() && bench.model.present.is_empty());

    bench.model.fails = true;
    pass(&mut bench, subscribe(seen(3).0));
    assert_eq!(bench.settle(), ["0:Failed 100"]);
    assert_eq!((bench.homes.take_admitted().is_none(), bench.homes.pending()), (true, 0));
}

#[test]
fn too_many_requests_are_refused() {
    let mut bench = Bench::with_limits(Limits { channels: 10, requests: 1, fills: 1 });
    bench.op(0, publish("x"), REPLY);
    bench.op(0, publish("y"), REPLY);
    assert_eq!(bench.settle(), ["0:Failed 100", "0:Published @1"]);
    let mut none = Bench::with_limits(Limits { channels: 0, requests: 10, fills: 1 });
    assert_eq!(none.ask(0, subscribe(plain())), ["0:Failed 106"]);
}

#[test]
fn joins_follow_answers_and_who_left_before_never_joined() {
    let mut bench = Bench::new();
    let joining = |client| {
        let info = info(client, "ann");
        SubscribeOp { presence: Some((info.clone(), 1)), join: Some(info), ..positioned() }
    };
    assert_eq!(bench.ask(0, subscribe(joining(1))), ["0:Subscribed @0 []", "0:join ann"]);
    let leave = |client, last| {
        let info = info(client, "ann");
        Op::Unsubscribe { last, presence: Some(info.clone()), leave: Some(info) }
    };
    bench.op(1, subscribe(joining(2)), ReplyTo::None);
    bench.op(1, leave(2, true), ReplyTo::None);
    assert_eq!(bench.settle(), [""; 0]);
    assert_eq!(bench.model.present, [ClientId([1; 16])]);
    bench.ask(1, subscribe(plain()));
    assert_eq!(bench.ask(0, leave(1, true)), ["0:Done", "1:leave ann"]);
    assert_eq!(bench.model.present, []);
}
