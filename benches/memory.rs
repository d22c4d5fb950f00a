//! Memory at scale, counted by the allocator and not sampled: bytes for each connection, for each channel with one
//! subscriber and no history, and for each further subscription; and how long a client with 100,000 subscriptions
//! takes to leave, alone and among ten times as many of others.
//!
//! `cargo bench --bench memory` (a million of each; `-- 100000` for fewer)

#[path = "../tests/support/allocations.rs"]
mod allocations;

use std::time::Duration;

use allocations::so_far;
use rustix::time::{ClockId, clock_gettime};
use spindle::protocol::Protocol;
use spindle::sim::cluster::{Client, Cluster, open_config};

#[global_allocator]
static COUNTING: allocations::Counting = allocations::Counting;

const CONNECTIONS: usize = 10_000;
const LEAVER: usize = 100_000;

fn main() {
    let channels = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let mut cluster = Cluster::new(1, open_config());
    let clients = connections(&mut cluster);
    let each = channels / CONNECTIONS;
    let part = |n: usize| clients[n / each % CONNECTIONS];
    bytes_each("a channel and its one subscription", channels, || {
        (0..channels).for_each(|n| cluster.subscribe(part(n), &format!("chat-room-{n:07}")));
    });
    let shared = channels / 100;
    bytes_each("a further subscription to a channel", channels, || {
        let mut more = |n: usize| cluster.subscribe(clients[n % CONNECTIONS], &format!("news-{:07}", n / 100));
        (0..channels).for_each(&mut more);
    });
    println!("({shared} channels with 100 subscribers each are in the last figure)");
    leave(&mut cluster, channels * 2);
    let mut alone = Cluster::new(1, open_config());
    leave(&mut alone, 0);
}

fn connections(cluster: &mut Cluster) -> Vec<Client> {
    let mut clients = Vec::with_capacity(CONNECTIONS);
    bytes_each("a connection", CONNECTIONS, || {
        clients.extend((0..CONNECTIONS).map(|_| cluster.connect(0, Protocol::Json)));
        cluster.settle();
    });
    clients
}

/// The time of this thread alone: others may use the core too.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn leave(cluster: &mut Cluster, others: usize) {
    let leaver = cluster.connect(0, Protocol::Json);
    let mut longest = Duration::ZERO;
    for n in 0..LEAVER {
        let started = cpu();
        cluster.subscribe(leaver, &format!("own-{n}"));
        longest = longest.max(cpu() - started);
    }
    println!("longest of {LEAVER} subscribes: {longest:?}");
    let started = cpu();
    cluster.close(leaver);
    let closing = cpu() - started;
    let (mut rounds, mut longest, mut more) = (0, Duration::ZERO, true);
    while more {
        let round = cpu();
        more = cluster.round(0);
        rounds += 1;
        longest = longest.max(cpu() - round);
    }
    println!(
        "{LEAVER} subscriptions end beside {others} others: {:?} in all; {closing:?} for closing, then {rounds} rounds of at most {longest:?}",
        cpu() - started
    );
}

fn bytes_each(what: &str, count: usize, make: impl FnOnce()) {
    let (before, started) = (so_far(), cpu());
    make();
    let (after, took) = (so_far(), cpu() - started);
    let bytes = (after.live - before.live) as f64 / count as f64;
    println!("{what}: {bytes:.1} bytes ({count} of them, {:.2} us each)", took.as_secs_f64() * 1e6 / count as f64);
}
