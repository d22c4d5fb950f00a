//! A connection that tells and hears.
//!
//! What is due in a turn goes out in one write. A publication counts as told when the system took it for the
//! connection: NATS promises no more. While there is no connection, publications fail at once, and nothing is kept for
//! later. Subscriptions do not fail: they are made with the next connection, as upstream. A subscription is confirmed
//! by the answer to a PING behind it, so that nothing is missed that is published after a subscriber was answered.
//!
//! When the connection breaks, all channels are subscribed to again on the next one, and their homes are told that
//! messages may be missing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::dial::{Dial, News};
use super::wire::{self, Said};
use crate::base::ids::ConnId;
use crate::broker::nats::Nats as Format;
use crate::channel::broker_op::{BrokerEvent, BrokerReply};
use crate::channel::name::ChannelName;
use crate::channel::publication::Position;
use crate::channel::table::{Entry, Table};
use crate::control::broker::events::{Asker, Events};
use crate::control::link::{Change, Door, Link, Opened};

/// Most bytes that wait to be sent; beyond, publications fail at once.
const MAX_WAITING: usize = 64 << 20;

/// Most publications whose sending somebody waits for; beyond, they fail at once.
const MAX_TOLD: usize = 1 << 18;

/// Most subscriptions that wait to be confirmed while a connection that came back asks for all of its channels.
const UNCONFIRMED: usize = 16_384;

/// Most channels that are subscribed to.
const MAX_CHANNELS: u32 = 1 << 28;

/// A connection on which nothing comes is asked so often whether it lives.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Longest time that an answer may take while nothing comes.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Shortest time between two words about the same kind of trouble.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Post {
    link: Link<Dial>,
    dial: Arc<Dial>,
    format: Arc<Format>,
    /// Subjects on which nodes tell each other something; then there are no channels.
    fixed: Vec<String>,
    max_payload: usize,
    /// What goes out with the next write.
    next: Vec<u8>,
    /// Bytes that were ever put there since the connection was opened.
    put: u64,
    /// Who waits until so many of them are sent.
    told: VecDeque<(u64, Asker)>,
    /// Bytes are waiting to be sent, and none was since then.
    stuck_since: Option<Instant>,
    /// Channels whose messages are wanted. Their keys are the numbers of the subscriptions.
    wanted: Table<Wanted>,
    /// What was sent and will be confirmed, in order.
    asked: VecDeque<Asked>,
    /// Slots from here on are to be subscribed to again.
    again: Option<u32>,
    complained_at: Option<Instant>,
}

#[derive(Debug)]
struct Wanted(ChannelName);

impl Entry for Wanted {
    fn begin(name: ChannelName) -> Self {
        Self(name)
    }

    fn name(&self) -> &ChannelName {
        &self.0
    }
}

#[derive(Debug)]
enum Asked {
    /// A subscription, for whoever asked.
    Subscribe(Asker),
    /// The same after the connection broke.
    Again(ConnId),
    /// To be answered; everything before it is done then.
    Ping(Instant),
}

impl Post {
    /// A connection that was opened.
    pub fn new(dial: Arc<Dial>, opened: Opened<Dial>, format: Arc<Format>, fixed: Vec<String>) -> Self {
        let (link, news) = Link::over(dial.clone(), opened);
        let mut post = Self {
            link,
            dial,
            format,
            fixed,
            max_payload: 0,
            next: Vec::new(),
            put: 0,
            told: VecDeque::new(),
            stuck_since: None,
            wanted: Table::new(MAX_CHANNELS),
            asked: VecDeque::new(),
            again: None,
            complained_at: None,
        };
        post.begin(news);
        post
    }

    /// A connection is there.
    fn begin(&mut self, news: News) {
        self.max_payload = news.max_payload;
        self.put = 0;
        self.again = Some(0);
        for (slot, subject) in self.fixed.iter().enumerate() {
            wire::subscribe(subject, ConnId { slot: slot as u32, generation: 0 }, &mut self.next);
        }
        self.put += self.next.len() as u64;
    }

    /// Publishes a payload.
    pub fn publish(&mut self, subject: &str, payload: &[u8], asker: Asker, events: &mut Events) {
        let waits = self.next.len() + self.link.unsent();
        let is_full = waits + payload.len() > MAX_WAITING || self.told.len() >= MAX_TOLD;
        if !self.link.is_up() || is_full || payload.len() > self.max_payload {
            return events.reply(asker, BrokerReply::Failed);
        }
        self.put(|out| wire::publish(subject, payload, out));
        if !matches!(asker, Asker::Nobody) {
            self.told.push_back((self.put, asker));
        }
    }

