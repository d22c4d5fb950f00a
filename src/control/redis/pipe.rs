//! The connection that carries requests: many under way at once, answered in their order.
//!
//! What is asked while earlier requests are on their way waits and goes out together, in one write. A request whose
//! connection breaks has failed, because nobody knows whether it was carried out; one that was not sent yet waits for
//! the next connection, as long as a reply may take at most. While Redis cannot be reached, requests fail at once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::dial::{Dial, Way};
use super::request::{Kind, Lay};
use super::resp::{self, Reply, Sha};
use super::slots::Redirect;
use crate::broker::{Call, Script, Verb};
use crate::channel::broker_op::BrokerReply;
use crate::config::snapshot::RedisAddress;
use crate::control::broker::events::{Asker, Events};
use crate::control::link::{Change, Link};

/// Most requests that wait or are under way; more fail at once.
const MAX_REQUESTS: usize = 1 << 18;

/// Most bytes of requests that wait to be sent; more fail at once.
const MAX_WAITING: usize = 256 << 20;

/// Most bytes of one write, beyond its last request.
const MAX_WRITE: usize = 256 << 10;

/// Writes on their way at once. With more of them each would carry less.
const WRITES: usize = 2;

/// Shortest time between two words about requests that failed.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// How often a request is sent again that was not carried out: its script was missing, or its slot elsewhere.
const MAX_TRIES: u8 = 16;

/// A connection without requests is asked so often whether it lives.
const PING_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Pipe {
    link: Link<Way>,
    lay: Arc<Lay>,
    scripts: Vec<Sha>,
    /// Redis could not be reached last time.
    is_down: bool,
    /// Where it was connected to last.
    place: Option<RedisAddress>,
    came_back: Option<bool>,
    waiting: VecDeque<Request>,
    waiting_bytes: usize,
    sent: VecDeque<Request>,
    /// Requests of each write that were not answered yet.
    writes: VecDeque<usize>,
    /// Scripts, by number, that are being loaded.
    loading: u32,
    /// Requests that belong somewhere else.
    misled: Vec<Misled>,
    complained_at: Option<Instant>,
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
        /// How often it was sent and not carried out.
        tries: u8,
        /// It goes to a member of a Cluster that does not have the slot yet.
        asking: bool,
    },
    Load(Script),
    Ping,
    /// What `asking` takes.
    Asking,
}

/// A request that this member of the Cluster did not carry out.
#[derive(Debug)]
pub struct Misled {
    /// Who is to be asked instead; none = ask again later.
    pub redirect: Option<Redirect>,
    /// What it is.
    pub call: Call,
    /// What its reply is read as.
    pub kind: Kind,
    /// Who waits for it.
    pub asker: Asker,
    /// How often it was sent so far.
    pub tries: u8,
}

impl Pipe {
    /// A pipe that is about to be opened.
    pub fn new(dial: Arc<Dial>, lay: Arc<Lay>) -> Self {
        Self {
            link: Link::new(Arc::new(Way { dial, loads_scripts: true })),
            lay,
            scripts: Vec::new(),
            is_down: false,
            place: None,
            came_back: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sent: VecDeque::new(),
            writes: VecDeque::new(),
            loading: 0,
            misled: Vec::new(),
            complained_at: None,
        }
    }

    /// Asks.
    pub fn ask(&mut self, call: Call, kind: Kind, asker: Asker, now: Instant, events: &mut Events) {
        self.put(What::Call { call, kind, asker, tries: 0, asking: false }, now, events);
    }

    /// Asks what another member could not be asked.
    pub fn ask_instead(&mut self, misled: Misled, now: Instant, events: &mut Events) {
        let Misled { redirect, call, kind, asker, tries } = misled;
        self.put(
            What::Call { call, kind, asker, tries, asking: redirect.is_some_and(|redirect| redirect.asks) },
            now,
            events,
        );
    }

    fn put(&mut self, what: What, now: Instant, events: &mut Events) {
        let What::Call { call, asker, tries, .. } = &what else { return };
        let is_full = self.waiting.len() + self.sent.len() >= MAX_REQUESTS || self.waiting_bytes > MAX_WAITING;
        if self.is_down || is_full || *tries > MAX_TRIES {
            return events.reply(*asker, BrokerReply::Failed);
        }
        self.waiting_bytes += call.size();
        self.waiting.push_back(Request { what, since: now });
    }

