//! What a deadline costs: put in, moved down and handed over, among many.
//!
//! `cargo bench --bench wheel`

use divan::Bencher;
use divan::counter::ItemsCount;
use spindle::base::wheel::Wheel;

fn main() {
    divan::main();
}

/// A million connections pinged each 25 s; one second of it, each deadline put in anew.
#[divan::bench(args = [10_000u64, 1_000_000])]
fn one_second_of_pings(bencher: Bencher<'_, '_>, connections: u64) {
    const INTERVAL_MS: u64 = 25_000;
    let mut wheel = Wheel::new();
    for n in 0..connections {
        wheel.insert(n * INTERVAL_MS / connections, n);
    }
    let mut now_ms = 0;
    let mut due = Vec::new();
    bencher.counter(ItemsCount::new(connections * 1000 / INTERVAL_MS)).bench_local(|| {
        for _ in 0..100 {
            now_ms += 10;
            while wheel.advance(now_ms, 1024, |n| due.push(n)) {}
            for n in due.drain(..) {
                wheel.insert(now_ms + INTERVAL_MS, n);
            }
        }
    });
}

/// A turn in which nothing is due: what every turn of a shard pays.
#[divan::bench]
fn an_idle_turn(bencher: Bencher<'_, '_>) {
    let mut wheel = Wheel::new();
    for n in 0..100_000u64 {
        wheel.insert(1_000_000 + n * 10, n);
    }
    bencher.bench_local(|| (wheel.advance(divan::black_box(1000), 1024, |_| ()), wheel.next_expiry()));
}
