//! The command line: commands, flags, and which options the flags stand for.

use crate::config::option::{Kind, Opt};
use crate::config::options;
use crate::config::text::parse_bool;
use clap::{Arg, ArgAction, ArgMatches, Args, Command as Clap, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Spindle: a real-time messaging server.
#[derive(Debug, Parser)]
#[command(name = "spindle", disable_version_flag = true)]
#[command(about = "Spindle: a real-time messaging server, compatible with Centrifugo.\n\nWithout a command it serves.")]
pub struct Line {
    /// What to do in place of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Path of the configuration file.
    #[arg(short, long, default_value = "config.json")]
    pub config: String,
    /// Try things out: everything in memory, no keys, reachable from this machine alone, with a demo page.
    #[arg(long, num_args(0..=1), require_equals(true), default_value("false"), default_missing_value("true"))]
    #[arg(value_parser(switch), hide_default_value(true), value_name("BOOL"))]
    pub dev: bool,
    /// Options set by flags.
    #[command(flatten)]
    pub overrides: Overrides,
}

impl Line {
    /// Reads a command line. As in the reference, what stands behind a command that takes no arguments is passed over.
    ///
    /// # Errors
    /// It cannot be understood, or asks for help.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Line, clap::Error> {
        let lenient = |command: Clap| {
            let takes_some = command.get_positionals().next().is_some();
            if takes_some { command } else { command.arg(Arg::new("passed over").num_args(0..).hide(true)) }
        };
        let matches = Line::command().mut_subcommands(lenient).try_get_matches_from(args)?;
        Line::from_arg_matches(&matches)
    }
}

/// A switch in any form that the reference takes, such as `--strict=0`.
fn switch(text: &str) -> Result<bool, String> {
    parse_bool(text).ok_or_else(|| "expected true or false".to_owned())
}

/// The commands beside serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the version.
    Version,
    /// Check a configuration file.
    Checkconfig(CheckConfig),
    /// Write a small configuration file with fresh secrets to start with.
    Genconfig(ConfigFile),
    /// Write a configuration file with all options and their defaults.
    Defaultconfig(DefaultConfig),
    /// Make a connection token for trying things out.
    Gentoken(GenToken),
    /// Make a subscription token for trying things out.
    Gensubtoken(GenSubToken),
    /// Check a connection token.
    Checktoken(CheckToken),
    /// Check a subscription token.
    Checksubtoken(CheckToken),
    /// Print all environment variables with the values that a configuration gives them.
    Defaultenv(DefaultEnv),
    /// Show the documentation of all configuration options.
    Configdoc(ConfigDoc),
    /// Serve the files of a folder (for development only).
    Serve(ServeFiles),
    /// Print the script that makes a shell complete this command line.
    Completion(Completion),
}

/// The configuration file of a command.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Path of the configuration file.
    #[arg(short, long, default_value = "config.json")]
    pub config: String,
}

/// Flags of `checkconfig`.
#[derive(Debug, Args)]
pub struct CheckConfig {
    /// The file to check.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Fail on unknown keys as well.
    #[arg(short, long, num_args(0..=1), require_equals(true), default_value("false"), default_missing_value("true"))]
    #[arg(value_parser(switch), hide_default_value(true), value_name("BOOL"))]
    pub strict: bool,
}

/// Flags of `defaultconfig`.
#[derive(Debug, Args)]
pub struct DefaultConfig {
    /// The file to write.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Path of a configuration file whose values to take over.
    #[arg(short, long)]
    pub base: Option<String>,
    /// Print the configuration and write no file.
    #[arg(short, long, num_args(0..=1), require_equals(true), default_value("false"), default_missing_value("true"))]
    #[arg(value_parser(switch), hide_default_value(true), value_name("BOOL"))]
    pub dry_run: bool,
}

/// Flags of `defaultenv`.
#[derive(Debug, Args)]
pub struct DefaultEnv {
    /// Path of a configuration file whose values to take over.
    #[arg(short, long)]
    pub base: Option<String>,
    /// Print only what the file sets to something else than zero.
    #[arg(long, num_args(0..=1), require_equals(true), default_value("false"), default_missing_value("true"))]
    #[arg(value_parser(switch), hide_default_value(true), value_name("BOOL"))]
    pub base_non_zero_only: bool,
}

/// Flags of `configdoc`.
#[derive(Debug, Args)]
pub struct ConfigDoc {
    /// Print Markdown in place of serving a page.
    #[arg(short, long, num_args(0..=1), require_equals(true), default_value("false"), default_missing_value("true"))]
    #[arg(value_parser(switch), hide_default_value(true), value_name("BOOL"))]
    pub markdown: bool,
    /// Show only sections of the top level whose name begins so.
    #[arg(short, long, default_value = "")]
    pub section: String,
    /// Port to serve the page on.
    #[arg(short, long, default_value_t = 6060)]
    pub port: i64,
    /// Levels to add to every heading.
    #[arg(short = 'l', long, default_value_t = 0)]
    pub base_level: u8,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub struct ServeFiles {
    /// The folder.
    #[arg(short, long, default_value = "./")]
    pub dir: PathBuf,
    /// Port to serve on.
    #[arg(short, long, default_value_t = 3000)]
    pub port: i64,
    /// Interface to serve on; empty means all interfaces.
    #[arg(short, long, default_value = "")]
    pub address: String,
}

/// Flags of `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell: bash, fish, powershell or zsh.
    #[arg(value_name = "SHELL")]
    pub shell: Option<String>,
    /// Leave out what commands and flags are for.
    #[arg(long)]
    pub no_descriptions: bool,
}

