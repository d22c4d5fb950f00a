//! What it costs to hand items to another shard, by items in a batch.
//!
//! `cargo bench --bench mesh`

use divan::Bencher;
use divan::counter::ItemsCount;
use spindle::base::ids::ShardId;
use spindle::mesh::{Limits, mesh};

fn main() {
    divan::main();
}

/// Staged, flushed, taken and the buffer given back, in one thread: the work without the cache misses of two.
#[divan::bench(args = [1u64, 16, 256])]
fn hand_over(bencher: Bencher<'_, '_>, items: u64) {
    let mut ports = mesh::<u64, u64, u64>(2, Limits::default());
    bencher.counter(ItemsCount::new(items)).bench_local(|| {
        for n in 0..items {
            ports[0].stage_delivery(ShardId(1), n);
        }
        ports[0].flush(|_| ());
        while let Some((_, batch)) = ports[1].take_deliveries() {
            divan::black_box(&batch);
            ports[0].recycle_deliveries(batch);
        }
    });
}

/// A request to another thread and the delivery that answers it, both threads polling: two hand-overs and the misses.
#[divan::bench(args = [1u64, 16, 256])]
fn round_trip(bencher: Bencher<'_, '_>, items: u64) {
    let mut ports = mesh::<u64, u64, u64>(2, Limits::default());
    let mut home = ports.pop().expect("two shards");
    let mut shard = ports.pop().expect("two shards");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                if home.take_control().is_some() {
                    return;
                }
                while let Some((from, batch)) = home.take_requests() {
                    batch.iter().for_each(|n| home.stage_delivery(from, *n));
                    home.recycle_requests(batch);
                }
                home.flush(|_| ());
                std::hint::spin_loop();
            }
        });
        bencher.counter(ItemsCount::new(items)).bench_local(|| {
            for n in 0..items {
                shard.stage_request(ShardId(1), n);
            }
            shard.flush(|_| ());
            let mut answered = 0;
            while answered < items {
                while let Some((_, batch)) = shard.take_deliveries() {
                    answered += batch.len() as u64;
                    shard.recycle_deliveries(batch);
                }
            }
        });
        shard.stage_control(ShardId(1), 0);
        shard.flush(|_| ());
    });
}
