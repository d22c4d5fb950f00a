use std::collections::VecDeque;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::op::{PollOp, PollSubscribe, RefreshId, Refreshed, RefreshedKey, Told};
use super::*;
use crate::base::time::Now;
use crate::channel::home::Homes;
use crate::channel::op::{Delivery, Op, ReplyTo};
use crate::channel::publication::{MapEntry, Publication};

const CHANNEL: &str = "poll:a";

/// Nobody is asked.
const PLAN: PollPlan = PollPlan {
    is_versioned: true,
    is_published: true,
    asks_backend: false,
    interval_ms: 1000,
    batch: 2,
    shutdown_delay_ms: 1000,
};

/// Plays steps at a home and holds what it sends against what stands behind each. `track 1 a b` and `untrack 1 a` come
/// from shard 1, `subscribe 1` too; `publish a 3 e` is version 3 in epoch `e`. Sent is `1 a=3` for a key, `1 reset` for
/// a new epoch.
#[track_caller]
fn check(steps: &[(&str, &str)]) {
    let mut homes = Homes::new(StdRng::seed_from_u64(1));
    for (step, expected) in steps {
        let words: Vec<&str> = step.split(' ').collect();
        let shard = || ShardId(words[1].parse().expect("a shard"));
        let keys = || words[2..].iter().map(|key| key_name(CHANNEL, key)).collect::<Vec<_>>();
        let (from, op) = match words[0] {
            "subscribe" => (shard(), PollOp::Subscribe(PollSubscribe { plan: PLAN, presence: None, join: None })),
            "track" => (shard(), PollOp::Track { plan: PLAN, keys: keys().into_iter().map(|key| (key, 0)).collect() }),
            "untrack" => (shard(), PollOp::Untrack { keys: keys() }),
            "publish" => {
                let publication = Publication {
                    entry: MapEntry::set(words[1]),
                    version: words[2].parse().expect("a version"),
                    ..Publication::bare(b"1".as_slice().into())
                };
                let (key, epoch) = (key_name(CHANNEL, words[1]), words.get(3).copied().unwrap_or("").into());
                (ShardId(0), PollOp::Publish { publication, key, epoch })
            }
            verb => panic!("not understood: {verb}"),
        };
        let mut sent = Vec::new();
        let mut out = |shard: ShardId, delivery| match delivery {
            Delivery::Key(told) => {
                let key = &told.publication.entry.as_ref().expect("a key").key;
                sent.push(format!("{} {key}={}", shard.0, told.publication.version));
            }
            Delivery::PollReset(_) => sent.push(format!("{} reset", shard.0)),
            other => panic!("{other:?}"),
        };
        let op = Op::Poll(Box::new(op));
        homes.handle(from, &ChannelName::new(CHANNEL), op, ReplyTo::None, Now::default(), &mut out);
        assert_eq!(sent.join(", "), *expected, "{step}");
    }
}

#[test]
fn newer_versions_go_to_the_shards_that_track_the_key() {
    check(&[
        ("publish a 1", ""),
        ("subscribe 1", ""),
        ("track 1 a b", ""),
        ("track 2 a", ""),
        ("publish a 3", "1 a=3, 2 a=3"),
        ("publish a 3", ""),
        ("publish a 2", ""),
        ("publish b 1", "1 b=1"),
        ("publish c 1", ""),
        ("untrack 1 a", ""),
        ("publish a 4", "2 a=4"),
        ("untrack 2 a x", ""),
        ("publish a 5", ""),
        // The key was forgotten with its version.
        ("track 2 a", ""),
        ("publish a 1", "2 a=1"),
    ]);
}

#[test]
fn another_epoch_voids_all_versions_and_is_told_first() {
    check(&[
        ("subscribe 1", ""),
        ("subscribe 2", ""),
        ("track 1 a b", ""),
        ("publish a 7 one", "1 reset, 2 reset, 1 a=7"),
        ("publish a 7 one", ""),
        ("publish b 5 one", "1 b=5"),
        ("publish a 1 two", "1 reset, 2 reset, 1 a=1"),
        ("publish b 1 two", "1 b=1"),
        // Told also by a key that nobody tracks.
        ("publish x 1 three", "1 reset, 2 reset"),
        ("publish b 1 three", "1 b=1"),
    ]);
}

