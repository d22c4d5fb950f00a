//! The state of a session and the events that change it; what they lead to stands in the modules beside.

use std::sync::Arc;

use hashbrown::HashMap;
use rand::rngs::StdRng;

use super::commands::connect::Connecting;
use super::counting::{TRANSPORT, frame_of, method_of};
use super::map_steps::{Loading, Step};
use super::polls::{Polls, Tracking};
use super::subscribing::Subscribing;
use super::subscriptions::Subscriptions;
use super::timers::{NATIVE_PING_INTERVAL_MS, NATIVE_PONG_TIMEOUT_MS, Timers};
use super::{Cx, Departure, Effect, SessionControl, Setup};
use crate::auth::{Evidence, Need, Obstacle, TokenError};
use crate::base::ids::{ClientId, ConnId};
use crate::base::time::{Now, deadline};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op};
use crate::channel::publication::ClientInfo;
use crate::config::snapshot::Snapshot;
use crate::fanout::hub::LocalChannel;
use crate::metrics::ClientLabels;
use crate::metrics::labels::{Command as Method, Frame};
use crate::protocol::client::{self, Command, Reply};
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;
use crate::protocol::{NotJson, Protocol, client::Push};

/// One client connection. An idle one holds the client's identity (one allocation beside the user's name) and its
/// subscriptions, and nothing else on the heap.
#[derive(Debug)]
pub struct Session {
    pub(super) client: ClientId,
    /// Who is connected; nothing before the connection is authenticated.
    pub(super) identity: Option<Arc<ClientInfo>>,
    pub(super) subscriptions: Subscriptions,
    pub(super) timers: Timers,
    /// Unix seconds when the connection's lifetime ends, grace time not included; 0 = never.
    pub(super) expire_at: i64,
    /// The command that waits for an answer.
    pub(super) pending: Pending,
    /// What goes on beside the commands.
    pub(super) background: Option<Box<Background>>,
    /// Until connect.
    pub(super) user_header: Option<Box<str>>,
    last_tag: u32,
    /// Tag of the answer that `pending` waits for.
    pub(super) pending_tag: u32,
    /// When the command that waits came: microseconds of the monotonic clock, wrapped.
    started_us: u32,
    /// When the newest ping was sent, likewise.
    pub(super) pinged_us: u32,
    /// What the client said about itself.
    pub(super) labels: ClientLabels,
    /// Subscriptions that the round of upkeep under way has still to visit.
    pub(super) upkeep_left: u32,
    pub(super) phase: Phase,
    pub(super) protocol: Protocol,
    pub(super) native_ping: bool,
    /// A ping was sent and not answered yet.
    pub(super) awaits_pong: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Not authenticated.
    Fresh,
    /// Authenticated. The reply to connect may still wait for server-side subscriptions.
    Authenticated,
    /// The engine was told to end the connection, or it is closed: nothing has an effect any more.
    Ended,
}

/// What the running command waits for.
#[derive(Debug)]
pub(super) enum Pending {
    None,
    Publish { id: u32 },
    Presence { id: u32 },
    PresenceStats { id: u32 },
    History { id: u32 },
    Subscribe { id: u32, subscribing: Box<Subscribing> },
    Map { id: u32, step: Box<Step> },
    Poll { id: u32, subscribing: Box<Subscribing> },
    Track { id: u32, tracking: Box<Tracking> },
    Unsubscribe { id: u32 },
    Connect(Box<Connecting>),
    // For the proof of a token; what is known so far.
    Proof(Box<Evidence>),
    // For nothing: the command that waited for a proof comes again.
    Again(Box<Evidence>),
}

