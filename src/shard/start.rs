//! Starting all shards of a process, and stopping them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use crossbeam::utils::CachePadded;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use super::clock::Clock;
use super::host::ShardHost;
use super::sockets::Sockets;
use super::turn::{Inner, Listener};
use crate::api::Node;
use crate::api::describe::openapi;
use crate::auth::Verifiers;
use crate::base::ids::ShardId;
use crate::base::wheel::Wheel;
use crate::config::origin::Origins;
use crate::config::snapshot::{Shards, Snapshot};
use crate::engine::{AtBroker, Engine, Parts, ShardDesk, ShardLine, ShardPort};
use crate::mesh::{Limits, mesh};
use crate::net::bell::Bell;
use crate::net::listener;
use crate::net::mux::{Conflict, Mux, Side};
use crate::net::ring::Ring;
use crate::net::site::{Site, Sites};
use crate::net::tasks::Tasks;

/// The executor's preempt timer must never fire: with it, glommio may park while tasks are runnable. Ten years.
const NO_PREEMPTION: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Memory that the executor registers for file I/O, bytes. There is none to speak of.
const EXECUTOR_IO_MEMORY: usize = 64 << 10;
/// Requests that fit into the executor's own rings, which are not used.
const EXECUTOR_RING: usize = 64;

/// Pause between two log lines about the limit of connections.
const COMPLAINT_PAUSE_MS: u64 = 3_000;

/// What a shard shows to the threads beside it.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Grows with every turn.
    pub turns: AtomicU64,
    /// The shard waits for its bell: not turning is in order.
    pub is_asleep: AtomicBool,
    /// Connected clients: those whose connect was answered.
    pub clients: AtomicU64,
    /// The shard is to stop.
    pub stop: AtomicBool,
    /// It stops, and has neither clients nor callers any more.
    pub is_drained: AtomicBool,
    /// `rules` hold something.
    pub(super) has_rules: AtomicBool,
    /// What the shard is to go on with.
    pub(super) rules: Mutex<Option<Rules>>,
}

/// A configuration and the token keys that belong to it.
#[derive(Clone)]
pub struct Rules {
    /// The configuration.
    pub config: Arc<Snapshot>,
    /// Prepared token keys.
    pub verifiers: Arc<Verifiers>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What all shards of the process share.
pub(super) struct Shared {
    pub(super) origins: Origins,
    /// What is served on each listener.
    pub(super) muxes: Vec<(Side, Mux)>,
    /// Pages that are served from memory.
    pub(super) sites: Sites,
    pulses: Vec<Arc<CachePadded<Pulse>>>,
    /// All shards are drained: none answers another one any more.
    is_over: AtomicBool,
    rate: Option<Mutex<Bucket>>,
    /// When reaching the limit of connections was last logged.
    complained_ms: AtomicU64,
    clock: Clock,
}

/// Tokens for new connections: as many as the limit at first, then one a second (upstream: connlimit.go, where the
/// refill does not depend on the limit either).
struct Bucket {
    tokens: f64,
    burst: f64,
    filled_ms: u64,
}

impl Shared {
    /// Whether all shards are drained, or were.
    pub(super) fn may_end(&self) -> bool {
        let all = || self.pulses.iter().all(|pulse| pulse.is_drained.load(Ordering::SeqCst));
        if !self.is_over.load(Ordering::SeqCst) && all() {
            self.is_over.store(true, Ordering::SeqCst);
        }
        self.is_over.load(Ordering::SeqCst)
    }