#[test]
fn names_of_keys_do_not_run_into_each_other() {
    assert_ne!(key_name("a", "bc"), key_name("ab", "c"));
    assert_eq!(key_name("poll:a", "k").as_str(), "6:poll:ak");
}

/// A channel whose backend is asked.
struct Asked {
    homes: Homes,
    now: Now,
    under_way: VecDeque<RefreshId>,
}

impl Asked {
    /// One step, and everything that follows from it, in words.
    fn step(&mut self, plan: PollPlan, step: &str) -> String {
        let words: Vec<&str> = step.split(' ').collect();
        let mut said = Vec::new();
        let tell = |shard: ShardId, delivery: Delivery| match delivery {
            Delivery::Key(told) => {
                let entry = told.publication.entry.as_ref().expect("a key");
                said.push(match entry.removed {
                    true => format!("{} {}!", shard.0, entry.key),
                    false if told.before.is_some() => format!("{} {}~{}", shard.0, entry.key, told.publication.version),
                    false => format!("{} {}={}", shard.0, entry.key, told.publication.version),
                });
            }
            Delivery::PollReset(_) => said.push(format!("{} reset", shard.0)),
            other => panic!("{other:?}"),
        };
        self.take(plan, &words, tell);
        while let Some(refresh) = self.homes.next_refresh(self.now) {
            let keys = refresh.keys.iter().map(|(name, version)| format!(" {}={version}", key_of(CHANNEL, name)));
            said.push(format!("{:?}{}", refresh.id.trigger, keys.collect::<String>()));
            self.under_way.push_back(refresh.id);
        }
        said.join(", ")
    }

    fn take(&mut self, plan: PollPlan, words: &[&str], mut tell: impl FnMut(ShardId, Delivery)) {
        let shard = || ShardId(words[1].parse().expect("a shard"));
        let (from, op) = match words[0] {
            "wait" => {
                self.now.mono_ms += words[1].parse::<u64>().expect("milliseconds");
                self.homes.tell_refreshed(self.now, 100, &mut tell);
                return;
            }
            "fail" => {
                let id = self.under_way.pop_front().expect("a question");
                return self.homes.not_refreshed(id, self.now);
            }
            // Of an epoch, or `-`; `a=3` is version 3 of a, `a=3:x` with data, `a=3:x<w` where the data was w before,
            // `a!` its end.
            "answer" => {
                let id = self.under_way.pop_front().expect("a question");
                let keys = words[2..].iter().map(|key| {
                    let (key, version) = key.split_once('=').unwrap_or((key, "0"));
                    let (version, data) = version.split_once(':').unwrap_or((version, "1"));
                    let (data, before) = data.split_once('<').unwrap_or((data, ""));
                    let bare = key.trim_end_matches('!');
                    RefreshedKey {
                        name: key_name(CHANNEL, bare),
                        entry: MapEntry { key: bare.into(), removed: bare != key },
                        data: Bytes::copy_from_slice(data.as_bytes()),
                        before: Bytes::copy_from_slice(before.as_bytes()),
                        version: version.parse().expect("a version"),
                    }
                });
                let epoch = words[1].trim_start_matches('-').into();
                self.homes.refreshed(id, Refreshed { keys: keys.collect(), epoch });
                while self.homes.tell_refreshed(self.now, 1, &mut tell) {}
                return;
            }
            "subscribe" => (shard(), PollOp::Subscribe(PollSubscribe { plan, presence: None, join: None })),
            "track" => {
                let key = |key: &&str| {
                    let (key, version) = key.split_once('=').unwrap_or((key, "0"));
                    (key_name(CHANNEL, key), version.parse().expect("a version"))
                };
                (shard(), PollOp::Track { plan, keys: words[2..].iter().map(key).collect() })
            }
            "untrack" => {
                let keys = words[2..].iter().map(|key| key_name(CHANNEL, key)).collect();
                (shard(), PollOp::Untrack { keys })
            }
            "unsubscribe" => {
                let op = Op::Unsubscribe { last: true, presence: None, leave: None };
                self.homes.handle(shard(), &ChannelName::new(CHANNEL), op, ReplyTo::None, self.now, &mut tell);
                return;
            }
            "publish" => {
                let publication = Publication {
                    entry: MapEntry::set(words[1]),
                    version: words[2].parse().expect("a version"),
                    ..Publication::bare(b"1".as_slice().into())
                };
                let key = key_name(CHANNEL, words[1]);
                (ShardId(0), PollOp::Publish { publication, key, epoch: Box::default() })
            }
            verb => panic!("not understood: {verb}"),
        };
        let op = Op::Poll(Box::new(op));
        self.homes.handle(from, &ChannelName::new(CHANNEL), op, ReplyTo::None, self.now, &mut tell);
        self.homes.tell_refreshed(self.now, 100, &mut tell);
    }
}

