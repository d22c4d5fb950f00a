//! Clients ask for the presence statistics of their channels; the answer must be right.

use std::collections::VecDeque;

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::bench::Bench;
use crate::clock::{self, SECOND};
use crate::commands::{FIRST_ID, Subscribe};
use crate::fleet::{Deaf, Hear, OPENING_AT_ONCE};
use crate::options::rate;
use crate::pace::Pace;
use crate::prepared::Prepared;
use crate::report::Outcome;
use crate::tally::Tally;
use crate::target::Protocol;
use crate::wire;
use crate::workers::{self, Worker};

const PATIENCE: u64 = 10 * SECOND;

/// See the module.
#[derive(Args)]
pub struct Presence {
    /// Clients, all of them present in their channel.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Clients in one channel.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    group: u32,
    /// Questions a second over all clients; unless set, as fast as --in-flight of them are answered.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Questions under way where no rate is set.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Namespace of the channels, with presence.
    #[arg(long, default_value = "presence")]
    namespace: String,
}

struct Hearing {
    now: u64,
    protocol: Protocol,
    tally: Tally,
    due: Vec<VecDeque<u64>>,
    present: Vec<u64>,
    answered: u64,
    wrong: u64,
}

impl Hear for Hearing {
    fn at(&mut self, now: u64) {
        self.now = now;
    }

    fn push(&mut self, _connection: usize, _push: &[u8]) {}

    fn reply(&mut self, connection: usize, id: u64, reply: &[u8]) -> Result<(), Failure> {
        if id < FIRST_ID {
            return Ok(());
        }
        let due = self.due[connection].pop_front().ok_or("an answer that nobody asked for")?;
        self.tally.arrive(self.now, due);
        self.answered += 1;
        let found = wire::present(self.protocol, reply);
        if found != Some(self.present[connection]) {
            self.wrong += 1;
            if self.wrong == 1 {
                let complaint =
                    format!("{} clients are in a channel, the server says {found:?}", self.present[connection]);
                self.tally.complaints.push(complaint);
            }
        }
        Ok(())
    }
}

impl Scenario for Presence {
    const NAME: &'static str = "presence";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        let (tally, server) = workers::run(bench, |worker| self.work(bench, worker))?;
        Ok(Outcome {
            unit: "request",
            units: tally.arrived,
            settings: vec![
                ("connections", self.connections.to_string()),
                ("in one channel", self.group.to_string()),
                ("questions", self.rate.map_or("as fast as answered".to_owned(), |rate| format!("{rate}/s"))),
            ],
            tally,
            server,
            figures: Vec::new(),
            saturating: self.rate.is_none(),
            floor: None,
            checked: "every answer was right",
        })
    }
}

impl Presence {
    fn work(&self, bench: &Bench, worker: &Worker<'_>) -> Result<Tally, Failure> {
        let range = worker.share(self.connections as usize);
        let (base, count, group) = (range.start, range.len().max(1), self.group as usize);
        let mut fleet = bench.fleet(worker, count, self.connections as usize)?;
        // Groups do not reach across workers.
        let channel = |i: usize| bench.channel(&self.namespace, base + i / group * group);
        fleet.open(0..count, OPENING_AT_ONCE, &mut Deaf, bench.opening(worker), |i| {
            worker.tell_connections(1);
            bench.hello(base + i, &[Subscribe { channel: channel(i), from: None }])
        })?;
        let mut commands: Vec<Prepared> =
            (0..count).map(|i| Prepared::presence_stats(bench.options.protocol, &channel(i))).collect();
        let window = worker.ready()?;
        let mut hearing = Hearing {
            now: clock::now(),
            protocol: bench.options.protocol,
            tally: Tally::new(window),
            due: vec![VecDeque::new(); count],
            present: (0..count).map(|i| (group.min(count - i / group * group)) as u64).collect(),
            answered: 0,
            wrong: 0,
        };
        let pace = self.rate.map(|rate| Pace::new(window.origin, rate / worker.count as f64, bench.options.ramp));
        let in_flight = u64::from(self.in_flight).div_ceil(worker.count as u64);
        let (mut asked, mut told) = (0u64, 0);
        loop {
            let now = clock::now();
            let mut until = now + SECOND / 50;
            loop {
                let due = pace.map_or(now, |pace| pace.due(asked));
                if now < window.origin || due >= window.end || (pace.is_none() && asked - hearing.answered >= in_flight)
                {
                    break;
                }
                if due > now {
                    until = until.min(due);
                    break;
                }
                // A prime step visits channels in turn.
                let i = (asked as usize * 7919) % count;
                fleet.send(i, commands[i].next(0, 0))?;
                if pace.is_some() {
                    hearing.tally.send(now, due, 0);
                }
                hearing.due[i].push_back(due);
                asked += 1;
            }
            fleet.turn(until, &mut hearing)?;
            let now = clock::now();
            hearing.tally.turn(now, fleet.traffic(), fleet.waited());
            worker.tell(hearing.answered - told);
            told = hearing.answered;
            if now >= window.end && (hearing.answered == asked || now > window.end + PATIENCE) {
                break;
            }
        }
        if hearing.answered < asked {
            hearing.tally.complaints.push(format!("{} questions were never answered", asked - hearing.answered));
        }
        if hearing.wrong > 0 {
            hearing.tally.complaints.push(format!("{} wrong answers", hearing.wrong));
        }
        Ok(hearing.tally)
    }
}
