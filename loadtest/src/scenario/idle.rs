//! Idle subscribed connections: private memory of the server for each, and CPU while nothing but pings happens. At the
//! end each must hear one publication.

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::bench::Bench;
use crate::clock::seconds;
use crate::figure::{Figure, Merge};
use crate::report::Outcome;
use crate::spread::{Drive, Spread};

/// See the module. Pings come every 25 seconds by default: measure CPU for longer (--duration 60s).
#[derive(Args)]
pub struct Idle {
    /// Connections.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Channels that they are spread over; each connection subscribes to one.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=900_000))]
    channels: u32,
    /// Namespace of the channels.
    #[arg(long, default_value = "")]
    namespace: String,
}

impl Scenario for Idle {
    const NAME: &'static str = "idle";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        bench.no_floor()?;
        let process =
            bench.process.ok_or("idle is about the server's process: give --pid, or --server to start one")?;
        let before = process.private_memory()?;
        let spread = Spread {
            connections: self.connections as usize,
            channels: self.channels as usize,
            each: 1,
            batch: 1,
            namespace: self.namespace.clone(),
            drive: Drive::AtEnd,
            bad: None,
        };
        let (tally, server) = spread.run(bench)?;
        let connections = f64::from(self.connections);
        let after = server.as_ref().map_or(0, |server| server.memory.1);
        let held = server.as_ref().map_or(0.0, |server| server.wall);
        Ok(Outcome {
            unit: "connection second",
            units: (connections * seconds(bench.options.duration)) as u64,
            settings: vec![
                ("connections", self.connections.to_string()),
                ("channels", self.channels.to_string()),
                ("held", format!("{held:.0} s")),
            ],
            figures: vec![
                Figure::less("Private memory a connection", (after as f64 - before as f64) / connections, "bytes"),
                Figure::fact("Private memory before", before as f64 / 1024.0, "KiB", Merge::Mean),
            ],
            tally,
            server,
            saturating: false,
            floor: None,
            checked: "every connection heard a publication at the end",
        })
    }
}
