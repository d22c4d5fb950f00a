//! Removes keys of maps that expired, at one server (upstream: centrifuge map_broker_redis.go `runCleanupWorker`).
//!
//! Every `cleanup_interval` the server names maps of which keys may have expired; of each, keys are read that did, and
//! removed if nobody renewed them meanwhile. All nodes do so, beside each other: a key is told as removed once. At most
//! 64 maps are under way at once, and of one map at most ten times `cleanup_batch_size` keys in one go. In a Redis Cluster
//! each partition has a list of maps of its own, at the member that has its slot; they are gone through one by one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::request::{fresh_epoch, unix_ms};
use crate::broker::map::{Keeping, expiry};
use crate::broker::{Call, Names, Unreadable, Value};
use crate::config::snapshot::MapOptions;
use crate::control::broker::MapRules;

/// Maps that are named at once, of all partitions. If all are, the next ones are asked for as soon as these are done.
const MOST_MAPS: u32 = 10_000;

/// Maps under way at once, or partitions that are asked for theirs.
const AT_ONCE: u32 = 64;

/// Times that keys of a map are read and removed in one go.
const MOST_BATCHES: u8 = 10;

/// Shortest time between two words about maps that no namespace is for.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Something to ask, and what it is.
pub type Ask = (Call, Task);

/// What was asked: a number, for this server.
pub type Task = u32;

/// What a reply is about.
#[derive(Debug)]
enum Asked {
    /// Which maps of a partition there are.
    Due(u32),
    /// Which keys expired.
    Keys(Job),
    /// That they are removed.
    Removal { job: Job, goes_on: bool },
}

/// A map that is looked at.
#[derive(Debug)]
struct Job {
    map: String,
    options: MapOptions,
    batches: u8,
}

/// See the module.
pub struct Sweep {
    names: Names,
    keeping: Keeping,
    batch: u32,
    pause: Duration,
    rules: MapRules,
    next_at: Instant,
    /// Partitions that are to be asked for maps, when no map waits.
    looks: VecDeque<u32>,
    /// Maps that wait.
    due: VecDeque<String>,
    /// Partitions that have more than these, of which some are done.
    fuller: Vec<u32>,
    asked: Vec<(Task, Asked)>,
    tasks: Task,
    complained_at: Option<Instant>,
    came: Outcome,
    /// Partitions that were not looked at in this round, and how far it is behind by the others.
    unlooked: u32,
    lag_ms: u64,
}

/// What came of a search since it was last asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Keys that were removed.
    pub removed: u64,
    /// Requests that failed, and maps that no namespace is for.
    pub errors: u64,
    /// Milliseconds that the oldest key waited when a round began; none = no round has looked everywhere since.
    pub lag_ms: Option<u64>,
}

impl Sweep {
    /// Looks for the first time after a pause.
    pub fn new(names: Names, keeping: Keeping, batch: u32, pause: Duration, rules: MapRules) -> Self {
        Self {
            names,
            keeping,
            batch,
            pause,
            rules,
            next_at: Instant::now() + pause,
            looks: VecDeque::new(),
            due: VecDeque::new(),
            fuller: Vec::new(),
            asked: Vec::new(),
            tasks: 0,
            complained_at: None,
            came: Outcome::default(),
            unlooked: 0,
            lag_ms: 0,
        }
    }

