//! The connection that carries requests: many under way at once, answered in their order.
//!
//! What is asked while earlier requests are on their way waits and goes out together, in one write. A request whose
//! connection breaks has failed, because nobody knows whether it was carried out; one that was not sent yet waits for
//! the next connection, as long as a reply may take at most. While Redis cannot be reached, requests fail at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::dial::Dial;
use super::events::Events;
use super::link::{Change, Link};
use super::request::{Kind, Lay};
use super::resp::{self, Reply, Sha};
use crate::broker::{Call, Script, Verb};
use crate::channel::broker_op::{BrokerReply, Ticket};

/// Most requests that wait or are under way; more fail at once.
const MAX_REQUESTS: usize = 1 << 18;

/// Most bytes of requests that wait to be sent; more fail at once.
const MAX_WAITING: usize = 256 << 20;

/// Most bytes of one write, beyond its last request.
const MAX_WRITE: usize = 256 << 10;

/// Writes on their way at once. With more of them each would carry less.
const WRITES: usize = 2;

/// A connection without requests is asked so often whether it lives.
const PING_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Pipe {
    link: Link,
    lay: Arc<Lay>,
    scripts: Vec<Sha>,
    /// Redis could not be reached last time.
    is_down: bool,
    waiting: VecDeque<Request>,
    waiting_bytes: usize,
    sent: VecDeque<Request>,
    /// Requests of each write that were not answered yet.
    writes: VecDeque<usize>,
    /// Scripts, by number, that are being loaded.
    loading: u32,
}

#[derive(Debug)]
struct Request {
    what: What,
    since: Instant,
}

#[derive(Debug)]
enum What {
    Call {
        call: Call,
        kind: Kind,
        asker: Asker,
        /// It was sent before, and its script was missing.
        is_again: bool,
    },
    Load(Script),
    Ping,
}

/// Who waits for a reply.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The shard.
    pub shard: usize,
    /// None when nobody waits.
    pub ticket: Option<Ticket>,
    /// What is asked is to tell other nodes something.
    pub tells: bool,
}

impl Pipe {
    /// A pipe that is about to be opened.
    pub fn new(dial: Arc<Dial>, lay: Arc<Lay>) -> Self {
        Self {
            link: Link::new(dial, true),
            lay,
            scripts: Vec::new(),
            is_down: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sent: VecDeque::new(),
            writes: VecDeque::new(),
            loading: 0,
        }
    }

    /// Asks.
    pub fn ask(&mut self, call: Call, kind: Kind, asker: Asker, now: Instant, events: &mut Events) {
        let is_full = self.waiting.len() + self.sent.len() >= MAX_REQUESTS || self.waiting_bytes > MAX_WAITING;
        if self.is_down || is_full {
            return events.reply(asker, BrokerReply::Failed);
        }
        self.waiting_bytes += call.size();
        self.waiting.push_back(Request { what: What::Call { call, kind, asker, is_again: false }, since: now });
    }

