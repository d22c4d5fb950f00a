//! The server API over keep-alive connections: publish, broadcast, batch.

use std::collections::VecDeque;

use clap::{Args, ValueEnum};

use super::Scenario;
use crate::Failure;
use crate::api::{ApiConnection, Request};
use crate::bench::Bench;
use crate::clock::{self, SECOND};
use crate::commands::Subscribe;
use crate::fleet::{Deaf, Hear};
use crate::options::rate;
use crate::order::Order;
use crate::pace::Pace;
use crate::payload::Finder;
use crate::process::allow_files;
use crate::report::Outcome;
use crate::spread::Ending;
use crate::tally::Tally;
use crate::workers::{self, Worker};

const PATIENCE: u64 = 10 * SECOND;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One publication to one channel, the channels in turn.
    Publish,
    /// One publication to all channels.
    Broadcast,
    /// One publication to each channel, as commands of their own.
    Batch,
}

/// See the module.
#[derive(Args)]
pub struct Api {
    /// What a request does.
    #[arg(long, default_value = "publish")]
    kind: Kind,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Channels of each connection.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    channels: u32,
    /// Requests a second; unless set, as fast as --in-flight of them are answered on each connection.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Requests under way on each connection where no rate is set.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    in_flight: u32,
    /// Namespace of the channels.
    #[arg(long, default_value = "")]
    namespace: String,
    /// Have one client hear one channel of each connection, to see that publications arrive; it costs a little CPU.
    #[arg(long)]
    witness: bool,
}

struct Hearing {
    finder: Finder,
    order: Order,
}

impl Hear for Hearing {
    fn push(&mut self, connection: usize, push: &[u8]) {
        if let Some((stamp, _)) = self.finder.first(push) {
            self.order.take(connection, stamp.stream, stamp.number);
        }
    }
}

/// A connection, its requests in turn, and when those under way were due.
struct Caller {
    api: ApiConnection,
    requests: Vec<Request>,
    due: VecDeque<u64>,
}

impl Scenario for Api {
    const NAME: &'static str = "api";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        let (tally, server) = workers::run(bench, |worker| self.work(bench, worker))?;
        let each = if self.kind == Kind::Publish { 1 } else { u64::from(self.channels) };
        let publications = tally.arrived * each;
        let mut figures = Vec::new();
        if let (Some(server), true) = (&server, each > 1) {
            figures.extend(crate::report::cpu_each("request", server.cpu, tally.arrived));
        }
        Ok(Outcome {
            unit: "publication",
            units: publications,
            settings: vec![
                ("kind", format!("{:?}", self.kind).to_lowercase()),
                ("connections", self.connections.to_string()),
                ("channels", self.channels.to_string()),
                ("requests", self.rate.map_or("as fast as answered".to_owned(), |rate| format!("{rate}/s"))),
            ],
            tally,
            server,
            figures,
            saturating: self.rate.is_none(),
            floor: None,
            checked: "every request succeeded",
        })
    }
}

