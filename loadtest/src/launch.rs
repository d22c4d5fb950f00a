//! A server started for a run: pinned, on a free port, ended afterwards.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;
use crate::process;

const START_PATIENCE: Duration = Duration::from_secs(20);
const END_PATIENCE: Duration = Duration::from_secs(10);

/// The running server. Dropping it ends it.
pub struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// Starts a shell command in which `{port}` stands for a free port, and waits until it listens there.
    pub fn start(command: &str, core: Option<usize>) -> Result<Server, Failure> {
        if !command.contains("{port}") {
            return Err(format!("the server command needs {{port}} where its port goes: {command}").into());
        }
        let port = free_port()?;
        let log = std::env::temp_dir().join(format!("spindle-loadtest-{}-{port}.log", std::process::id()));
        let output = File::create(&log)?;
        let mut shell = Command::new("sh");
        // With exec the shell becomes the server, so that its process id is the server's.
        shell.arg("-c").arg(format!("exec {}", command.replace("{port}", &port.to_string())));
        shell.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A child inherits the cores of the thread that starts it, before it has any thread of its own.
        let mine = process::cores()?;
        core.map_or(Ok(()), process::pin_to)?;
        let child = shell.spawn();
        process::use_cores(&mine)?;
        let mut server = Server { child: child.map_err(|e| format!("sh: {e}"))?, port, log };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > START_PATIENCE {
                let what = ended.map_or("does not listen on its port".to_owned(), |status| format!("ended ({status})"));
                return Err(format!("the server {what}: {command}\n{}", server.last_words()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whatever fails here, there is nobody left to tell; it is a child, so its id is not another's.
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > END_PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = std::fs::remove_file(&self.log);
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