    /// Sends, and takes replies. True when it must be called again soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, events: &mut Events) -> bool {
        while let Poll::Ready(change) = self.link.poll_change(cx) {
            match change {
                Change::Up(scripts) => (self.scripts, self.is_down) = (scripts, false),
                Change::Failed => {
                    self.is_down = true;
                    self.fail_waiting(None, events);
                }
            }
        }
        match self.exchange(cx, now, events) {
            Ok(more) => more,
            Err(reason) => {
                self.lose(&reason, events);
                // The next one is opened by the next turn.
                true
            }
        }
    }

    fn exchange(&mut self, cx: &mut Context<'_>, now: Instant, events: &mut Events) -> Result<bool, String> {
        for _ in 0..16 {
            self.send(now);
            self.link.write(cx)?;
            if !self.link.read(cx)? {
                return Ok(false);
            }
            while let Some(reply) = self.link.incoming.reply().map_err(|broken| broken.0.to_owned())? {
                self.take(reply, now, events)?;
            }
            self.link.heard_at = now;
        }
        Ok(true)
    }

    /// Puts requests that wait into one write.
    fn send(&mut self, now: Instant) {
        if self.waiting.is_empty() || !self.link.is_up() || self.link.has_unsent() || self.writes.len() >= WRITES {
            return;
        }
        let (before, out) = (self.sent.len(), self.link.out());
        while out.len() < MAX_WRITE
            && let Some(request) = self.waiting.pop_front()
        {
            match &request.what {
                What::Call { call, .. } => {
                    self.waiting_bytes -= call.size();
                    resp::write_call(call, |script| self.scripts[script as usize], out);
                }
                What::Load(script) => {
                    resp::write([&b"SCRIPT"[..], b"LOAD", script.text().as_bytes()].into_iter(), out);
                }
                What::Ping => resp::write([&b"PING"[..]].into_iter(), out),
            }
            self.sent.push_back(Request { since: now, ..request });
        }
        self.writes.push_back(self.sent.len() - before);
    }

    fn take(&mut self, reply: Reply, now: Instant, events: &mut Events) -> Result<(), String> {
        let Request { what, .. } = self.sent.pop_front().ok_or("a reply that nobody asked for")?;
        if let Some(left) = self.writes.front_mut() {
            *left -= 1;
            if *left == 0 {
                self.writes.pop_front();
            }
        }
        let What::Call { call, kind, asker, is_again } = what else {
            if let What::Load(script) = what {
                self.loading &= !(1 << script as u32);
            }
            return match reply {
                Reply::Value(_) => Ok(()),
                Reply::Error(error) => Err(error.into()),
            };
        };
        match reply {
            Reply::Value(value) => {
                let read = self.lay.reply(&kind, value);
                let reply = read.unwrap_or_else(|unreadable| {
                    tracing::error!(redis = self.link.dial().name(), %unreadable, "a reply cannot be read");
                    BrokerReply::Failed
                });
                events.reply(asker, reply);
            }
            Reply::Error(error) if error.starts_with("NOSCRIPT") && !is_again => {
                // It was not run. Those behind it that need the same script come here, too, and keep their order.
                if let Verb::Script(script) = call.verb() {
                    self.load(script, now);
                }
                self.waiting_bytes += call.size();
                self.waiting.push_back(Request { what: What::Call { call, kind, asker, is_again: true }, since: now });
            }
            Reply::Error(error) => {
                tracing::error!(redis = self.link.dial().name(), %error, "a request failed");
                events.reply(asker, BrokerReply::Failed);
                if is_deposed(&error) {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Has a script loaded, unless it is being loaded.
    fn load(&mut self, script: Script, now: Instant) {
        let mark = 1 << script as u32;
        if self.loading & mark == 0 {
            self.loading |= mark;
            self.waiting.push_back(Request { what: What::Load(script), since: now });
        }
    }

    fn lose(&mut self, reason: &str, events: &mut Events) {
        self.link.lose(reason);
        self.writes.clear();
        self.loading = 0;
        self.waiting.retain(|request| matches!(request.what, What::Call { .. }));
        for request in std::mem::take(&mut self.sent) {
            if let What::Call { asker, .. } = request.what {
                events.reply(asker, BrokerReply::Failed);
            }
        }
    }

    /// Fails requests that wait; only those before a time if one is given.
    fn fail_waiting(&mut self, before: Option<Instant>, events: &mut Events) {
        while let Some(request) = self.waiting.front()
            && before.is_none_or(|before| request.since < before)
        {
            if let Some(Request { what: What::Call { call, asker, .. }, .. }) = self.waiting.pop_front() {
                self.waiting_bytes -= call.size();
                events.reply(asker, BrokerReply::Failed);
            }
        }
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        let timeout = self.link.dial().io_timeout();
        if self.sent.front().is_some_and(|request| now.duration_since(request.since) > timeout) {
            self.lose("no reply within io_timeout", events);
        }
        if let Some(before) = now.checked_sub(timeout) {
            self.fail_waiting(Some(before), events);
        }
        let is_idle = self.sent.is_empty() && self.waiting.is_empty();
        if self.link.is_up() && is_idle && now.duration_since(self.link.heard_at) > PING_EVERY {
            self.waiting.push_back(Request { what: What::Ping, since: now });
        }
    }
}

/// Whether a server says that it is master no more, or not yet: another one may be.
fn is_deposed(error: &str) -> bool {
    ["READONLY", "MASTERDOWN", "LOADING"].iter().any(|code| error.starts_with(code))
}