    /// Takes a token for one more connection; false when connections come too fast.
    pub(super) fn take_token(&self) -> bool {
        let Some(rate) = &self.rate else { return true };
        let mut bucket = rate.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now().mono_ms;
        let earned = now_ms.saturating_sub(bucket.filled_ms) as f64 / 1000.0;
        bucket.filled_ms = now_ms;
        bucket.tokens = (bucket.tokens + earned).min(bucket.burst);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Whether the limit of connections may be logged as reached: every three seconds (upstream: connlimit.go).
    pub(super) fn may_complain(&self) -> bool {
        let now_ms = self.clock.now().mono_ms;
        let last_ms = self.complained_ms.load(Ordering::Relaxed);
        let is_due = last_ms == 0 || now_ms > last_ms + COMPLAINT_PAUSE_MS;
        is_due && self.complained_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether the node has as many connected clients as it may (0 = any number). As upstream, connections that have
    /// not sent their connect command do not count; `client.stale_close_delay` bounds their time.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        let clients = || -> u64 { self.pulses.iter().map(|pulse| pulse.clients.load(Ordering::Relaxed)).sum() };
        limit > 0 && clients() >= limit as u64
    }
}

/// What shards are started with.
pub struct Startup {
    /// The configuration and its token keys.
    pub rules: Rules,
    /// Compiled `client.allowed_origins`.
    pub origins: Origins,
    /// The core of each shard; none where it is not pinned.
    pub cores: Vec<Option<usize>>,
    /// What the process says about itself.
    pub node: Arc<Node>,
    /// The desk of each shard at the control plane.
    pub desks: Vec<ShardDesk>,
    /// The line of each shard to the broker, if channels live at one.
    pub lines: Vec<Option<ShardLine>>,
    /// Wakes the control plane.
    pub ring_plane: RingPlane,
}

/// What the control plane does for shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanePart {
    /// It runs errands.
    Errands,
    /// It speaks with the broker.
    Broker,
}

/// Wakes one part of the control plane; from any thread.
pub type RingPlane = Arc<dyn Fn(PlanePart) + Send + Sync>;

/// Running shards.
pub struct Running {
    threads: Vec<ExecutorJoinHandle<io::Result<()>>>,
    alive: Arc<AtomicUsize>,
    bells: Arc<[Bell]>,
    /// One for each shard.
    pub pulses: Vec<Arc<CachePadded<Pulse>>>,
}

/// Counts a shard for as long as it runs.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Why the shards could not start. Says what to change.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The folder of the admin pages cannot be served.
    Site(PathBuf, io::Error),
    /// Two endpoints have the same path.
    Conflict(Conflict),
    /// The executor or the ring of a shard could not be made.
    Executor(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {address}: the port is taken; stop the other server or choose another port with --http_server.port"
            ),
            Self::Listen(address, error) => write!(
                f,
                "cannot listen on {address}: {error}; choose another address with --http_server.address or another port with --http_server.port"
            ),
            Self::Site(folder, error) => {
                write!(f, "cannot serve {} (admin.web_path): {error}", folder.display())
            }
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Executor(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Conflict> for StartError {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

/// Starts one thread per entry of `cores` and returns when all of them accept connections.
pub fn start(startup: Startup) -> Result<Running, StartError> {
    probe_io_uring()?;
    let shards = startup.cores.len();
    let clock = Clock::start();
    let bells: Arc<[Bell]> = (0..shards)
        .map(|_| Bell::new())
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| StartError::Executor(format!("cannot create an eventfd: {error}; raise `ulimit -n`")))?
        .into();
    let listeners = open_listeners(&startup.rules.config, shards)?;
    let pulses: Vec<_> = (0..shards).map(|_| Arc::new(CachePadded::new(Pulse::default()))).collect();
    let client = &startup.rules.config.client;
    let sites = sites(&startup)?;
    let shared = Arc::new(Shared {
        origins: startup.origins,
        muxes: sides(&startup.rules.config)
            .map(|(side, _)| Ok((side, Mux::new(&startup.rules.config, side)?)))
            .collect::<Result<_, Conflict>>()?,
        sites,
        pulses: pulses.clone(),
        is_over: AtomicBool::new(false),
        rate: (client.connection_rate_limit > 0).then(|| {
            let burst = client.connection_rate_limit as f64;
            Mutex::new(Bucket { tokens: burst, burst, filled_ms: clock.now().mono_ms })
        }),
        complained_ms: AtomicU64::new(0),
        clock,
    });
    let ports: Vec<ShardPort> = mesh(shards, Limits::default());
    let (ready, started) = mpsc::channel();
    let mut running = Running {
        threads: Vec::with_capacity(shards),
        alive: Arc::default(),
        bells: bells.clone(),
        pulses: pulses.clone(),
    };
    for (index, (((port, desk), line), listeners)) in
        ports.into_iter().zip(startup.desks).zip(startup.lines).zip(listeners).enumerate()
    {
        let parts = Parts {
            id: ShardId(index as u16),
            port,
            desk,
            line: line.map(|line| (line, AtBroker::by(&startup.rules.config))),
            shards: shards as u16,
            config: startup.rules.config.clone(),
            verifiers: startup.rules.verifiers.clone(),
            node: startup.node.clone(),
            seed: rand::random(),
            now: clock.now(),
        };
        let ended = pulses[index].clone();
        let (bells, pulse, shared, ready) = (bells.clone(), pulses[index].clone(), shared.clone(), ready.clone());
        let ring_plane = startup.ring_plane.clone();
        let alive = Alive::new(&running.alive);
        let Shards { spin_us, broker_hold_us, .. } = startup.rules.config.shards;
        let placement = startup.cores[index].map_or(Placement::Unbound, Placement::Fixed);
        let thread = LocalExecutorBuilder::new(placement)
            .name(&format!("shard-{index}"))
            .preempt_timer(NO_PREEMPTION)
            .io_memory(EXECUTOR_IO_MEMORY)
            .ring_depth(EXECUTOR_RING)
            .spawn(move || async move {
                let _alive = alive;
                match assemble(parts, bells, ring_plane, pulse, shared, clock, listeners) {
                    Ok(host) => {
                        let _ = ready.send(Ok(()));
                        let result = host.run(spin_us, broker_hold_us).await;
                        if result.is_err() {
                            // Nobody answers for its channels any more: the process cannot go on.
                            ended.is_drained.store(true, Ordering::SeqCst);
                            let _ = signal_hook::low_level::raise(libc::SIGTERM);
                        }
                        result
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error.to_string()));
                        Ok(())
                    }
                }
            })
            .map_err(|error| StartError::Executor(format!("cannot start shard {index}: {error}")))?;
        running.threads.push(thread);
    }
    drop(ready);
    for _ in 0..shards {
        match started.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(StartError::Executor(format!("cannot start a shard: {error}"))),
            Err(_) => {
                return Err(StartError::Executor(
                    "a shard's thread ended while starting; see `dmesg` and the limits of this process".to_owned(),
                ));
            }
        }
    }
    Ok(running)
}

