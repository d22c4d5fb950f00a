//! Crowds that come back to channels at once cost few reads.

use super::*;

const CHANNELS: u64 = 10;
const CLIENTS: u64 = 2_000;

/// Publications of each channel, all of which are kept, unless more are published.
const PUBLISHED: u64 = 100;

/// A broker that keeps streams and does nothing else, and counts how often they are read.
#[derive(Default)]
struct Counting {
    models: BTreeMap<String, Model>,
    reads: usize,
    entries: usize,
}

impl Counting {
    fn carry_out(&mut self, request: BrokerRequest) -> Vec<BrokerEvent> {
        let BrokerRequest::Channel { channel, op, .. } = &request else { unreachable!("homes tell no nodes") };
        self.reads += usize::from(matches!(op, BrokerOp::History(_)));
        let model = self.models.entry(channel.as_str().to_owned()).or_insert_with(Model::new);
        let events = model.carry_out(request);
        for event in &events {
            if let BrokerEvent::Reply(_, BrokerReply::History(found, _)) = event {
                self.entries += found.len();
            }
        }
        events
    }
}

/// All clients come back to channels that nobody on this node is subscribed to; the one with this number from the
/// offset that is given. So many come between two requests that the broker carries out. Gives how many reads that cost,
/// and checks what everyone was told.
fn reads(limit: u32, between: u64, since: impl Fn(u64) -> u64) -> (usize, usize) {
    let (mut homes, mut broker) = (Brokered::new(Limits::default(), true), Counting::default());
    let (mut requests, mut events, mut sent) = (VecDeque::new(), VecDeque::new(), Vec::new());
    let channel = |n: u64| ChannelName::new(&format!("c:{}", n % CHANNELS));
    for n in 0..CHANNELS {
        let model = broker.models.entry(channel(n).as_str().to_owned()).or_insert_with(Model::new);
        for _ in 0..PUBLISHED {
            model.publish(Bytes::from("x"), PUBLISHED as usize);
        }
    }
    for n in 0..CLIENTS {
        let recover = Recover { since: Since { offset: since(n), epoch: "".into() }, limit, ..recovery() };
        let op = SubscribeOp { recover: Some(recover), ..positioned() };
        let reply = ReplyTo::Conn { conn: ConnId { slot: 0, generation: 0 }, tag: n as u32 };
        let out = &mut |_, delivery| sent.push(delivery);
        homes.handle(ShardId(0), &channel(n), subscribe(op), reply, Now::default(), out);
        requests.extend(homes.take_requests());
        let (is_turn, is_last) = (n % between == between - 1, n == CLIENTS - 1);
        loop {
            if !is_turn && !is_last {
                break;
            }
            events.extend(requests.pop_front().into_iter().flat_map(|request| broker.carry_out(request)));
            let Some(event) = events.pop_front() else { break };
            homes.event(event, Now::default(), &mut |_, delivery| sent.push(delivery));
            requests.extend(homes.take_requests());
            if !is_last {
                break;
            }
        }
    }
    assert_eq!((sent.len() as u64, homes.pending()), (CLIENTS, 0), "everyone is answered");
    for delivery in sent {
        let Delivery::Answer(ReplyTo::Conn { tag, .. }, Answer::Subscribed(subscribed)) = delivery else {
            panic!("{delivery:?}");
        };
        let missed: Vec<_> = (since(u64::from(tag)) + 1..=PUBLISHED).collect();
        let is_recovered = limit == 0 || missed.len() <= limit as usize;
        let got: Vec<_> = subscribed.publications.iter().map(|publication| publication.offset).collect();
        assert_eq!(subscribed.recovered, is_recovered, "since {}", since(u64::from(tag)));
        assert_eq!(got, if is_recovered { missed } else { Vec::new() });
    }
    (broker.reads, broker.entries)
}

fn recovery() -> Recover {
    recovering(0).recover.expect("it recovers")
}

