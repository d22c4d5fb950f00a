//! One run prepared: the server started or found, limits raised, names that no other run uses.

use std::ops::Range;

use crate::Failure;
use crate::clock;
use crate::commands::{self, Subscribe};
use crate::connection::Hello;
use crate::fleet::Fleet;
use crate::floor::Floor;
use crate::launch::Server;
use crate::options::Options;
use crate::pace::Pace;
use crate::process::{Process, allow_files, pin_to};
use crate::sources::{PER_ADDRESS, Sources};
use crate::target::Target;
use crate::workers::Worker;
use crate::ws;

/// See the module.
pub struct Bench {
    /// Name of the scenario.
    pub name: &'static str,
    /// As given.
    pub options: Options,
    /// The server.
    pub target: Target,
    /// Its process, when it is known.
    pub process: Option<Process>,
    /// Another process of which is told what it used.
    pub also: Option<Process>,
    /// Part of all channel names of this run.
    pub run: String,
    seed: u32,
    // Ended when the run is over.
    _server: Option<Server>,
}

impl Bench {
    /// Starts the server if it is to be started, and resolves where it is.
    pub fn prepare(name: &'static str, options: Options) -> Result<Bench, Failure> {
        if let Some(core) = options.core.first() {
            // Threads inherit it; so does what watches the server.
            pin_to(*core)?;
        }
        let server = options.server.as_ref().map(|command| Server::start(command, options.server_core)).transpose()?;
        let url = server.as_ref().map_or(options.url.clone(), Server::url);
        let target = options.target(&url)?;
        let pid = options.pid.or(server.as_ref().map(Server::pid));
        let process = pid.map(|pid| Process::new(pid, "--pid")).transpose()?;
        let also = options.also_pid.map(|pid| Process::new(pid, "--also-pid")).transpose()?;
        if also.is_some() && process.is_none() {
            return Err("--also-pid: the server's process must be known, too: give --pid, or --server".into());
        }
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let seed = since_epoch.subsec_nanos() ^ std::process::id();
        let run = format!("{:x}{:x}", since_epoch.as_secs() & 0xffff, std::process::id());
        Ok(Bench { name, options, target, process, also, run, seed, _server: server })
    }

    /// The same with other channels.
    pub fn another(&self) -> Bench {
        Bench {
            name: self.name,
            options: self.options.clone(),
            target: self.target.clone(),
            process: self.process,
            also: self.also,
            run: format!("{}x", self.run),
            seed: self.seed.wrapping_mul(31),
            _server: None,
        }
    }

    /// A worker's fleet for `count` of `total` connections.
    pub fn fleet(&self, worker: &Worker<'_>, count: usize, total: usize) -> Result<Fleet, Failure> {
        self.fleet_from(worker, count, (total as u32).div_ceil(PER_ADDRESS))
    }

    /// A worker's fleet that connects from so many source addresses unless told otherwise.
    pub fn fleet_from(&self, worker: &Worker<'_>, count: usize, sources: u32) -> Result<Fleet, Failure> {
        allow_files(count * worker.count)?;
        let first = self.seed.wrapping_add(worker.index as u32 * 7919);
        let sources = Sources::new(self.options.sources.unwrap_or(sources), first);
        Fleet::new(&self.target, self.options.protocol, count, sources)
    }

    /// When a worker's connections are to be opened.
    pub fn opening(&self, worker: &Worker<'_>) -> impl Fn(usize) -> u64 + use<> {
        let pace = self.options.open_rate.map(|rate| Pace::new(clock::now(), rate / worker.count as f64, 0));
        move |i| pace.map_or(0, |pace| pace.due(i as u64))
    }

    /// What connection `number` of the run says first.
    pub fn hello(&self, number: usize, subscriptions: &[Subscribe]) -> Hello {
        let token = self.target.tokens.of(number as u64);
        let commands = commands::hello(self.options.protocol, &token, subscriptions);
        let mut frame = Vec::with_capacity(commands.len() + 14);
        ws::write_message(&mut frame, self.options.protocol, &commands);
        Hello { frame, replies: subscriptions.len() as u32 + 1 }
    }

    /// A channel of this run.
    pub fn channel(&self, namespace: &str, number: usize) -> String {
        if namespace.is_empty() {
            format!("{}-{number}", self.run)
        } else {
            format!("{namespace}:{}-{number}", self.run)
        }
    }

    /// Channels of this run.
    pub fn channels(&self, namespace: &str, numbers: Range<usize>) -> Vec<String> {
        numbers.map(|number| self.channel(namespace, number)).collect()
    }

    /// The process that measures the floor, if that was asked for.
    pub fn floor(&self, sockets: usize) -> Result<Option<Floor>, Failure> {
        if !self.options.floor {
            return Ok(None);
        }
        let core =
            self.options.server_core.or(self.process.and_then(|process| process.only_core())).ok_or(
                "--floor: which core is the server's? Give --server-core, or pin it to one core (taskset -c 0)",
            )?;
        allow_files(3 * sockets)?;
        Floor::start(sockets, core).map(Some)
    }

    /// For scenarios that measure parts of their time.
    pub fn no_other_process(&self) -> Result<(), Failure> {
        if self.also.is_some() {
            return Err(format!("--also-pid means nothing to {}", self.name).into());
        }
        Ok(())
    }

    /// For scenarios in which nothing is fanned out.
    pub fn no_floor(&self) -> Result<(), Failure> {
        if self.options.floor {
            return Err(format!("--floor means nothing to {}: it is for fanout, many and echo", self.name).into());
        }
        Ok(())
    }
}
