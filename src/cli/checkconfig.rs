//! `checkconfig`: whether a configuration file would be accepted. Silent when it would.
//!
//! Mirrors `internal/cli/checkconfig.go`; what only a start can find stays unseen here too.

use super::args::CheckConfig;
use super::read;
use crate::config::validate::validate;
use std::process::ExitCode;

/// Checks the file.
pub fn run(args: &CheckConfig) -> ExitCode {
    match check(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn check(args: &CheckConfig) -> Result<(), String> {
    let (loaded, missing) = read::options(&args.file.config, &read::environment(), &[])
        .map_err(|error| format!("error getting config: {error}"))?;
    if missing {
        return Err("config file not found".to_owned());
    }
    validate(&loaded.options).map_err(|error| format!("error validating config: {error}"))?;
    if args.strict && !loaded.unknown_keys.is_empty() {
        return Err(format!("unknown keys in config: {}", loaded.unknown_keys.join(", ")));
    }
    Ok(())
}
