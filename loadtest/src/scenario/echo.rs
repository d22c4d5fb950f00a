//! Clients publish over their own connections, to themselves or to each other.

use clap::Args;

use super::Scenario;
use super::fanout::frame_size;
use crate::Failure;
use crate::bench::Bench;
use crate::clock::{self, SECOND};
use crate::commands::{FIRST_ID, Subscribe};
use crate::fleet::{Deaf, Hear, OPENING_AT_ONCE};
use crate::options::rate;
use crate::order::Order;
use crate::pace::Pace;
use crate::payload::Finder;
use crate::prepared::Prepared;
use crate::report::Outcome;
use crate::spread::Ending;
use crate::tally::Tally;
use crate::workers::{self, Worker};

/// See the module.
#[derive(Args)]
pub struct Echo {
    /// Clients.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Clients on one channel: 1 = each hears itself alone.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    group: u32,
    /// Publications a second over all clients; unless set each publishes as soon as its last one is answered.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Namespace of the channels; clients must be allowed to publish there.
    #[arg(long, default_value = "echo")]
    namespace: String,
}

struct Hearing {
    finder: Finder,
    now: u64,
    order: Order,
    tally: Tally,
    answered: Vec<usize>,
}

impl Hear for Hearing {
    fn at(&mut self, now: u64) {
        self.now = now;
    }

    fn push(&mut self, connection: usize, push: &[u8]) {
        if let Some((stamp, _)) = self.finder.first(push) {
            self.order.take(connection, stamp.stream, stamp.number);
            self.tally.arrive(self.now, stamp.due);
        }
    }

    fn reply(&mut self, connection: usize, id: u64, _reply: &[u8]) -> Result<(), Failure> {
        if id >= FIRST_ID {
            self.answered.push(connection);
        }
        Ok(())
    }
}

impl Scenario for Echo {
    const NAME: &'static str = "echo";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        if bench.options.workers > self.connections {
            return Err("--workers: more workers than --connections".into());
        }
        let mut floor = bench.floor(self.connections as usize)?;
        let size = frame_size(bench, &bench.channel(&self.namespace, 0));
        let rounds = self.rate.map_or(0.0, |rate| rate / f64::from(self.connections));
        floor.as_mut().map_or(Ok(()), |floor| floor.measure(size, rounds))?;
        let (tally, server) = workers::run(bench, |worker| self.work(bench, worker))?;
        floor.as_mut().map_or(Ok(()), |floor| floor.measure(size, rounds))?;
        Ok(Outcome {
            unit: "message",
            units: tally.sent,
            settings: vec![
                ("connections", self.connections.to_string()),
                ("on one channel", self.group.to_string()),
                ("publications", self.rate.map_or("one at a time each".to_owned(), |rate| format!("{rate}/s"))),
            ],
            tally,
            server,
            figures: Vec::new(),
            saturating: self.rate.is_none(),
            floor: floor.map(|floor| floor.each()),
            checked: "every publication came exactly once, in order",
        })
    }
}

impl Echo {
    fn work(&self, bench: &Bench, worker: &Worker<'_>) -> Result<Tally, Failure> {
        let range = worker.share(self.connections as usize);
        let (base, count, group) = (range.start, range.len(), self.group as usize);
        let mut fleet = bench.fleet(worker, count, self.connections as usize)?;
        // Groups do not reach across workers, so each worker's channels are its own.
        let channel = |i: usize| bench.channel(&self.namespace, base + i / group * group);
        fleet.open(0..count, OPENING_AT_ONCE, &mut Deaf, bench.opening(worker), |i| {
            worker.tell_connections(1);
            bench.hello(base + i, &[Subscribe { channel: channel(i), from: None }])
        })?;
        let size = bench.options.size as usize;
        let mut commands: Vec<Prepared> =
            (0..count).map(|i| Prepared::publish(bench.options.protocol, &channel(i), i as u32, size)).collect();
        let members =
            |i: usize| (i / group * group..(i / group * group + group).min(count)).map(|m| m as u32).collect();
        let window = worker.ready()?;
        let mut hearing = Hearing {
            finder: Finder::new(),
            now: clock::now(),
            order: Order::new((0..count).map(members)),
            tally: Tally::new(window),
            answered: Vec::new(),
        };
        let pace = self.rate.map(|rate| Pace::new(window.origin, rate / worker.count as f64, bench.options.ramp));
        let mut published = vec![0u64; count];
        let (mut asked, mut told, mut unanswered) = (0u64, 0, 0);
        let mut ready: Vec<usize> = (0..count).collect();
        let mut ending = Ending { heard: 0, since: window.end };
        loop {
            let now = clock::now();
            let mut until = now + SECOND / 50;
            loop {
                let (i, due) = match pace {
                    Some(pace) => ((asked % count as u64) as usize, pace.due(asked)),
                    None => match ready.last() {
                        Some(i) => (*i, now),
                        None => break,
                    },
                };
                if due > now || now < window.origin || due >= window.end {
                    until = until.min(due.max(now));
                    break;
                }
                ready.pop();
                fleet.send(i, commands[i].next(published[i], due))?;
                hearing.tally.send(now, due, 1);
                published[i] += 1;
                asked += 1;
                unanswered += 1;
            }
            fleet.turn(until, &mut hearing)?;
            unanswered -= hearing.answered.len();
            ready.append(&mut hearing.answered);
            let now = clock::now();
            hearing.tally.turn(now, fleet.traffic(), fleet.waited());
            worker.tell(hearing.order.heard() - told);
            told = hearing.order.heard();
            if now >= window.end && ending.has_come(now, told, hearing.order.owed(&published)) {
                break;
            }
        }
        let mut tally = hearing.tally;
        if unanswered > 0 {
            tally.complaints.push(format!("{unanswered} publications were never answered"));
        }
        tally.faults = hearing.order.finish(&published);
        Ok(tally)
    }
}
