//! Good subscribers, first among themselves, then beside bad ones: what do the good ones notice?

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::bad::How;
use crate::bench::Bench;
use crate::figure::{Figure, Merge};
use crate::options::rate;
use crate::report::Outcome;
use crate::spread::{Drive, Spread};

/// See the module.
#[derive(Args)]
pub struct Slow {
    /// Good subscribers.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    /// Bad ones beside them.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    bad: u32,
    /// What they do.
    #[arg(long, default_value = "never")]
    how: How,
    /// Publications a second.
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// Namespace of the channel.
    #[arg(long, default_value = "")]
    namespace: String,
}

impl Scenario for Slow {
    const NAME: &'static str = "slow";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        let mut spread = Spread {
            connections: self.subscribers as usize,
            channels: 1,
            each: 1,
            batch: 1,
            namespace: self.namespace.clone(),
            drive: Drive::Rate(self.rate),
            bad: None,
        };
        let (alone, _) = spread.run(bench)?;
        spread.bad = Some((self.bad as usize, self.how));
        // Other channels, so that both halves begin at number 0.
        spread.namespace = self.namespace.clone();
        let second = bench.another();
        let (mut tally, server) = spread.run(&second)?;
        let p99 = |histogram: &hdrhistogram::Histogram<u64>| histogram.value_at_quantile(0.99) as f64 / 1000.0;
        let (before, beside) = (p99(&alone.latency), p99(&tally.latency));
        tally.faults.merge(alone.faults);
        tally.busy = tally.busy.max(alone.busy);
        Ok(Outcome {
            unit: "delivery",
            units: tally.arrived,
            settings: vec![
                ("good", self.subscribers.to_string()),
                ("bad", format!("{} ({:?})", self.bad, self.how).to_lowercase()),
                ("publications", format!("{}/s", self.rate)),
            ],
            figures: vec![
                Figure::less("Latency p99 without bad ones", before, "us"),
                Figure::less("Latency p99 beside bad ones", beside, "us"),
                Figure::less("Beside to without", beside / before.max(1e-9), "x"),
                // Those that never read do not notice.
                Figure::fact("Bad ones sent away", tally.sent_away as f64, "", Merge::Sum),
                Figure::fact("Deliveries to good ones", tally.arrived as f64, "", Merge::Sum),
            ],
            tally,
            server,
            saturating: false,
            floor: None,
            checked: "every publication came exactly once, in order",
        })
    }
}
