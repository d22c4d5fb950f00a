use rand::SeedableRng;
use rand::rngs::StdRng;

use super::op::PollOp;
use super::*;
use crate::base::time::Now;
use crate::channel::home::Homes;
use crate::channel::op::{Delivery, Op, ReplyTo};
use crate::channel::publication::{MapEntry, Publication};

const CHANNEL: &str = "poll:a";

/// Plays steps at a home and holds what it sends against what stands behind each. `track 1 a b` and `untrack 1 a` come
/// from shard 1, `subscribe 1` too; `publish a 3 e` is version 3 in epoch `e`. Sent is `1 a=3` for a key, `1 reset` for
/// a new epoch.
#[track_caller]
fn check(steps: &[(&str, &str)]) {
    let mut homes = Homes::new(StdRng::seed_from_u64(1));
    for (step, expected) in steps {
        let words: Vec<&str> = step.split(' ').collect();
        let shard = || ShardId(words[1].parse().expect("a shard"));
        let keys = || words[2..].iter().map(|key| key_name(CHANNEL, key)).collect();
        let (from, op) = match words[0] {
            "subscribe" => (shard(), PollOp::Subscribe { presence: None, join: None }),
            "track" => (shard(), PollOp::Track { keys: keys() }),
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