fn assemble(
    parts: Parts,
    bells: Arc<[Bell]>,
    ring_plane: RingPlane,
    pulse: Arc<CachePadded<Pulse>>,
    shared: Arc<Shared>,
    clock: Clock,
    listeners: Vec<Listener>,
) -> io::Result<Rc<ShardHost>> {
    let me = parts.id.index();
    let ring = Ring::new(&bells[me])?;
    let inner = Inner {
        engine: Engine::new(parts),
        callers: HashMap::new(),
        admission: Vec::new(),
        sockets: Sockets::new(),
        ring,
        listeners,
        bells,
        ring_plane,
        broker_waits_since: None,
        pulse,
        http_timers: Wheel::new(),
        scratch: vec![0; super::io::READ_SIZE].into(),
        copies: Vec::new(),
        dirty: Vec::new(),
        is_stopping: false,
    };
    let host = ShardHost { inner: RefCell::new(inner), tasks: Tasks::default(), clock, shared, dialed: Cell::new(0) };
    Ok(Rc::new(host))
}

fn open_listeners(config: &Snapshot, shards: usize) -> Result<Vec<Vec<Listener>>, StartError> {
    let mut all: Vec<Vec<Listener>> = (0..shards).map(|_| Vec::new()).collect();
    for (side, address) in sides(config) {
        let address = probe(address).map_err(|error| StartError::Listen(address, error))?;
        for listeners in &mut all {
            let fd = listener::open(address).map_err(|error| StartError::Listen(address, error))?;
            listeners.push(Listener { fd, side, rests_until: None, complains_from: 0 });
        }
    }
    Ok(all)
}

