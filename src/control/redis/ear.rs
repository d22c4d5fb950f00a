//! The connection that messages of channels come on.
//!
//! Redis confirms channel by channel, in the order of the requests, and those are sent in the order in which homes
//! asked. So the request that a confirmation belongs to is always the oldest one.
//!
//! With sharded PUB/SUB of a Redis Cluster there is one for each partition, and it leads to the member that has the
//! partition's slot. When that moves, the member ends all subscriptions: the connection is given up, and the next one
//! leads to where the slot is by then.
//!
//! When the connection breaks, all channels are subscribed to again on the next one, and their homes are told that
//! messages may be missing. What was asked and not confirmed by then has failed, as has what waits too long for a
//! connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashTable;
use tokio::time::Instant;

use super::dial::{Dial, Way};
use super::resp::{self, Message};
use super::slots;
use crate::broker::{Names, Unreadable, frame, map};
use crate::channel::broker_op::{BrokerEvent, BrokerReply, Realm, Trouble};
use crate::channel::name::{ChannelName, hash_of};
use crate::control::broker::events::{Asker, Events};
use crate::control::link::{Change, Link};

/// Most channels of one request.
const BATCH: usize = 512;

/// Most channels that wait to be confirmed: a connection that comes back asks for all of its channels, and what Redis
/// says to that must not pile up.
const UNCONFIRMED: usize = 32 * BATCH;

/// Most requests that wait; more fail at once.
const MAX_REQUESTS: usize = 1 << 20;

/// A connection on which nothing comes is asked so often whether it lives.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Reads a message.
type ReadFrame = fn(&Bytes) -> Result<frame::Message, Unreadable>;

/// See the module.
#[derive(Debug)]
pub struct Ear {
    link: Link<Way>,
    names: Names,
    realm: Realm,
    read: ReadFrame,
    is_down: bool,
    /// PUB/SUB channels that are always listened to.
    fixed: Vec<ChannelName>,
    /// They are those on which nodes tell each other something; then no others are listened to.
    is_control: bool,
    /// What subscribes and what ends that.
    commands: [&'static str; 2],
    /// Channels whose messages are wanted.
    wanted: HashTable<Wanted>,
    /// Numbers subscriptions, so that one that ended is not taken for the next one.
    numbers: u32,
    waiting: VecDeque<Request>,
    sent: VecDeque<Request>,
    /// Channels that are to be subscribed to again, so that their homes are told.
    again: Vec<ChannelName>,
    /// Those of them whose stream could not be read now. They are looked at again with the next tick.
    later: Vec<ChannelName>,
    pinged_at: Option<Instant>,
}

#[derive(Debug)]
struct Wanted {
    channel: ChannelName,
    number: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It was asked for.
    Asked,
    /// Messages come.
    Up,
    /// They did until the connection broke.
    Lost,
}

#[derive(Debug)]
struct Request {
    channel: ChannelName,
    kind: Kind,
    since: Instant,
    /// It is the last one of what went out as one command.
    is_last: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The subscription with this number, for whoever asks.
    Subscribe(u32, Asker),
    /// The same after the connection broke.
    Again(u32),
    Unsubscribe,
    /// To a PUB/SUB channel, whose name it is.
    Fixed,
}

impl Kind {
    fn is_unsubscribe(&self) -> bool {
        matches!(self, Kind::Unsubscribe)
    }
}

impl Ear {
    /// An ear for what nodes tell each other on these PUB/SUB channels. A connection of its own, so that it does not
    /// wait behind messages of channels that nobody takes.
    pub fn for_control(dial: Arc<Dial>, names: &Names, fixed: &[&str]) -> Self {
        let fixed = fixed.iter().map(|name| ChannelName::new(name)).collect();
        Self { fixed, is_control: true, ..Self::new(dial, names, Realm::Streams) }
    }

    /// An ear for messages of channels of one partition. Listening to one PUB/SUB channel from the start, it is told
    /// when the slot moves, as upstream.
    pub fn for_partition(dial: &Dial, names: &Names, realm: Realm, number: u32) -> Self {
        let fixed = names.connection(number, 0);
        let dial = dial.to_owner(slots::slot(fixed.as_bytes()));
        Self {
            fixed: vec![ChannelName::new(&fixed)],
            commands: ["SSUBSCRIBE", "SUNSUBSCRIBE"],
            ..Self::new(Arc::new(dial), names, realm)
        }
    }

