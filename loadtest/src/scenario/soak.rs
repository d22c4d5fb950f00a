//! A mix for hours: publications over the API to recoverable channels, clients that publish to themselves, and clients
//! that leave and come back with recovery. Nothing may be lost through all of it, and memory must not grow.

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::api::{ApiConnection, Request};
use crate::bench::Bench;
use crate::clock::{self, SECOND};
use crate::commands::{FIRST_ID, Position, Subscribe};
use crate::figure::{Figure, Merge};
use crate::fleet::{Fleet, Hear, OPENING_AT_ONCE};
use crate::options::rate;
use crate::order::Order;
use crate::pace::Pace;
use crate::payload::Finder;
use crate::prepared::Prepared;
use crate::report::Outcome;
use crate::spread::Ending;
use crate::tally::Tally;
use crate::target::Protocol;
use crate::wire;
use crate::workers::{self, Worker};

const PATIENCE: u64 = 10 * SECOND;
/// Channels of a worker, of both sorts.
const CHANNELS_OF_A_WORKER: usize = 100_000;

/// See the module.
#[derive(Args)]
pub struct Soak {
    /// Clients.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=90_000))]
    connections: u32,
    /// Shared channels; each client subscribes to one, and to one of its own.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    channels: u32,
    /// Publications a second to the shared channels, over the API.
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    /// Publications a second of clients to their own channels.
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    echo_rate: f64,
    /// Clients a second that leave and come back.
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    churn: f64,
    /// Namespace of the channels, with history and recovery; clients must be allowed to publish there.
    #[arg(long, default_value = "history")]
    namespace: String,
}

struct Hearing {
    finder: Finder,
    now: u64,
    protocol: Protocol,
    order: Order,
    tally: Tally,
    /// Publications of clients under way, for each.
    unanswered: Vec<u32>,
    epochs: Vec<Option<String>>,
    shared: usize,
    returning: Vec<bool>,
    unrecovered: u64,
}

impl Hearing {
    fn streams(&self, connection: usize) -> [usize; 2] {
        [connection % self.shared, self.shared + connection]
    }
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

    fn reply(&mut self, connection: usize, id: u64, reply: &[u8]) -> Result<(), Failure> {
        if id >= FIRST_ID {
            self.unanswered[connection] -= 1;
        } else if id >= 2 {
            let stream = self.streams(connection)[id as usize - 2];
            if self.epochs[stream].is_none() {
                self.epochs[stream] = wire::subscribed(self.protocol, reply).map(|subscribed| subscribed.epoch);
            }
            let order = &mut self.order;
            self.finder.each(reply, |stamp| order.take(connection, stamp.stream, stamp.number));
            let failed = self.returning[connection] && !wire::is_recovered(self.protocol, reply);
            self.unrecovered += u64::from(failed);
        }
        Ok(())
    }
}

impl Scenario for Soak {
    const NAME: &'static str = "soak";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        let (tally, server) = workers::run(bench, |worker| self.work(bench, worker))?;
        let mut figures = Vec::new();
        if let Some(server) = &server {
            let (before, after) = server.memory;
            figures.push(Figure::fact("Private memory at the beginning", before as f64 / 1024.0, "KiB", Merge::Mean));
            figures.push(Figure::less("Private memory grown", (after as f64 - before as f64) / 1024.0, "KiB"));
        }
        Ok(Outcome {
            unit: "delivery",
            units: tally.arrived,
            settings: vec![
                ("connections", self.connections.to_string()),
                ("channels", self.channels.to_string()),
                ("publications", format!("{}/s", self.rate)),
                ("clients' publications", format!("{}/s", self.echo_rate)),
                ("coming and going", format!("{}/s", self.churn)),
            ],
            tally,
            server,
            figures,
            saturating: false,
            floor: None,
            checked: "every publication came exactly once, in order",
        })
    }
}

