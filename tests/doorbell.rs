//! proto
use glommio::{LocalExecutorBuilder, Placement};
use spindle::net::bell::{Bell, Sleeper};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
#[test]
fn pingpong() {
    let n: u64 = 400_000;
    let bells = Arc::new([Bell::new().unwrap(), Bell::new().unwrap()]);
    let count = Arc::new(AtomicU64::new(0));
    let sleeping = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let stop = Arc::new(AtomicBool::new(false));
    let burners: Vec<_> = (0..3).map(|_| { let s = stop.clone(); std::thread::spawn(move || { let mut x = 0u64; while !s.load(SeqCst) { for i in 0..10000u64 { x = x.wrapping_mul(31).wrapping_add(i); } } std::hint::black_box(x); }) }).collect();
    let start = Instant::now();
    let hs: Vec<_> = (0..2u64).map(|me| {
        let (bells, count, sleeping) = (bells.clone(), count.clone(), sleeping.clone());
        LocalExecutorBuilder::new(Placement::Fixed(me as usize)).preempt_timer(Duration::from_secs(3600)).io_memory(64 << 10).spawn(move || async move {
            let mut sl = Sleeper::new(&bells[me as usize]).unwrap();
            let mut worst = Duration::ZERO;
            loop {
                let c = count.load(SeqCst);
                if c >= n { bells[1 - me as usize].ring(); break; }
                if c % 2 == me { count.store(c + 1, SeqCst);
                    if sleeping[1 - me as usize].swap(false, SeqCst) { bells[1 - me as usize].ring(); } continue; }
                sleeping[me as usize].store(true, SeqCst);
                if count.load(SeqCst) % 2 == me || count.load(SeqCst) >= n { sleeping[me as usize].store(false, SeqCst); continue; }
                let t = Instant::now();
                sl.sleep().await.unwrap();
                worst = worst.max(t.elapsed());
                sleeping[me as usize].store(false, SeqCst);
            }
            worst
        }).unwrap()
    }).collect();
    for h in hs { println!("worst {:?}", h.join().unwrap()); }
    stop.store(true, SeqCst);
    for b in burners { b.join().unwrap(); }
    println!("{:?} per hop", start.elapsed() / n as u32);
}
