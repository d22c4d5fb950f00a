//! Everybody drops at once and comes back with recovery, while publications go on.

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::api::{ApiConnection, Request};
use crate::bench::Bench;
use crate::clock::{self, SECOND, seconds};
use crate::commands::{Position, Subscribe};
use crate::connection::Hello;
use crate::figure::{Figure, Merge, median};
use crate::fleet::{Fleet, Hear, OPENING_AT_ONCE};
use crate::options::rate;
use crate::order::Order;
use crate::pace::Pace;
use crate::payload::Finder;
use crate::report::Outcome;
use crate::spread::Ending;
use crate::tally::{Tally, Window};
use crate::target::Protocol;
use crate::wire;
use crate::workers::{self, ServerUse, Worker};

/// Time for the server to notice that everybody has gone.
const SETTLE: u64 = SECOND / 2;
/// The longest storm.
const PATIENCE: u64 = 120 * SECOND;

/// See the module. --warmup and --duration mean nothing to it: it takes as long as it takes.
#[derive(Args)]
pub struct Recover {
    /// Connections.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    connections: u32,
    /// Channels that they are spread over; each connection subscribes to one.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    channels: u32,
    /// Publications that each misses while it is away.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    missed: u32,
    /// Publications a second while they come back, over all channels.
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// How often everybody drops; figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Connections under way at the same time while they come back.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    at_once: u32,
    /// Namespace of the channels, with history and recovery.
    #[arg(long, default_value = "history")]
    namespace: String,
}

struct Hearing {
    finder: Finder,
    now: u64,
    protocol: Protocol,
    channels: usize,
    order: Order,
    tally: Tally,
    /// When the storm began; 0 while there is none.
    storm: u64,
    live: usize,
    recovered: u64,
    epochs: Vec<Option<String>>,
}

impl Hear for Hearing {
    fn at(&mut self, now: u64) {
        self.now = now;
    }

    fn push(&mut self, connection: usize, push: &[u8]) {
        if let Some((stamp, _)) = self.finder.first(push) {
            self.order.take(connection, stamp.stream, stamp.number);
        }
    }

    fn reply(&mut self, connection: usize, id: u64, reply: &[u8]) -> Result<(), Failure> {
        if id != 2 {
            return Ok(());
        }
        if self.storm == 0 {
            let epoch = &mut self.epochs[connection % self.channels];
            if epoch.is_none() {
                *epoch = wire::subscribed(self.protocol, reply).map(|subscribed| subscribed.epoch);
            }
            return Ok(());
        }
        let order = &mut self.order;
        self.finder.each(reply, |stamp| order.take(connection, stamp.stream, stamp.number));
        self.recovered += u64::from(wire::is_recovered(self.protocol, reply));
        Ok(())
    }

    fn live(&mut self, _connection: usize) {
        self.live += 1;
        if self.storm > 0 {
            self.tally.arrive(self.now, self.storm);
        }
    }
}

/// What one storm took.
struct Storm {
    all_back: u64,
    cpu: Option<f64>,
    generator: f64,
}

