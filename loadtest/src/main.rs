//! Load meter for servers that speak the Centrifugo protocol: one scenario a subcommand, one core, no async runtime.
//!
//! It opens its load on loopback addresses only, is bounded in count and time, and says with each figure what it
//! counted. `tuning.md` has the commands behind the project's own figures.

#![forbid(unsafe_code)]

mod api;
mod fleet;
mod payload;
mod process;
mod report;
mod scenario;
mod target;
mod wire;
mod ws;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What can go wrong while measuring: every failure ends the run with its text.
pub type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Scenario {
    /// One channel, many subscribers, publications over the HTTP API: exactly once, in order, how late, at what CPU.
    Fanout(scenario::fanout::Fanout),
    /// What the kernel alone charges for the same sends: a bare send loop on one core.
    Floor(scenario::floor::Floor),
    /// Publications over keep-alive HTTP connections: rate, latency, CPU a request.
    Api(scenario::api::Api),
    /// Idle subscribed connections: private memory and CPU each.
    Idle(scenario::idle::Idle),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.scenario {
        Scenario::Fanout(scenario) => scenario.run(),
        Scenario::Floor(scenario) => scenario.run(),
        Scenario::Api(scenario) => scenario.run(),
        Scenario::Idle(scenario) => scenario.run(),
    };
    match outcome {
        Ok(report) => {
            report.print(arguments.json);
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            eprintln!("spindle-loadtest: {failure}");
            ExitCode::FAILURE
        }
    }
}