impl Pending {
    /// What is known for the command that comes now, when it comes again.
    fn take_if_again(&mut self) -> Option<Box<Evidence>> {
        match std::mem::replace(self, Self::None) {
            Self::Again(evidence) => Some(evidence),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Kept only while there is something in it.
#[derive(Debug, Default)]
pub(super) struct Background {
    /// Server-side subscriptions that the server API began. Each belongs to a call that has its own bound.
    pub(super) subscribing: Vec<Subscribing>,
    /// Position checks by tag; at most one per subscription.
    pub(super) checks: HashMap<u32, LocalChannel, foldhash::fast::FixedState>,
    /// Maps that the client reads and that are not live yet.
    pub(super) loading: Vec<Loading>,
    /// Keys of shared-poll channels that the client tracks.
    pub(super) polls: Polls,
}

impl Background {
    fn is_over(&self) -> bool {
        self.subscribing.is_empty() && self.checks.is_empty() && self.loading.is_empty() && self.polls.is_empty()
    }
}

/// Why a command is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The reply to it.
    Error(Error),
    /// The end of the connection.
    Disconnect(Disconnect),
    /// None yet: something must be found out, then the command comes again. It has changed nothing so far.
    Waits(Need),
}

/// The outcome of a command, or of the answer it waited for.
pub(super) type Outcome = Result<(), Refusal>;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Disconnect> for Refusal {
    fn from(disconnect: Disconnect) -> Self {
        Self::Disconnect(disconnect)
    }
}

impl Refusal {
    /// What a token's obstacle means for the command.
    pub(super) fn of(obstacle: Obstacle, meaning: impl FnOnce(TokenError) -> Self) -> Self {
        match obstacle {
            Obstacle::Refused(error) => meaning(error),
            Obstacle::Waits(need) => Self::Waits(need),
        }
    }
}

impl Session {
    /// A connection that was just opened. `rng` spreads the WebSocket pings of connections that opened together.
    pub fn new(setup: Setup, config: &Snapshot, now: Now, rng: &mut StdRng) -> Self {
        let now_ms = now.mono_ms;
        let mut timers =
            Timers { housekeeping_at: deadline(now_ms, config.client.stale_close_delay_ms), ..Timers::OFF };
        if setup.native_ping {
            let interval_ms = native_ping_interval_ms(config);
            timers.ping_at = now_ms + super::upkeep::spread(interval_ms, rng);
            timers.pong_at = now_ms + interval_ms + native_pong_timeout_ms(config);
        }
        Self {
            client: setup.client,
            identity: None,
            subscriptions: Subscriptions::default(),
            timers,
            expire_at: 0,
            pending: Pending::None,
            background: None,
            user_header: setup.user_header.filter(|user| !user.is_empty()),
            last_tag: 0,
            pending_tag: 0,
            started_us: 0,
            pinged_us: 0,
            labels: ClientLabels::default(),
            upkeep_left: 0,
            phase: Phase::Fresh,
            protocol: setup.protocol,
            native_ping: setup.native_ping,
            awaits_pong: false,
        }
    }

    /// A command of the client, so many bytes long. Not to be called while [`Session::is_blocked`].
    pub fn on_command(&mut self, cx: &mut Cx<'_>, command: Command<'_>, bytes: usize) {
        if self.phase == Phase::Ended {
            return;
        }
        debug_assert!(!self.is_blocked(), "commands run one after another");
        let (id, method) = (command.id, method_of(&command));
        if self.phase == Phase::Fresh && method != Method::Connect {
            return self.end(cx, Disconnect::BAD_REQUEST);
        }
        if id == 0 && command.send.is_none() {
            return self.on_pong(cx, bytes);
        }
        match self.pending.take_if_again() {
            Some(evidence) => cx.evidence = *evidence,
            None => {
                cx.metrics.received(TRANSPORT, method.frame(), bytes as u64);
                self.started_us = cx.now.mono_us as u32;
            }
        }
        let outcome = self.dispatch(cx, command);
        self.settle(cx, method, id, outcome);
    }

    /// Something that is no command.
    pub fn on_malformed(&mut self, cx: &mut Cx<'_>) {
        self.end(cx, Disconnect::BAD_REQUEST);
    }

    /// The answer of a channel's home.
    pub fn on_answer(&mut self, cx: &mut Cx<'_>, tag: u32, answer: Answer) {
        if self.phase == Phase::Ended {
            return;
        }
        if matches!(self.pending, Pending::Connect(_)) && self.is_answer_to_connect(tag) {
            let id = self.connect_id();
            let outcome = self.on_connect_answer(cx, tag, answer);
            return self.settle(cx, Method::Connect, id, outcome);
        }
        if self.is_blocked() && tag == self.pending_tag {
            let (method, id, outcome) = match std::mem::replace(&mut self.pending, Pending::None) {
                Pending::Publish { id } => (Method::Publish, id, self.on_published(cx, id, answer)),
                Pending::Presence { id } => (Method::Presence, id, self.on_presence(cx, id, answer)),
                Pending::PresenceStats { id } => (Method::PresenceStats, id, self.on_presence_stats(cx, id, answer)),
                Pending::History { id } => (Method::History, id, self.on_history(cx, id, answer)),
                Pending::Subscribe { id, subscribing } => {
                    (Method::Subscribe, id, self.on_subscribed(cx, id, *subscribing, answer))
                }
                Pending::Unsubscribe { id } => (Method::Unsubscribe, id, self.on_unsubscribed(cx, id)),
                Pending::Map { id, step } => (Method::Subscribe, id, self.on_map_step(cx, id, step, answer)),
                Pending::Poll { id, subscribing } => {
                    (Method::Subscribe, id, self.on_poll_subscribed(cx, id, *subscribing, answer))
                }
                Pending::Track { id, tracking } => (Method::SubRefresh, id, self.on_tracked(cx, id, *tracking, answer)),
                other => {
                    self.pending = other;
                    return;
                }
            };
            return self.settle(cx, method, id, outcome);
        }
        self.on_background_answer(cx, tag, answer);
    }

    /// What came of [`Effect::Find`]: `add` puts it to what is known. The command that waited comes again.
    pub fn on_found(&mut self, add: impl FnOnce(&mut Evidence)) {
        if let Pending::Proof(evidence) = &mut self.pending {
            let mut evidence = std::mem::take(evidence);
            add(&mut evidence);
            self.pending = Pending::Again(evidence);
        }
    }

    /// Whether the running command is to be handed over again once the session is not blocked any more.
    pub fn wants_command_again(&self) -> bool {
        matches!(self.pending, Pending::Proof(_))
    }

    /// The answer to [`Effect::CountConnections`].
    pub fn on_user_connections(&mut self, cx: &mut Cx<'_>, count: usize) {
        if self.phase == Phase::Ended || !matches!(self.pending, Pending::Connect(_)) {
            return;
        }
        let id = self.connect_id();
        let outcome = self.on_connections_counted(cx, count);
        self.settle(cx, Method::Connect, id, outcome);
    }

    /// Something that the server API wants of this connection. True when it is not done at once:
    /// [`Effect::SubscribedByServer`] for this caller follows.
    pub fn on_control(&mut self, cx: &mut Cx<'_>, control: &SessionControl, caller: ConnId) -> bool {
        if self.phase == Phase::Ended {
            return false;
        }
        match control {
            SessionControl::Disconnect(disconnect) => self.end(cx, disconnect.clone()),
            SessionControl::Unsubscribe { channel, unsubscribe } => {
                self.unsubscribe_by_server(cx, channel, unsubscribe)
            }
            SessionControl::Subscribe(subscribe) => return self.subscribe_by_server(cx, subscribe, caller),
            SessionControl::Refresh { expired: true, .. } => self.end(cx, Disconnect::EXPIRED),
            SessionControl::Refresh { expire_at, info, .. } => self.refresh_by_server(cx, *expire_at, info),
        }
        false
    }

    /// The connection is closed, or about to be: leaves every channel. Harmless when it was done before. When it has
    /// many subscriptions, the rest of them is for the engine to end.
    #[must_use]
    pub fn on_close(&mut self, cx: &mut Cx<'_>) -> Option<Departure> {
        self.phase = Phase::Ended;
        self.timers = Timers::OFF;
        match std::mem::replace(&mut self.pending, Pending::None) {
            Pending::Subscribe { subscribing, .. } | Pending::Poll { subscribing, .. } => subscribing.abandon(self, cx),
            Pending::Track { tracking, .. } => Self::abandon_tracking(cx, *tracking),
            Pending::Map { step, .. } => step.subscribing.abandon(self, cx),
            Pending::Connect(connecting) => connecting.abandon(self, cx),
            _ => {}
        }
        let mut polls = Polls::default();
        if let Some(background) = self.background.take() {
            polls = background.polls;
            for subscribing in background.subscribing {
                subscribing.abandon(self, cx);
            }
        }
        Departure::begin(self, cx, polls)
    }

    /// When [`Session::on_timer`] wants to be called, in milliseconds of the monotonic clock.
    pub fn next_deadline(&self) -> u64 {
        self.timers.next()
    }

    /// A command waits for an answer: no further command may be handed over.
    pub fn is_blocked(&self) -> bool {
        !matches!(self.pending, Pending::None | Pending::Again(_))
    }

    /// Server-side subscriptions are live but the reply to connect that names them is not written yet. Pushes that
    /// are owed to the client must not be flushed before it; the reply then goes in front of them
    /// (see [`Output::is_first`](super::Output::is_first)).
    pub fn holds_pushes(&self) -> bool {
        matches!(&self.pending, Pending::Connect(connecting) if connecting.has_live())
    }

    /// The user; empty for an anonymous one, and before connect.
    pub fn user(&self) -> &str {
        self.identity.as_deref().map_or("", |identity| &identity.user)
    }

    /// The connection's public id.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// What the client said about itself in its connect command.
    pub fn labels(&self) -> ClientLabels {
        self.labels
    }

    /// The secret id that addresses emulated and unidirectional connections; a bidirectional WebSocket has none.
    pub fn session_id(&self) -> &str {
        ""
    }

    /// Refuses a command, or lets it be.
    fn settle(&mut self, cx: &mut Cx<'_>, method: Method, id: u32, outcome: Outcome) {
        let waits = matches!(outcome, Err(Refusal::Waits(_)));
        if !waits && (outcome.is_err() || !self.is_blocked()) {
            let took_us = (cx.now.mono_us as u32).wrapping_sub(self.started_us);
            cx.metrics.command(cx.now, method, u64::from(took_us) * 1000);
        }
        match outcome {
            Ok(()) => {}
            Err(Refusal::Waits(need)) => {
                self.pending = Pending::Proof(Box::new(std::mem::take(&mut cx.evidence)));
                cx.effects.push(Effect::Find(need));
            }
            Err(Refusal::Disconnect(disconnect)) => self.end(cx, disconnect),
            Err(Refusal::Error(error)) => {
                cx.metrics.reply_error(method, error.code);
                let error = client::Error::of(&error);
                self.write(cx, method.frame(), &Reply { id, error: Some(error), ..Reply::default() });
                if method == Method::Connect && self.phase != Phase::Ended {
                    self.phase = Phase::Ended;
                    cx.effects.push(Effect::Drain);
                }
            }
        }
    }

    /// Asks the engine to end the connection. [`Session::on_close`] follows.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>, disconnect: Disconnect) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            cx.effects.push(Effect::Disconnect(disconnect));
        }
    }

