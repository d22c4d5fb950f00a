//! `defaultenv`: all environment variables with the values that they stand for by default, or by a base file.
//!
//! Mirrors `internal/cli/defaultenv.go`, the environment of the caller included. Unlike there, quotes inside of values
//! are escaped, and a base file that is missing is an error.

use super::args::DefaultEnv;
use super::read;
use crate::config::env;
use crate::config::load::{Sources, as_written};
use crate::config::validate::validate;
use crate::config::write;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Prints the variables.
pub fn run(args: &DefaultEnv) -> ExitCode {
    match generate(args) {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            println!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn generate(args: &DefaultEnv) -> Result<String, String> {
    let (base, env) = (args.base.as_deref().unwrap_or_default(), read::environment());
    let (loaded, missing) = read::options(base, &env, &[]).map_err(|error| error.to_string())?;
    if missing {
        return Err(format!("base config file {base} not found"));
    }
    validate(&loaded.options).map_err(|error| error.to_string())?;
    let mut lines = BTreeMap::new();
    env::variables(&loaded.options, env::PREFIX, &mut |name, entry| {
        if !write::is_hidden(entry) {
            lines.insert(name, write::env_value(entry));
        }
    });
    if args.base_non_zero_only {
        let content = match base {
            "" => None,
            base => read::text(base).map_err(|error| error.to_string())?,
        };
        let file = content.as_deref().map(|content| (base, content));
        let written = as_written(Sources { file, env: &env, flags: &[] }).map_err(|error| error.to_string())?;
        let mut set = Vec::new();
        env::variables(&written, env::PREFIX, &mut |name, entry| {
            if !entry.is_zero() {
                set.push(name);
            }
        });
        lines.retain(|name, _| set.contains(name));
    }
    Ok(lines.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect())
}
