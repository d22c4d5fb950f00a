//! The root command: from the command line to a running server.

use super::args::Overrides;
use super::logging::{self, FATAL};
use super::pid::PidFile;
use super::read;
use crate::config::env::Env;
use crate::config::error::Error;
use crate::config::load::Loaded;
use crate::config::option::asks_the_backend;
use crate::config::prepare::client::skipped_safety;
use crate::config::prepare::prepare;
use crate::config::snapshot::{Broker, Snapshot};
use crate::config::validate::validate;
use crate::config::{dev, dotenv, reload};
use std::fmt::Display;
use std::process::ExitCode;

/// What serving starts from.
#[derive(Debug)]
pub struct Start {
    /// The configuration to serve with.
    pub snapshot: Snapshot,
    /// Reads the configuration again, for the reload signal.
    pub again: Again,
}

/// The sources of a configuration, to be read again.
#[derive(Debug)]
pub struct Again {
    sources: Sources,
    /// As the server started with it, for what a reload does not take over.
    started: Loaded,
}

impl Again {
    /// Loads, checks and prepares the configuration from the file as it is now; environment and flags are those of the
    /// start. Says in the log which options a reload leaves as they were.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let (loaded, _) = self.sources.load()?;
        let snapshot = self.sources.prepare(&loaded)?;
        for option in reload::waiting(&self.started.options, &loaded.options) {
            tracing::warn!(option, "option {option} has changed: it takes effect with a restart, not with a reload");
        }
        let were_idle = &self.started.idle;
        loaded.idle.iter().filter(|option| !were_idle.contains(option)).for_each(|option| warn_idle(option));
        Ok(snapshot)
    }
}

#[derive(Debug)]
struct Sources {
    file: String,
    env: Env,
    overrides: Overrides,
    dev: bool,
}

impl Sources {
    fn load(&self) -> Result<(Loaded, bool), Error> {
        let (mut loaded, missing) = read::options(&self.file, &self.env, &self.overrides.0)?;
        if self.dev {
            dev::apply(&mut loaded.options);
        }
        Ok((loaded, missing))
    }

    fn prepare(&self, loaded: &Loaded) -> Result<Snapshot, Error> {
        validate(&loaded.options)?;
        read::with_host(|host| prepare(&loaded.options, host, self.dev))
    }
}

/// Loads the configuration, sets the log up, and serves until `serve` returns.
pub fn run<E: Display>(
    config: String,
    overrides: Overrides,
    dev: bool,
    serve: impl FnOnce(Start) -> Result<(), E>,
) -> ExitCode {
    let mut env = read::environment();
    let dot_env = match read::text(".env").map_err(|error| error.to_string()) {
        Ok(None) => Ok(false),
        Ok(Some(content)) => dotenv::merge(&content, &mut env).map(|()| true).map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    let dot_env = match dot_env {
        Ok(used) => used,
        Err(error) => return fatal_without_log("error loading .env file", error),
    };
    let sources = Sources { file: config, env, overrides, dev };
    let (loaded, missing) = match sources.load() {
        Ok(loaded) => loaded,
        Err(error) => return fatal_without_log("error getting config", error),
    };
    if let Err(error) = logging::set_up(loaded.options.text("log.level"), loaded.options.text("log.file")) {
        return fatal_without_log("error opening log file", error);
    }
    report_sources(&sources.file, missing, dot_env);
    let snapshot = match sources.prepare(&loaded) {
        Ok(snapshot) => snapshot,
        Err(error) => return fatal("error in config", error),
    };
    let _pid_file = match snapshot.server.pid_file.as_deref().map(PidFile::write).transpose() {
        Ok(pid_file) => pid_file,
        Err(error) => return fatal("error writing PID", error),
    };
    let (version, pid) = (super::version::VERSION, std::process::id());
    let broker = match snapshot.broker {
        Broker::Memory => "memory",
        Broker::Redis(_) => "redis",
        Broker::Nats(_) => "nats",
        Broker::RedisNats(..) => "redisnats",
    };
    tracing::info!(version, pid, broker, "starting Spindle");
    warn(&snapshot, &loaded);
    let again = Again { sources, started: loaded };
    match serve(Start { snapshot, again }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fatal("error serving", error),
    }
}

fn report_sources(config: &str, missing: bool, dot_env: bool) {
    if missing {
        tracing::warn!("config file not found, continue using environment and flag options");
    } else if !config.is_empty() {
        let path = std::path::absolute(config).unwrap_or_else(|_| config.into());
        tracing::info!(path = %path.display(), "using config file");
    }
    if dot_env {
        tracing::info!("environment variables have been loaded from .env file");
    }
}

/// What an operator should know before the first connection.
fn warn(snapshot: &Snapshot, loaded: &Loaded) {
    let client = &snapshot.client;
    if snapshot.dev {
        let address = snapshot.server.address.to_string();
        tracing::warn!(address, "DEV mode: no keys asked for, everything in memory, reachable from this machine alone");
    }
    if client.insecure {
        tracing::warn!("INSECURE client mode enabled, make sure you understand risks");
    }
    if snapshot.http_api.insecure {
        tracing::warn!("INSECURE HTTP API mode enabled, make sure you understand risks");
    }
    if let Some(admin) = &snapshot.admin {
        if admin.insecure {
            tracing::warn!("INSECURE admin mode enabled, make sure you understand risks");
        } else if admin.password.is_empty() || admin.secret.is_empty() {
            tracing::warn!("nobody can log in to the admin pages: set admin.password and admin.secret");
        }
    }
    if let Some(prefix) = &snapshot.debug {
        tracing::warn!("DEBUG mode enabled, see on {prefix}");
    }
    if client.insecure_skip_token_signature_verify {
        tracing::warn!("INSECURE skip token signature verify enabled, make sure you understand risks");
    }
    if client.allowed_origins.iter().any(|origin| **origin == *"*") {
        tracing::warn!("allowed_origins lets every web page connect; list the origins of your own pages instead");
    }
    for (option, problem) in skipped_safety(&loaded.options) {
        tracing::warn!(option, problem, "INSECURE insecure_skip_jwks_endpoint_safety_check lets a pattern through");
    }
    for key in &loaded.unknown_keys {
        tracing::warn!(key, "unknown key in configuration file");
    }
    for var in &loaded.unknown_env {
        tracing::warn!(var, "unknown var in environment");
    }
    loaded.idle.iter().for_each(|option| warn_idle(option));
}

fn warn_idle(option: &str) {
    if asks_the_backend(option) {
        tracing::warn!(option, "{option}: the backend cannot be asked in this version; clients are answered 108");
    } else {
        tracing::warn!(option, "option {option} is accepted but has no effect in this version");
    }
}

fn fatal(message: &str, error: impl Display) -> ExitCode {
    tracing::error!(target: FATAL, error = %error, "{message}");
    ExitCode::FAILURE
}

/// As [`fatal`] while the configuration of the log is not known.
fn fatal_without_log(message: &str, error: impl Display) -> ExitCode {
    if let Err(problem) = logging::set_up("info", "") {
        eprintln!("{problem}");
    }
    fatal(message, error)
}
