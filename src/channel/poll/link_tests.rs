use rand::SeedableRng;
use rand::rngs::StdRng;

use super::op::{PollOp, RefreshedKey};
use super::*;
use crate::base::ids::ConnId;
use crate::base::time::Now;
use crate::channel::broker_op::{BrokerRequest, KeyVersion, Ticket};
use crate::channel::home::Homes;
use crate::channel::op::{Answer, Delivery, Op, ReplyTo};
use crate::channel::poll::op::Refreshed;
use crate::channel::publication::{MapEntry, Publication};

const CHANNEL: &str = "poll:a";

/// Everything that happens, in words: requests as `a+` and `a-`, answers as `1 ok` and `1 failed`, versions as `1 a=3`,
/// resets as `1 reset`, questions for the backend as `?a=0`.
///
/// Steps: `track 1 a b=3` of shard 1, which knows version 3 of `b`; `untrack 1 a`; `up 0` and `down 0` for the request
/// of that number; `told a 3 e`, version 3 in epoch `e`; `answer a=3` and `answer a!` of the backend.
#[track_caller]
fn check(is_published: bool, steps: &[(&str, &str)]) {
    let plan = PollPlan {
        is_versioned: true,
        is_published,
        asks_backend: true,
        interval_ms: 1_000_000,
        batch: 10,
        shutdown_delay_ms: 1000,
    };
    let (mut homes, now, channel) =
        (Homes::new(StdRng::seed_from_u64(1)), Now { mono_ms: 1, ..Now::default() }, ChannelName::new(CHANNEL));
    homes.link_keys();
    let (mut tickets, mut questions): (Vec<Ticket>, VecDeque<_>) = Default::default();
    for (step, expected) in steps {
        let words: Vec<&str> = step.split(' ').collect();
        let mut said = Vec::new();
        let mut out = |shard: ShardId, delivery| {
            said.push(match delivery {
                Delivery::Key(told) => match told.publication.entry.as_ref().expect("a key") {
                    entry if entry.removed => format!("{} {}!", shard.0, entry.key),
                    entry => format!("{} {}={}", shard.0, entry.key, told.publication.version),
                },
                Delivery::PollReset(_) => format!("{} reset", shard.0),
                Delivery::Answer(_, Answer::Done) => format!("{} ok", shard.0),
                Delivery::Answer(_, Answer::Failed(_)) => format!("{} failed", shard.0),
                other => panic!("{other:?}"),
            });
        };
        let named = |text: &str| {
            let (key, version) = text.split_once('=').unwrap_or((text, "0"));
            (key_name(CHANNEL, key), version.parse().expect("a version"))
        };
        let shard = || ShardId(words[1].parse().expect("a shard"));
        let reply = ReplyTo::Conn { conn: ConnId { slot: 0, generation: 0 }, tag: 0 };
        let number = || words[1].parse::<usize>().expect("a number");
        match words[0] {
            "track" => {
                let keys = words[2..].iter().map(|key| named(key)).collect();
                let op = Op::Poll(Box::new(PollOp::Track { plan, keys }));
                homes.handle(shard(), &channel, op, reply, now, &mut out);
            }
            "untrack" => {
                let keys = words[2..].iter().map(|key| named(key).0).collect();
                let op = Op::Poll(Box::new(PollOp::Untrack { keys }));
                homes.handle(shard(), &channel, op, ReplyTo::None, now, &mut out);
            }
            "up" => homes.linked(tickets[number()], true, now, &mut out),
            "down" => homes.linked(tickets[number()], false, now, &mut out),
            "told" => {
                let publication = Publication {
                    entry: MapEntry::set(words[1]),
                    version: words[2].parse().expect("a version"),
                    ..Publication::bare(b"1".as_slice().into())
                };
                let version = KeyVersion { publication, epoch: words.get(3).copied().unwrap_or("").into() };
                homes.key_told(&channel, key_name(CHANNEL, words[1]), version, now, &mut out);
            }
            "answer" => {
                let epoch = words.get(2).copied().unwrap_or("").into();
                let (key, removed) = (words[1].trim_end_matches('!'), words[1].ends_with('!'));
                let (name, version) = named(key);
                let entry = MapEntry { key: key_of(CHANNEL, &name).into(), removed };
                let key = RefreshedKey { name, entry, data: "1".into(), before: Default::default(), version };
                homes.refreshed(questions.pop_front().expect("a question"), Refreshed { keys: vec![key], epoch });
            }
            verb => panic!("not understood: {verb}"),
        }
        homes.tell_refreshed(now, 100, &mut out);
        for request in homes.take_key_requests() {
            said.push(match request {
                BrokerRequest::Link { key, ticket } => {
                    tickets.push(ticket);
                    format!("{}+", key_of(CHANNEL, &key))
                }
                BrokerRequest::Unlink { key } => format!("{}-", key_of(CHANNEL, &key)),
                other => panic!("{other:?}"),
            });
        }
        while let Some(refresh) = homes.next_refresh(now) {
            said.extend(refresh.keys.iter().map(|(name, version)| format!("?{}={version}", key_of(CHANNEL, name))));
            questions.push_back(refresh.id);
        }
        assert_eq!(said.join(", "), *expected, "{step}");
    }
}

