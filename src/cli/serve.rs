//! Serving: from a configuration to running shards, until a signal says stop.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::api::Node;
use crate::auth::Verifiers;
use crate::cli::Start;
use crate::config::origin::Origins;
use crate::config::snapshot::Snapshot;
use crate::control::watchdog::{self, Look};
use crate::control::{cores, limits, signals};
use crate::shard::{self, Running, Startup};

/// How long to wait between looks at shards that are stopping.
const STOP_LOOK: Duration = Duration::from_millis(10);

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// A sentence that says what is missing and what to change.
pub fn run(start: Start) -> Result<(), String> {
    let config = Arc::new(start.snapshot);
    limits::raise()?;
    let assigned = assign_cores(&config)?;
    let startup = Startup {
        config: config.clone(),
        verifiers: Arc::new(Verifiers::new(&config).map_err(|error| error.to_string())?),
        origins: Origins::new(&config.client.allowed_origins)?,
        cores: assigned,
        node: Arc::new(Node {
            uid: uuid::Builder::from_random_bytes(rand::random()).as_uuid().to_string().into(),
            version: super::version::VERSION.into(),
        }),
    };
    let stop = signals::install().map_err(|error| format!("cannot install signal handlers: {error}"))?;
    let running = shard::start(startup).map_err(|error| error.to_string())?;
    let end_watch = watch(&running)?;
    announce(&config, running.pulses.len());
    let signal = stop.wait();
    tracing::info!(signal, "shutting down");
    let clean = stop_within(running, config.server.shutdown_timeout);
    drop(end_watch);
    if !clean {
        tracing::warn!("shutdown.timeout is over: leaving with clients still connected");
    }
    Ok(())
}

fn assign_cores(config: &Snapshot) -> Result<Vec<Option<usize>>, String> {
    let allowed = cores::allowed().map_err(|error| format!("cannot read the CPU affinity: {error}"))?;
    let assigned = cores::assign(&config.shards, &allowed)?;
    cores::confine(&config.shards.control_cores).map_err(|error| {
        format!("cannot use the cores of shards.control_cores: {error}; change --control-cores (allowed: {allowed:?})")
    })?;
    Ok(assigned)
}

fn watch(running: &Running) -> Result<mpsc::Sender<()>, String> {
    let (end, ended) = mpsc::channel();
    let (seen, stalled) = (running.pulses.clone(), running.pulses.clone());
    let look = move |shard: usize| Look {
        turns: seen[shard].turns.load(Ordering::Relaxed),
        is_asleep: seen[shard].is_asleep.load(Ordering::Relaxed),
    };
    let report = move |shard: usize, grown: Duration| {
        stalled[shard].stalled_ms.fetch_add(grown.as_millis() as u64, Ordering::Relaxed);
    };
    watchdog::start(running.pulses.len(), look, report, ended)
        .map_err(|error| format!("cannot start the watchdog: {error}"))?;
    Ok(end)
}

fn announce(config: &Snapshot, shards: usize) {
    let address = config.server.address;
    tracing::info!(%address, shards, "serving");
    if config.dev {
        // For the person at the terminal, beside the log.
        println!("\n  Open http://{address}/ in two browser tabs, or publish from here:\n");
        println!(
            "  curl -X POST http://{address}/api/publish -d '{{\"channel\": \"demo\", \"data\": {{\"text\": \"hello\"}}}}'\n"
        );
    }
}

/// Whether all shards ended in time.
fn stop_within(running: Running, timeout: Duration) -> bool {
    running.stop();
    let deadline = Instant::now() + timeout;
    while !running.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(STOP_LOOK);
    }
    if let Err(error) = running.join() {
        tracing::error!(%error, "a shard failed");
    }
    true
}
