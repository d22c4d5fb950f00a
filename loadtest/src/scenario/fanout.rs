//! Fan-out: many subscribers of one channel, publications over the server API.

use clap::Args;

use super::Scenario;
use crate::Failure;
use crate::bench::Bench;
use crate::commands;
use crate::options::rate;
use crate::payload::Stamp;
use crate::report::Outcome;
use crate::spread::{Drive, Load, Spread};
use crate::ws;

/// See the module.
#[derive(Args)]
pub struct Fanout {
    /// Subscribers of the channel.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    /// Publications a second.
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    load: Load,
}

impl Scenario for Fanout {
    const NAME: &'static str = "fanout";

    fn run(&self, bench: &Bench) -> Result<Outcome, Failure> {
        let spread = Spread {
            connections: self.subscribers as usize,
            channels: 1,
            each: 1,
            batch: 1,
            namespace: self.load.namespace.clone(),
            drive: self.load.drive(self.rate),
            bad: None,
        };
        measure(bench, &spread, self.rate)
    }
}

/// A spread with its floor, as an outcome.
pub fn measure(bench: &Bench, spread: &Spread, rate: f64) -> Result<Outcome, Failure> {
    let saturating = matches!(spread.drive, Drive::Saturate { .. });
    let rounds = match spread.drive {
        // Each subscriber gets this many publications a second.
        Drive::Rate(rate) => rate * spread.each as f64 / spread.channels as f64,
        _ => 0.0,
    };
    let mut floor = bench.floor(spread.connections)?;
    let one = frame_size(bench, &bench.channel(&spread.namespace, 0));
    floor.as_mut().map_or(Ok(()), |floor| floor.measure(one, rounds))?;
    let (tally, server) = spread.run(bench)?;
    let frames = tally.traffic.frames.max(1);
    // Four bytes more make it a frame.
    let size = (tally.traffic.bytes / frames) as usize + 4;
    let frames_a_second = frames as f64 / tally.measured() / spread.connections as f64;
    floor.as_mut().map_or(Ok(()), |floor| floor.measure(size, if saturating { 0.0 } else { frames_a_second }))?;
    let load = if saturating { "as fast as accepted".to_owned() } else { format!("{rate}/s") };
    Ok(Outcome {
        unit: "delivery",
        units: tally.arrived,
        settings: vec![
            ("connections", spread.connections.to_string()),
            ("channels", spread.channels.to_string()),
            ("channels each", spread.each.to_string()),
            ("batches of", spread.batch.to_string()),
            ("publications", load),
        ],
        tally,
        server,
        figures: Vec::new(),
        saturating,
        floor: floor.map(|floor| floor.each()),
        checked: "every publication came exactly once, in order",
    })
}

/// Bytes of a frame with one publication.
pub fn frame_size(bench: &Bench, channel: &str) -> usize {
    let data = Stamp { stream: 0, number: 0, due: 0 }.encode(bench.options.size as usize);
    let mut frame = Vec::new();
    let push = commands::push(bench.options.protocol, channel, data.as_bytes());
    ws::write_server_message(&mut frame, bench.options.protocol, &push);
    frame.len()
}