    /// Has messages of a channel brought to its home.
    pub fn subscribe(&mut self, channel: ChannelName, subject: &str, asker: Asker, events: &mut Events) {
        if let Some(slot) = self.wanted.find(&channel) {
            self.end(slot);
        }
        let key = self.wanted.find_or_insert(&channel).and_then(|slot| self.wanted.key(slot));
        let Some(key) = key else { return events.reply(asker, BrokerReply::Failed) };
        if !self.link.is_up() {
            return events.reply(asker, BrokerReply::Done);
        }
        self.put(|out| wire::subscribe(subject, key, out));
        self.asked.push_back(Asked::Subscribe(asker));
    }

    /// No more messages of a channel.
    pub fn unsubscribe(&mut self, channel: &ChannelName) {
        if let Some(slot) = self.wanted.find(channel) {
            self.end(slot);
        }
    }

    fn end(&mut self, slot: u32) {
        if let Some(key) = self.wanted.key(slot) {
            self.wanted.remove(slot);
            if self.link.is_up() {
                self.put(|out| wire::unsubscribe(key, out));
            }
        }
    }

    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.next.len();
        write(&mut self.next);
        self.put += (self.next.len() - before) as u64;
    }

    /// Whether everything that was asked is answered.
    pub fn is_idle(&self) -> bool {
        self.told.is_empty() && self.next.is_empty() && !self.link.has_unsent()
    }

    /// Sends, and takes messages unless it is `paused`. True when it must be called again soon.
    pub fn turn(&mut self, cx: &mut Context<'_>, now: Instant, paused: bool, events: &mut Events) -> bool {
        while let Poll::Ready(change) = self.link.poll_change(cx) {
            if let Change::Up(news) = change {
                self.begin(news);
            }
        }
        match self.exchange(cx, now, paused, events) {
            Ok(more) => more,
            Err(reason) => {
                self.lose(&reason, events);
                // The next one is opened by the next turn.
                true
            }
        }
    }

    fn exchange(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        paused: bool,
        events: &mut Events,
    ) -> Result<bool, String> {
        for _ in 0..16 {
            self.subscribe_again();
            self.send(cx, now, events)?;
            if paused {
                // That nothing is heard is our own doing.
                self.link.heard_at = now;
                return Ok(false);
            }
            if !self.link.read(cx)? {
                return Ok(false);
            }
            self.link.heard_at = now;
            self.hear(now, events)?;
        }
        Ok(true)
    }

    fn send(&mut self, cx: &mut Context<'_>, now: Instant, events: &mut Events) -> Result<(), String> {
        if !self.link.is_up() {
            return Ok(());
        }
        if self.asked.back().is_some_and(|asked| !matches!(asked, Asked::Ping(_))) {
            self.ping(now);
        }
        let before = self.link.unsent();
        if before == 0 {
            std::mem::swap(self.link.out(), &mut self.next);
        }
        self.link.write(cx)?;
        let unsent = self.link.unsent();
        if unsent == 0 || before == 0 || unsent < before {
            self.stuck_since = (unsent > 0).then_some(now);
        }
        let sent = self.put - (self.next.len() + unsent) as u64;
        while let Some(&(_, asker)) = self.told.front().filter(|(end, _)| *end <= sent) {
            self.told.pop_front();
            let is_for_nodes = matches!(asker, Asker::Teller(..));
            events.reply(
                asker,
                if is_for_nodes { BrokerReply::Done } else { BrokerReply::Published(Position::default(), None) },
            );
        }
        Ok(())
    }

    fn ping(&mut self, now: Instant) {
        self.put(|out| out.extend_from_slice(wire::PING));
        self.asked.push_back(Asked::Ping(now));
    }

    /// Goes on with subscribing to all channels on a new connection.
    fn subscribe_again(&mut self) {
        let mut subject = String::new();
        while let Some(slot) = self.again
            && self.link.is_up()
            && self.asked.len() < UNCONFIRMED
        {
            self.again = Some(slot + 1).filter(|next| *next < self.wanted.slots());
            let Some(key) = self.wanted.key(slot) else { continue };
            let Some(Wanted(channel)) = self.wanted.get(slot) else { continue };
            self.format.write_subject(channel.as_str(), &mut subject);
            self.put(|out| wire::subscribe(&subject, key, out));
            self.asked.push_back(Asked::Again(key));
        }
    }

    /// Takes what came.
    fn hear(&mut self, now: Instant, events: &mut Events) -> Result<(), String> {
        loop {
            let Self { link, format, wanted, fixed, .. } = self;
            let heard = link.incoming.next(|said| match said {
                Said::Message { payload, .. } if !fixed.is_empty() => {
                    events.control(payload);
                    Heard::Nothing
                }
                Said::Message { subject, by, payload } => {
                    deliver(format, wanted, by, subject, payload, events);
                    Heard::Nothing
                }
                Said::Ping => Heard::Ping,
                Said::Pong => Heard::Pong,
                Said::Info(json) => Heard::Info(json.to_vec()),
                Said::Failed(words) => Heard::Failed(String::from_utf8_lossy(words).into_owned()),
                Said::Ok => Heard::Nothing,
            });
            match heard.map_err(|broken| broken.0.to_owned())? {
                None => return Ok(()),
                Some(Heard::Nothing) => {}
                Some(Heard::Ping) => self.put(|out| out.extend_from_slice(wire::PONG)),
                Some(Heard::Pong) => self.confirm(events)?,
                Some(Heard::Info(json)) => self.dial.learn(&json),
                Some(Heard::Failed(words)) if is_endurable(&words) => self.complain(&words, now),
                Some(Heard::Failed(words)) => return Err(words),
            }
        }
    }

    /// Everything before the oldest question is done.
    fn confirm(&mut self, events: &mut Events) -> Result<(), String> {
        loop {
            match self.asked.pop_front().ok_or("an answer that nobody asked for")? {
                Asked::Ping(_) => return Ok(()),
                Asked::Subscribe(asker) => events.reply(asker, BrokerReply::Done),
                Asked::Again(key) => {
                    if let Some(wanted) = self.wanted.slot(key).and_then(|slot| self.wanted.get(slot)) {
                        events.tell(&wanted.0, BrokerEvent::Resumed);
                    }
                }
            }
        }
    }

    fn lose(&mut self, reason: &str, events: &mut Events) {
        self.link.lose(reason);
        self.next = Vec::new();
        self.stuck_since = None;
        self.again = None;
        for (_, asker) in std::mem::take(&mut self.told) {
            events.reply(asker, BrokerReply::Failed);
        }
        for asked in std::mem::take(&mut self.asked) {
            if let Asked::Subscribe(asker) = asked {
                events.reply(asker, BrokerReply::Done);
            }
        }
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        if !self.link.is_up() {
            return;
        }
        if self.stuck_since.is_some_and(|since| now.duration_since(since) > self.dial.write_timeout()) {
            return self.lose("it takes nothing within write_timeout", events);
        }
        let asked = self.asked.iter().find_map(|asked| match asked {
            Asked::Ping(since) => Some(*since),
            _ => None,
        });
        // While something comes, it may take longer.
        if asked.is_some_and(|since| now.duration_since(since.max(self.link.heard_at)) > ANSWER_WITHIN) {
            return self.lose("no answer for too long", events);
        }
        if asked.is_none() && now.duration_since(self.link.heard_at) > PING_EVERY {
            self.ping(now);
        }
    }

    /// Says what the server does not take; once a second, because it may be much.
    fn complain(&mut self, problem: &dyn fmt::Display, now: Instant) {
        if self.complained_at.is_none_or(|at| now.duration_since(at) > COMPLAIN_EVERY) {
            self.complained_at = Some(now);
            tracing::error!(server = self.dial.name(), %problem, "NATS does not do what it is asked");
        }
    }
}

/// What was said, taken out of the buffer.
enum Heard {
    Nothing,
    Ping,
    Pong,
    Info(Vec<u8>),
    Failed(String),
}

/// Whether the server keeps a connection to which it says so.
fn is_endurable(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["permissions violation", "maximum subscriptions exceeded", "invalid subject", "invalid publish subject"]
        .iter()
        .any(|begin| words.starts_with(begin))
}

/// Brings a message to the home of its channel.
fn deliver(
    format: &Format,
    wanted: &mut Table<Wanted>,
    by: ConnId,
    subject: &[u8],
    payload: &[u8],
    events: &mut Events,
) {
    let Some(Wanted(channel)) = wanted.slot(by).and_then(|slot| wanted.get(slot)) else { return };
    let Ok(subject) = std::str::from_utf8(subject) else { return };
    // Copied, so that what is kept of it keeps nothing else alive.
    let payload = Bytes::copy_from_slice(payload);
    match format.read(channel.as_str(), subject, &payload) {
        Ok(Some(message)) => events.message(channel, message),
        Ok(None) => {}
        Err(unreadable) => tracing::error!(channel = channel.as_str(), %unreadable, "a message was dropped"),
    }
}
