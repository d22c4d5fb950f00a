//! A home under random steps: whatever happens, a positioned subscriber misses nothing or is told.

use super::*;

/// What one subscriber saw.
#[derive(Debug)]
struct Seen {
    shard: u16,
    is_positioned: bool,
    at: Option<Position>,
    /// Behind this offset it got everything.
    since: u64,
    /// When the publications were published that it got since, by offset.
    got: HashMap<u64, u64>,
    is_lost: bool,
    /// Because the stream could not be read, which it was not since.
    is_doubted: bool,
    /// It came back with this offset.
    back_from: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Subscribe {
        client: usize,
        since: Option<u64>,
        is_positioned: bool,
    },
    Unsubscribe(usize),
    /// Who was told that a position is lost because the stream could not be read comes back with it, or who left a
    /// channel that nobody was subscribed to since.
    Return(usize),
    Publish,
    Elsewhere,
    Serve,
    Hear,
    Cut,
    Resume,
    Begin,
    FailOver {
        lost: usize,
        is_cut: bool,
    },
    Fail(bool),
    Check,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..4, prop::option::of(0u64..12), any::<bool>())
            .prop_map(|(client, since, is_positioned)| Step::Subscribe { client, since, is_positioned }),
        1 => (0usize..4).prop_map(Step::Unsubscribe),
        2 => (0usize..4).prop_map(Step::Return),
        3 => Just(Step::Publish),
        3 => Just(Step::Elsewhere),
        12 => Just(Step::Serve),
        12 => Just(Step::Hear),
        1 => Just(Step::Cut),
        2 => Just(Step::Resume),
        1 => prop_oneof![4 => Just(Step::Check), 1 => Just(Step::Begin)],
        1 => (0usize..3, any::<bool>()).prop_map(|(lost, is_cut)| Step::FailOver { lost, is_cut }),
        1 => prop_oneof![1 => Just(Step::Fail(true)), 4 => Just(Step::Fail(false))],
    ]
}

/// A home under random steps, and what its subscribers make of what it sends.
pub(super) struct Trial {
    pub(super) bench: Bench,
    subscribers: BTreeMap<u32, Seen>,
    pub(super) next_tag: u32,
    /// Who left last.
    away: Option<Seen>,
    /// Who was answered, and whether as recovered.
    pub(super) answered: Vec<(u32, bool)>,
}

impl Trial {
    pub(super) fn new() -> Self {
        Self { bench: Bench::new(), subscribers: BTreeMap::new(), next_tag: 0, away: None, answered: Vec::new() }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Subscribe { client, since, is_positioned } => {
                let shard = (client % 2) as u16;
                let op = match since {
                    Some(offset) => recovering(offset),
                    None if is_positioned => positioned(),
                    None => plain(),
                };
                let is_positioned = op.position;
                let (since, got, back_from) = (u64::MAX, HashMap::new(), None);
                let seen =
                    Seen { shard, is_positioned, at: None, since, got, is_lost: false, is_doubted: false, back_from };
                self.enter(seen, op);
            }
            Step::Unsubscribe(which) => {
                let Some(tag) = self.subscribers.keys().nth(which).copied() else { return };
                self.away = self.leave(tag).filter(|seen| seen.is_positioned && !seen.is_lost);
            }
            Step::Return(which) => {
                let mark = self.bench.homes.marks.place_of(&ChannelName::new(CHANNEL));
                let seen = match self.away.take().filter(|seen| mark.is_some() && seen.at == mark) {
                    Some(seen) => seen,
                    None => {
                        let Some(tag) = self.subscribers.keys().nth(which).copied() else { return };
                        let Some(seen) = self.leave(tag).filter(|seen| seen.is_doubted) else { return };
                        seen
                    }
                };
                let at = seen.at.expect("it was told");
                let seen = Seen { at: None, is_lost: false, is_doubted: false, back_from: Some(at.offset), ..seen };
                self.enter(seen, recovering_from(at));
            }
            Step::Publish => self.bench.op(0, publish("x"), ReplyTo::None),
            Step::Elsewhere => self.bench.elsewhere("y"),
            Step::Serve => drop(self.bench.serve()),
            Step::Hear => {
                let event = self.bench.events.front();
                let is_failure = matches!(event, Some(BrokerEvent::Reply(_, BrokerReply::Failed)));
                let is_read = matches!(event, Some(BrokerEvent::Reply(_, BrokerReply::History(..))));
                let was_lost = |seen: &Seen| seen.is_lost && !seen.is_doubted;
                let lost: Vec<_> = self.subscribers.values().map(was_lost).collect();
                self.bench.hear();
                self.take();
                for (seen, was_lost) in self.subscribers.values_mut().zip(lost) {
                    seen.is_doubted = !is_read && seen.is_lost && !was_lost && (seen.is_doubted || is_failure);
                }
            }
            Step::Cut => self.bench.cut(),
            Step::Resume => self.bench.resume(),
            Step::Begin => self.bench.model.begin(),
            Step::FailOver { lost, is_cut } => {
                self.bench.model.fail_over(lost);
                if is_cut {
                    self.bench.cut();
                }
            }
            Step::Fail(fails) => self.bench.model.fails = fails,
            Step::Check => self.bench.op(0, Op::Position { meta_ttl_s: 60 }, ReplyTo::None),
        }
        self.take();
    }

    fn take(&mut self) {
        for (shard, delivery) in std::mem::take(&mut self.bench.sent) {
            match delivery {
                Delivery::Publication(_, publication) => {
                    for seen in self.subscribers.values_mut().filter(|seen| seen.shard == shard.0) {
                        seen.publication(&publication);
                    }
                }
                Delivery::PositionLost(_) => {
                    for seen in self.subscribers.values_mut().filter(|seen| seen.shard == shard.0 && seen.at.is_some())
                    {
                        seen.is_lost |= seen.is_positioned;
                    }
                }
                Delivery::Answer(ReplyTo::Conn { tag, .. }, answer) => self.answer(tag, answer),
                _ => {}
            }
        }
    }

    fn answer(&mut self, tag: u32, answer: Answer) {
        match answer {
            Answer::Subscribed(subscribed) => {
                let Subscribed { position, recovered, publications } = *subscribed;
                self.answered.push((tag, recovered));
                let Some(seen) = self.subscribers.get_mut(&tag) else { return };
                if recovered {
                    let offsets: Vec<_> = publications.iter().map(|publication| publication.offset).collect();
                    let first = position.offset - offsets.len() as u64;
                    assert_eq!(offsets, (first + 1..=position.offset).collect::<Vec<_>>());
                }
                let got = publications.iter().map(|found| (found.offset, found.unix_ms));
                if recovered {
                    // Once its place is trimmed, nobody can know what took the place of what it has.
                    let is_kept = |offset| self.bench.model.kept.iter().any(|kept| kept.offset == offset);
                    seen.is_lost |= seen.back_from.is_some_and(|offset| !is_kept(offset));
                    // Who came back has what it had.
                    seen.since = seen.since.min(position.offset - publications.len() as u64);
                    seen.got.extend(got);
                } else {
                    seen.since = position.offset - publications.len() as u64;
                    seen.got = got.collect();
                }
                seen.at = Some(position);
            }
            Answer::Failed(_) => drop(self.leave(tag)),
            other => panic!("{other:?}"),
        }
    }

    fn enter(&mut self, seen: Seen, op: SubscribeOp) {
        let (tag, shard) = (self.next_tag, seen.shard);
        self.next_tag += 1;
        self.subscribers.insert(tag, seen);
        let conn = ConnId { slot: 0, generation: 0 };
        self.bench.op(shard, subscribe(op), ReplyTo::Conn { conn, tag });
    }

    fn leave(&mut self, tag: u32) -> Option<Seen> {
        let gone = self.subscribers.remove(&tag)?;
        let last = !self.subscribers.values().any(|other| other.shard == gone.shard);
        self.bench.op(gone.shard, unsubscribe(last), ReplyTo::None);
        Some(gone)
    }
}