/// The admin pages, the one of this server or those of a folder, and the description of the API.
fn sites(startup: &Startup) -> Result<Sites, StartError> {
    let config = &startup.rules.config;
    let admin = match config.admin.as_ref().and_then(|admin| admin.web_path.as_ref()) {
        None => Site::admin(),
        Some(folder) => Site::load(folder).map_err(|error| StartError::Site(folder.clone(), error))?,
    };
    let prefix = config.http_api.handler_prefix.as_deref().unwrap_or_default();
    let openapi = openapi(prefix, &startup.node.version, config.http_api.insecure);
    Ok(Sites { admin, swagger: Site::swagger(openapi) })
}

/// The listeners and their addresses.
pub fn sides(config: &Snapshot) -> impl Iterator<Item = (Side, SocketAddr)> {
    let external = if config.server.internal_address.is_some() { Side::External } else { Side::Both };
    std::iter::once((external, config.server.address))
        .chain(config.server.internal_address.map(|address| (Side::Internal, address)))
}

/// The address to listen on. All addresses means those of IPv4 alone where the machine has no IPv6.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    match listener::probe(address) {
        Ok(()) => Ok(address),
        Err(error)
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) =>
        {
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            listener::probe(address).map(|()| address)
        }
        Err(error) => Err(error),
    }
}

/// Says plainly when the kernel does not let this process use io_uring.
fn probe_io_uring() -> Result<(), StartError> {
    let Err(error) = Bell::new().and_then(|bell| Ring::new(&bell)) else { return Ok(()) };
    Err(StartError::Executor(match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES) => format!(
            "io_uring is not available here ({error}): use Linux 5.19 or newer, set the sysctl kernel.io_uring_disabled to 0, and in a container allow the io_uring_* system calls (seccomp)"
        ),
        Some(libc::ENOMEM) => format!(
            "io_uring has no locked memory ({error}): raise the limit with `ulimit -l unlimited` or LimitMEMLOCK=infinity in the systemd unit"
        ),
        Some(libc::EMFILE | libc::ENFILE) => {
            format!("no file descriptors are left ({error}): raise the limit of open files with `ulimit -n`")
        }
        _ => format!("io_uring cannot be set up: {error}"),
    }))
}

impl Running {
    /// Tells all shards to stop: no new connections, every client disconnected, then the end.
    pub fn stop(&self) {
        for (pulse, bell) in self.pulses.iter().zip(&*self.bells) {
            pulse.stop.store(true, Ordering::Relaxed);
            bell.ring();
        }
    }

    /// All shards go on under these rules from their next turn.
    pub fn reload(&self, rules: &Rules) {
        for (pulse, bell) in self.pulses.iter().zip(&*self.bells) {
            *pulse.rules.lock().unwrap_or_else(PoisonError::into_inner) = Some(rules.clone());
            pulse.has_rules.store(true, Ordering::Release);
            bell.ring();
        }
    }

    /// Wakes a shard; from any thread.
    pub fn ringer(&self) -> impl Fn(usize) + Send + Sync + 'static {
        let bells = self.bells.clone();
        move |shard| bells[shard].ring()
    }

    /// Whether all shards have ended.
    pub fn is_finished(&self) -> bool {
        self.alive.load(Ordering::Acquire) == 0
    }

    /// Waits for the end of all shards.
    ///
    /// # Errors
    /// The first failure of a shard's loop.
    pub fn join(self) -> io::Result<()> {
        for thread in self.threads {
            thread.join().map_err(|error| io::Error::other(error.to_string()))??;
        }
        Ok(())
    }
}