impl Api {
    fn work(&self, bench: &Bench, worker: &Worker<'_>) -> Result<Tally, Failure> {
        let callers = worker.share(self.connections as usize);
        allow_files(self.connections as usize)?;
        let mut fleet = bench.fleet(worker, usize::from(self.witness), 1)?;
        let mut callers: Vec<Caller> = callers.map(|k| self.caller(bench, k)).collect::<Result<_, _>>()?;
        let first = worker.share(self.connections as usize).start;
        if self.witness {
            let wish = |k| Subscribe { channel: self.channel(bench, first + k, 0), from: None };
            let wishes: Vec<Subscribe> = (0..callers.len()).map(wish).collect();
            fleet.open(0..1, 1, &mut Deaf, |_| 0, |_| bench.hello(0, &wishes))?;
        }
        for (k, caller) in callers.iter().enumerate() {
            fleet.watch(caller.api.socket(), k)?;
        }
        worker.tell_connections(callers.len() as i64);
        let window = worker.ready()?;
        let pace = self.rate.map(|rate| Pace::new(window.origin, rate / worker.count as f64, bench.options.ramp));
        let streams = (0..callers.len()).map(|k| self.stream(first + k, 0));
        let mut hearing = Hearing { finder: Finder::new(), order: Order::new(self.witness.then(|| streams.collect())) };
        let mut tally = Tally::new(window);
        let mut asked = 0;
        let mut ready: Vec<usize> = (0..self.in_flight).flat_map(|_| 0..callers.len()).collect();
        let mut ending = Ending { heard: 0, since: window.end };
        while !callers.is_empty() {
            let now = clock::now();
            let mut until = now + SECOND / 50;
            while let Some(k) = pace.map_or(ready.last().copied(), |_| Some(asked as usize % callers.len())) {
                let due = pace.map_or(now, |pace| pace.due(asked));
                if due > now || now < window.origin || due >= window.end {
                    until = until.min(due.max(now));
                    break;
                }
                ready.pop();
                callers[k].ask(due);
                callers[k].api.flush()?;
                asked += 1;
                if pace.is_some() {
                    tally.send(now, due, 0);
                }
            }
            fleet.turn(until, &mut hearing)?;
            for k in fleet.news() {
                let answers = callers[*k].api.receive()?;
                let now = clock::now();
                for _ in 0..answers {
                    tally.arrive(now, callers[*k].due.pop_front().ok_or("an answer that nobody asked for")?);
                    ready.push(*k);
                }
                callers[*k].api.flush()?;
                worker.tell(answers);
            }
            let now = clock::now();
            tally.turn(now, fleet.traffic(), fleet.waited());
            let open: u64 = callers.iter().map(|caller| caller.api.open_requests()).sum();
            if now >= window.end && open == 0 {
                let owed = hearing.order.owed(&self.published(first, &callers));
                if ending.has_come(now, hearing.order.heard(), owed) {
                    break;
                }
            }
            if now > window.end + PATIENCE && open > 0 {
                tally.complaints.push(format!("{open} requests were never answered"));
                break;
            }
        }
        tally.faults = hearing.order.finish(&self.published(first, &callers));
        Ok(tally)
    }

    fn caller(&self, bench: &Bench, k: usize) -> Result<Caller, Failure> {
        let size = bench.options.size as usize;
        let pairs: Vec<(String, u32)> =
            (0..self.channels as usize).map(|j| (self.channel(bench, k, j), self.stream(k, j))).collect();
        let requests = match self.kind {
            Kind::Publish => {
                pairs.iter().map(|(name, stream)| Request::publish(&bench.target, name, *stream, size)).collect()
            }
            Kind::Broadcast => {
                let names: Vec<String> = pairs.into_iter().map(|pair| pair.0).collect();
                vec![Request::broadcast(&bench.target, &names, self.stream(k, 0), size)]
            }
            Kind::Batch => vec![Request::batch(&bench.target, &pairs, size)],
        };
        Ok(Caller { api: ApiConnection::open(&bench.target)?, requests, due: VecDeque::new() })
    }

    fn channel(&self, bench: &Bench, k: usize, j: usize) -> String {
        bench.channel(&self.namespace, k * self.channels as usize + j)
    }

    /// Told apart as far as there are numbers for it; the witness hears those with `j` 0 only.
    fn stream(&self, k: usize, j: usize) -> u32 {
        if j == 0 { k as u32 } else { self.connections + (j as u32 % 1000) }
    }

    /// Publications to the first channel of each caller so far.
    fn published(&self, first: usize, callers: &[Caller]) -> Vec<u64> {
        let mut published = vec![0; first];
        published.extend(callers.iter().map(|caller| caller.api.asked.div_ceil(caller.requests.len() as u64)));
        published
    }
}

impl Caller {
    fn ask(&mut self, due: u64) {
        let (turn, at) = (self.api.asked / self.requests.len() as u64, self.api.asked % self.requests.len() as u64);
        self.api.ask(&self.requests[at as usize], due, |_| turn);
        self.due.push_back(due);
    }
}
