//! Redis ends the connections that messages come on: how long until the server hears of all channels again.
//!
//! From then on one publication after another goes to each channel of a sample until one arrives. In the end every
//! channel must hear one.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::api::{ApiConnection, Request};
use crate::bench::Bench;
use crate::clock::{self, SECOND, seconds};
use crate::commands::Subscribe;
use crate::figure::{Figure, Merge, median};
use crate::fleet::{Fleet, Hear, OPENING_AT_ONCE};
use crate::payload::Finder;
use crate::report::Outcome;
use crate::tally::{Tally, Window};
use crate::workers::{self, ServerUse, Worker};

/// The longest time until all is well again.
const PATIENCE: u64 = 120 * SECOND;
/// Before connections are killed: servers wait longer for one that soon breaks again.
const SETTLE: u64 = 2 * SECOND;
/// Between two publications to a channel of the sample.
const EVERY: u64 = SECOND / 200;
/// Publications under way at most where all channels get one.
const IN_FLIGHT: u64 = 256;

/// See the module. --warmup and --duration mean nothing to it: it takes as long as it takes.
#[derive(Args)]
pub struct Reconnect {
    /// The server's Redis, which must not ask for a password.
    #[arg(long, default_value = "127.0.0.1:6379")]
    redis: String,
    /// Connections.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Channels that each connection subscribes to, and no other one.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    each: u32,
    /// Channels that are looked at, spread over all.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    sample: u32,
    /// How often connections are killed; figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Namespace of the channels.
    #[arg(long, default_value = "")]
    namespace: String,
}

struct Hearing {
    finder: Finder,
    now: u64,
    /// Number of the publication that each channel hears next at the earliest.
    next: Vec<u64>,
    /// Publications that came twice, or behind a later one.
    disorder: u64,
    /// When connections were killed; 0 = not yet.
    killed: u64,
    /// Channels that heard something since, and when.
    back: Vec<u64>,
}

impl Hear for Hearing {
    fn at(&mut self, now: u64) {
        self.now = now;
    }

    fn push(&mut self, _connection: usize, push: &[u8]) {
        let Some((stamp, _)) = self.finder.first(push) else { return };
        let channel = stamp.stream as usize;
        let Some(next) = self.next.get_mut(channel) else { return };
        self.disorder += u64::from(stamp.number < *next);
        *next = stamp.number + 1;
        if self.killed > 0 && stamp.due >= self.killed && self.back[channel] == 0 {
            self.back[channel] = self.now;
        }
    }
}

/// What one loss of the connections took.
struct Loss {
    times: Vec<u64>,
    cpu: Option<Duration>,
    generator: f64,
}

impl Loss {
    fn all_back(&self) -> u64 {
        self.times.last().copied().unwrap_or(0)
    }
}

impl Scenario for Reconnect {
    const NAME: &'static str = "reconnect";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        bench.no_other_process()?;
        if bench.options.workers > 1 {
            return Err("--workers: reconnect runs on one worker".into());
        }
        let channels = self.connections * self.each;
        if channels > crate::payload::STREAMS {
            return Err(format!(
                "{channels} channels are more than the {} that it can tell apart",
                crate::payload::STREAMS
            )
            .into());
        }
        let losses = std::sync::Mutex::new(Vec::new());
        let (mut tally, _) = workers::run(bench, |worker| {
            let (tally, found) = self.work(bench, worker)?;
            *losses.lock().expect("one worker") = found;
            Ok(tally)
        })?;
        let losses = losses.into_inner()?;
        let half = |loss: &Loss| loss.times.get(loss.times.len() / 2).copied().unwrap_or(0);
        let milliseconds = |time: u64| time as f64 / 1e6;
        let mut figures = vec![
            Figure::less("All back after", median(losses.iter().map(|loss| milliseconds(loss.all_back()))), "ms"),
            Figure::less("Half of them after", median(losses.iter().map(|loss| milliseconds(half(loss)))), "ms"),
        ];
        let cpu: Option<Duration> = losses.iter().map(|loss| loss.cpu).sum();
        let busy = median(losses.iter().map(|loss| loss.generator));
        figures.push(Figure::fact("Generator busy until all are back", busy * 100.0, "%", Merge::Max));
        if busy > 0.97 {
            tally.complaints.push("the generator was the limit: look at fewer channels (--sample)".to_owned());
        }
        let wall: f64 = losses.iter().map(|loss| seconds(loss.all_back())).sum();
        tally.window.end = tally.window.start + (wall * SECOND as f64) as u64;
        Ok(Outcome {
            unit: "channel",
            units: u64::from(channels) * u64::from(self.rounds),
            settings: vec![
                ("connections", self.connections.to_string()),
                ("channels", channels.to_string()),
                ("looked at", self.sample.min(channels).to_string()),
                ("rounds", self.rounds.to_string()),
            ],
            tally,
            server: cpu.map(|cpu| ServerUse { cpu, wall, ..ServerUse::default() }),
            figures,
            saturating: true,
            floor: None,
            checked: "every channel heard publications again, each once, in order",
        })
    }
}

