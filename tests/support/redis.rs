//! A Redis of its own for a test, and a connection to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use spindle::broker::{Call, Value, Verb};

use crate::PATIENCE;

// Some tests start a server, too.
#[allow(clippy::duplicate_mod)]
#[path = "port.rs"]
mod port;

/// A running `redis-server`, or what the environment variable `REDIS_SERVER` names. Nothing of it is kept.
pub struct Redis {
    child: Child,
    folder: PathBuf,
    options: Vec<String>,
}

impl Redis {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One with more options.
    pub fn with(options: &[&str]) -> Self {
        let (folder, options) = (folder(), options.iter().map(|text| (*text).to_owned()).collect());
        Self { child: run(&folder, &options), folder, options }
    }

    /// A Sentinel with this configuration, once it knows of a replica.
    pub fn sentinel(configuration: &str) -> Self {
        Self::sentinel_until(configuration, "+slave")
    }

    /// A Sentinel that watches nothing.
    pub fn sentinel_of_nobody(configuration: &str) -> Self {
        Self::sentinel_until(configuration, "sentinel id is")
    }

    fn sentinel_until(configuration: &str, words: &str) -> Self {
        let folder = folder();
        std::fs::write(folder.join("sentinel.conf"), configuration).expect("a file");
        let mut command = Command::new(program());
        command.current_dir(&folder).args(["sentinel.conf", "--sentinel"]);
        Self { child: spawn(command, words), folder, options: Vec::new() }
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Ends it without a word, and starts it anew: with what it wrote to its files, else empty.
    pub fn restart(&mut self) {
        self.kill();
        self.child = run(&self.folder, &self.options);
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Stops it, or has it go on.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).expect("it runs");
    }

    pub fn connect(&self) -> Connection {
        let client = ::redis::Client::open(format!("unix://{}", self.socket().display())).expect("an address");
        let connection = client.get_connection().expect("a connection to Redis");
        connection.set_read_timeout(Some(PATIENCE)).expect("a bound");
        Connection(connection)
    }
}

/// A port of this machine that nobody listens on.
pub fn free_port() -> u16 {
    port::free_port()
}

fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Names of sockets are short.
    let folder = std::env::temp_dir().join(format!("spindle-redis-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn program() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into())
}

fn run(folder: &Path, options: &Vec<String>) -> Child {
    let mut command = Command::new(program());
    command.args(["--port", "0", "--unixsocket", "socket", "--save", "", "--dir"]).arg(folder).args(options);
    spawn(command, "ready to accept connections")
}

/// Starts it, and waits until it says so.
fn spawn(mut command: Command, words: &str) -> Child {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{}: {error}; install it (redis-server)", program()));
    let log = BufReader::new(child.stdout.take().expect("its log"));
    let mut lines = log.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.to_lowercase().contains(words)), "{} ended", program());
    // It must not block on its log.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A connection of the `redis` crate, one request at a time.
pub struct Connection(::redis::Connection);

impl Connection {
    /// What Redis says; the text of its error.
    pub fn try_send(&mut self, parts: &[&[u8]]) -> Result<Value, String> {
        let mut request = ::redis::Cmd::new();
        for part in parts {
            request.arg(*part);
        }
        self.0.send_packed_command(&request.get_packed_command()).expect("Redis takes it");
        self.read()
    }

    pub fn send(&mut self, parts: &[&str]) -> Value {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.try_send(&parts).expect("no error")
    }

    /// Carries a call out.
    pub fn try_call(&mut self, call: &Call) -> Result<Value, String> {
        let count = call.keys().len().to_string();
        let mut parts: Vec<&[u8]> = match call.verb() {
            Verb::Command(name) => vec![name.as_bytes()],
            Verb::Script(script) => vec![b"EVAL", script.text().as_bytes(), count.as_bytes()],
        };
        parts.extend(call.keys());
        parts.extend(call.args());
        self.try_send(&parts)
    }

    pub fn call(&mut self, call: &Call) -> Value {
        self.try_call(call).unwrap_or_else(|error| panic!("{error}: {call:?}"))
    }

    /// The next reply, or message.
    pub fn read(&mut self) -> Result<Value, String> {
        value(self.0.recv_response().map_err(|error| error.to_string())?)
    }
}

fn value(found: ::redis::Value) -> Result<Value, String> {
    Ok(match found {
        ::redis::Value::Nil => Value::Nil,
        ::redis::Value::Int(number) => Value::Int(number),
        ::redis::Value::BulkString(bytes) => Value::Bytes(bytes.into()),
        ::redis::Value::SimpleString(text) => Value::Bytes(text.into()),
        ::redis::Value::Okay => Value::Bytes("OK".into()),
        ::redis::Value::Array(values) => Value::List(values.into_iter().map(value).collect::<Result<_, _>>()?),
        ::redis::Value::ServerError(error) => return Err(error.to_string()),
        other => panic!("Redis said {other:?}"),
    })
}