#[test]
fn a_client_is_answered_when_the_broker_sends_all_keys() {
    check(
        true,
        &[
            ("track 1 a b", "a+, b+"),
            ("up 1", ""),
            // Nobody is told yet, and the backend is asked behind the answer.
            ("told a 2", "1 a=2"),
            ("up 0", "1 ok, ?a=0"),
            ("answer a=2", "1 a=2, ?b=0"),
            ("track 1 a=2", "1 ok"),
            ("track 2 b c", "c+"),
            ("up 2", "2 ok"),
            ("answer b=4", "1 b=4, 2 b=4, ?c=0"),
            ("untrack 1 a b", "a-"),
            ("untrack 2 b c", "b-, c-"),
            ("track 2 b", "b+"),
        ],
    );
    check(false, &[("track 1 a", "1 ok, ?a=0"), ("untrack 1 a", "")]);
}

#[test]
fn whoever_comes_meanwhile_waits_for_the_same() {
    check(
        true,
        &[
            ("track 1 a", "a+"),
            ("track 2 a b", "b+"),
            ("track 3 a b", ""),
            ("up 1", ""),
            ("up 0", "1 ok, 2 ok, 3 ok, ?a=0"),
            ("answer a=1", "1 a=1, 2 a=1, 3 a=1, ?b=0"),
        ],
    );
    check(
        true,
        &[
            ("track 1 a", "a+"),
            ("track 2 a b", "b+"),
            ("up 1", ""),
            ("down 0", "1 failed, 2 failed, a-, b-"),
            ("untrack 1 a", ""),
            // It was not answered yet when the shard asked for it again.
            ("track 2 a", "a+"),
            ("untrack 2 b", "b-"),
            ("up 2", "2 ok, ?a=0"),
        ],
    );
}

#[test]
fn what_is_gone_meanwhile_is_not_tracked() {
    check(
        true,
        &[
            ("track 1 a", "a+"),
            ("untrack 1 a", "a-"),
            ("track 2 a", "a+"),
            ("up 0", "1 failed"),
            ("up 1", "2 ok, ?a=0"),
            ("answer a!", "2 a!, a-"),
            ("untrack 2 a", ""),
        ],
    );
}

#[test]
fn epochs_of_publishers_count_where_the_backend_names_one() {
    check(
        true,
        &[
            ("track 1 a", "a+"),
            ("up 0", "1 ok, ?a=0"),
            ("told a 3 e", "1 a=3"),
            ("told a 1 f", ""),
            ("answer a=3 e", "1 a=3"),
            ("told a 4 e", "1 a=4"),
            ("told a 1 f", "1 a=1"),
        ],
    );
}