/// Rounds of a second, two keys a batch.
#[track_caller]
fn check_asked(is_versioned: bool, steps: &[(&str, &str)]) {
    let plan = PollPlan { is_versioned, asks_backend: true, ..PLAN };
    let now = Now { mono_ms: 1, ..Now::default() };
    let mut asked = Asked { homes: Homes::new(StdRng::seed_from_u64(1)), now, under_way: VecDeque::new() };
    for (step, expected) in steps {
        assert_eq!(asked.step(plan, step), *expected, "{step}");
    }
}

#[test]
fn keys_that_nobody_knows_are_asked_for_at_once() {
    check_asked(
        true,
        &[
            ("track 1 a b c d", "Notification a=0"),
            ("wait 500", ""),
            ("track 1 e", ""),
            ("answer - a=3", "1 a=3, Notification b=0 c=0"),
            ("untrack 1 d", ""),
            ("answer - b=1 c=2 x=9", "1 b=1, 1 c=2, Notification e=0"),
            ("fail", ""),
            // Who knows a version can wait.
            ("track 2 f=4", ""),
            // Who knows none, or an older one, of a known key can not.
            ("track 2 a", "Notification a=0"),
            ("track 3 a", ""),
            ("answer - a=3", "1 a=3, 2 a=3, 3 a=3"),
            ("track 3 a=1", "Notification a=0"),
            ("answer - a=2", ""),
            ("track 3 b=1", ""),
        ],
    );
}

#[test]
fn all_keys_are_asked_for_in_rounds() {
    check_asked(
        true,
        &[
            ("track 1 a=1", ""),
            ("wait 999", ""),
            ("wait 1", "Timer a=0"),
            ("answer - a=5", "1 a=5"),
            ("wait 999", ""),
            ("wait 1", "Timer a=5"),
            // A round that takes long delays the next one.
            ("wait 5000", ""),
            ("answer - a=5", "Timer a=5"),
            ("fail", ""),
            // What was published lately is passed over, once.
            ("publish a 6", "1 a=6"),
            ("wait 1000", ""),
            ("wait 1000", "Timer a=6"),
        ],
    );
}

#[test]
fn what_changes_is_numbered_here_where_the_backend_does_not() {
    check_asked(
        false,
        &[
            ("subscribe 1", ""),
            ("track 1 a", "Notification a=0"),
            ("answer one a=0:x", "1 a=1"),
            ("wait 1000", "Timer a=0"),
            ("answer two a=0:x", ""),
            ("wait 1000", "Timer a=0"),
            ("answer - a=0:y", "1 a=2"),
            ("track 2 a=2", ""),
            ("track 3 a", "Notification a=0"),
            ("answer - a=0:y", "1 a=2, 2 a=2, 3 a=2"),
        ],
    );
}

#[test]
fn a_key_that_is_gone_is_told_and_forgotten() {
    check_asked(
        true,
        &[
            ("track 1 a", "Notification a=0"),
            ("track 2 a", ""),
            ("answer - a=3 x!", "1 a=3, 2 a=3"),
            ("wait 1000", "Timer a=3"),
            ("answer - a!", "1 a!, 2 a!"),
            ("wait 1000", ""),
            ("track 1 a", "Notification a=0"),
            ("answer - a=1", "1 a=1"),
        ],
    );
}

