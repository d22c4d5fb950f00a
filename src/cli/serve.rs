//! Serving: from a configuration to running shards, until a signal says stop.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::api::Node;
use crate::auth::Verifiers;
use crate::channel::rules as channel_rules;
use crate::cli::{Again, Start};
use crate::config::origin::Origins;
use crate::config::snapshot::Snapshot;
use crate::control::backend::Backends;
use crate::control::broker::{Broker, MapRules};
use crate::control::plane::{self, Plane};
use crate::control::signals::{self, Signal};
use crate::control::watchdog::{self, Look};
use crate::control::{cores, limits};
use crate::engine::{MAX_ERRANDS, ShardDesk, ShardLine, ShardWindow};
use crate::mesh::{desk, line};
use crate::net::mux::Mux;
use crate::shard::{self, Rules, Running, Startup};

/// How long to wait between looks at shards that are stopping.
const STOP_LOOK: Duration = Duration::from_millis(10);

/// How long the broker may take for what shards asked last.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// A sentence that says what is missing and what to change.
pub fn run(start: Start) -> Result<(), String> {
    let mut rules = rules(start.snapshot)?;
    let config = rules.config.clone();
    limits::raise()?;
    let assigned = assign_cores(&config)?;
    let (desks, windows): (Vec<ShardDesk>, Vec<_>) = assigned.iter().map(|_| desk(MAX_ERRANDS)).unzip();
    let (bell, broker_bell) = (plane::Bell::default(), plane::Bell::default());
    let uid: Box<str> = uuid::Builder::from_random_bytes(rand::random()).as_uuid().to_string().into();
    let mut beside = Beside {
        bell,
        windows,
        backends: Backends::new(&config)?,
        at_once: at_once(&config, assigned.len()),
        plane: None,
        runs_errands: false,
    };
    let broker = match config.asks_others() {
        true => beside.plane()?.wait_for(Broker::find(&config, &uid))?,
        false => None,
    };
    let in_force = Arc::new(Mutex::new(config.clone()));
    let (lines, far_ends): (Vec<ShardLine>, Vec<_>) = assigned.iter().map(|_| line()).unzip();
    let startup = Startup {
        rules: rules.clone(),
        origins: Origins::new(&config.client.allowed_origins)?,
        cores: assigned,
        node: Arc::new(Node {
            uid: uid.clone(),
            // As the reply to connect has it.
            version: format!("{} OSS", super::version::VERSION).into(),
        }),
        lines: lines.into_iter().map(|line| broker.is_some().then_some(line)).collect(),
        desks,
        ring_plane: Arc::new({
            let (bell, broker_bell) = (beside.bell.clone(), broker_bell.clone());
            move |part| match part {
                shard::PlanePart::Errands => bell.ring(),
                shard::PlanePart::Broker => broker_bell.ring(),
            }
        }),
    };
    let mut signals = signals::install().map_err(|error| format!("cannot install signal handlers: {error}"))?;
    let running = shard::start(startup).map_err(|error| error.to_string())?;
    let driver = match broker {
        None => None,
        Some(broker) => {
            let ending = broker.ending();
            let task = beside.plane()?.spawn(broker.serve(
                far_ends,
                broker_bell.clone(),
                map_rules(&in_force),
                running.ringer(),
            ));
            task.map(|task| (task, ending))
        }
    };
    beside.provide(&rules, &running)?;
    let end_watch = watch(&running)?;
    announce(&config, running.pulses.len());
    let signal = loop {
        match signals.wait() {
            Signal::Stop(signal) => break signal,
            Signal::Reload => {
                tracing::info!("reloading configuration");
                let newer = reload(&start.again, &rules.config);
                match newer.and_then(|newer| beside.provide(&newer, &running).map(|()| newer)) {
                    Ok(newer) => {
                        running.reload(&newer);
                        *in_force.lock().unwrap_or_else(PoisonError::into_inner) = newer.config.clone();
                        rules = newer;
                        tracing::info!("configuration successfully reloaded");
                    }
                    Err(error) => tracing::error!(error, "error reloading: the configuration stays as it was"),
                }
            }
        }
    };
    tracing::info!(signal, "shutting down");
    let result = stop(running, config.server.shutdown_timeout, &mut signals);
    if let Some((task, ending)) = driver {
        ending.begin();
        broker_bell.ring();
        beside.plane()?.wait_for_end(task, LAST_REQUESTS);
    }
    drop(end_watch);
    result
}