    /// An ear for messages of channels, or maps, with these names. It is about to be opened.
    pub fn new(dial: Arc<Dial>, names: &Names, realm: Realm) -> Self {
        Self {
            link: Link::new(Arc::new(Way { dial, loads_scripts: false })),
            names: names.clone(),
            realm,
            read: match realm {
                Realm::Streams => frame::read,
                Realm::Maps => map::frame::read,
            },
            is_down: false,
            fixed: Vec::new(),
            is_control: false,
            commands: ["SUBSCRIBE", "UNSUBSCRIBE"],
            wanted: HashTable::new(),
            numbers: 0,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            again: Vec::new(),
            later: Vec::new(),
            pinged_at: None,
        }
    }

    /// Has messages of a channel brought to its home.
    pub fn subscribe(&mut self, channel: ChannelName, asker: Asker, now: Instant, events: &mut Events) {
        if self.is_down || self.waiting.len() + self.sent.len() >= MAX_REQUESTS {
            return events.reply(asker, BrokerReply::Failed);
        }
        self.numbers = self.numbers.wrapping_add(1);
        let number = self.numbers;
        match self.wanted.find_mut(channel.hash(), |wanted| wanted.channel == channel) {
            Some(wanted) => (wanted.number, wanted.state) = (number, State::Asked),
            None => {
                let wanted = Wanted { channel: channel.clone(), number, state: State::Asked };
                self.wanted.insert_unique(channel.hash(), wanted, |wanted| wanted.channel.hash());
            }
        }
        let kind = Kind::Subscribe(number, asker);
        self.waiting.push_back(Request { channel, kind, since: now, is_last: false });
    }

    /// No more messages of a channel.
    pub fn unsubscribe(&mut self, channel: ChannelName, now: Instant) {
        let Ok(wanted) = self.wanted.find_entry(channel.hash(), |wanted| wanted.channel == channel) else { return };
        wanted.remove();
        // Without a connection there is nothing to end.
        if self.link.is_up() || !self.waiting.is_empty() {
            self.waiting.push_back(Request { channel, kind: Kind::Unsubscribe, since: now, is_last: false });
        }
    }

    /// Subscribes again to the channels of which this is true, without losing a message: their homes are told that
    /// something may be missing.
    pub fn doubt(&mut self, is_meant: impl Fn(&ChannelName) -> bool) {
        let meant = self.wanted.iter().filter(|wanted| wanted.state == State::Up && is_meant(&wanted.channel));
        self.again.extend(meant.map(|wanted| wanted.channel.clone()));
    }

    /// Sends, and takes messages unless it is `paused`. Channels are subscribed to again when `is_readable` says so of
    /// them: their homes, which are told of it, read the stream. True when it must be called again soon.
    pub fn turn(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        paused: bool,
        is_readable: &dyn Fn(&ChannelName) -> bool,
        events: &mut Events,
    ) -> bool {
        while let Poll::Ready(change) = self.link.poll_change(cx) {
            match change {
                Change::Up(..) => {
                    self.is_down = false;
                    let lost = self.wanted.iter().filter(|wanted| wanted.state == State::Lost);
                    self.again = lost.map(|wanted| wanted.channel.clone()).collect();
                    self.later = Vec::new();
                    self.waiting.extend(self.fixed.iter().map(|name| Request {
                        channel: name.clone(),
                        kind: Kind::Fixed,
                        since: now,
                        is_last: false,
                    }));
                }
                Change::Failed => {
                    self.is_down = true;
                    events.trouble(self.realm, self.unopened());
                    self.fail_waiting(None, events);
                }
            }
        }
        match self.exchange(cx, now, paused, is_readable, events) {
            Ok(more) => more,
            Err(reason) => {
                self.lose(&reason, events);
                true
            }
        }
    }

    fn exchange(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        paused: bool,
        is_readable: &dyn Fn(&ChannelName) -> bool,
        events: &mut Events,
    ) -> Result<bool, String> {
        for _ in 0..16 {
            self.send(now, is_readable);
            self.link.write(cx)?;
            if paused {
                // That nothing is heard is our own doing.
                self.link.heard_at = now;
                return Ok(false);
            }
            if !self.link.read(cx)? {
                return Ok(false);
            }
            self.link.heard_at = now;
            self.pinged_at = None;
            self.hear(events)?;
        }
        Ok(true)
    }