#[test]
fn a_crowd_costs_few_reads() {
    let channels = CHANNELS as usize;
    for limit in [0, 20, 300] {
        let (same, entries) = reads(limit, CLIENTS, |_| PUBLISHED - 3);
        assert_eq!((same, entries), (channels, 4 * channels), "all were in the same place");
        let (spread, _) = reads(limit, CLIENTS, |n| n / CHANNELS % PUBLISHED);
        assert!(spread <= 2 * channels, "{spread} reads for clients all over the stream");
        let (backwards, _) = reads(limit, CLIENTS, |n| PUBLISHED - n / CHANNELS % PUBLISHED);
        assert!(backwards <= 2 * channels, "{backwards} reads where each client missed more than the one before");
        let (trickling, _) = reads(limit, 40, |n| PUBLISHED - n / CHANNELS % PUBLISHED);
        assert!(trickling <= 6 * channels, "{trickling} reads while some are answered already");
    }
}

/// Two publications; the first read of the stream finds one of them, and when it is under way somebody comes who has
/// both.
fn ahead(fails: bool) -> Bench {
    let mut bench = Bench::new();
    bench.elsewhere("a");
    bench.op(0, subscribe(recovering(0)), REPLY);
    assert!(bench.serve() && bench.hear(), "subscribed");
    bench.model.fails = fails;
    assert!(bench.serve(), "read");
    bench.model.fails = false;
    bench.elsewhere("b");
    bench.op(1, subscribe(recovering(2)), REPLY);
    assert!(bench.requests.is_empty(), "it takes part");
    bench
}

#[test]
fn who_is_ahead_of_a_read_waits_for_the_next_one() {
    let mut bench = ahead(false);
    let expected = ["0:Subscribed @1 recovered [a@1]", "0:pub b@2", "1:pub b@2", "1:Subscribed @2 recovered []"];
    assert_eq!(bench.settle(), expected);
}

#[test]
fn a_read_that_fails_fails_only_those_that_it_was_made_for() {
    let mut bench = ahead(true);
    assert_eq!(bench.settle(), ["0:Failed 100", "0:pub b@2", "1:pub b@2", "1:Subscribed @2 recovered []"]);
    assert_eq!(bench.homes.pending(), 0);
}

#[test]
fn whoever_is_where_everybody_is_reads_nothing() {
    let mut bench = Bench::new();
    bench.elsewhere("a");
    bench.ask(0, subscribe(positioned()));
    bench.op(1, subscribe(recovering(1)), REPLY);
    assert!(bench.requests.is_empty());
    assert_eq!(bench.settle(), ["1:Subscribed @1 recovered []"]);
}

#[test]
fn those_who_wait_for_a_read_are_told_when_all_leave() {
    let mut bench = Bench::new();
    bench.op(0, subscribe(recovering(5)), REPLY);
    assert!(bench.serve() && bench.hear(), "subscribed");
    for offset in [1, 2, 3] {
        bench.op(0, subscribe(recovering(offset)), REPLY);
    }
    bench.op(0, unsubscribe(true), REPLY);
    assert_eq!(bench.settle(), ["0:Failed 100", "0:Failed 100", "0:Failed 100", "0:Done", "0:Failed 100"]);
    assert_eq!((bench.homes.pending(), bench.homes.with_subscribers()), (0, 0));
}

/// Every channel but the last one of these has a positioned subscriber.
const AFTER_A_LOSS: usize = 3_000;

