//! What becomes of requests and messages when Redis, or the way to it, fails.

use rustix::process::Signal;
use spindle::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply, Realm, Trouble};

use super::driver::{ALL, Shards, at, publish};
use super::redis::Redis;
use super::redis_way::Way;

/// Publishes until it works again.
pub fn publish_at_last(shards: &mut Shards, channel: &str, data: &str) {
    while !matches!(shards.ask(channel, publish(data, 10)), BrokerReply::Published(..)) {}
}

fn resumed(shards: &mut Shards, channel: &str) {
    shards.wait(|event| matches!(event, BrokerEvent::Resumed(name) if name.as_str() == channel));
}

#[test]
fn every_request_is_answered_once_when_connections_are_killed() {
    let redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, ""));
    let mut killer = redis.connect();
    for _ in 0..5 {
        let tickets: Vec<_> = (0..200).map(|n| shards.place(&format!("c:{}", n % 7), publish("x", 10))).collect();
        shards.ring();
        killer.send(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        for ticket in tickets {
            let reply = shards.reply(ticket);
            assert!(matches!(reply, BrokerReply::Published(..) | BrokerReply::Failed), "{reply:?}");
        }
    }
    publish_at_last(&mut shards, "c:1", "end");
    assert!(shards.events.is_empty(), "{:?}", shards.events);
}

#[test]
fn a_user_who_may_not_listen_is_told_so_and_does_not_try_all_the_time() {
    let redis = Redis::with(&["--user", "ann", "on", ">sesame", "~*", "resetchannels", "&*.client.open:*", "+@all"]);
    let mut shards = Shards::new(1, &at(&redis, r#","user":"ann","password":"sesame""#));
    for round in 0..20 {
        let closed = shards.place(&format!("closed:{round}"), BrokerOp::Subscribe(Realm::Streams));
        shards.ring();
        assert!(matches!(shards.reply(closed), BrokerReply::Failed));
        shards.subscribe(&format!("open:{round}"));
        assert!(matches!(shards.ask("closed:a", publish("x", 0)), BrokerReply::Failed));
    }
    // What nodes tell each other may not be listened to either, which is tried again, at ever longer intervals.
    let stats = format!("{:?}", redis.connect().send(&["INFO", "stats"]));
    let connections = stats.split("total_connections_received:").nth(1).unwrap().split("\\r").next().unwrap();
    assert!(connections.parse::<u32>().unwrap() < 40, "{connections}");
}

#[test]
fn channels_are_subscribed_to_again() {
    const CHANNELS: usize = 2_000;
    let redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, ""));
    let tickets: Vec<_> =
        (0..CHANNELS).map(|n| shards.place(&format!("c:{n}"), BrokerOp::Subscribe(Realm::Streams))).collect();
    shards.ring();
    for ticket in tickets {
        assert!(matches!(shards.reply(ticket), BrokerReply::Done));
    }
    shards.send("c:0", BrokerOp::Unsubscribe(Realm::Streams), None);
    shards.ask("c:0", ALL);
    redis.connect().send(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    for number in 1..CHANNELS {
        resumed(&mut shards, &format!("c:{number}"));
    }
    for number in [1, CHANNELS - 1] {
        let name = format!("c:{number}");
        shards.ask(&name, publish("x", 1));
        assert_eq!(shards.heard(&name), "x");
    }
    assert!(shards.events.is_empty(), "{:?}", shards.events);
}

/// How often Redis was asked this since it was told to count anew.
fn calls(redis: &Redis, command: &str) -> usize {
    let counted = format!("{:?}", redis.connect().send(&["INFO", "commandstats"]));
    let found = counted.split(&format!("cmdstat_{command}:calls=")).nth(1);
    found.map_or(0, |rest| rest.split(',').next().expect("a number").parse().expect("a number"))
}

/// Waits for so many events, all of which must be such.
fn all_are(shards: &mut Shards, mut left: usize, is_it: impl Fn(&BrokerEvent) -> bool) {
    while left > 0 {
        shards.take();
        let all = std::mem::take(&mut shards.events);
        assert!(all.len() <= left && all.iter().all(&is_it), "{all:?}");
        left -= all.len();
    }
}

#[test]
fn a_lost_connection_costs_one_command_for_512_channels() {
    const CHANNELS: usize = 20_000;
    let redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, ""));
    for n in 0..CHANNELS {
        shards.place(&format!("c:{n}"), BrokerOp::Subscribe(Realm::Streams));
    }
    shards.ring();
    all_are(&mut shards, CHANNELS, |event| matches!(event, BrokerEvent::Reply(_, BrokerReply::Done)));
    redis.connect().send(&["CONFIG", "RESETSTAT"]);
    redis.connect().send(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    all_are(&mut shards, CHANNELS, |event| matches!(event, BrokerEvent::Resumed(_)));
    // And one for what nodes tell each other, if that is done already.
    let commands = CHANNELS.div_ceil(512);
    let found = calls(&redis, "subscribe");
    assert!((commands..=commands + 1).contains(&found), "{found}");
    assert_eq!((calls(&redis, "evalsha"), calls(&redis, "eval")), (0, 0));
}