    /// What came of it since the last call.
    pub fn take_outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.came)
    }

    /// Time passes: a search may begin, unless one is under way.
    pub fn tick(&mut self, now: Instant) -> Vec<Ask> {
        if now < self.next_at || !self.asked.is_empty() {
            return Vec::new();
        }
        self.next_at = now + self.pause;
        self.looks = (0..self.partitions()).collect();
        (self.unlooked, self.lag_ms) = (self.partitions(), 0);
        let mut asks = Vec::new();
        self.go_round(&mut asks);
        asks
    }

    fn partitions(&self) -> u32 {
        self.names.partitions().map_or(1, u32::from)
    }

    /// Most maps that one partition names.
    fn most(&self) -> u32 {
        MOST_MAPS / self.partitions().min(AT_ONCE)
    }

    /// Looks at maps that wait, and when none does asks for more.
    fn go_round(&mut self, asks: &mut Vec<Ask>) {
        if self.asked.is_empty() && self.due.is_empty() && self.looks.is_empty() {
            self.looks = std::mem::take(&mut self.fuller).into();
        }
        while self.asked.len() < AT_ONCE as usize {
            if let Some(map) = self.due.pop_front() {
                asks.extend(self.begin(map));
            } else if let Some(partition) = self.looks.pop_front() {
                asks.push(self.look(partition));
            } else {
                return;
            }
        }
    }

    /// Takes the reply to a task, nothing when it failed: then that map waits for the next search. Gives what to ask
    /// next.
    pub fn take(&mut self, task: Task, value: Option<Value>) -> Vec<Ask> {
        let Some(at) = self.asked.iter().position(|(known, _)| *known == task) else { return Vec::new() };
        let (_, asked) = self.asked.swap_remove(at);
        let partition = match &asked {
            Asked::Due(partition) => *partition,
            Asked::Keys(job) | Asked::Removal { job, .. } => self.names.partition(&job.map),
        };
        let is_look = matches!(asked, Asked::Due(_));
        let mut asks = Vec::new();
        let done = value.map(|value| self.go_on(asked, value, &mut asks));
        if let Some(Err(unreadable)) = &done {
            tracing::error!(%unreadable, "cannot remove expired keys of maps");
        }
        if !matches!(done, Some(Ok(()))) {
            // The same maps would come again at once.
            self.fuller.retain(|fuller| *fuller != partition);
            self.came.errors += 1;
        }
        // Those that are looked at once more are no part of it.
        if is_look && self.unlooked > 0 {
            self.unlooked -= 1;
            self.came.lag_ms = (self.unlooked == 0).then_some(self.lag_ms).or(self.came.lag_ms);
        }
        self.go_round(&mut asks);
        asks
    }

    fn go_on(&mut self, asked: Asked, value: Value, asks: &mut Vec<Ask>) -> Result<(), Unreadable> {
        match asked {
            Asked::Due(partition) => {
                let (expiry::Due { maps, since_ms }, before) = (expiry::maps(value)?, self.due.len());
                let is_full = maps.len() >= self.most() as usize;
                let lag_ms = since_ms.map_or(0, |since_ms| unix_ms().saturating_sub(since_ms));
                self.lag_ms = self.lag_ms.max(lag_ms);
                for map in maps {
                    if (self.rules)(&map).is_some() || self.complain(&map) {
                        self.due.push_back(map);
                    }
                }
                // Those that no namespace is for would come again.
                if is_full && self.due.len() > before {
                    self.fuller.push(partition);
                }
            }
            Asked::Keys(job) => {
                let expired = expiry::expired(value)?;
                let goes_on = expired.len() >= self.batch as usize;
                let Self { names, keeping, .. } = self;
                let call = expiry::expire(names, *keeping, &job.map, &job.options, &expired, fresh_epoch(), unix_ms());
                asks.push(self.ask(call, Asked::Removal { job, goes_on }));
            }
            Asked::Removal { mut job, goes_on } => {
                self.came.removed += expiry::removed(value)?;
                job.batches += 1;
                if goes_on && job.batches < MOST_BATCHES {
                    asks.push(self.find(job));
                }
            }
        }
        Ok(())
    }

    /// Looks at a map, if it is one.
    fn begin(&mut self, map: String) -> Option<Ask> {
        let options = (self.rules)(&map)?;
        Some(self.find(Job { map, options, batches: 0 }))
    }

    fn look(&mut self, partition: u32) -> Ask {
        let call = expiry::due(&self.names, partition, unix_ms(), self.most());
        self.ask(call, Asked::Due(partition))
    }

    fn find(&mut self, job: Job) -> Ask {
        let call = expiry::find(&self.names, &job.map, unix_ms(), self.batch);
        self.ask(call, Asked::Keys(job))
    }

    fn ask(&mut self, call: Call, asked: Asked) -> Ask {
        self.tasks = self.tasks.wrapping_add(1);
        self.asked.push((self.tasks, asked));
        (call, self.tasks)
    }

    /// Says that a map is left alone; false.
    fn complain(&mut self, map: &str) -> bool {
        let now = Instant::now();
        self.came.errors += 1;
        if self.complained_at.is_none_or(|at| now.duration_since(at) > COMPLAIN_EVERY) {
            self.complained_at = Some(now);
            tracing::warn!(map, "keys expired that no namespace with maps is for, and stay until a node has one");
        }
        false
    }
}