impl Seen {
    fn publication(&mut self, publication: &Publication) {
        let Some(at) = self.at.filter(|_| !self.is_lost) else { return };
        if !self.is_positioned {
            assert!(
                !self.got.values().any(|time| *time == publication.unix_ms),
                "{publication:?} came twice: {self:?}"
            );
            self.got.insert(publication.unix_ms, publication.unix_ms);
            return;
        }
        if publication.epoch == at.epoch && publication.offset <= at.offset {
            return;
        }
        let expected = Position { offset: at.offset + 1, epoch: at.epoch };
        assert_eq!(Position { offset: publication.offset, epoch: publication.epoch }, expected, "{self:?}");
        self.at = Some(expected);
        self.got.insert(publication.offset, publication.unix_ms);
    }
}

/// A positioned subscriber misses nothing or is told; one without a position gets nothing twice; and in the end everyone
/// is where the stream is.
fn holds(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut trial = Trial::new();
    steps.into_iter().for_each(|step| trial.step(step));
    trial.step(Step::Fail(false));
    trial.step(Step::Resume);
    let mut left = 10_000;
    while trial.bench.serve() || trial.bench.hear() {
        trial.take();
        left -= 1;
        prop_assert!(left > 0, "it does not come to rest");
    }
    prop_assert_eq!(trial.bench.homes.pending(), 0);
    let top = trial.bench.model.top;
    for (tag, seen) in &trial.subscribers {
        prop_assert!(seen.at.is_some(), "{} was never answered", tag);
        if seen.is_positioned && !seen.is_lost {
            prop_assert_eq!(seen.at, Some(top), "{} {:?}", tag, seen);
            for offset in seen.since + 1..=top.offset {
                let truth = trial.bench.model.truth.get(&offset);
                prop_assert_eq!(seen.got.get(&offset), truth, "{} at {}: {:?}", tag, offset, seen);
            }
        }
    }
    Ok(())
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_missed_and_nothing_comes_twice(steps in histories()) {
        holds(steps)?;
    }
}

/// The property above can fail.
#[cfg(feature = "mutations")]
#[test]
fn faults_are_noticed() {
    use crate::base::mutation::{Mutation, switch};
    for mutation in [
        Mutation::ResumeSilently,
        Mutation::DeliverTwice,
        Mutation::PassOverGap,
        Mutation::ForgetSince,
        Mutation::TrustOffsets,
    ] {
        let config =
            ProptestConfig { cases: 20_000, failure_persistence: None, max_shrink_iters: 0, ..Default::default() };
        switch(Some(mutation));
        let outcome = proptest::test_runner::TestRunner::new(config).run(&histories(), holds);
        switch(None);
        assert!(outcome.is_err(), "{mutation:?} went unnoticed");
    }
}
