//! One connection for as long as the server lives: opened, lost, and opened again after a pause that grows.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

use super::dial::{Dial, Opened};
use super::resp::Incoming;
use super::talk::Socket;

/// First pause before a connection is tried again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Bytes read at once.
const READ: usize = 64 << 10;

type Opening = Pin<Box<dyn Future<Output = Result<Opened, String>> + Send>>;

/// See the module.
pub struct Link {
    dial: Arc<Dial>,
    loads_scripts: bool,
    state: State,
    failures: u32,
    /// Bytes to send; those before `written` are sent.
    out: Vec<u8>,
    written: usize,
    /// What came.
    pub incoming: Incoming,
    /// When something came last.
    pub heard_at: Instant,
    /// When it was opened.
    up_at: Instant,
}

enum State {
    Paused(Pin<Box<Sleep>>),
    Opening(Opening),
    Up(Box<dyn Socket>),
}

/// How a link changed.
#[derive(Debug)]
pub enum Change {
    /// It is up; with scripts that are loaded.
    Up(Vec<super::resp::Sha>),
    /// It could not be opened, and is tried again later.
    Failed,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("dial", &self.dial).field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Link {
    /// A link that is about to be opened.
    pub fn new(dial: Arc<Dial>, loads_scripts: bool) -> Self {
        let state = State::Opening(open(&dial, loads_scripts));
        Self {
            dial,
            loads_scripts,
            state,
            failures: 0,
            out: Vec::new(),
            written: 0,
            incoming: Incoming::default(),
            heard_at: Instant::now(),
            up_at: Instant::now(),
        }
    }

    /// Whether it can be written to.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// What leads to it.
    pub fn dial(&self) -> &Dial {
        &self.dial
    }

    /// Goes on with opening it.
    pub fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Change> {
        loop {
            match &mut self.state {
                State::Up(_) => return Poll::Pending,
                State::Paused(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.state = State::Opening(open(&self.dial, self.loads_scripts));
                }
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(opened) => {
                        if self.failures > 0 {
                            tracing::info!(redis = self.dial.name(), "connected again");
                        }
                        self.state = State::Up(opened.socket);
                        self.incoming = opened.incoming;
                        self.up_at = Instant::now();
                        self.heard_at = self.up_at;
                        return Poll::Ready(Change::Up(opened.scripts));
                    }
                    Err(reason) => {
                        if self.failures.is_power_of_two() {
                            tracing::error!(redis = self.dial.name(), reason, "cannot connect, trying on");
                        }
                        self.pause();
                        return Poll::Ready(Change::Failed);
                    }
                },
            }
        }
    }

    /// Gives the connection up. Another one is opened, at once if this one was of use for a while.
    pub fn lose(&mut self, reason: &str) {
        tracing::warn!(redis = self.dial.name(), reason, "connection lost");
        self.out = Vec::new();
        self.written = 0;
        self.incoming = Incoming::default();
        if self.is_up() && self.up_at.elapsed() > LONGEST_PAUSE {
            self.failures = 1;
            self.state = State::Opening(open(&self.dial, self.loads_scripts));
        } else {
            self.pause();
        }
    }

    /// Half of the pause is by chance, so that nodes that lost the same server do not all come back at once.
    fn pause(&mut self) {
        let full = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Paused(Box::pin(sleep(full.mul_f64(rand::rng().random_range(0.5..=1.0)))));
    }

    /// Where to append what is to be sent; all that was sent before is gone from it.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether something is still to be sent.
    pub fn has_unsent(&self) -> bool {
        self.written < self.out.len()
    }

    /// Sends what there is to send.
    ///
    /// # Errors
    /// The connection is lost, for this reason.
    pub fn write(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let State::Up(socket) = &mut self.state else { return Ok(()) };
        while self.written < self.out.len() {
            match Pin::new(&mut *socket).poll_write(cx, &self.out[self.written..]) {
                Poll::Ready(Ok(0)) => return Err("it takes nothing".to_owned()),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Err(error.to_string()),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.out.is_empty() {
            self.out.clear();
            self.out.shrink_to(READ);
            self.written = 0;
        }
        // TLS keeps records back until it is flushed, and says so by being pending.
        match Pin::new(&mut *socket).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// Reads once into [`Link::incoming`]. False: nothing is there, and the task is woken when something is.
    ///
    /// # Errors
    /// The connection is lost, for this reason.
    pub fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, String> {
        let State::Up(socket) = &mut self.state else { return Ok(false) };
        let buffer = self.incoming.buffer();
        buffer.reserve(READ);
        match pin!(socket.read_buf(buffer)).poll(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err("the server closed it".to_owned()),
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Ready(Err(error)) => Err(error.to_string()),
        }
    }
}

fn open(dial: &Arc<Dial>, loads_scripts: bool) -> Opening {
    let dial = dial.clone();
    Box::pin(async move { dial.open(loads_scripts).await })
}
