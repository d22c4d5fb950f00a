//! The command line. Everything but serving itself, which the caller hands in.

mod args;
mod checkconfig;
mod checksubtoken;
mod checktoken;
mod completion;
mod configdoc;
mod defaultconfig;
mod defaultenv;
mod genconfig;
mod gensubtoken;
mod gentoken;
mod logging;
mod pid;
mod read;
pub mod serve;
mod start;
mod staticfiles;
mod token;
mod usage;
mod version;
mod web;
mod write;

pub use start::{Again, Start};

use args::{Command, Line};
use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

/// Does what the command line says. `serve` runs the server until it is told to stop.
pub fn main<E: Display>(
    args: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Start) -> Result<(), E>,
) -> ExitCode {
    let line = match Line::read(args) {
        Ok(line) => line,
        Err(error) => return usage::report(&error),
    };
    match line.command {
        None => start::run(line.config, line.overrides, line.dev, serve),
        Some(Command::Version) => version::run(),
        Some(Command::Checkconfig(args)) => checkconfig::run(&args),
        Some(Command::Genconfig(args)) => genconfig::run(&args),
        Some(Command::Defaultconfig(args)) => defaultconfig::run(&args),
        Some(Command::Gentoken(args)) => gentoken::run(&args),
        Some(Command::Gensubtoken(args)) => gensubtoken::run(&args),
        Some(Command::Checktoken(args)) => checktoken::run(&args),
        Some(Command::Checksubtoken(args)) => checksubtoken::run(&args),
        Some(Command::Defaultenv(args)) => defaultenv::run(&args),
        Some(Command::Configdoc(args)) => configdoc::run(&args),
        Some(Command::Serve(args)) => staticfiles::run(&args),
        Some(Command::Completion(args)) => completion::run(&args),
    }
}
