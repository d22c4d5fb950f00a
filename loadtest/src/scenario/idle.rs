//! Idle subscribed connections: private memory of the server for each, and CPU while nothing but pings happens.

use std::time::{Duration, Instant};

use clap::Args;

use crate::Failure;
use crate::fleet::Fleet;
use crate::report::Report;
use crate::target::{Protocol, Target};

/// See the module.
#[derive(Args)]
pub struct Idle {
    #[command(flatten)]
    target: Target,
    /// Encoding of the connections.
    #[arg(long, default_value = "json")]
    protocol: Protocol,
    /// Connections.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=25_000))]
    connections: u32,
    /// Channels that they are spread over; each connection subscribes to one.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    channels: u32,
    /// Seconds to stay, before memory is read the second time. CPU is told when there is time for it.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    hold: u32,
}

impl Idle {
    /// Runs it.
    pub fn run(&self) -> Result<Report, Failure> {
        self.target.pin()?;
        let process = self.target.process().ok_or("--pid is needed: memory is the server's")?;
        let before = process.private_memory()?;
        let opening = Instant::now();
        let mut fleet = Fleet::open(&self.target, self.protocol, self.connections as usize, |i| {
            vec![format!("idle{}", i as u32 % self.channels)]
        })?;
        let opened = opening.elapsed();
        let cpu_before = process.cpu()?;
        let held = Instant::now();
        let hold = Duration::from_secs(u64::from(self.hold));
        while held.elapsed() < hold {
            fleet.turn(hold.saturating_sub(held.elapsed()), |_, _| {})?;
        }
        let cpu = process.cpu()? - cpu_before;
        let after = process.private_memory()?;

        let connections = u64::from(self.connections);
        let mut report = Report::new("idle");
        report.count("connections", connections, "");
        report.count("channels", u64::from(self.channels), "");
        report.measure("opened", connections as f64 / opened.as_secs_f64(), "per_s");
        report.count("private_memory_before", before, "bytes");
        report.count("private_memory_after", after, "bytes");
        report.measure("private_memory_a_connection", (after as f64 - before as f64) / connections as f64, "bytes");
        let connection_seconds = connections * u64::from(self.hold);
        report.cpu_each("server_cpu_a_connection_second", cpu, connection_seconds);
        Ok(report)
    }
}