    /// Takes what came.
    fn hear(&mut self, events: &mut Events) -> Result<(), String> {
        let unopened = self.unopened();
        let Self { link, names, realm, read, wanted, sent, is_control, .. } = self;
        let mut problem = Ok(());
        loop {
            let heard = link.incoming.message(|message| match message {
                Message::Message(_, body) if *is_control => events.control(body),
                Message::Message(name, body) => deliver(names, (*realm, *read), wanted, name, body, events),
                Message::Subscribed(name) => problem = confirm(names, wanted, sent, name, false, events),
                Message::Unsubscribed(name) => problem = confirm(names, wanted, sent, name, true, events),
                Message::Failed(error) => problem = refuse(wanted, sent, error, (*realm, unopened), events),
                Message::Other => {}
            });
            problem.clone()?;
            if heard.map_err(|broken| broken.0.to_owned())?.is_none() {
                return Ok(());
            }
        }
    }

    /// Puts requests that wait, and then channels that are to be subscribed to again, into one write.
    fn send(&mut self, now: Instant, is_readable: &dyn Fn(&ChannelName) -> bool) {
        if !self.link.is_up() || self.link.has_unsent() {
            return;
        }
        let mut names = Vec::with_capacity(BATCH);
        while self.sent.len() < UNCONFIRMED {
            let first = self.sent.len();
            while names.len() < BATCH
                && let Some(next) = self.waiting.front()
                && (names.is_empty() || next.kind.is_unsubscribe() == self.sent[first].kind.is_unsubscribe())
                && let Some(request) = self.waiting.pop_front()
            {
                names.push(match request.kind {
                    Kind::Fixed => request.channel.as_str().to_owned(),
                    _ => self.names.messages(request.channel.as_str()).to_string(),
                });
                self.sent.push_back(Request { since: now, ..request });
            }
            while names.len() < BATCH
                && self.sent.get(first).is_none_or(|request| !request.kind.is_unsubscribe())
                && let Some(channel) = self.again.pop()
            {
                let wanted = self.wanted.find(channel.hash(), |wanted| wanted.channel == channel);
                let Some(wanted) = wanted.filter(|wanted| wanted.state != State::Asked) else { continue };
                if !is_readable(&channel) {
                    self.later.push(channel);
                    continue;
                }
                names.push(self.names.messages(channel.as_str()).to_string());
                let kind = Kind::Again(wanted.number);
                self.sent.push_back(Request { channel, kind, since: now, is_last: false });
            }
            let Some(last) = self.sent.back_mut().filter(|_| !names.is_empty()) else { return };
            last.is_last = true;
            let command = self.commands[usize::from(last.kind.is_unsubscribe())].as_bytes();
            let parts: Vec<&[u8]> = std::iter::once(command).chain(names.iter().map(|name| name.as_bytes())).collect();
            resp::write(parts.into_iter(), self.link.out());
            names.clear();
        }
    }

    /// As what it counts that no connection comes about.
    fn unopened(&self) -> Trouble {
        if self.is_control { Trouble::SubscribeControlChannel } else { Trouble::SubscribeShardChannel }
    }

    fn lose(&mut self, reason: &str, events: &mut Events) {
        self.link.lose(reason);
        events.trouble(self.realm, if self.is_control { Trouble::ControlConnection } else { Trouble::Connection });
        (self.again, self.later) = (Vec::new(), Vec::new());
        self.pinged_at = None;
        for wanted in &mut self.wanted {
            if wanted.state == State::Up {
                wanted.state = State::Lost;
            }
        }
        self.waiting.retain(|request| !matches!(request.kind, Kind::Fixed));
        for request in std::mem::take(&mut self.sent) {
            fail(&mut self.wanted, request, events);
        }
    }

    fn fail_waiting(&mut self, before: Option<Instant>, events: &mut Events) {
        while let Some(request) = self.waiting.front()
            && before.is_none_or(|before| request.since < before)
        {
            if let Some(request) = self.waiting.pop_front() {
                fail(&mut self.wanted, request, events);
            }
        }
    }

