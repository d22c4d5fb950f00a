//! A NATS of its own for a test, and a connection to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::PATIENCE;

/// A running `nats-server`, or what the environment variable `NATS_SERVER` names.
pub struct Nats {
    child: Child,
    pub port: u16,
    /// Where other servers connect, if they may.
    pub cluster: Option<u16>,
    options: Vec<String>,
}

impl Nats {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One with more options.
    pub fn with(options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|text| (*text).to_owned()).collect();
        let (child, port, cluster) = run("-1", &options);
        Self { child, port, cluster, options }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Starts it anew, at the same place.
    pub fn restart(&mut self) {
        (self.child, _, _) = run(&self.port.to_string(), &self.options);
    }

    /// Stops it, or has it go on.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).expect("it runs");
    }

    /// A connection that hears what is told on these subjects.
    pub fn listen(&self, subjects: &[&str]) -> Listener {
        Listener::begin(self.port, subjects)
    }
}

/// Debian puts servers where only the superuser looks for programs.
fn program() -> String {
    let usual = "/usr/sbin/nats-server";
    let is_there = std::path::Path::new(usual).exists();
    std::env::var("NATS_SERVER").unwrap_or_else(|_| if is_there { usual } else { "nats-server" }.into())
}

/// Starts it, and waits until it says where it listens.
fn run(port: &str, options: &[String]) -> (Child, u16, Option<u16>) {
    let mut command = Command::new(program());
    command.args(["-a", "127.0.0.1", "-p", port]).args(options).stdin(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{}: {error}; install it (nats-server)", program()));
    let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines().map_while(Result::ok);
    let (mut seen, mut port, mut cluster) = (Vec::new(), None, None);
    for line in lines.by_ref() {
        let port_of = |kind: &str| {
            let (_, address) = line.split_once(&format!("Listening for {kind} connections on "))?;
            address.rsplit(':').next()?.parse().ok()
        };
        port = port.or_else(|| port_of("client"));
        cluster = cluster.or_else(|| port_of("route"));
        seen.push(line);
        let is_cluster = options.iter().any(|option| option == "--cluster");
        if port.is_some() && (cluster.is_some() || !is_cluster) {
            break;
        }
    }
    let port = port.unwrap_or_else(|| panic!("{} ended: {seen:#?}", program()));
    // It must not block on its log.
    std::thread::spawn(move || lines.for_each(drop));
    (child, port, cluster)
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// See [`Nats::listen`].
pub struct Listener(BufReader<TcpStream>);

impl Listener {
    fn begin(port: u16, subjects: &[&str]) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        let mut listener = Self(BufReader::new(stream));
        let mut words = "CONNECT {\"verbose\":false,\"pedantic\":true}\r\n".to_owned();
        for (number, subject) in subjects.iter().enumerate() {
            words += &format!("SUB {subject} {number}\r\n");
        }
        listener.say(words.as_bytes());
        listener.wait();
        listener
    }

    fn say(&mut self, words: &[u8]) {
        self.0.get_mut().write_all(words).expect("it takes it");
    }

    /// Waits until everything that was said is done.
    fn wait(&mut self) {
        self.say(b"PING\r\n");
        while self.line() != "PONG" {}
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).expect("it says something") > 0, "it stays");
        line.trim_end().to_owned()
    }

    /// Publishes a payload.
    pub fn publish(&mut self, subject: &str, payload: &[u8]) {
        self.say(format!("PUB {subject} {}\r\n", payload.len()).as_bytes());
        self.say(payload);
        self.say(b"\r\n");
    }

    /// The subject and the payload of the next message.
    pub fn message(&mut self) -> (String, Vec<u8>) {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["MSG", subject, .., len] => {
                    let mut payload = vec![0; len.parse::<usize>().expect("a length") + 2];
                    self.0.read_exact(&mut payload).expect("a payload");
                    payload.truncate(payload.len() - 2);
                    return (subject.to_owned(), payload);
                }
                ["PING"] => self.say(b"PONG\r\n"),
                ["PONG"] | ["INFO", ..] => {}
                _ => panic!("NATS said {line}"),
            }
        }
    }
}
