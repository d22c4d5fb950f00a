//! The doorbell under stress: two shards that hand messages to and fro while other threads overload their cores.
//!
//! What could go wrong is a wake-up that is lost (the shard sleeps although its inbox is full) or an executor that
//! parks with work to do. Either shows as a stall for good: nobody else would wake the shard. A stall of
//! 20 seconds fails the test; overloaded machines hold threads up for more than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use glommio::{LocalExecutorBuilder, Placement};
use spindle::base::ids::ShardId;
use spindle::mesh::{Limits, Port, mesh};
use spindle::net::bell::Bell;
use spindle::net::ring::Ring;

const ROUND_TRIPS: u64 = 2_000_000;
/// Messages under way at once. Few enough that both shards run out of work and sleep all the time.
const IN_FLIGHT: u64 = 64;
const MAX_STALL: Duration = Duration::from_secs(20);

/// A message knows how many hops it has left.
type Hops = u64;

/// What one shard saw.
struct Seen {
    hops: u64,
    sleeps: u64,
    longest_stall: Duration,
}

async fn shard(mut port: Port<Hops, Hops, ()>, bells: Arc<[Bell; 2]>) -> Seen {
    let me = port.me();
    let other = ShardId(1 - me.0);
    let mut ring = Ring::new(&bells[me.index()]).expect("a ring");
    let mut seen = Seen { hops: 0, sleeps: 0, longest_stall: Duration::ZERO };
    if me.0 == 0 {
        for message in 0..IN_FLIGHT {
            port.stage_request(other, 2 * ROUND_TRIPS / IN_FLIGHT - 1 + message % 2);
        }
    }
    let mut finished = 0;
    let mut last_news = Instant::now();
    loop {
        let mut news = false;
        // Requests go out, deliveries come back, as between a session and a channel's home.
        while let Some((from, batch)) = port.take_requests() {
            news = true;
            for hops in batch {
                seen.hops += 1;
                if hops == 0 { finished += 1 } else { port.stage_delivery(from, hops - 1) }
            }
        }
        while let Some((from, batch)) = port.take_deliveries() {
            news = true;
            for hops in batch {
                seen.hops += 1;
                if hops == 0 { finished += 1 } else { port.stage_request(from, hops - 1) }
            }
        }
        if news {
            seen.longest_stall = seen.longest_stall.max(last_news.elapsed());
            last_news = Instant::now();
        }
        while let Some((_, batch)) = port.take_control() {
            finished += IN_FLIGHT * batch.len() as u64;
        }
        // Messages with an odd number of hops end on one shard, those with an even number on the other.
        if finished >= IN_FLIGHT / 2 {
            port.flush(|shard| bells[shard.index()].ring());
            return seen;
        }
        port.flush(|shard| bells[shard.index()].ring());
        if port.prepare_to_sleep() {
            seen.sleeps += 1;
            ring.sleep(None).expect("the ring can be waited for");
            ring.events(1024, |_| {}).expect("the bell is watched");
        }
        port.awake();
    }
}

#[test]
fn no_wake_up_is_lost_under_overload() {
    let bells = Arc::new([Bell::new().expect("a bell"), Bell::new().expect("a bell")]);
    let stop = Arc::new(AtomicBool::new(false));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let burners: Vec<_> = (0..cores + 1)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box((0..10_000u64).fold(0u64, |sum, n| sum.wrapping_mul(31).wrapping_add(n)));
                }
            })
        })
        .collect();
    let shards: Vec<_> = mesh::<Hops, Hops, ()>(2, Limits::default())
        .into_iter()
        .enumerate()
        .map(|(index, port)| {
            let bells = bells.clone();
            LocalExecutorBuilder::new(Placement::Fixed(index % cores))
                .preempt_timer(Duration::from_secs(10 * 365 * 86_400))
                .io_memory(64 << 10)
                .spawn(move || shard(port, bells))
                .expect("an executor; is io_uring available?")
        })
        .collect();
    let seen: Vec<Seen> = shards.into_iter().map(|shard| shard.join().expect("the shard ends")).collect();
    stop.store(true, Ordering::Relaxed);
    for burner in burners {
        burner.join().expect("the burner ends");
    }
    let hops: u64 = seen.iter().map(|seen| seen.hops).sum();
    assert!(hops >= 2 * ROUND_TRIPS, "{hops} hops");
    for (shard, seen) in seen.iter().enumerate() {
        println!("shard {shard}: {} hops, {} sleeps, longest stall {:?}", seen.hops, seen.sleeps, seen.longest_stall);
        assert!(seen.sleeps > 1000, "shard {shard} hardly ever slept, so nothing was proved");
        assert!(seen.longest_stall < MAX_STALL, "shard {shard} was stuck for {:?}", seen.longest_stall);
    }
}
