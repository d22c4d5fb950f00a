//! Load generator for servers that speak the Centrifugo protocol: one scenario a subcommand, epoll, no async runtime.
//!
//! Every run checks what arrived (exactly once, in order) and whether the generator itself was the limit; a run that
//! fails either says INVALID and exits with 1. `tuning.md` has the commands behind the project's own figures.

#![forbid(unsafe_code)]

mod advice;
mod api;
mod bad;
mod bench;
mod clock;
mod commands;
mod compare;
mod connection;
mod figure;
mod fleet;
mod floor;
mod launch;
mod merge;
mod options;
mod order;
mod pace;
mod payload;
mod poller;
mod prepared;
mod process;
mod progress;
mod publisher;
mod report;
mod scenario;
mod sources;
mod spread;
mod tally;
mod target;
mod token;
mod verdict;
mod wire;
mod workers;
mod ws;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::bench::Bench;
use crate::options::Options;
use crate::report::{Outcome, Report};
use crate::scenario::Scenario;

/// What can go wrong while measuring: every failure ends the run with its text.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about, version, after_help = "Exit codes: 0 valid, 1 invalid or failed, 2 wrong arguments.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Run<S: Args> {
    #[command(flatten)]
    scenario: S,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Idle subscribed connections: memory and CPU of each
    Idle(Run<scenario::idle::Idle>),
    /// Upgrade, connect (with a token), subscribe, close, over and over
    Connect(Run<scenario::connect::Connect>),
    /// One channel, many subscribers
    Fanout(Run<scenario::fanout::Fanout>),
    /// Many channels on each connection, publications in batches: several messages pending
    Many(Run<scenario::many::Many>),
    /// Clients publish to each other, or to themselves
    Echo(Run<scenario::echo::Echo>),
    /// The server API: publish, broadcast, batch
    Api(Run<scenario::api::Api>),
    /// Presence statistics of channels with many clients
    Presence(Run<scenario::presence::Presence>),
    /// Redis ends the connections that messages come on: when all channels hear something again
    Reconnect(Run<scenario::reconnect::Reconnect>),
    /// All drop and come back with recovery while publications go on
    Recover(Run<scenario::recover::Recover>),
    /// Some clients read slowly or never: what the others notice
    Slow(Run<scenario::slow::Slow>),
    /// A mix, for as long as you like: publications, clients' publications, and clients that come and go
    Soak(Run<scenario::soak::Soak>),
    Compare(compare::Compare),
    Merge(merge::MergeFiles),
    /// The process that measures the floor; others start it
    #[command(hide = true)]
    FloorSender {
        /// Sockets to send to.
        sockets: usize,
    },
}

fn main() -> ExitCode {
    clock::now();
    let outcome = match Arguments::parse().command {
        Command::Idle(run) => run.go(),
        Command::Connect(run) => run.go(),
        Command::Fanout(run) => run.go(),
        Command::Many(run) => run.go(),
        Command::Echo(run) => run.go(),
        Command::Api(run) => run.go(),
        Command::Presence(run) => run.go(),
        Command::Reconnect(run) => run.go(),
        Command::Recover(run) => run.go(),
        Command::Slow(run) => run.go(),
        Command::Soak(run) => run.go(),
        Command::Compare(compare) => compare.run(),
        Command::Merge(files) => files.run().and_then(|report| {
            report.deliver(files.json, files.report.as_deref())?;
            Ok(report.is_valid())
        }),
        Command::FloorSender { sockets } => floor::send(sockets).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("spindle-loadtest: {failure}");
            ExitCode::FAILURE
        }
    }
}

impl<S: Args + Scenario> Run<S> {
    fn go(self) -> Result<bool, Failure> {
        let (json, page) = (self.options.json, self.options.report.clone());
        let bench = Bench::prepare(S::NAME, self.options)?;
        let outcome: Outcome = self.scenario.run(&bench)?;
        let report = Report::new(&bench, outcome);
        drop(bench);
        report.deliver(json, page.as_deref())?;
        Ok(report.is_valid())
    }
}
