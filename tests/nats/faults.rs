//! NATS goes away and comes back: nodes find it again with all subscriptions, and nothing is acknowledged that cannot
//! be told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use serde_json::{Value, json};
use spindle::base::ids::ConnId;
use spindle::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply, BrokerRequest, Realm, Ticket};
use spindle::channel::name::ChannelName;
use spindle::config::load::{Sources, load};
use spindle::config::prepare::{Host, prepare};
use spindle::control::broker::Broker;
use spindle::control::plane::Bell;
use spindle::mesh::line;

use crate::nats::Nats;
use crate::support::PATIENCE;
use crate::support::server::Server;
use crate::talker::Talker;
use crate::{config, meet, nodes_known, ours, try_api, wait_until};

fn try_publish(node: &Server, channel: &str, data: Value) -> Result<(), u64> {
    let reply = try_api(node, "publish", json!({"channel": channel, "data": data}));
    if reply["result"].is_object() { Ok(()) } else { Err(reply["error"]["code"].as_u64().expect("a code")) }
}

/// Publishes this until it arrives.
#[track_caller]
fn publish_until_it_comes(node: &Server, channel: &str, client: &mut Talker, data: &str) {
    wait_until("publishing works again", || try_publish(node, channel, json!("before")).is_ok());
    // The other node may have been later; what it missed is gone.
    let heard = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("publications arrive again", || {
                let _ = try_publish(node, channel, json!(data));
                heard.load(Ordering::Relaxed)
            });
        });
        while client.pushed("pub")["data"] != data {}
        heard.store(true, Ordering::Relaxed);
    });
}

#[test]
fn nats_is_killed_and_comes_back() {
    let mut nats = Nats::start();
    let (one, other) = (ours(&nats), ours(&nats));
    meet([&one, &other]);
    let mut early = Talker::connect(&other);
    early.subscribe(json!({"channel": "plain:early"}));
    nats.kill();
    // Both connections of each node.
    one.wait_for_log_lines("connection lost", 2);
    other.wait_for_log_lines("connection lost", 2);
    // Nothing is kept for later; subscribers need not wait.
    assert_eq!(try_publish(&one, "plain:early", json!(1)), Err(100));
    let mut late = Talker::connect(&other);
    late.subscribe(json!({"channel": "plain:late"}));
    let disconnected = try_api(&one, "disconnect", json!({"user": "nobody"}));
    assert_eq!(disconnected["error"]["code"], 100, "other nodes cannot be told: {disconnected}");
    nats.restart();
    publish_until_it_comes(&one, "plain:early", &mut early, "early");
    publish_until_it_comes(&one, "plain:late", &mut late, "late");
    // What was unsubscribed from meanwhile is not subscribed to again.
    meet([&one, &other]);
}

#[test]
fn nats_is_stopped_for_a_while() {
    let nats = Nats::start();
    let (one, other) = (ours(&nats), ours(&nats));
    meet([&one, &other]);
    let mut client = Talker::connect(&other);
    client.subscribe(json!({"channel": "plain:1"}));
    nats.signal(rustix::process::Signal::STOP);
    // They are given up.
    one.wait_for_log_lines("connection lost", 2);
    other.wait_for_log_lines("connection lost", 2);
    assert_eq!(try_publish(&one, "plain:1", json!(1)), Err(100));
    nats.signal(rustix::process::Signal::CONT);
    publish_until_it_comes(&one, "plain:1", &mut client, "again");
}

/// A node that ends says so, and others know at once.
#[test]
fn nodes_leave() {
    let nats = Nats::start();
    let (one, mut other) = (ours(&nats), ours(&nats));
    meet([&one, &other]);
    other.signal("TERM");
    assert!(other.wait().success());
    wait_until("the other node is gone", || nodes_known(&one) == 1);
}

/// Two servers of one NATS: a node that was told of one learns of the other, and goes over to it.
#[test]
fn a_node_goes_over_to_another_server() {
    let mut first = Nats::with(&["--cluster_name", "c", "--cluster", "nats://127.0.0.1:-1"]);
    let route = first.cluster.expect("a port for routes");
    let second = Nats::with(&[
        "--cluster_name",
        "c",
        "--cluster",
        "nats://127.0.0.1:-1",
        "--routes",
        &format!("nats://127.0.0.1:{route}"),
    ]);
    let (one, other) = (ours(&first), Server::start(config(&second, json!({}))));
    meet([&one, &other]);
    let mut client = Talker::connect(&one);
    client.subscribe(json!({"channel": "plain:1"}));
    first.kill();
    // The connection for nodes may be at the other one already.
    one.wait_for_log("connection lost");
    publish_until_it_comes(&other, "plain:1", &mut client, "over there");
}

/// More channels than are asked for at once, each with its home at one shard.
#[test]
fn many_channels_are_subscribed_to_again() {
    const CHANNELS: usize = 40_000;
    let mut nats = Nats::start();
    let options = config(&nats, json!({})).to_string();
    let loaded = load(Sources { file: Some(("a.json", &options)), env: &Default::default(), flags: &[] });
    let host = Host { name: "test", resolve: &|_| None };
    let snapshot = prepare(&loaded.expect("options").options, &host, false).expect("options");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let found = runtime.block_on(Broker::find(&snapshot, "node"));
    let driver = found.expect("it is there").expect("not in memory");
    let ((mut line, far_end), (rings, rung), bell) = (line(), mpsc::channel(), Bell::default());
    runtime.spawn(driver.serve(vec![far_end], bell.clone(), std::sync::Arc::new(|_: &str| None), move |_| {
        // A test that is over listens no more.
        let _ = rings.send(());
    }));
    let ask = |number: usize| BrokerRequest::Channel {
        channel: ChannelName::new(&format!("plain:{number}")),
        op: BrokerOp::Subscribe(Realm::Streams),
        ticket: Some(Ticket(ConnId { slot: number as u32, generation: 0 })),
    };
    line.send((0..CHANNELS).map(ask).collect());
    bell.ring();
    let mut count = |counts: fn(&BrokerEvent) -> bool| {
        let mut found = 0;
        while found < CHANNELS {
            match line.take() {
                Some(events) => found += events.iter().filter(|event| counts(event)).count(),
                None if line.prepare_to_sleep() => {
                    rung.recv_timeout(PATIENCE).expect("something comes");
                    line.awake();
                }
                None => {}
            }
        }
    };
    count(|event| matches!(event, BrokerEvent::Reply(_, BrokerReply::Done)));
    nats.kill();
    nats.restart();
    count(|event| matches!(event, BrokerEvent::Resumed(_)));
}
