//! A Redis Cluster of three members: requests find the member that has the slot, also while slots move.

use spindle::broker::Value;
use spindle::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply};

use super::driver::{ALL, Shards, everything, free_port, publish};
use super::faults::publish_at_last;
use super::redis::{Connection, Redis};

struct Cluster {
    members: Vec<(Redis, u16)>,
}

/// What a member says, as text.
fn text(connection: &mut Connection, request: &[&str]) -> String {
    match connection.send(request) {
        Value::Bytes(text) => String::from_utf8_lossy(&text).into_owned(),
        other => format!("{other:?}"),
    }
}

impl Cluster {
    fn start() -> Self {
        let members: Vec<_> = (0..3).map(|_| Self::member()).collect();
        let mut first = members[0].0.connect();
        for (number, (redis, port, bus)) in members.iter().enumerate() {
            let (from, to) = (number * 16_384 / 3, (number + 1) * 16_384 / 3 - 1);
            redis.connect().send(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            first.send(&["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()]);
        }
        for (redis, ..) in &members {
            let mut connection = redis.connect();
            let is_ready = |info: String| info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
            while !is_ready(text(&mut connection, &["CLUSTER", "INFO"])) {
                // Waits for a replica that does not come: the time members need to hear of each other.
                connection.send(&["WAIT", "1", "20"]);
            }
        }
        Self { members: members.into_iter().map(|(redis, port, _)| (redis, port)).collect() }
    }

    fn member() -> (Redis, u16, u16) {
        let (port, bus) = (free_port(), free_port());
        let (port_text, bus_text) = (port.to_string(), bus.to_string());
        let redis = Redis::with(
            &[
                ["--port", &port_text],
                ["--cluster-port", &bus_text],
                ["--cluster-enabled", "yes"],
                ["--cluster-node-timeout", "1000"],
                ["--cluster-require-full-coverage", "no"],
            ]
            .concat(),
        );
        (redis, port, bus)
    }

    /// The options of `engine.redis`.
    fn options(&self, more: &str) -> String {
        format!(r#"{{"cluster_address":["127.0.0.1:{},127.0.0.1:{}"]{more}}}"#, self.members[0].1, self.members[1].1)
    }

    /// The number of the member that has a channel's slot, and the slot.
    fn owner(&self, channel: &str) -> (usize, String) {
        let key = format!("centrifugo.stream.{{{channel}}}");
        let Value::Int(slot) = self.members[0].0.connect().send(&["CLUSTER", "KEYSLOT", &key]) else { panic!() };
        let owner = (0..3).find(|number| slot < ((number + 1) * 16_384 / 3) as i64);
        (owner.unwrap(), slot.to_string())
    }

    fn id(&self, number: usize) -> String {
        text(&mut self.members[number].0.connect(), &["CLUSTER", "MYID"])
    }
}

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
    let cluster = Cluster::start();
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
    let mut cluster = Cluster::start();
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
    shards.send(&of[0], BrokerOp::Unsubscribe, None);
}
