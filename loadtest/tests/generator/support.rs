//! The generator run as a person would run it, and servers for it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The generator.
pub fn generator() -> Command {
    Command::new(env!("CARGO_BIN_EXE_spindle-loadtest"))
}

/// Runs it with blank-separated arguments, then with more.
pub fn run(arguments: &str, more: &[&str]) -> Output {
    generator().args(arguments.split_whitespace()).args(more).output().expect("the generator runs")
}

/// What it said on standard error.
pub fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report that it printed.
pub fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(output)))
}

/// A figure of a report.
pub fn figure(report: &Value, key: &str) -> f64 {
    report["figures"][key]["value"].as_f64().unwrap_or_else(|| panic!("no {key} in {report:#}"))
}

/// The command that starts the real server with the generator's own configuration. It is built beside the tests.
pub fn server_command() -> String {
    let tests = std::env::current_exe().expect("a path");
    let beside = tests.ancestors().nth(2).expect("the folder of a profile").join("spindle");
    let server = std::env::var_os("SPINDLE_BIN").map_or(beside, PathBuf::from);
    assert!(server.exists(), "build the server first (cargo build), or name it in SPINDLE_BIN: {}", server.display());
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/server.json");
    format!("{} --shards 1 --no-pin -c {config} --http_server.port {{port}}", server.display())
}

/// A `redis-server`, or what the environment variable `REDIS_SERVER` names, on a port of its own. It keeps nothing.
pub struct Redis {
    /// The port, of 127.0.0.1.
    pub port: u16,
    child: Child,
}

impl Redis {
    /// Starts it, and waits until it can be asked.
    pub fn start() -> Redis {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let mut command = Command::new(program);
        command.args(["--save", "", "--port", &free.port().to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("redis-server is installed");
        let mut lines = BufReader::new(child.stdout.take().expect("its log")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.to_lowercase().contains("ready to accept connections")), "it ended");
        // It must not block on its log.
        std::thread::spawn(move || lines.for_each(drop));
        Redis { port: free.port(), child }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
