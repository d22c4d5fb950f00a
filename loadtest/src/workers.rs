//! The threads of a run: they get ready, begin at one moment, and become one result. Meanwhile this thread watches the
//! server and tells how it goes.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::Failure;
use crate::bench::Bench;
use crate::clock::{self, SECOND, seconds};
use crate::process::pin_to;
use crate::progress::Progress;
use crate::tally::{Tally, Window};

/// Time between the moment when all are ready and the first thing due.
const LEAD: u64 = SECOND / 50;
const SAMPLE: u64 = SECOND / 4;

/// What the server's process used in the measured part.
#[derive(Clone, Debug, Default)]
pub struct ServerUse {
    /// CPU time, all threads.
    pub cpu: Duration,
    /// That of the other process that is told of.
    pub also: Option<Duration>,
    /// Length of the part, seconds.
    pub wall: f64,
    /// Seconds since the part began, and share of one core used since the sample before.
    pub series: Vec<(f64, f64)>,
    /// Private memory at the beginning and the end of the part, bytes.
    pub memory: (u64, u64),
}

/// What workers tell while they run.
#[derive(Default)]
pub struct Live {
    /// Units that arrived.
    pub arrived: AtomicU64,
    /// Connections that are open.
    pub connections: AtomicU64,
}

/// Where workers wait for each other.
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
    workers: usize,
    spans: [u64; 3],
}

#[derive(Default)]
struct GateState {
    ready: usize,
    failed: bool,
    finished: usize,
    window: Option<Window>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().expect("no worker panics while it holds this")
    }

    fn ready(&self) -> Result<Window, Failure> {
        let mut state = self.lock();
        state.ready += 1;
        if state.ready == self.workers {
            let origin = clock::now() + LEAD;
            let start = origin + self.spans[0] + self.spans[1];
            state.window = Some(Window { origin, start, end: start + self.spans[2] });
            self.changed.notify_all();
        }
        loop {
            match state.window {
                _ if state.failed => return Err("another worker failed".into()),
                Some(window) => return Ok(window),
                None => state = self.changed.wait(state).expect("no worker panics while it holds this"),
            }
        }
    }

    fn finish(&self, failed: bool) {
        let mut state = self.lock();
        state.finished += 1;
        state.failed |= failed;
        self.changed.notify_all();
    }

    fn failed(&self) -> bool {
        self.lock().failed
    }
}

/// One of the threads.
pub struct Worker<'a> {
    /// From 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    gate: &'a Gate,
    live: &'a Live,
}

impl Worker<'_> {
    /// This worker's part of `total` things.
    pub fn share(&self, total: usize) -> Range<usize> {
        self.index * total / self.count..(self.index + 1) * total / self.count
    }

    /// Waits until all workers are ready. The load begins at the window's origin.
    pub fn ready(&self) -> Result<Window, Failure> {
        self.gate.ready()
    }

    /// Whether another worker failed, so that going on makes no sense.
    pub fn is_over(&self) -> bool {
        self.gate.failed()
    }

    /// Tells how it goes.
    pub fn tell(&self, arrived: u64) {
        self.live.arrived.fetch_add(arrived, Ordering::Relaxed);
    }

    /// Connections opened or closed.
    pub fn tell_connections(&self, opened: i64) {
        self.live.connections.fetch_add(opened as u64, Ordering::Relaxed);
    }
}

/// Runs a worker's part on each thread; the merged results, and what the server used.
pub fn run(
    bench: &Bench,
    work: impl Fn(&Worker<'_>) -> Result<Tally, Failure> + Sync,
) -> Result<(Tally, Option<ServerUse>), Failure> {
    let options = &bench.options;
    let count = options.workers as usize;
    let gate = Gate {
        state: Mutex::default(),
        changed: Condvar::new(),
        workers: count,
        spans: [options.ramp, options.warmup, options.duration],
    };
    let live = Live::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| {
                let (gate, live, work) = (&gate, &live, &work);
                scope.spawn(move || {
                    let core = options.core.get(index % options.core.len().max(1));
                    let result = core
                        .map_or(Ok(()), |core| pin_to(*core))
                        .and_then(|()| work(&Worker { index, count, gate, live }));
                    gate.finish(result.is_err());
                    result
                })
            })
            .collect();
        let watched = watch(bench, &gate, &live);
        let mut merged: Option<Tally> = None;
        let mut failure: Option<Failure> = None;
        for thread in threads {
            match thread.join().map_err(|_| "a worker panicked")? {
                Ok(tally) => match &mut merged {
                    Some(merged) => merged.merge(tally),
                    None => merged = Some(tally),
                },
                // What the others say is only that one failed.
                Err(e) if failure.is_none() || count == 1 || e.to_string() != "another worker failed" => {
                    failure = Some(e);
                }
                Err(_) => {}
            }
        }
        match (failure, merged) {
            (Some(failure), _) => Err(failure),
            (None, Some(merged)) => Ok((merged, watched?)),
            (None, None) => Err("no worker ran".into()),
        }
    })
}

/// Samples the server until all workers have finished.
fn watch(bench: &Bench, gate: &Gate, live: &Live) -> Result<Option<ServerUse>, Failure> {
    let mut progress = Progress::new(bench.name);
    let mut began = None;
    let mut before = None;
    let mut used = ServerUse::default();
    let mut done = false;
    loop {
        let (window, over) = {
            let state = gate.lock();
            (state.window, state.finished == gate.workers || state.failed)
        };
        if over {
            break;
        }
        let now = clock::now();
        let mut next = now + SAMPLE;
        if let (Some(window), Some(process)) = (window, &bench.process) {
            if now < window.start {
                next = next.min(window.start);
            } else if !done {
                let cpu = process.cpu()?;
                let also = bench.also.map(|also| also.cpu()).transpose()?;
                let (first, memory, also_first) = match began {
                    Some(began) => began,
                    None => *began.insert(((now, cpu), process.private_memory()?, also)),
                };
                if let Some((moment, last)) = before.replace((now, cpu)) {
                    let share = cpu.since(&last).as_secs_f64() / seconds(now - moment);
                    used.series.push((seconds(now - window.start), share));
                }
                used.cpu = cpu.since(&first.1);
                used.also = also.zip(also_first).map(|(also, first)| also.since(&first));
                used.wall = seconds(now - first.0);
                done = now >= window.end;
                if done {
                    used.memory = (memory, process.private_memory()?);
                }
                next = if done { next } else { next.min(window.end) };
            }
        }
        progress.show(now, window, live, used.series.last().map(|sample| sample.1));
        let wait = Duration::from_nanos(next.saturating_sub(clock::now()));
        let state = gate.lock();
        if state.finished < gate.workers && !state.failed {
            drop(gate.changed.wait_timeout(state, wait).expect("no worker panics while it holds this"));
        }
    }
    progress.clear();
    Ok(began.map(|_| used))
}
