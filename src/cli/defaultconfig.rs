//! `defaultconfig`: a configuration file with all options, at their defaults or as a base file sets them.
//!
//! Mirrors `internal/cli/defaultconfig.go`, the environment included.

use super::args::DefaultConfig;
use super::{read, write};
use crate::config;
use crate::config::validate::validate;
use std::path::Path;
use std::process::ExitCode;

/// Writes or prints the file.
pub fn run(args: &DefaultConfig) -> ExitCode {
    match generate(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn generate(args: &DefaultConfig) -> Result<(), String> {
    let path = &args.file.config;
    if !args.dry_run && Path::new(path).exists() {
        return Err("target file already exists".to_owned());
    }
    let format = write::format(path)?;
    let base = args.base.as_deref().unwrap_or_default();
    let (loaded, missing) = read::options(base, &read::environment(), &[]).map_err(|error| error.to_string())?;
    if missing {
        return Err(format!("base config file {base} not found"));
    }
    validate(&loaded.options).map_err(|error| error.to_string())?;
    let content = config::write::write(&loaded.options, format);
    if args.dry_run {
        println!("{content}");
        return Ok(());
    }
    write::create(path, &content)
}
