//! One connection for as long as the server lives: opened, lost, and opened again after a pause that grows.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

use super::dial::Socket;

/// First pause before a connection is tried again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Bytes read at once.
const READ: usize = 64 << 10;

/// How the connections of a link are opened.
pub trait Door: fmt::Debug + Send + Sync + 'static {
    /// What came and was not taken yet.
    type Incoming: Inlet;
    /// What was learned while a connection was opened.
    type News;

    /// Where it leads, for messages.
    fn name(&self) -> String;

    /// Opens a connection.
    fn open(self: Arc<Self>) -> Opening<Self>;
}

/// Where bytes that came are appended to.
pub trait Inlet: Default {
    /// See the trait.
    fn buffer(&mut self) -> &mut BytesMut;
}

/// A connection that can be worked with.
pub struct Opened<D: Door + ?Sized> {
    /// The connection.
    pub socket: Box<dyn Socket>,
    /// What came behind the last answer; nothing, with a server that keeps to the protocol.
    pub incoming: D::Incoming,
    /// See [`Door::News`].
    pub news: D::News,
}

/// A connection that is being opened. Fails in a few words without secrets.
pub type Opening<D> = Pin<Box<dyn Future<Output = Result<Opened<D>, String>> + Send>>;

/// See the module.
pub struct Link<D: Door> {
    door: Arc<D>,
    state: State<D>,
    failures: u32,
    /// Bytes to send; those before `written` are sent.
    out: Vec<u8>,
    written: usize,
    /// What came.
    pub incoming: D::Incoming,
    /// When something came last.
    pub heard_at: Instant,
    /// When it was opened.
    up_at: Instant,
}

enum State<D: Door> {
    Paused(Pin<Box<Sleep>>),
    Opening(Opening<D>),
    Up(Box<dyn Socket>),
}

/// How a link changed.
#[derive(Debug)]
pub enum Change<N> {
    /// It is up.
    Up(N),
    /// It could not be opened, and is tried again later.
    Failed,
}

impl<D: Door> fmt::Debug for Link<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("door", &self.door).field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl<D: Door> Link<D> {
    /// A link that is about to be opened.
    pub fn new(door: Arc<D>) -> Self {
        let state = State::Opening(door.clone().open());
        Self {
            door,
            state,
            failures: 0,
            out: Vec::new(),
            written: 0,
            incoming: D::Incoming::default(),
            heard_at: Instant::now(),
            up_at: Instant::now(),
        }
    }

    /// A link that is up already, and what was learned.
    pub fn over(door: Arc<D>, opened: Opened<D>) -> (Self, D::News) {
        let mut link = Self::new(door);
        link.state = State::Up(opened.socket);
        link.incoming = opened.incoming;
        (link, opened.news)
    }

    /// Whether it can be written to.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// What leads to it.
    pub fn door(&self) -> &D {
        &self.door
    }

    /// Goes on with opening it.
    pub fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Change<D::News>> {
        loop {
            match &mut self.state {
                State::Up(_) => return Poll::Pending,
                State::Paused(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.state = State::Opening(self.door.clone().open());
                }
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(opened) => {
                        if self.failures > 0 {
                            tracing::info!(server = self.door.name(), "connected again");
                        }
                        self.state = State::Up(opened.socket);
                        self.incoming = opened.incoming;
                        self.up_at = Instant::now();
                        self.heard_at = self.up_at;
                        return Poll::Ready(Change::Up(opened.news));
                    }
                    Err(reason) => {
                        if self.failures.is_power_of_two() {
                            tracing::error!(server = self.door.name(), reason, "cannot connect, trying on");
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
        tracing::warn!(server = self.door.name(), reason, "connection lost");
        self.out = Vec::new();
        self.written = 0;
        self.incoming = D::Incoming::default();
        if self.is_up() && self.up_at.elapsed() > LONGEST_PAUSE {
            self.failures = 1;
            self.state = State::Opening(self.door.clone().open());
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
        self.unsent() > 0
    }

    /// Bytes that are still to be sent.
    pub fn unsent(&self) -> usize {
        self.out.len() - self.written
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
