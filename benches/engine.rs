//! A whole shard without sockets: bytes of a client or a call of the server API in, owed frames out and taken. What is
//! missing to the real cost is the kernel's.
//!
//! `cargo bench --bench engine`

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use spindle::auth::token;
use spindle::protocol::Protocol;
use spindle::sim::cluster::{Cluster, connect_frame, open_config, publish_frame, subscribe_frame, token_config};

#[global_allocator]
static ALLOCATIONS: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

const PROTOCOLS: [Protocol; 2] = [Protocol::Json, Protocol::Protobuf];
const BODY: &[u8] = br#"{"channel":"news","data":{"text":"one message of some sixty bytes, as chats send them"}}"#;

fn main() {
    divan::main();
}

fn subscribed(count: usize, protocol: Protocol) -> Cluster {
    let mut cluster = Cluster::new(1, open_config());
    for _ in 0..count {
        let client = cluster.connect(0, protocol);
        cluster.subscribe(client, "news");
    }
    cluster
}

/// One publication over the server API to so many subscribers: decoded, ordered, encoded once, owed and taken.
#[divan::bench(args = [1, 1000, 10_000])]
fn publish_json(bencher: Bencher<'_, '_>, subscribers: usize) {
    publish(bencher, subscribers, Protocol::Json);
}

/// The same to Protobuf clients.
#[divan::bench(args = [1, 1000, 10_000])]
fn publish_protobuf(bencher: Bencher<'_, '_>, subscribers: usize) {
    publish(bencher, subscribers, Protocol::Protobuf);
}

fn publish(bencher: Bencher<'_, '_>, subscribers: usize, protocol: Protocol) {
    let mut cluster = subscribed(subscribers, protocol);
    bencher.counter(ItemsCount::new(subscribers)).bench_local(|| {
        cluster.call(0, "publish", BODY);
        cluster.settle();
    });
}

/// Ten publications in one turn to a thousand subscribers: ten frames in one write each.
#[divan::bench]
fn ten_publications_a_turn(bencher: Bencher<'_, '_>) {
    let mut cluster = subscribed(1000, Protocol::Json);
    bencher.counter(ItemsCount::new(10_000usize)).bench_local(|| {
        (0..10).for_each(|_| cluster.call(0, "publish", BODY));
        cluster.settle();
    });
}

/// A client publishes to its own channel and gets it, push and reply in one write.
#[divan::bench(args = PROTOCOLS)]
fn echo(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let mut cluster = Cluster::new(1, open_config());
    let client = cluster.connect(0, protocol);
    cluster.subscribe(client, "news");
    let frame = publish_frame(protocol, "news", br#"{"text":"one message of some sixty bytes, as chats send them"}"#);
    bencher.with_inputs(|| frame.clone()).bench_local_values(|mut bytes| {
        cluster.send(client, &mut bytes);
        cluster.settle();
        bytes
    });
}

/// A client comes with a token, subscribes to a channel of its own, and goes.
#[divan::bench(args = PROTOCOLS)]
fn connect_and_subscribe(bencher: Bencher<'_, '_>, protocol: Protocol) {
    let config = token_config();
    let token = token::connection(&config.client.token, "user42", 3600, 1_700_000_000).expect("there is a secret");
    let mut cluster = Cluster::new(1, config);
    let (connect, subscribe) = (connect_frame(protocol, &token), subscribe_frame(protocol, "own"));
    bencher.with_inputs(|| (connect.clone(), subscribe.clone())).bench_local_values(|(mut connect, mut subscribe)| {
        let client = cluster.open(0, protocol);
        cluster.send(client, &mut connect);
        cluster.settle();
        cluster.send(client, &mut subscribe);
        cluster.settle();
        cluster.close(client);
        cluster.settle();
    });
}
