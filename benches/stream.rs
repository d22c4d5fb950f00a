//! What a channel's home costs: appending to a stream, reading it back, subscribing, and publishing to the shards
//! that listen.
//!
//! `cargo bench --bench stream`

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use rand::SeedableRng;
use rand::rngs::StdRng;
use spindle::base::ids::{ClientId, ShardId};
use spindle::base::time::Now;
use spindle::channel::home::Homes;
use spindle::channel::name::ChannelName;
use spindle::channel::op::{Delivery, HistoryOptions, Op, PublishOp, ReplyTo, SubscribeOp};
use spindle::channel::publication::{ClientInfo, Epoch, Publication};
use spindle::channel::stream::Stream;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const HISTORY: HistoryOptions = HistoryOptions { size: 100, ttl_s: 300, meta_ttl_s: 3600 };
const PUBLICATIONS: usize = 1000;
const CHANNELS: usize = 10_000;

fn main() {
    divan::main();
}

fn publication() -> Publication {
    Publication::bare(Bytes::from_static(br#"{"text":"one message of some sixty bytes, as chats send them"}"#))
}

fn filled() -> Stream {
    let mut stream = Stream::new(Epoch::from_random([1; 8]));
    for _ in 0..2 * HISTORY.size {
        stream.append(publication(), HISTORY.size, Box::default());
    }
    stream
}

/// Appending to a full ring.
#[divan::bench]
fn append(bencher: Bencher<'_, '_>) {
    let mut stream = filled();
    bencher.counter(ItemsCount::new(PUBLICATIONS)).bench_local(|| {
        for _ in 0..PUBLICATIONS {
            black_box(stream.append(publication(), HISTORY.size, Box::default()));
        }
    });
}

/// Reading the last so many publications, as a recovery does.
#[divan::bench(args = [0, 1, 10, 100])]
fn read_since(bencher: Bencher<'_, '_>, missed: u64) {
    let stream = filled();
    let since = stream.position().offset - missed;
    bencher.bench_local(|| stream.read(&stream.select(Some(since), -1, false)));
}

fn subscribe_op(presence: Option<Arc<ClientInfo>>) -> Op {
    Op::Subscribe(Box::new(SubscribeOp {
        position: true,
        recover: None,
        meta_ttl_s: HISTORY.meta_ttl_s,
        presence: presence.map(|info| (info, 60_000)),
        join: None,
    }))
}

fn client(number: usize) -> Arc<ClientInfo> {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    let (conn_info, chan_info) = (Bytes::new(), Bytes::new());
    Arc::new(ClientInfo { user: number.to_string().into(), client: ClientId(id), conn_info, chan_info })
}

fn homes() -> Homes {
    Homes::new(StdRng::seed_from_u64(1))
}

/// The first subscription of many channels, with position and presence.
#[divan::bench]
fn subscribe(bencher: Bencher<'_, '_>) {
    let names: Vec<_> = (0..CHANNELS).map(|n| ChannelName::new(&format!("channel:{n}"))).collect();
    let clients: Vec<_> = (0..CHANNELS).map(client).collect();
    let now = Now::default();
    bencher.counter(ItemsCount::new(CHANNELS)).with_inputs(homes).bench_local_values(|mut homes| {
        for (name, client) in names.iter().zip(&clients) {
            let op = subscribe_op(Some(client.clone()));
            homes.handle(ShardId(0), name, op, ReplyTo::None, now, &mut |_, delivery| drop(black_box(delivery)));
        }
        homes
    });
}

fn publish(bencher: Bencher<'_, '_>, shards: u16, history: HistoryOptions) {
    let (mut homes, now) = (homes(), Now::default());
    let names: Vec<_> = (0..PUBLICATIONS).map(|n| ChannelName::new(&format!("channel:{n}"))).collect();
    for name in &names {
        for shard in 0..shards {
            homes.handle(ShardId(shard), name, subscribe_op(None), ReplyTo::None, now, &mut |_, _| {});
        }
    }
    let mut deliveries: Vec<Delivery> = Vec::with_capacity(usize::from(shards));
    let ops = || -> Vec<Op> {
        let op = || PublishOp {
            publication: publication(),
            history,
            delta: false,
            idempotency_key: None,
            version_epoch: Box::default(),
        };
        (0..PUBLICATIONS).map(|_| Op::Publish(Box::new(op()))).collect()
    };
    bencher.counter(ItemsCount::new(PUBLICATIONS)).with_inputs(ops).bench_local_values(|ops| {
        for (name, op) in names.iter().zip(ops) {
            deliveries.clear();
            homes.handle(ShardId(0), name, op, ReplyTo::None, now, &mut |_, delivery| deliveries.push(delivery));
        }
    });
}

/// Publishing at the home, to so many interested shards.
#[divan::bench(args = [0, 1, 4, 64, 128])]
fn publish_plain(bencher: Bencher<'_, '_>, shards: u16) {
    publish(bencher, shards, HistoryOptions::default());
}

/// The same with history.
#[divan::bench(args = [0, 1, 4])]
fn publish_with_history(bencher: Bencher<'_, '_>, shards: u16) {
    publish(bencher, shards, HISTORY);
}