/// After a lost connection a plain channel costs nothing, any other one read, and few are read at once: so whatever else
/// is asked of the broker does not wait long.
#[test]
fn a_lost_connection_costs_one_read_a_channel_and_few_at_once() {
    let limits = Limits::default();
    let (mut homes, mut broker) = (Brokered::new(limits, true), Counting::default());
    let (mut requests, mut sent) = (VecDeque::new(), Vec::new());
    let names: Vec<_> = (0..=AFTER_A_LOSS).map(|n| ChannelName::new(&format!("c:{n}"))).collect();
    let mut events = VecDeque::new();
    for (n, name) in names.iter().enumerate() {
        let op = if n < AFTER_A_LOSS { positioned() } else { plain() };
        homes.handle(ShardId(0), name, subscribe(op), ReplyTo::None, Now::default(), &mut |_, it| sent.push(it));
        requests.extend(homes.take_requests());
        while let Some(request) = requests.pop_front() {
            for event in broker.carry_out(request) {
                homes.event(event, Now::default(), &mut |_, delivery| sent.push(delivery));
            }
            requests.extend(homes.take_requests());
        }
    }
    (broker.reads, broker.entries) = (0, 0);
    sent.clear();
    let missed = broker.models.get_mut(names[AFTER_A_LOSS - 1].as_str()).expect("it was read");
    missed.publish(Bytes::from("missed"), 9);
    events.extend(names.iter().map(|name| BrokerEvent::Resumed(name.clone())));
    // The next one comes as a message, while its channel waits to be read.
    let next = missed.publish(Bytes::from("next"), 9);
    let Some(BrokerEvent::Publication(_, next, _)) = next else { panic!("{next:?}") };
    events.push_back(BrokerEvent::Publication(names[AFTER_A_LOSS - 1].clone(), next, None));
    let mut most = 0;
    while !events.is_empty() || !requests.is_empty() {
        // The broker is slower than what it tells.
        match events.pop_front() {
            Some(event) => homes.event(event, Now::default(), &mut |_, delivery| sent.push(delivery)),
            None => events.extend(requests.pop_front().into_iter().flat_map(|request| broker.carry_out(request))),
        }
        requests.extend(homes.take_requests());
        most = most.max(homes.pending());
    }
    assert_eq!((broker.reads, most, homes.pending()), (AFTER_A_LOSS, limits.fills, 0));
    let words: Vec<_> = sent.iter().map(word).collect();
    assert_eq!(words, ["pub missed@1", "pub next@2"]);
}

/// Steps without faults.
fn peace() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..4, prop::option::weighted(0.8, 0u64..9))
            .prop_map(|(client, since)| Step::Subscribe { client, since, is_positioned: true }),
        1 => (0usize..4).prop_map(Step::Unsubscribe),
        3 => Just(Step::Publish),
        3 => Just(Step::Elsewhere),
        8 => Just(Step::Serve),
        8 => Just(Step::Hear),
    ];
    prop::collection::vec(step, 1..120)
}

/// As long as nothing fails, whoever missed only what is kept until he is answered is recovered.
fn recovers(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut trial, mut missed) = (Trial::new(), HashMap::new());
    let mut left = 10_000;
    let mut steps = steps.into_iter();
    loop {
        let step = match steps.next() {
            Some(step) => step,
            None if trial.bench.requests.is_empty() && trial.bench.events.is_empty() => return Ok(()),
            None if trial.bench.requests.is_empty() => Step::Hear,
            None => Step::Serve,
        };
        if let Step::Subscribe { since: Some(since), .. } = step {
            missed.insert(trial.next_tag, (since, trial.bench.model.top.offset));
        }
        trial.step(step);
        let model = &trial.bench.model;
        let oldest = model.kept.front().map_or(0, |oldest| oldest.offset);
        for (tag, is_recovered) in trial.answered.drain(..) {
            let Some((since, top)) = missed.remove(&tag) else { continue };
            let is_kept = since <= top && since + 1 >= oldest;
            prop_assert!(is_recovered || !is_kept, "{} since {} when {} to {}", tag, since, oldest, top);
        }
        left -= 1;
        prop_assert!(left > 0, "it does not come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whoever_can_be_recovered_is(steps in peace()) {
        recovers(steps)?;
    }
}

/// The property above can fail.
#[cfg(feature = "mutations")]
#[test]
fn faults_are_noticed() {
    use crate::base::mutation::{Mutation, switch};
    let config = ProptestConfig { cases: 20_000, failure_persistence: None, max_shrink_iters: 0, ..Default::default() };
    switch(Some(Mutation::ShareAnyRead));
    let outcome = proptest::test_runner::TestRunner::new(config).run(&peace(), recovers);
    switch(None);
    assert!(outcome.is_err(), "it went unnoticed");
}