impl Scenario for Recover {
    const NAME: &'static str = "recover";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        bench.no_other_process()?;
        if bench.options.workers > 1 {
            return Err("--workers: recover runs on one worker; run several processes and merge them".into());
        }
        let storms = std::sync::Mutex::new(Vec::new());
        let (mut tally, _) = workers::run(bench, |worker| {
            let (tally, found) = self.work(bench, worker)?;
            *storms.lock().expect("one worker") = found;
            Ok(tally)
        })?;
        let storms = storms.into_inner()?;
        let count = f64::from(self.connections);
        let mut figures =
            vec![Figure::less("All back after", median(storms.iter().map(|s| s.all_back as f64 / 1e6)), "ms")];
        let cpu = storms.iter().all(|storm| storm.cpu.is_some()).then(|| {
            let total: f64 = storms.iter().filter_map(|storm| storm.cpu).sum();
            let each = median(storms.iter().filter_map(|storm| storm.cpu).map(|cpu| cpu * 1e6 / count));
            figures.push(Figure::less("CPU a recovered connection", each, "us"));
            total
        });
        let busy = median(storms.iter().map(|storm| storm.generator));
        figures.push(Figure::fact("Generator busy while they come back", busy * 100.0, "%", Merge::Max));
        let wall: f64 = storms.iter().map(|storm| seconds(storm.all_back)).sum();
        if let Some(cpu) = cpu.filter(|cpu| busy > 0.9 && cpu / wall < 0.8 * busy) {
            let words = "the generator was the limit while they came back, so the time is its own: the server used";
            tally.complaints.push(format!("{words} {:.0} % of a core", cpu * 100.0 / wall));
        }
        tally.window.end = tally.window.start + (wall * SECOND as f64) as u64;
        // Judged above: in a storm both sides are as busy as they can be.
        tally.busy = 0.0;
        Ok(Outcome {
            unit: "recovery",
            units: u64::from(self.connections) * u64::from(self.rounds),
            settings: vec![
                ("connections", self.connections.to_string()),
                ("channels", self.channels.to_string()),
                ("missed each", self.missed.to_string()),
                ("meanwhile", format!("{}/s", self.rate)),
                ("rounds", self.rounds.to_string()),
            ],
            tally,
            server: cpu.map(|cpu| ServerUse {
                cpu: std::time::Duration::from_secs_f64(cpu),
                wall,
                ..ServerUse::default()
            }),
            figures,
            saturating: true,
            floor: None,
            checked: "everything missed was recovered, exactly once, in order",
        })
    }
}

/// The publishing side.
struct Publisher {
    api: ApiConnection,
    requests: Vec<Request>,
    published: Vec<u64>,
}

impl Publisher {
    fn publish(&mut self, channel: usize, due: u64) -> Result<(), Failure> {
        let number = self.published[channel];
        self.api.ask(&self.requests[channel], due, |_| number);
        self.published[channel] += 1;
        self.api.flush()
    }

    /// Everything that was published has been answered.
    fn settle(&mut self, fleet: &mut Fleet, hearing: &mut Hearing) -> Result<(), Failure> {
        let deadline = clock::now() + PATIENCE;
        while self.api.open_requests() > 0 {
            fleet.turn(clock::now() + SECOND / 50, hearing)?;
            self.api.receive()?;
            self.api.flush()?;
            if clock::now() > deadline {
                return Err("the server API answers no more".into());
            }
        }
        Ok(())
    }
}