    /// Gives up what takes too long. To be called now and then; the task must take a turn afterwards.
    pub fn tick(&mut self, now: Instant, events: &mut Events) {
        let timeout = self.link.door().dial.io_timeout();
        let since = self.sent.front().map(|request| request.since).into_iter().chain(self.pinged_at).min();
        // While something comes, it may take longer.
        if since.is_some_and(|since| now.duration_since(since.max(self.link.heard_at)) > timeout) {
            self.lose("no answer within io_timeout", events);
        }
        if let Some(before) = now.checked_sub(timeout) {
            self.fail_waiting(Some(before), events);
        }
        self.again.append(&mut self.later);
        let is_idle = self.sent.is_empty() && self.pinged_at.is_none() && !self.link.has_unsent();
        if self.link.is_up() && is_idle && now.duration_since(self.link.heard_at) > PING_EVERY {
            resp::write([&b"PING"[..]].into_iter(), self.link.out());
            self.pinged_at = Some(now);
        }
    }
}

/// Brings a message to the home of its channel.
fn deliver(
    names: &Names,
    (realm, read): (Realm, ReadFrame),
    wanted: &HashTable<Wanted>,
    name: &[u8],
    body: &[u8],
    events: &mut Events,
) {
    let Some(channel) = std::str::from_utf8(name).ok().and_then(|name| names.channel_of(name)) else { return };
    let Some(wanted) = wanted.find(hash_of(channel), |wanted| wanted.channel.as_str() == channel) else { return };
    if wanted.state != State::Up {
        return;
    }
    // Copied, so that what is kept of it keeps nothing else alive.
    match read(&Bytes::copy_from_slice(body)) {
        Ok(message) => events.message(&wanted.channel, message),
        Err(unreadable) => {
            tracing::error!(channel, %unreadable, "a message was dropped");
            events.trouble(realm, Trouble::HandleClientMessage);
        }
    }
}

fn confirm(
    names: &Names,
    wanted: &mut HashTable<Wanted>,
    sent: &mut VecDeque<Request>,
    name: &[u8],
    is_unsubscribe: bool,
    events: &mut Events,
) -> Result<(), String> {
    let text = std::str::from_utf8(name).ok();
    let is_it = |request: &Request| {
        let channel = match request.kind {
            Kind::Fixed => text,
            _ => text.and_then(|name| names.channel_of(name)),
        };
        request.kind.is_unsubscribe() == is_unsubscribe && channel == Some(request.channel.as_str())
    };
    let Some(request) = sent.front().is_some_and(is_it).then(|| sent.pop_front()).flatten() else {
        return Err(match is_unsubscribe && names.is_partitioned() {
            true => "the slot of its partition moved".to_owned(),
            false => "a confirmation that nobody waits for".to_owned(),
        });
    };
    let (number, asker) = match request.kind {
        Kind::Subscribe(number, asker) => (number, Some(asker)),
        Kind::Again(number) => (number, None),
        Kind::Unsubscribe | Kind::Fixed => return Ok(()),
    };
    let found = wanted.find_mut(request.channel.hash(), |wanted| wanted.channel == request.channel);
    if let Some(wanted) = found.filter(|wanted| wanted.number == number) {
        wanted.state = State::Up;
        if asker.is_none() {
            events.tell(&wanted.channel, BrokerEvent::Resumed);
        }
    }
    if let Some(asker) = asker {
        events.reply(asker, BrokerReply::Done);
    }
    Ok(())
}

/// A command failed as a whole.
fn refuse(
    wanted: &mut HashTable<Wanted>,
    sent: &mut VecDeque<Request>,
    error: &[u8],
    (realm, unopened): (Realm, Trouble),
    events: &mut Events,
) -> Result<(), String> {
    let error = String::from_utf8_lossy(error);
    let Some(request) = sent.pop_front() else { return Err(error.into()) };
    tracing::error!(%error, channel = request.channel.as_str(), "cannot subscribe");
    let mut is_last = request.is_last;
    // Channels that had been subscribed to stay lost as long as the connection lives, so it must not.
    let is_missed = |kind: &Kind| matches!(kind, Kind::Again(_) | Kind::Fixed);
    let mut is_needed = is_missed(&request.kind);
    let is_opening = matches!(request.kind, Kind::Fixed);
    fail(wanted, request, events);
    while !is_last && let Some(request) = sent.pop_front() {
        is_last = request.is_last;
        is_needed |= is_missed(&request.kind);
        fail(wanted, request, events);
    }
    if is_needed {
        events.trouble(realm, if is_opening { unopened } else { Trouble::SubscribeChannel });
    }
    // Another member may have the slot by now, or soon.
    let is_elsewhere = ["MOVED", "CLUSTERDOWN"].iter().any(|code| error.starts_with(code));
    if is_needed || is_elsewhere { Err(error.into()) } else { Ok(()) }
}

/// A request did not come about.
fn fail(wanted: &mut HashTable<Wanted>, request: Request, events: &mut Events) {
    let Kind::Subscribe(number, asker) = request.kind else { return };
    let found = wanted.find_entry(request.channel.hash(), |wanted| wanted.channel == request.channel);
    if let Ok(found) = found
        && found.get().number == number
    {
        found.remove();
    }
    events.reply(asker, BrokerReply::Failed);
}