/// Flags of `gentoken`.
#[derive(Debug, Args)]
pub struct GenToken {
    /// The configuration with the secret.
    #[command(flatten)]
    pub file: ConfigFile,
    /// User ID; without it the token is for an anonymous user.
    #[arg(short, long, default_value = "")]
    pub user: String,
    /// Lifetime in seconds; -1 for a token that does not expire.
    #[arg(short, long, default_value_t = 7 * 24 * 3600, allow_negative_numbers = true)]
    pub ttl: i64,
    /// Print the token alone.
    #[arg(short, long, num_args(0..=1), require_equals(true), default_value("false"), default_missing_value("true"))]
    #[arg(value_parser(switch), hide_default_value(true), value_name("BOOL"))]
    pub quiet: bool,
}

/// Flags of `gensubtoken`.
#[derive(Debug, Args)]
pub struct GenSubToken {
    /// What any token takes.
    #[command(flatten)]
    pub token: GenToken,
    /// The channel.
    #[arg(short = 's', long, default_value = "")]
    pub channel: String,
}

/// Flags of `checktoken` and `checksubtoken`.
#[derive(Debug, Args)]
pub struct CheckToken {
    /// The configuration with the keys.
    #[command(flatten)]
    pub file: ConfigFile,
    /// The token to check.
    #[arg(value_name = "TOKEN")]
    pub tokens: Vec<String>,
}

/// A flag that sets an option.
struct Flag {
    name: &'static str,
    short: Option<char>,
    path: &'static str,
}

const fn flag(path: &'static str) -> Flag {
    Flag { name: path, short: None, path }
}

/// All flags that set options. Their meaning, kind and default come from the table of options.
const FLAGS: [Flag; 38] = [
    Flag { name: "http_server.address", short: Some('a'), path: "http_server.address" },
    Flag { name: "http_server.port", short: Some('p'), path: "http_server.port" },
    flag("http_server.internal_address"),
    flag("http_server.internal_port"),
    Flag { name: "shards", short: None, path: "shards.count" },
    Flag { name: "cores", short: None, path: "shards.cores" },
    Flag { name: "control-cores", short: None, path: "shards.control_cores" },
    Flag { name: "spin-us", short: None, path: "shards.spin_us" },
    Flag { name: "broker-hold-us", short: None, path: "shards.broker_hold_us" },
    flag("log.level"),
    flag("log.file"),
    flag("pid_file"),
    flag("engine.type"),
    flag("broker.enabled"),
    flag("broker.type"),
    flag("presence_manager.enabled"),
    flag("presence_manager.type"),
    flag("map_broker.type"),
    flag("client.insecure"),
    flag("http_api.insecure"),
    flag("http_api.external"),
    flag("admin.enabled"),
    flag("admin.external"),
    flag("admin.insecure"),
    flag("prometheus.enabled"),
    flag("health.enabled"),
    flag("swagger.enabled"),
    flag("debug.enabled"),
    flag("init.enabled"),
    flag("sse.enabled"),
    flag("http_stream.enabled"),
    flag("uni_websocket.enabled"),
    flag("uni_sse.enabled"),
    flag("uni_http_stream.enabled"),
    flag("grpc_api.enabled"),
    flag("grpc_api.port"),
    flag("uni_grpc.enabled"),
    flag("uni_grpc.port"),
];

const NO_PIN: &str = "no-pin";

/// Options set on the command line: their paths and values as text, checked when options are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(pub Vec<(String, String)>);

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Overrides, clap::Error> {
        let mut set: Vec<_> = FLAGS
            .iter()
            .filter_map(|flag| Some((flag.path.to_owned(), matches.get_one::<String>(flag.name)?.clone())))
            .collect();
        if matches.get_flag(NO_PIN) {
            set.push(("shards.pin".to_owned(), "false".to_owned()));
        }
        Ok(Overrides(set))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Overrides::from_arg_matches(matches)?.0);
        Ok(())
    }
}

impl Args for Overrides {
    fn augment_args(command: Clap) -> Clap {
        let no_pin = Arg::new(NO_PIN).long(NO_PIN).action(ArgAction::SetTrue).help("Do not pin shards to cores");
        FLAGS.iter().map(arg).fold(command, Clap::arg).arg(no_pin)
    }

    fn augment_args_for_update(command: Clap) -> Clap {
        Overrides::augment_args(command)
    }
}

fn arg(flag: &Flag) -> Arg {
    let option = options::find(flag.path).unwrap_or_else(|| panic!("no option {}", flag.path));
    let arg = Arg::new(flag.name).long(flag.name).help(help(option)).overrides_with(flag.name);
    let arg = match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match option.kind {
        Kind::Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL"),
        Kind::Int { .. } => arg.value_name("NUMBER").allow_negative_numbers(true),
        _ => arg.value_name("TEXT"),
    }
}

fn help(option: &Opt) -> String {
    let doc = option.doc.trim_end_matches('.');
    match option.default {
        "" => doc.to_owned(),
        default => format!("{doc} [default: {default}]"),
    }
}

#[cfg(test)]
mod tests;