/// Which maps there are, under the configuration that is in force.
fn map_rules(in_force: &Arc<Mutex<Arc<Snapshot>>>) -> MapRules {
    let in_force = in_force.clone();
    Arc::new(move |channel| {
        let config = in_force.lock().unwrap_or_else(PoisonError::into_inner).clone();
        channel_rules::options(&config.channel, channel)?.map
    })
}

/// The control plane, as soon as something needs it.
struct Beside {
    bell: plane::Bell,
    windows: Vec<ShardWindow>,
    backends: Backends,
    at_once: plane::AtOnce,
    plane: Option<Plane>,
    runs_errands: bool,
}

impl Beside {
    /// Starts the control plane when shards need it under these rules, before they get them.
    fn provide(&mut self, rules: &Rules, running: &Running) -> Result<(), String> {
        if !self.runs_errands && (rules.verifiers.have_needs() || rules.config.polls()) {
            let (windows, bell) = (self.windows.clone(), self.bell.clone());
            let backends = self.backends.clone();
            self.plane()?.run_errands(windows, bell, backends, running.ringer())?;
            self.runs_errands = true;
        }
        Ok(())
    }

    /// The control plane, started if it is not.
    fn plane(&mut self) -> Result<&Plane, String> {
        match &mut self.plane {
            Some(plane) => Ok(plane),
            none => Ok(none.insert(Plane::start(self.at_once)?)),
        }
    }
}

/// Signatures are checked on one thread for each control core; without any, on one for four shards.
fn at_once(config: &Snapshot, shards: usize) -> plane::AtOnce {
    let signatures = match config.shards.control_cores.len() {
        0 => shards.div_ceil(4),
        cores => cores,
    };
    plane::AtOnce { signatures, polls: config.polls_at_once }
}

fn rules(config: Snapshot) -> Result<Rules, String> {
    let verifiers = Arc::new(Verifiers::new(&config).map_err(|error| error.to_string())?);
    Ok(Rules { config: Arc::new(config), verifiers })
}

/// The rules to go on with, from the configuration as it is written now.
///
/// # Errors
/// What is wrong with it.
fn reload(again: &Again, current: &Snapshot) -> Result<Rules, String> {
    let newer = again.snapshot().map_err(|error| error.to_string())?;
    rules(current.reloaded(newer))
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
    let seen = running.pulses.clone();
    let look = move |shard: usize| Look {
        turns: seen[shard].turns.load(Ordering::Relaxed),
        is_asleep: seen[shard].is_asleep.load(Ordering::Relaxed),
    };
    watchdog::start(running.pulses.len(), look, ended)
        .map_err(|error| format!("cannot start the watchdog: {error}"))?;
    Ok(end)
}

fn announce(config: &Snapshot, shards: usize) {
    let address = config.server.address;
    for (side, address) in shard::sides(config) {
        // It started, so it is there.
        let endpoints = Mux::new(config, side).map(|mux| mux.names().join(", ")).unwrap_or_default();
        tracing::info!(%address, shards, endpoints, "serving");
    }
    if config.dev {
        // For the person at the terminal, beside the log.
        let hint = format!(
            "\n  Open http://{address}/ in two browser tabs, or publish from here:\n\n  curl -X POST http://{address}/api/publish -d '{{\"channel\": \"demo\", \"data\": {{\"text\": \"hello\"}}}}'\n\n"
        );
        // A closed terminal is no reason not to serve.
        let _ = std::io::stdout().write_all(hint.as_bytes());
    }
}

/// Stops all shards, or gives up on them when the time is over or the signal comes again.
///
/// # Errors
/// A shard failed.
fn stop(running: Running, timeout: Duration, signals: &mut signals::Inbox) -> Result<(), String> {
    running.stop();
    let deadline = Instant::now() + timeout;
    while !running.is_finished() {
        if Instant::now() >= deadline {
            tracing::warn!("shutdown.timeout is over: leaving with clients still connected");
            return Ok(());
        }
        if let Some(Signal::Stop(signal)) = signals.take() {
            tracing::warn!(signal, "told again: leaving with clients still connected");
            return Ok(());
        }
        std::thread::park_timeout(STOP_LOOK);
    }
    running.join().map_err(|error| format!("a shard failed: {error}"))
}
