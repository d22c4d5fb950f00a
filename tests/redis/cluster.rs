//! A Redis Cluster of three members: requests find the member that has the slot, also while slots move.

use spindle::broker::{Value, spread};
use spindle::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply, Realm};
use spindle::channel::map_op::MapOp;

use super::driver::{ALL, BRIEF, Shards, client, everything, free_port, map_node, maps_come_and_go, publish, set_key};
use super::faults::publish_at_last;
use super::redis::Redis;
use super::redis_cluster::{Cluster, text};

#[test]
fn homes_get_what_they_ask_for() {
    let cluster = Cluster::start();
    everything(&mut Shards::new(2, &cluster.options("")));
    // One address alone: what is there says that it is a Cluster.
    let address = format!(r#"{{"address":"127.0.0.1:{}","prefix":"x","force_resp2":true}}"#, cluster.members[2].1);
    everything(&mut Shards::new(2, &address));
}

#[test]
fn what_is_no_cluster_is_none() {
    let port = free_port().to_string();
    let _redis = Redis::with(&["--port", &port]);
    let error = Shards::try_new(1, &format!(r#"{{"cluster_address":["127.0.0.1:{port}"]}}"#)).err().expect("refused");
    assert!(error.contains("is no member of a Redis Cluster"), "{error}");
}

#[test]
fn requests_follow_their_slots() {
    let cluster = Cluster::on_the_move();
    let mut shards = Shards::new(2, &cluster.options(""));
    let (from, slot) = cluster.owner("a");
    let to = (from + 1) % 3;
    let (from_id, to_id) = (cluster.id(from), cluster.id(to));
    let (mut old, mut new) = (cluster.members[from].0.connect(), cluster.members[to].0.connect());
    shards.subscribe("a");
    // While the slot is on its way, what is new is asked at its new place; but several keys must all be there.
    new.send(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    old.send(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    assert!(matches!(shards.ask("a", BrokerOp::RemoveHistory), BrokerReply::Done));
    let tickets: Vec<_> = (1..=5).map(|number: u32| shards.place("a", publish(&number.to_string(), 100))).collect();
    shards.ring();
    // They had their first try.
    assert!(matches!(shards.ask("a", BrokerOp::RemoveHistory), BrokerReply::Done));
    for connection in [&mut new, &mut old] {
        connection.send(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }
    for (number, ticket) in (1..).zip(tickets) {
        let reply = shards.reply(ticket);
        assert!(matches!(&reply, BrokerReply::Published(at, None) if at.offset == number), "{reply:?}");
    }
    // And now it is there, whoever knows it already.
    let tickets: Vec<_> = (6..=200).map(|number: u32| shards.place("a", publish(&number.to_string(), 100))).collect();
    shards.ring();
    for (number, ticket) in (6..).zip(tickets) {
        let reply = shards.reply(ticket);
        assert!(matches!(&reply, BrokerReply::Published(at, None) if at.offset == number), "{reply:?}");
    }
    for number in 1..=200 {
        assert_eq!(shards.heard("a"), number.to_string());
    }
    let BrokerReply::History(kept, top) = shards.ask("a", ALL) else { panic!() };
    assert_eq!((kept.len(), top.offset), (100, 200));
}

#[test]
fn the_rest_goes_on_without_a_member() {
    let mut cluster = Cluster::on_the_move();
    let mut shards = Shards::new(1, &cluster.options(""));
    let mut of = [None, None, None];
    for number in 0.. {
        let channel = format!("c:{number}");
        of[cluster.owner(&channel).0].get_or_insert(channel);
        if of.iter().all(Option::is_some) {
            break;
        }
    }
    let of = of.map(Option::unwrap);
    for channel in &of {
        shards.subscribe(channel);
        publish_at_last(&mut shards, channel, "before");
        assert_eq!(shards.heard(channel), "before");
    }
    cluster.members[2].0.kill();
    assert!(matches!(shards.ask(&of[2], publish("lost", 10)), BrokerReply::Failed));
    for channel in &of[..2] {
        publish_at_last(&mut shards, channel, "after");
        // Messages come by way of any member; if it was this one, of another by now.
        loop {
            match shards.wait(|event| matches!(event, BrokerEvent::Publication(..) | BrokerEvent::Resumed(_))) {
                BrokerEvent::Publication(name, ..) if name.as_str() == channel => break,
                _ => publish_at_last(&mut shards, channel, "again"),
            }
        }
    }
    shards.send(&of[0], BrokerOp::Unsubscribe(Realm::Streams), None);
}

/// The options of `map_broker.redis` that say where the Cluster is.
fn map_place(cluster: &Cluster, more: &str) -> String {
    cluster.options(more).trim_matches(['{', '}']).to_owned()
}

/// As in the reference, which has a registry of maps in every partition.
#[test]
fn maps_need_partitions() {
    let cluster = Cluster::start();
    let error = map_node(&map_place(&cluster, "")).err().expect("it is refused");
    assert!(error.starts_with("map_broker.redis: maps can live in the Redis Cluster of "), "{error}");
    assert!(error.ends_with("only with map_broker.redis.sharded_pub_sub_partitions"), "{error}");
    let alone = Redis::start();
    let place = format!(r#""address":"unix://{}","sharded_pub_sub_partitions":8"#, alone.socket().display());
    let error = map_node(&place).err().expect("it is refused");
    assert!(error.starts_with("map_broker.redis.sharded_pub_sub_partitions: unix://"), "{error}");
    assert!(error.ends_with("is no Redis Cluster, which this is for"), "{error}");
}

#[test]
fn maps_are_spread_over_members_and_their_keys_expire_at_each() {
    let cluster = Cluster::start();
    let members: Vec<_> = cluster.members.iter().map(|(redis, _)| redis).collect();
    maps_come_and_go(&map_place(&cluster, r#","sharded_pub_sub_partitions":32"#), &members);
}

/// Changes of a map, what is told of them, and its keys that expire, while its slot moves.
#[test]
fn maps_follow_their_slots() {
    let cluster = Cluster::on_the_move();
    let mut shards = map_node(&map_place(&cluster, r#","sharded_pub_sub_partitions":16"#)).expect("it is found");
    let tag = spread("map:a", 16);
    let (from, slot) = cluster.owner_of(&format!("m:meta:{{{tag}}}.map:a"));
    let to = (from + 1) % 3;
    let (from_id, to_id) = (cluster.id(from), cluster.id(to));
    let (mut old, mut new) = (cluster.members[from].0.connect(), cluster.members[to].0.connect());
    assert!(matches!(shards.ask("map:a", BrokerOp::Subscribe(Realm::Maps)), BrokerReply::Done));
    new.send(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    old.send(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    let tickets: Vec<_> = (1..=5).map(|key: u32| shards.place("map:a", set_key(BRIEF, &key.to_string()))).collect();
    shards.ring();
    // They had their first try.
    assert!(matches!(shards.ask("map:a", BrokerOp::Map(Box::new(MapOp::Stats))), BrokerReply::MapKeys(_)));
    for connection in [&mut new, &mut old] {
        connection.send(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }
    for (number, ticket) in (1..).zip(tickets) {
        let reply = shards.reply(ticket);
        assert!(matches!(&reply, BrokerReply::MapUpdated(at, None) if at.offset == number), "{reply:?}");
    }
    // Its home is told when messages come from the new member: it reads what came meanwhile.
    shards.wait(|event| matches!(event, BrokerEvent::Resumed(name) if name.as_str() == "map:a"));
    shards.ask("map:a", set_key(BRIEF, "last"));
    shards.wait(|event| {
        matches!(event, BrokerEvent::Publication(_, change, _)
            if change.entry.as_ref().is_some_and(|entry| &*entry.key == "last"))
    });
    let mut keys_left = || shards.ask("map:a", BrokerOp::Map(Box::new(MapOp::Stats)));
    while !matches!(keys_left(), BrokerReply::MapKeys(0)) {}
}

/// The PUB/SUB channel with a channel's messages, with so many partitions.
fn partitioned(channel: &str, count: u32) -> String {
    format!("centrifugo.client.{{{}}}.{channel}", spread(channel, count))
}

#[test]
fn messages_of_a_partition_come_from_who_has_its_slot() {
    let cluster = Cluster::start();
    let mut shards = Shards::new(2, &cluster.options(r#","sharded_pub_sub_partitions":16"#));
    everything(&mut shards);
    for (number, (redis, _)) in cluster.members.iter().enumerate() {
        let listened = |kind| format!("{:?}", redis.connect().send(&["PUBSUB", kind, "centrifugo.client.*"]));
        assert_eq!(listened("CHANNELS"), "List([])");
        let here = listened("SHARDCHANNELS");
        for channel in ["a", "b", "c", "d"] {
            let name = partitioned(channel, 16);
            assert_eq!(here.contains(&name), cluster.owner_of(&name).0 == number, "{name} at {number}: {here}");
        }
    }
    // By the older protocol, too.
    let older = r#","sharded_pub_sub_partitions":3,"force_resp2":true,"prefix":"x""#;
    everything(&mut Shards::new(1, &cluster.options(older)));
}

#[test]
fn messages_of_a_partition_follow_its_slot() {
    let cluster = Cluster::on_the_move();
    let mut shards = Shards::new(2, &cluster.options(r#","sharded_pub_sub_partitions":16"#));
    let (from, slot) = cluster.owner_of(&partitioned("a", 16));
    let mut at = from;
    for round in 0..4 {
        let (old, new) = (at, (at + 1) % 3);
        shards.subscribe("a");
        let (old_id, new_id) = (cluster.id(old), cluster.id(new));
        let (mut old, mut owner) = (cluster.members[old].0.connect(), cluster.members[new].0.connect());
        owner.send(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old_id]);
        old.send(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new_id]);
        for connection in [&mut owner, &mut old] {
            connection.send(&["CLUSTER", "SETSLOT", &slot, "NODE", &new_id]);
        }
        // Whoever asks meanwhile is answered.
        let asked: Vec<_> =
            (0..20).map(|n| shards.place(&format!("{round}:{n}"), BrokerOp::Subscribe(Realm::Streams))).collect();
        shards.ring();
        for ticket in asked {
            assert!(matches!(shards.reply(ticket), BrokerReply::Done | BrokerReply::Failed));
        }
        // Homes are told when the connection is there again, and when the slot is known to be elsewhere.
        while let BrokerEvent::Resumed(_) = shards.wait(|event| match event {
            BrokerEvent::Resumed(name) => name.as_str() == "a",
            BrokerEvent::Publication(name, publication, _) => {
                name.as_str() == "a" && publication.data == round.to_string()
            }
            _ => false,
        }) {
            while !matches!(shards.ask("a", publish(&round.to_string(), 0)), BrokerReply::Published(..)) {}
        }
        shards.send("a", BrokerOp::Unsubscribe(Realm::Streams), None);
        at = new;
    }
}

/// How many scripts a member ran.
fn scripts_run(redis: &Redis) -> u32 {
    let stats = text(&mut redis.connect(), &["INFO", "commandstats"]);
    let calls = stats.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[test]
fn presence_is_read_from_replicas() {
    let cluster = Cluster::on_the_move();
    let (replica, _, _) = cluster.join_as_replica_of(0);
    let channel = (0..).map(|number| format!("c:{number}")).find(|channel| cluster.owner(channel).0 == 0).unwrap();
    let mut writer = Shards::new(1, &cluster.options(""));
    assert!(matches!(writer.ask(&channel, BrokerOp::AddPresence(client(1, "ann"))), BrokerReply::Done));
    // A server of this age lets no field expire, but reads as one that does.
    let options = r#","replica_client":{"enabled":true},"presence_hash_field_ttl":true"#;
    let mut reader = Shards::new(1, &cluster.options(options));
    // The master is asked until the replica can be, which is behind at first.
    let mut is_there = || matches!(reader.ask(&channel, BrokerOp::PresenceStats), BrokerReply::PresenceStats(1, 1));
    while !(is_there() && scripts_run(&replica) > 0) {}
    let before = (scripts_run(&replica), scripts_run(&cluster.members[0].0));
    for _ in 0..10 {
        assert!(matches!(reader.ask(&channel, BrokerOp::Presence), BrokerReply::Presence(found) if found.len() == 1));
    }
    assert_eq!((scripts_run(&replica), scripts_run(&cluster.members[0].0)), (before.0 + 10, before.1));
    // Everything else is the master's.
    assert!(matches!(reader.ask(&channel, ALL), BrokerReply::History(..)));
    assert_eq!((scripts_run(&replica), scripts_run(&cluster.members[0].0)), (before.0 + 10, before.1 + 1));
    drop(replica);
    while !matches!(reader.ask(&channel, BrokerOp::Presence), BrokerReply::Presence(found) if found.len() == 1) {}
    assert!(scripts_run(&cluster.members[0].0) > before.1 + 1);
}

#[test]
fn a_replica_takes_over() {
    let mut cluster = Cluster::on_the_move();
    let owner = cluster.owner_of(&partitioned("a", 16)).0;
    let (replica, ..) = cluster.join_as_replica_of(owner);
    let mut shards = Shards::new(2, &cluster.options(r#","sharded_pub_sub_partitions":16"#));
    shards.subscribe("a");
    for number in 1..=3 {
        publish_at_last(&mut shards, "a", &number.to_string());
        assert_eq!(shards.heard("a"), number.to_string());
    }
    // The replica has it all, when it has what came later.
    let mut connection = cluster.members[owner].0.connect();
    connection.send(&["SET", &format!("later.{{{}}}", spread("a", 16)), "x"]);
    while connection.send(&["WAIT", "1", "20"]) != Value::Int(1) {}
    cluster.members[owner].0.kill();
    // It need not wait for the others to miss the master.
    replica.connect().send(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
    let is_resumed = |event: &BrokerEvent| matches!(event, BrokerEvent::Resumed(name) if name.as_str() == "a");
    while !shards.events.iter().any(is_resumed) {
        // At first nobody has the slot, and both are told so at once.
        let reply = shards.ask("a", ALL);
        assert!(matches!(reply, BrokerReply::Failed | BrokerReply::History(..)), "{reply:?}");
    }
    publish_at_last(&mut shards, "a", "4");
    assert_eq!(shards.heard("a"), "4");
    let BrokerReply::History(kept, top) = shards.ask("a", ALL) else { panic!() };
    assert_eq!((kept.len(), top.offset), (4, 4));
    assert!(text(&mut replica.connect(), &["ROLE"]).contains("master"));
}