    /// Whether Redis could not be reached last time.
    pub fn is_down(&self) -> bool {
        self.is_down
    }

    /// Whether what is asked goes out at once.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Whether no request waits or is under way.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    /// Whether the connection was lost and is there again; true when it leads to another server now. Asked once.
    pub fn take_came_back(&mut self) -> Option<bool> {
        self.came_back.take()
    }

    /// Requests that belong to other members of the Cluster.
    pub fn take_misled(&mut self) -> Vec<Misled> {
        std::mem::take(&mut self.misled)
    }

    /// Sends, and takes replies. True when it must be called again soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, events: &mut Events) -> bool {
        while let Poll::Ready(change) = self.link.poll_change(cx) {
            match change {
                Change::Up((scripts, place)) => {
                    (self.scripts, self.is_down) = (scripts, false);
                    let before = self.place.take();
                    self.came_back = before.map(|before| before != place).or(self.came_back);
                    self.place = Some(place);
                }
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
                What::Call { call, asking, .. } => {
                    if *asking {
                        resp::write([&b"ASKING"[..]].into_iter(), out);
                        self.sent.push_back(Request { what: What::Asking, since: now });
                    }
                    self.waiting_bytes -= call.size();
                    resp::write_call(call, |script| self.scripts[script as usize], out);
                }
                What::Load(script) => {
                    resp::write([&b"SCRIPT"[..], b"LOAD", script.text().as_bytes()].into_iter(), out);
                }
                What::Ping => resp::write([&b"PING"[..]].into_iter(), out),
                // Never waits by itself.
                What::Asking => continue,
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
        let What::Call { call, kind, asker, tries, asking } = what else {
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
                if let Asker::Sweep(server, task) = asker {
                    events.swept(server, task, Some(value));
                    return Ok(());
                }
                let reply = self.lay.reply(&kind, value).unwrap_or_else(|unreadable| {
                    self.complain(&unreadable, now);
                    BrokerReply::Failed
                });
                if let (Kind::Store(publication), BrokerReply::Published(place, None)) = (kind, &reply) {
                    events.stored(publication, *place);
                }
                events.reply(asker, reply);
            }
            Reply::Error(error) if error.starts_with("NOSCRIPT") => {
                // It was not run. Those behind it that need the same script come here, too, and keep their order.
                if let Verb::Script(script) = call.verb() {
                    self.load(script, now);
                }
                self.put(What::Call { call, kind, asker, tries: tries + 1, asking }, now, events);
            }
            Reply::Error(error) => {
                let redirect = self.redirect(&error);
                if redirect.is_some() || is_for_later(&error) {
                    self.misled.push(Misled { redirect, call, kind, asker, tries: tries + 1 });
                    return Ok(());
                }
                self.complain(&error, now);
                events.reply(asker, BrokerReply::Failed);
                if is_deposed(&error) {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Says why requests fail; once a second, because they may be many.
    fn complain(&mut self, problem: &dyn fmt::Display, now: Instant) {
        if self.complained_at.is_none_or(|at| now.duration_since(at) > COMPLAIN_EVERY) {
            self.complained_at = Some(now);
            let problem = problem.to_string();
            let problem = format!("{problem}{}", self.link.door().dial.advice(&problem));
            tracing::error!(redis = self.link.door().dial.name(), problem, "a request failed");
        }
    }

    fn redirect(&self, error: &str) -> Option<Redirect> {
        Redirect::read(error, self.link.door().dial.address()?)
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
        let timeout = self.link.door().dial.io_timeout();
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

/// Whether a member of a Cluster says that it may carry the request out later: its slot is moving, or has no owner.
fn is_for_later(error: &str) -> bool {
    ["TRYAGAIN", "CLUSTERDOWN"].iter().any(|code| error.starts_with(code))
}

/// Whether a server says that it is master no more, or not yet: another one may be.
fn is_deposed(error: &str) -> bool {
    ["READONLY", "MASTERDOWN", "LOADING"].iter().any(|code| error.starts_with(code))
}
