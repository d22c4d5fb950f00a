//! Redis fails under load, in every way: whatever it is, no publication is lost or doubled without a word.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use spindle::broker::spread;

use crate::load::{Outcome, Progress, under};
use crate::redis::Redis;
use crate::redis_cluster::Cluster;
use crate::redis_sentinel::Watched;
use crate::redis_way::Way;
use crate::support::server::Server;
use crate::{MAP_PARTITIONS, at, config, meet};

/// Two nodes on what `options` say, a load, and `trouble`.
fn storm(options: Value, trouble: impl FnOnce(&Progress)) -> Outcome {
    storm_over(options, &["load:one".to_owned(), "load:two".to_owned()], trouble)
}

/// The same with these maps.
fn storm_over(options: Value, maps: &[String], trouble: impl FnOnce(&Progress)) -> Outcome {
    let (one, other) = (node(&options), node(&options));
    meet([&one, &other]);
    let outcome = under(&one, &other, maps, trouble);
    outcome.check();
    outcome
}

/// Nothing that was acknowledged is lost, and nobody was told so.
fn check_that_all_is_kept(outcome: &Outcome) {
    assert_eq!((outcome.gaps(), outcome.maps.gaps(), outcome.lost()), (0, 0, 0), "all is kept");
}

fn node(options: &Value) -> Server {
    Server::start(config(options))
}

/// The trouble lasts so long.
fn last(duration: Duration) {
    let until = Instant::now() + duration;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

#[test]
fn connections_of_all_kinds_are_killed() {
    let redis = Redis::start();
    let outcome = storm(at(&redis), |progress| {
        for _ in 0..3 {
            for kinds in [&["pubsub"][..], &["normal"], &["pubsub", "normal"], &["normal", "pubsub"]] {
                let mut connection = redis.connect();
                for kind in kinds {
                    connection.send(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
                }
                progress.wait(300);
            }
        }
    });
    check_that_all_is_kept(&outcome);
}

#[test]
fn redis_stands_still_for_a_while() {
    let redis = Redis::start();
    let outcome = storm(at(&redis), |_| {
        redis.signal(Signal::STOP);
        // Longer than requests may take (`io_timeout`).
        last(Duration::from_secs(10));
        redis.signal(Signal::CONT);
    });
    assert!(outcome.refused > 0);
    check_that_all_is_kept(&outcome);
}

#[test]
fn redis_is_killed_and_comes_back_with_everything() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "no"]);
    let options = at(&redis);
    let outcome = storm(options, |progress| {
        for _ in 0..2 {
            redis.restart();
            progress.wait(1_000);
        }
    });
    // It comes back so soon that perhaps nothing was refused.
    check_that_all_is_kept(&outcome);
}

#[test]
fn redis_is_killed_and_comes_back_with_what_it_had_a_while_ago() {
    let mut redis = Redis::start();
    let options = at(&redis);
    let outcome = storm(options, |progress| {
        redis.connect().send(&["SAVE"]);
        progress.wait(2_000);
        redis.restart();
        // It has given all the offsets again before anybody looks.
    });
    assert!(
        outcome.lost() > 1_000 && outcome.gaps() > 0 && outcome.maps.gaps() > 0,
        "{} {}",
        outcome.lost(),
        outcome.gaps()
    );
}

#[test]
fn redis_is_killed_and_comes_back_empty() {
    let mut redis = Redis::start();
    let options = at(&redis);
    let outcome = storm(options, |_| redis.restart());
    assert!(
        outcome.lost() > 1_000 && outcome.gaps() > 0 && outcome.maps.gaps() > 0,
        "{} {}",
        outcome.lost(),
        outcome.gaps()
    );
}

#[test]
fn connections_are_cut_in_the_middle_of_a_reply() {
    let redis = Redis::start();
    let way = Way::to(&redis);
    let outcome = storm(json!({"address": format!("127.0.0.1:{}", way.port)}), |progress| {
        for bytes in [0, 1, 3, 17, 100, 1_000, 5_000, 20_000, 100_000] {
            way.cut_after(bytes);
            while !way.was_cut() {
                progress.wait(50);
            }
        }
    });
    check_that_all_is_kept(&outcome);
}

#[test]
fn redis_is_slow() {
    let redis = Redis::start();
    let way = Way::to(&redis);
    let outcome = storm(json!({"address": format!("127.0.0.1:{}", way.port)}), |_| {
        way.be_slow(true);
        last(Duration::from_secs(4));
        way.be_slow(false);
    });
    check_that_all_is_kept(&outcome);
}

/// From now on the replica does not get what its master does.
fn part(master: &Redis, replica: &Redis) {
    let connect = |redis: &Redis| {
        let mut connection = redis.connect();
        // An error where no password is needed.
        let _ = connection.try_send(&[b"AUTH", b"open"]);
        connection
    };
    connect(replica).send(&["CONFIG", "SET", "masterauth", "wrong"]);
    connect(master).send(&["CLIENT", "KILL", "TYPE", "replica"]);
}

/// The replica takes over without what it did not get any more.
#[test]
fn sentinels_have_a_replica_take_over() {
    let mut set = Watched::start(3);
    let options = serde_json::from_str(&set.options("main")).expect("options");
    let outcome = storm(options, |progress| {
        part(&set.master, &set.replica);
        progress.wait(1_000);
        set.master.kill();
    });
    assert!(
        outcome.refused > 0 && outcome.lost() > 0 && outcome.gaps() > 0 && outcome.maps.gaps() > 0,
        "{}",
        outcome.lost()
    );
}

#[test]
fn a_master_of_a_cluster_fails() {
    let mut cluster = Cluster::on_the_move();
    let replicas: Vec<_> = (0..3).map(|number| cluster.join_as_replica_of(number).0).collect();
    let options = serde_json::from_str(&cluster.options("")).expect("options");
    let owner = cluster.owner("kept:one").0;
    let map = (0..).map(|number| format!("load:{number}")).find(|map| {
        let partition = spread(map, MAP_PARTITIONS);
        cluster.owner_of(&format!("centrifugo:meta:{{{partition}}}.{map}")).0 == owner
    });
    let maps = [map.expect("a map of the same master"), "load:other".to_owned()];
    let outcome = storm_over(options, &maps, |progress| {
        part(&cluster.members[owner].0, &replicas[owner]);
        progress.wait(3_000);
        cluster.members[owner].0.kill();
    });
    assert!(
        outcome.refused > 0 && outcome.lost() > 0 && outcome.gaps() > 0 && outcome.maps.gaps() > 0,
        "{}",
        outcome.lost()
    );
}