impl Recover {
    fn work(&self, bench: &Bench, worker: &Worker<'_>) -> Result<(Tally, Vec<Storm>), Failure> {
        let (count, channels) = (self.connections as usize, self.channels as usize);
        let mut fleet = bench.fleet(worker, count, count * (self.rounds as usize + 1))?;
        worker.ready()?;
        let names = bench.channels(&self.namespace, 0..channels);
        let start = clock::now();
        let mut hearing = Hearing {
            finder: Finder::new(),
            now: 0,
            protocol: bench.options.protocol,
            channels,
            order: Order::new((0..count).map(|i| vec![(i % channels) as u32])),
            tally: Tally::new(Window { origin: start, start, end: start + PATIENCE * u64::from(self.rounds) }),
            storm: 0,
            live: 0,
            recovered: 0,
            epochs: vec![None; channels],
        };
        let wish = |i: usize, from| [Subscribe { channel: names[i % channels].clone(), from }];
        fleet.open(0..count, OPENING_AT_ONCE, &mut hearing, bench.opening(worker), |i| {
            worker.tell_connections(1);
            bench.hello(i, &wish(i, None))
        })?;
        let size = bench.options.size as usize;
        let request = |(i, name): (usize, &String)| Request::publish(&bench.target, name, i as u32, size);
        let mut publisher = Publisher {
            api: ApiConnection::open(&bench.target)?,
            requests: names.iter().enumerate().map(request).collect(),
            published: vec![0; channels],
        };
        fleet.watch(publisher.api.socket(), 0)?;
        (0..channels * 3).try_for_each(|n| publisher.publish(n % channels, 0))?;
        publisher.settle(&mut fleet, &mut hearing)?;
        self.all_heard(&mut fleet, &publisher, &mut hearing)?;
        let mut storms = Vec::new();
        for _ in 0..self.rounds {
            (0..count).for_each(|i| fleet.close(i));
            (0..channels * self.missed as usize).try_for_each(|n| publisher.publish(n % channels, 0))?;
            publisher.settle(&mut fleet, &mut hearing)?;
            let settled = clock::now() + SETTLE;
            while clock::now() < settled {
                fleet.turn(settled, &mut hearing)?;
            }
            let hellos = (0..count)
                .map(|i| {
                    let epoch = hearing.epochs[i % channels].clone().unwrap_or_default();
                    let position = Position { epoch, offset: hearing.order.expects(i, (i % channels) as u32) };
                    bench.hello(i, &wish(i, Some(position)))
                })
                .collect();
            fleet.prepare()?;
            storms.push(self.storm(bench, &mut fleet, &mut publisher, &mut hearing, hellos)?);
            worker.tell(count as u64);
            publisher.settle(&mut fleet, &mut hearing)?;
            self.all_heard(&mut fleet, &publisher, &mut hearing)?;
            hearing.storm = 0;
        }
        let expected = u64::from(self.connections) * u64::from(self.rounds);
        if hearing.recovered < expected {
            let short = expected - hearing.recovered;
            hearing.tally.complaints.push(format!("{short} of {expected} subscriptions came back without recovery"));
        }
        hearing.tally.faults = hearing.order.finish(&publisher.published);
        Ok((hearing.tally, storms))
    }

    /// All come back.
    fn storm(
        &self,
        bench: &Bench,
        fleet: &mut Fleet,
        publisher: &mut Publisher,
        hearing: &mut Hearing,
        hellos: Vec<Hello>,
    ) -> Result<Storm, Failure> {
        let (count, channels) = (hellos.len(), self.channels as usize);
        let cpu = bench.process.map(|process| process.cpu()).transpose()?;
        let (begin, waited) = (clock::now(), fleet.waited());
        let pace = Pace::new(begin, self.rate, 0);
        (hearing.storm, hearing.live) = (begin, 0);
        let mut hellos = hellos.into_iter().enumerate();
        let (mut begun, mut published) = (0, 0);
        while hearing.live < count {
            let now = clock::now();
            while pace.due(published) <= now {
                publisher.publish(published as usize % channels, pace.due(published))?;
                published += 1;
            }
            while begun - hearing.live < self.at_once as usize {
                let Some((i, hello)) = hellos.next() else { break };
                fleet.begin(i, hello)?;
                begun += 1;
            }
            fleet.turn(pace.due(published).min(now + SECOND / 50), hearing)?;
            if !fleet.news().is_empty() {
                publisher.api.receive()?;
            }
            if now - begin > PATIENCE {
                return Err(format!("only {} of {count} came back in {} s", hearing.live, PATIENCE / SECOND).into());
            }
        }
        let all_back = clock::now() - begin;
        let after = bench.process.map(|process| process.cpu()).transpose()?;
        Ok(Storm {
            all_back,
            cpu: cpu.zip(after).map(|(before, after)| after.since(&before).as_secs_f64()),
            generator: 1.0 - (fleet.waited() - waited) as f64 / all_back as f64,
        })
    }

    /// Listens until all has come that was published, or will not come any more.
    fn all_heard(&self, fleet: &mut Fleet, publisher: &Publisher, hearing: &mut Hearing) -> Result<(), Failure> {
        let mut ending = Ending { heard: 0, since: clock::now() };
        loop {
            let now = clock::now();
            if ending.has_come(now, hearing.order.heard(), hearing.order.owed(&publisher.published)) {
                return Ok(());
            }
            fleet.turn(now + SECOND / 50, hearing)?;
        }
    }
}
