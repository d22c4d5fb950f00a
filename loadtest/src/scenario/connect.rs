//! Connections that come and go: upgrade, connect with a token, subscribe, close.

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::bench::Bench;
use crate::clock::{self, SECOND};
use crate::commands::Subscribe;
use crate::fleet::Hear;
use crate::options::rate;
use crate::pace::Pace;
use crate::report::Outcome;
use crate::tally::Tally;
use crate::workers::{self, Worker};

/// Source addresses: a port rests after its connection.
const SOURCES: u32 = 8;
const PATIENCE: u64 = 10 * SECOND;

/// See the module.
#[derive(Args)]
pub struct Connect {
    /// Connections under way at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    at_once: u32,
    /// Connections a second; as fast as they go through unless set.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Channels that each subscribes to, out of 100.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=100))]
    channels: u32,
    /// Namespace of the channels.
    #[arg(long, default_value = "")]
    namespace: String,
}

struct Hearing {
    now: u64,
    live: Vec<usize>,
}

impl Hear for Hearing {
    fn at(&mut self, now: u64) {
        self.now = now;
    }

    fn push(&mut self, _connection: usize, _push: &[u8]) {}

    fn live(&mut self, connection: usize) {
        self.live.push(connection);
    }
}

impl Scenario for Connect {
    const NAME: &'static str = "connect";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        let (tally, server) = workers::run(bench, |worker| self.work(bench, worker))?;
        let signed = if bench.options.hmac_secret.is_some() { "HS256, each its own" } else { "none of its own" };
        Ok(Outcome {
            unit: "connection",
            units: tally.arrived,
            settings: vec![
                ("at once", self.at_once.to_string()),
                ("rate", self.rate.map_or("as fast as accepted".to_owned(), |rate| format!("{rate}/s"))),
                ("channels each", self.channels.to_string()),
                ("token", signed.to_owned()),
            ],
            tally,
            server,
            figures: Vec::new(),
            saturating: self.rate.is_none(),
            floor: None,
            checked: "every connection came through",
        })
    }
}

impl Connect {
    fn work(&self, bench: &Bench, worker: &Worker<'_>) -> Result<Tally, Failure> {
        let places = worker.share(self.at_once as usize).len().max(1);
        let mut fleet = bench.fleet_from(worker, places, SOURCES)?;
        let names: Vec<String> = bench.channels(&self.namespace, 0..100);
        let window = worker.ready()?;
        let pace = self.rate.map(|rate| Pace::new(window.origin, rate / worker.count as f64, bench.options.ramp));
        let mut tally = Tally::new(window);
        let mut hearing = Hearing { now: 0, live: Vec::new() };
        let (mut free, mut due) = ((0..places).collect::<Vec<usize>>(), vec![0; places]);
        let mut begun = 0u64;
        loop {
            let now = clock::now();
            let mut until = now + SECOND / 50;
            while let Some(place) = free.last().copied() {
                let moment = pace.map_or(now, |pace| pace.due(begun));
                if moment > now || now >= window.end || now < window.origin {
                    until = until.min(moment.max(now));
                    break;
                }
                let number = begun as usize * worker.count + worker.index;
                let wish = |i: usize| Subscribe { channel: names[(number + i) % names.len()].clone(), from: None };
                let wishes: Vec<Subscribe> = (0..self.channels as usize).map(wish).collect();
                fleet.begin(place, bench.hello(number, &wishes))?;
                if pace.is_some() {
                    tally.send(now, moment, 0);
                }
                due[place] = moment;
                free.pop();
                begun += 1;
            }
            fleet.turn(until, &mut hearing)?;
            for place in hearing.live.drain(..) {
                tally.arrive(hearing.now, due[place]);
                fleet.close(place);
                free.push(place);
                worker.tell(1);
            }
            let now = clock::now();
            tally.turn(now, fleet.traffic(), fleet.waited());
            if now >= window.end && (free.len() == places || now > window.end + PATIENCE) {
                if free.len() < places {
                    tally.complaints.push(format!("{} connections never came through", places - free.len()));
                }
                return Ok(tally);
            }
        }
    }
}
