//! The cost of a delivery with 1 to 16 shards, all in one thread, so that only what sharding itself costs can show:
//! it should stay flat. 16,000 subscribers of one channel in all cases. `tests/scale.rs` counts what lies behind it.
//!
//! `cargo bench --bench scale`

use divan::Bencher;
use divan::counter::ItemsCount;
use spindle::protocol::Protocol;
use spindle::sim::cluster::{Cluster, open_config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHARDS: [u16; 5] = [1, 2, 4, 8, 16];
const SUBSCRIBERS: usize = 16_000;
const CHANNEL: &str = "news";
const BODY: &[u8] = br#"{"channel":"news","data":{"text":"one message of some sixty bytes, as chats send them"}}"#;

fn main() {
    divan::main();
}

/// Publications to subscribers on the shards that `place` names.
fn deliver(bencher: Bencher<'_, '_>, shards: u16, place: impl Fn(usize, usize) -> usize) {
    let mut cluster = Cluster::new(shards, open_config());
    let home = cluster.home_of(CHANNEL);
    for n in 0..SUBSCRIBERS {
        let client = cluster.connect(place(n, home), Protocol::Json);
        cluster.settle();
        cluster.subscribe(client, CHANNEL);
    }
    bencher.counter(ItemsCount::new(SUBSCRIBERS)).bench_local(|| {
        cluster.call(home, "publish", BODY);
        cluster.settle();
    });
}

/// Subscribers on all shards alike.
#[divan::bench(args = SHARDS)]
fn spread(bencher: Bencher<'_, '_>, shards: u16) {
    deliver(bencher, shards, |n, _| n % usize::from(shards));
}

/// All subscribers at the channel's home; the other shards have nothing to do with it.
#[divan::bench(args = SHARDS)]
fn local(bencher: Bencher<'_, '_>, shards: u16) {
    deliver(bencher, shards, |_, home| home);
}