/// A connection to the server's Redis.
struct Killer(BufReader<TcpStream>);

impl Killer {
    fn open(address: &str) -> Result<Killer, Failure> {
        let told = |e: std::io::Error| format!("--redis {address}: {e}");
        let socket = TcpStream::connect(address).map_err(told)?;
        socket.set_read_timeout(Some(Duration::from_secs(10))).map_err(told)?;
        Ok(Killer(BufReader::new(socket)))
    }

    /// Ends all connections on which messages come.
    fn kill(&mut self) -> Result<(), Failure> {
        self.0.get_mut().write_all(b"CLIENT KILL TYPE pubsub\r\n")?;
        let mut reply = String::new();
        self.0.read_line(&mut reply)?;
        match reply.trim().strip_prefix(':').and_then(|count| count.parse::<u32>().ok()) {
            Some(1..) => Ok(()),
            Some(0) => Err("--redis: nobody listens there; is it the server's?".into()),
            None => Err(format!("--redis: it says {:?}", reply.trim()).into()),
        }
    }
}

/// The publishing side.
struct Publisher {
    api: ApiConnection,
    requests: Vec<Request>,
    published: Vec<u64>,
}

impl Publisher {
    fn publish(&mut self, channel: usize, due: u64) {
        let number = self.published[channel];
        self.api.ask(&self.requests[channel], due, |_| number);
        self.published[channel] += 1;
    }
}

impl Reconnect {
    fn work(&self, bench: &Bench, worker: &Worker<'_>) -> Result<(Tally, Vec<Loss>), Failure> {
        let (count, each) = (self.connections as usize, self.each as usize);
        let channels = count * each;
        let mut killer = Killer::open(&self.redis)?;
        let mut fleet = bench.fleet(worker, count, count)?;
        worker.ready()?;
        let names = bench.channels(&self.namespace, 0..channels);
        let start = clock::now();
        let mut tally = Tally::new(Window { origin: start, start, end: start + PATIENCE * u64::from(self.rounds) });
        let mut hearing = Hearing {
            finder: Finder::new(),
            now: 0,
            next: vec![0; channels],
            disorder: 0,
            killed: 0,
            back: vec![0; channels],
        };
        fleet.open(0..count, OPENING_AT_ONCE, &mut hearing, bench.opening(worker), |i| {
            worker.tell_connections(1);
            let own = &names[i * each..(i + 1) * each];
            let wishes: Vec<_> = own.iter().map(|name| Subscribe { channel: name.clone(), from: None }).collect();
            bench.hello(i, &wishes)
        })?;
        let size = bench.options.size as usize;
        let request = |(i, name): (usize, &String)| Request::publish(&bench.target, name, i as u32, size);
        let mut publisher = Publisher {
            api: ApiConnection::open(&bench.target)?,
            requests: names.iter().enumerate().map(request).collect(),
            published: vec![0; channels],
        };
        fleet.watch(publisher.api.socket(), 0)?;
        let sample = (self.sample as usize).min(channels);
        let sample: Vec<_> = (0..sample).map(|n| n * channels / sample).collect();
        self.tell_all(&mut fleet, &mut publisher, &mut hearing)?;
        let mut losses = Vec::new();
        for _ in 0..self.rounds {
            let settled = clock::now() + SETTLE;
            while clock::now() < settled {
                fleet.turn(settled, &mut hearing)?;
            }
            let loss = self.lose(bench, &mut fleet, &mut killer, &mut publisher, &mut hearing, &sample)?;
            loss.times.iter().for_each(|time| tally.arrive(hearing.killed + time, hearing.killed));
            losses.push(loss);
            worker.tell(channels as u64);
            self.tell_all(&mut fleet, &mut publisher, &mut hearing)?;
        }
        if hearing.disorder > 0 {
            tally.complaints.push(format!("{} publications came twice or out of order", hearing.disorder));
        }
        Ok((tally, losses))
    }

