//! Starting and ending the binary.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

pub use port::free_port;

use super::PATIENCE;
use super::http;

// Some tests start a Redis, too.
#[allow(clippy::duplicate_mod)]
#[path = "port.rs"]
mod port;

/// A running server. Its log must never tell of a panic.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Log>,
    /// The configuration and its file.
    written: Option<(Value, String)>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    grown: Condvar,
}

impl Server {
    /// Two shards, no keys, and what `more` adds to the configuration.
    pub fn start(more: Value) -> Self {
        Self::start_as(more, |binary| Command::new(binary))
    }

    /// The same, with the command line that runs the binary made by `command`.
    pub fn start_as(more: Value, command: impl FnOnce(&str) -> Command) -> Self {
        let port = free_port();
        let mut config = json!({
            "http_server": {"address": "127.0.0.1", "port": port.to_string()},
            // No timer of a client wakes a shard that sleeps by mistake.
            "client": {
                "insecure": true,
                "ping_interval": "10m",
                "presence_update_interval": "10m",
                "stale_close_delay": "10m",
            },
            "http_api": {"insecure": true},
            "health": {"enabled": true},
            "prometheus": {"enabled": true},
        });
        merge(&mut config, more);
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}/hostile-{}-{number}.json", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        std::fs::write(&path, config.to_string()).expect("a configuration file");
        let mut command = command(env!("CARGO_BIN_EXE_spindle"));
        command.args(["--shards", "2", "-c", &path]);
        let mut server = Self::run(command, port);
        server.written = Some((config, path));
        server
    }

    /// Adds to the configuration file.
    pub fn rewrite(&mut self, more: Value) {
        let (config, path) = self.written.as_mut().expect("a configuration file");
        merge(config, more);
        std::fs::write(path, config.to_string()).expect("a configuration file");
    }

    /// Runs a command and waits until it serves.
    pub fn run(command: Command, port: u16) -> Self {
        Self::run_until(command, port, "\"serving\"")
    }

    /// Runs a command and waits until its log has a line with this text and it accepts connections.
    pub fn run_until(mut command: Command, port: u16, ready: &str) -> Self {
        command.env("RUST_BACKTRACE", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let log = Arc::new(Log::default());
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let written = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                written.lines.lock().expect("no poison").0.push(line);
                written.grown.notify_all();
            }
            written.lines.lock().expect("no poison").1 = true;
            written.grown.notify_all();
        });
        let server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), log, written: None };
        server.wait_for_log(ready);
        server.wait_until_listening();
        server
    }

    /// Others than ours may say that they serve a little early.
    fn wait_until_listening(&self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "nobody listens on {}", self.address);
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    /// Waits until the log has a line with this text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for_log_lines(text, 1);
    }

    /// Waits until so many lines of the log have this text.
    #[track_caller]
    pub fn wait_for_log_lines(&self, text: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("no poison");
        while lines.0.iter().filter(|line| line.contains(text)).count() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !lines.1, "no {text:?} in the log: {:#?}", lines.0);
            lines = self.log.grown.wait_timeout(lines, left).expect("no poison").0;
        }
    }

    /// How many lines of the log have this text.
    pub fn count_in_log(&self, text: &str) -> usize {
        self.log.lines.lock().expect("no poison").0.iter().filter(|line| line.contains(text)).count()
    }

    /// A plain connection.
    pub fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        stream
    }

    /// Calls the server API and gives its result.
    #[track_caller]
    pub fn api(&self, method: &str, request: Value) -> Value {
        let mut stream = self.dial();
        http::call(&mut stream, method, &request)
    }

    /// Waits until nobody is connected or subscribed and the process holds as few descriptors as `files`.
    #[track_caller]
    pub fn wait_until_empty(&self, files: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self.api("info", json!({}))["nodes"][0].clone();
            let counts: Vec<_> =
                ["num_clients", "num_users", "num_subs", "num_channels"].map(|name| info[name].as_u64()).into();
            let open = self.files();
            if counts.iter().all(|count| *count == Some(0)) && open <= files {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {info}, {open} open files instead of {files}");
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    /// Descriptors that the process has open.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("a process").count()
    }

    /// Names of the process's threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("a process");
        let name =
            |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
        tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
    }

    /// Sends a signal, by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("no poison");
        while !lines.1 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server does not end");
            lines = self.log.grown.wait_timeout(lines, left).expect("no poison").0;
        }
        drop(lines);
        self.child.wait().expect("a child")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let Ok(lines) = self.log.lines.lock() else { return };
        let faults: Vec<_> =
            lines.0.iter().filter(|line| line.contains("panicked") || line.contains("a shard failed")).collect();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "log of the server: {:#?}", lines.0);
        } else {
            assert!(faults.is_empty(), "{:#?}", lines.0);
        }
    }
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