impl Soak {
    fn work(&self, bench: &Bench, worker: &Worker<'_>) -> Result<Tally, Failure> {
        let count = worker.share(self.connections as usize).len().max(1);
        let shared = self.channels as usize;
        let mut fleet = bench.fleet(worker, count, (self.connections as usize) * 2)?;
        let first = worker.index * CHANNELS_OF_A_WORKER;
        let name = |stream: usize| bench.channel(&self.namespace, first + stream);
        let mut returning = 0;
        let size = bench.options.size as usize;
        let requests: Vec<Request> =
            (0..shared).map(|stream| Request::publish(&bench.target, &name(stream), stream as u32, size)).collect();
        let mut commands: Vec<Prepared> = (shared..shared + count)
            .map(|stream| Prepared::publish(bench.options.protocol, &name(stream), stream as u32, size))
            .collect();
        let mut api = ApiConnection::open(&bench.target)?;
        fleet.watch(api.socket(), 0)?;
        let placeholder = crate::tally::Window { origin: 0, start: 0, end: SECOND };
        let mut hearing = Hearing {
            finder: Finder::new(),
            now: 0,
            protocol: bench.options.protocol,
            order: Order::new((0..count).map(|i| vec![(i % shared) as u32, (shared + i) as u32])),
            tally: Tally::new(placeholder),
            unanswered: vec![0; count],
            epochs: vec![None; shared + count],
            shared,
            returning: vec![false; count],
            unrecovered: 0,
        };
        let fresh = |i: usize| [i % shared, shared + i].map(|stream| Subscribe { channel: name(stream), from: None });
        fleet.open(0..count, OPENING_AT_ONCE, &mut hearing, bench.opening(worker), |i| {
            worker.tell_connections(1);
            bench.hello(first + i, &fresh(i))
        })?;
        let window = worker.ready()?;
        hearing.tally = Tally::new(window);
        let workers = worker.count as f64;
        let ramp = bench.options.ramp;
        let paces = [self.rate, self.echo_rate, self.churn].map(|rate| Pace::new(window.origin, rate / workers, ramp));
        let mut done = [0u64; 3];
        let mut published = vec![0u64; shared + count];
        let mut ending = Ending { heard: 0, since: window.end };
        let mut told = 0;
        loop {
            let now = clock::now();
            let mut until = now + SECOND / 50;
            for (kind, pace) in paces.iter().enumerate() {
                loop {
                    let (n, due) = (done[kind] as usize, pace.due(done[kind]));
                    if due > now || due >= window.end {
                        until = until.min(due);
                        break;
                    }
                    done[kind] += 1;
                    match kind {
                        0 => {
                            let stream = n % shared;
                            api.ask(&requests[stream], due, |_| published[stream]);
                            published[stream] += 1;
                            hearing.tally.send(now, due, 1);
                        }
                        1 => {
                            // Only those who are here can publish.
                            let i = (n * 7919) % count;
                            if fleet.connection(i).is_live() {
                                let stream = shared + i;
                                fleet.send(i, commands[i].next(published[stream], due))?;
                                published[stream] += 1;
                                hearing.unanswered[i] += 1;
                                hearing.tally.send(now, due, 1);
                            }
                        }
                        _ => {
                            let i = (n * 104_729) % count;
                            // What a client does not know to be published it could not expect to recover.
                            if fleet.connection(i).is_live() && hearing.unanswered[i] == 0 {
                                self.come_back(bench, &mut fleet, &mut hearing, i, first, &name)?;
                                returning += 1;
                            }
                        }
                    }
                }
            }
            api.flush()?;
            fleet.turn(until.max(now), &mut hearing)?;
            if !fleet.news().is_empty() {
                api.receive()?;
            }
            let now = clock::now();
            hearing.tally.turn(now, fleet.traffic(), fleet.waited());
            worker.tell(hearing.order.heard() - told);
            told = hearing.order.heard();
            if now >= window.end && ending.has_come(now, told, hearing.order.owed(&published)) {
                break;
            }
            if now > window.end + PATIENCE && api.open_requests() > 0 {
                return Err("the server API answers no more".into());
            }
        }
        let mut tally = hearing.tally;
        if hearing.unrecovered > 0 {
            let words = "subscriptions came back without recovery, of connections that came back:";
            tally.complaints.push(format!("{} {words} {returning}", hearing.unrecovered));
        }
        if fleet.live() < count {
            tally.complaints.push(format!("{} connections never came back", count - fleet.live()));
        }
        tally.faults = hearing.order.finish(&published);
        Ok(tally)
    }

    fn come_back(
        &self,
        bench: &Bench,
        fleet: &mut Fleet,
        hearing: &mut Hearing,
        i: usize,
        first: usize,
        name: &impl Fn(usize) -> String,
    ) -> Result<(), Failure> {
        fleet.close(i);
        hearing.returning[i] = true;
        let wishes = hearing.streams(i).map(|stream| {
            let epoch = hearing.epochs[stream].clone().unwrap_or_default();
            let from = Some(Position { epoch, offset: hearing.order.expects(i, stream as u32) });
            Subscribe { channel: name(stream), from }
        });
        fleet.begin(i, bench.hello(first + i, &wishes))
    }
}