    /// Kills connections, and publishes to the sample until all of it has heard something.
    fn lose(
        &self,
        bench: &Bench,
        fleet: &mut Fleet,
        killer: &mut Killer,
        publisher: &mut Publisher,
        hearing: &mut Hearing,
        sample: &[usize],
    ) -> Result<Loss, Failure> {
        let cpu = bench.process.map(|process| process.cpu()).transpose()?;
        hearing.back.fill(0);
        let (begin, waited) = (clock::now(), fleet.waited());
        killer.kill()?;
        hearing.killed = begin;
        let mut round = 0;
        loop {
            let now = clock::now();
            let missing: Vec<_> = sample.iter().copied().filter(|channel| hearing.back[*channel] == 0).collect();
            if missing.is_empty() {
                break;
            }
            if now - begin > PATIENCE {
                let (missing, all) = (missing.len(), sample.len());
                return Err(format!("{missing} of {all} channels hear nothing after {} s", PATIENCE / SECOND).into());
            }
            if now >= begin + round * EVERY && publisher.api.open_requests() == 0 {
                missing.into_iter().for_each(|channel| publisher.publish(channel, now));
                round = (now - begin) / EVERY + 1;
            }
            publisher.api.flush()?;
            fleet.turn((begin + round * EVERY).max(now + SECOND / 1000), hearing)?;
            publisher.api.receive()?;
        }
        let after = bench.process.map(|process| process.cpu()).transpose()?;
        let mut times: Vec<_> = sample.iter().map(|channel| hearing.back[*channel] - begin).collect();
        times.sort_unstable();
        let all_back = times.last().copied().unwrap_or(0).max(1);
        Ok(Loss {
            cpu: cpu.zip(after).map(|(before, after)| after.since(&before)),
            generator: 1.0 - (fleet.waited() - waited) as f64 / all_back as f64,
            times,
        })
    }

    /// Publishes once to every channel, and listens until all have heard it.
    fn tell_all(&self, fleet: &mut Fleet, publisher: &mut Publisher, hearing: &mut Hearing) -> Result<(), Failure> {
        let channels = publisher.published.len();
        let (begin, mut told) = (clock::now(), 0);
        loop {
            while told < channels && publisher.api.open_requests() < IN_FLIGHT {
                publisher.publish(told, clock::now());
                told += 1;
            }
            publisher.api.flush()?;
            let is_heard = || hearing.next == publisher.published;
            if told == channels && publisher.api.open_requests() == 0 && is_heard() {
                return Ok(());
            }
            let now = clock::now();
            if now - begin > PATIENCE {
                let behind = hearing.next.iter().zip(&publisher.published).filter(|(next, all)| next < all).count();
                return Err(format!("{behind} of {channels} channels do not hear what is published").into());
            }
            fleet.turn(now + SECOND / 100, hearing)?;
            publisher.api.receive()?;
        }
    }
}
