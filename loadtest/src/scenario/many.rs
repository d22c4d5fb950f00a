//! Many channels on each connection, publications in batches: several messages are pending for a connection at once.

use clap::Args;

use super::Scenario;
use super::fanout::measure;
use crate::Failure;
use crate::bench::Bench;
use crate::options::rate;
use crate::report::Outcome;
use crate::spread::{Load, Spread};

/// See the module.
#[derive(Args)]
pub struct Many {
    /// Connections.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Channels.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=900_000))]
    channels: u32,
    /// Channels that each connection subscribes to.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    each: u32,
    /// Publications in one request, to channels in a row.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Publications a second.
    #[arg(long, default_value_t = 2000.0, value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    load: Load,
}

impl Scenario for Many {
    const NAME: &'static str = "many";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        let spread = Spread {
            connections: self.connections as usize,
            channels: self.channels as usize,
            each: self.each as usize,
            batch: self.batch as usize,
            namespace: self.load.namespace.clone(),
            drive: self.load.drive(self.rate),
            bad: None,
        };
        measure(bench, &spread, self.rate)
    }
}