    /// Writes a message that is no error; see [`Session::write`].
    pub(super) fn send(&mut self, cx: &mut Cx<'_>, reply: &Reply<'_>) {
        self.write(cx, frame_of(reply), reply);
    }

    /// Writes a message, unless the connection ends already. A payload that is no JSON ends a JSON client.
    fn write(&mut self, cx: &mut Cx<'_>, frame: Frame, reply: &Reply<'_>) {
        if self.phase == Phase::Ended {
            return;
        }
        match cx.out.reply(self.protocol, reply) {
            Ok(bytes) => cx.metrics.sent(TRANSPORT, frame, 1, bytes as u64),
            Err(NotJson) => self.end(cx, Disconnect::INAPPROPRIATE_PROTOCOL),
        }
    }

    /// Writes a push.
    pub(super) fn push(&mut self, cx: &mut Cx<'_>, push: Push<'_>) {
        self.send(cx, &Reply { push: Some(push), ..Reply::default() });
    }

    /// Makes a request to a channel's home, with an answer.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, channel: ChannelName, op: Op) -> u32 {
        let tag = self.next_tag();
        cx.effects.push(Effect::Op { channel, op, tag });
        tag
    }

    /// Names an answer that is still to come.
    pub(super) fn next_tag(&mut self) -> u32 {
        self.last_tag = self.last_tag.wrapping_add(1).max(1);
        self.last_tag
    }

    /// Makes the request that the running command waits for.
    pub(super) fn wait_for(&mut self, cx: &mut Cx<'_>, channel: ChannelName, op: Op, pending: Pending) {
        self.pending_tag = self.ask(cx, channel, op);
        self.pending = pending;
    }

    /// The client as the channel sees it.
    pub(super) fn info_in(&self, channel: Option<LocalChannel>) -> Arc<ClientInfo> {
        let own = channel.and_then(|channel| self.subscriptions.get(channel)?.info().cloned());
        own.unwrap_or_else(|| self.info())
    }

    /// The client as channels see it that know nothing special about it.
    pub(super) fn info(&self) -> Arc<ClientInfo> {
        match &self.identity {
            Some(identity) => identity.clone(),
            None => unreachable!("only authenticated clients act in channels"),
        }
    }

    /// Gives the memory back when nothing goes on beside the commands.
    pub(super) fn tidy_background(&mut self) {
        self.background.take_if(|background| background.is_over());
    }

    pub(super) fn is_subscribed(&self, channel: Option<LocalChannel>) -> bool {
        channel.is_some_and(|channel| self.subscriptions.get(channel).is_some())
    }
}

/// The name for a request: the hub's own copy where it knows the channel.
pub(super) fn name_of(cx: &Cx<'_>, channel: Option<LocalChannel>, text: &str) -> ChannelName {
    channel.map_or_else(|| ChannelName::new(text), |channel| cx.hub.name(channel).clone())
}

/// Milliseconds between two WebSocket pings.
pub(super) fn native_ping_interval_ms(config: &Snapshot) -> u64 {
    match config.client.ping_interval_ms {
        0 => NATIVE_PING_INTERVAL_MS,
        interval_ms => interval_ms,
    }
}

/// Milliseconds that a WebSocket pong may take.
pub(super) fn native_pong_timeout_ms(config: &Snapshot) -> u64 {
    match config.client.pong_timeout_ms {
        0 => NATIVE_PONG_TIMEOUT_MS,
        timeout_ms => timeout_ms,
    }
}