#[test]
fn another_epoch_of_the_backend_is_told_once() {
    check_asked(
        true,
        &[
            ("subscribe 1", ""),
            ("track 1 a", "Notification a=0"),
            ("answer one a=3", "1 reset, 1 a=3"),
            ("untrack 1 a", ""),
            // It is remembered for a while.
            ("wait 999", ""),
            ("track 1 a", "Notification a=0"),
            ("answer one a=3", "1 a=3"),
            ("untrack 1 a", ""),
            ("wait 1000", ""),
            ("track 1 a", "Notification a=0"),
            ("answer one a=3", "1 reset, 1 a=3"),
            // Answers to a channel that is not remembered tell nobody.
            ("wait 1000", "Timer a=3"),
            ("untrack 1 a", ""),
            ("wait 1000", ""),
            ("track 2 a=1", ""),
            ("answer two a=9", ""),
        ],
    );
}

#[test]
fn patches_are_made_only_to_what_clients_have() {
    check_asked(
        true,
        &[
            ("track 1 a", "Notification a=0"),
            ("answer - a=3:x<w", "1 a=3"),
            ("wait 1000", "Timer a=3"),
            ("answer - a=5:y<x", "1 a~5"),
            ("wait 1000", "Timer a=5"),
            // Published meanwhile: the answer builds upon what was there before.
            ("publish a 6", "1 a=6"),
            ("answer - a=7:z<y", "1 a=7"),
            // The backend sends the version before along, which nobody has.
            ("wait 1000", ""),
            ("wait 1000", "Timer a=7"),
            ("answer - a=9:v<w", "1 a=9"),
        ],
    );
    check_asked(
        false,
        &[
            ("subscribe 1", ""),
            ("track 1 a", "Notification a=0"),
            ("answer - a=0:x", "1 a=1"),
            ("wait 1000", "Timer a=0"),
            ("answer - a=0:y<x", "1 a~2"),
            ("wait 1000", "Timer a=0"),
            ("answer - a=0:z<x", "1 a=3"),
        ],
    );
}

#[test]
fn numbers_go_on_while_somebody_is_subscribed_and_may_know_them() {
    check_asked(
        false,
        &[
            ("subscribe 1", ""),
            ("track 1 a", "Notification a=0"),
            ("answer - a=0:x", "1 a=1"),
            ("untrack 1 a", ""),
            ("wait 5000", ""),
            ("track 1 a=1", ""),
            ("wait 1000", "Timer a=0"),
            ("answer - a=0:x", "1 a=2"),
            ("untrack 1 a", ""),
            ("unsubscribe 1", ""),
            ("wait 5000", ""),
            ("track 1 a", "Notification a=0"),
            ("answer - a=0:x", "1 a=1"),
        ],
    );
}

#[test]
fn what_happens_is_counted() {
    let plan = PollPlan { is_versioned: true, asks_backend: true, ..PLAN };
    let now = Now { mono_ms: 1, ..Now::default() };
    let mut asked = Asked { homes: Homes::new(StdRng::seed_from_u64(1)), now, under_way: VecDeque::new() };
    for step in ["track 1 a b c", "answer - a=2", "answer - b=1 c!", "wait 1000", "answer - a=2 b=5 x=1", "publish a 3"]
    {
        asked.step(plan, step);
    }
    asked.step(plan, "publish a 3");
    asked.step(plan, "publish x 3");
    let told = [Told { changed: 1, unchanged: 1, removed: 0 }, Told { changed: 2, unchanged: 0, removed: 1 }];
    let tally = PollTally { told, rounds: vec![(0, 0)], noted: 3, dropped: 0, applied: 1, skipped: 1 };
    assert_eq!(asked.homes.take_poll_tally(), tally);
    assert_eq!(asked.homes.take_poll_tally(), PollTally::default());
}