#[test]
fn redis_ends_and_comes_back() {
    let mut redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, ""));
    shards.subscribe("a");
    publish_at_last(&mut shards, "a", "one");
    assert_eq!(shards.heard("a"), "one");
    redis.kill();
    // At the latest with the second request it is known, and told at once.
    for _ in 0..3 {
        assert!(matches!(shards.ask("a", publish("lost", 10)), BrokerReply::Failed));
        assert!(matches!(shards.ask("b", BrokerOp::Subscribe(Realm::Streams)), BrokerReply::Failed));
    }
    redis.restart();
    resumed(&mut shards, "a");
    let [lost, unopened] = [Trouble::Connection, Trouble::SubscribeShardChannel];
    assert!(shards.troubles.contains(&lost) && shards.troubles.contains(&unopened), "{:?}", shards.troubles);
    publish_at_last(&mut shards, "a", "two");
    assert_eq!(shards.heard("a"), "two");
    shards.subscribe("b");
    assert!(shards.events.is_empty(), "{:?}", shards.events);
}

#[test]
fn a_redis_that_stands_still_is_given_up_and_found_again() {
    let redis = Redis::start();
    let mut shards = Shards::new(1, &at(&redis, r#","io_timeout":"200ms","connect_timeout":"200ms""#));
    shards.subscribe("a");
    redis.signal(Signal::STOP);
    let requests = [shards.place("a", publish("lost?", 10)), shards.place("b", BrokerOp::Subscribe(Realm::Streams))];
    shards.ring();
    for ticket in requests {
        assert!(matches!(shards.reply(ticket), BrokerReply::Failed));
    }
    redis.signal(Signal::CONT);
    resumed(&mut shards, "a");
    publish_at_last(&mut shards, "a", "two");
    while shards.heard("a") != "two" {}
}

#[test]
fn a_redis_that_stands_still_for_a_while_is_waited_for() {
    let redis = Redis::start();
    let mut shards = Shards::new(1, &at(&redis, r#","io_timeout":"60s""#));
    shards.subscribe("a");
    redis.signal(Signal::STOP);
    let ticket = shards.place("a", publish("late", 10));
    shards.ring();
    redis.signal(Signal::CONT);
    assert!(matches!(shards.reply(ticket), BrokerReply::Published(..)));
    assert_eq!(shards.heard("a"), "late");
    assert!(shards.events.is_empty(), "{:?}", shards.events);
}

#[test]
fn replies_that_are_cut_are_none() {
    let redis = Redis::start();
    let way = Way::to(&redis);
    let mut shards = Shards::new(1, &format!(r#"{{"address":"127.0.0.1:{}"}}"#, way.port));
    for number in 0..20 {
        publish_at_last(&mut shards, "a", &format!("{number} {}", "long ".repeat(20)));
    }
    let mut failed = 0;
    for cut in [0, 1, 5, 40, 300, 900] {
        way.cut_after(cut);
        match shards.ask("a", ALL) {
            BrokerReply::Failed => failed += 1,
            // Another connection was cut, which said something first.
            BrokerReply::History(kept, _) => assert_eq!(kept.len(), 10),
            other => panic!("{other:?}"),
        }
        publish_at_last(&mut shards, "a", "on");
    }
    assert!(failed > 0);
}
