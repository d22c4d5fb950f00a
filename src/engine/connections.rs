//! The life of a connection: opening, input, what a session asks for, timers, closing.

use std::convert::Infallible;
use std::ops::ControlFlow;

use rand::RngExt;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{Action, CLOSE_WAIT_MS, Engine, TURN_BUDGET};
use crate::base::ids::{ClientId, ConnId};
use crate::base::time::NEVER;
use crate::channel::op::ReplyTo;
use crate::fanout::frame::Frame;
use crate::fanout::outbox::{Outbox, Pool};
use crate::metrics::labels::Transport;
use crate::protocol::Protocol;
use crate::protocol::commands::Commands;
use crate::protocol::disconnect::Disconnect;
use crate::session::{Cx, Effect, Session, Setup, TransportKind};
use crate::transport::ws::header::{write_close, write_ping, write_pong};
use crate::transport::ws::{Event, Reader, Violation};

/// Bytes of reason that fit into a close frame.
const MAX_CLOSE_REASON: usize = 123;

/// A connection and everything that exists per connection.
pub(super) struct Conn {
    pub(super) session: Session,
    pub(super) outbox: Outbox,
    reader: Reader,
    /// Input that came while a command was waiting for its answer.
    held: Option<Box<Held>>,
    /// When the earliest wheel entry of this connection fires.
    armed_at: u64,
    /// When the socket will have taken nothing for too long.
    stalls_at: u64,
    /// When a closing connection is closed even if the peer says nothing.
    close_at: u64,
    pub(super) socket: u32,
    /// Place in the user's list; meaningful while `is_indexed`.
    pub(super) user_place: u32,
    pub(super) protocol: Protocol,
    phase: Phase,
    is_dirty: bool,
    is_indexed: bool,
    /// One message alone was larger than all that may be owed: the client counts as slow, as upstream.
    is_overrun: bool,
    /// The peer may still be sending when the socket closes: what it sends must not cost it our last words.
    lingers: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Commands are taken.
    Open,
    /// The connect command failed: input is dropped until the peer leaves or the wait is over.
    Draining,
    /// A close frame is owed or was sent; the peer's is awaited.
    Closing,
    /// Nothing more is owed than what the outbox holds, then the socket is closed.
    Leaving,
}

#[derive(Default)]
struct Held {
    /// The rest of a message whose earlier command is waiting.
    commands: Option<Vec<u8>>,
    /// Bytes behind that message.
    input: Vec<u8>,
}

/// What opens a connection.
pub struct Opening {
    /// The owner's name for the socket.
    pub socket: u32,
    /// What the connection speaks.
    pub protocol: Protocol,
    /// Pings are WebSocket ping frames.
    pub native_ping: bool,
    /// Value of `client.user_id_http_header`.
    pub user_header: Option<Box<str>>,
}

impl Conn {
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// When the connection next needs a timer.
    fn due_at(&self) -> u64 {
        let session = if self.is_open() { self.session.next_deadline() } else { NEVER };
        session.min(self.stalls_at).min(self.close_at)
    }
}

impl Engine {
    /// Opens a connection; nothing when the shard has as many as it can hold.
    pub fn open(&mut self, opening: Opening) -> Option<ConnId> {
        let client = ClientId::from_random(self.rng.random());
        let setup = Setup {
            client,
            protocol: opening.protocol,
            native_ping: opening.native_ping,
            user_header: opening.user_header,
            transport: TransportKind::WebSocket,
        };
        let session = Session::new(setup, &self.config, self.now, &mut self.rng);
        let conn = Conn {
            session,
            outbox: Outbox::new(),
            reader: Reader::default(),
            held: None,
            armed_at: NEVER,
            stalls_at: NEVER,
            close_at: NEVER,
            socket: opening.socket,
            user_place: 0,
            protocol: opening.protocol,
            phase: Phase::Open,
            is_dirty: false,
            is_indexed: false,
            is_overrun: false,
            lingers: false,
        };
        let id = self.conns.insert(conn).ok()?;
        self.arm(id);
        if self.is_stopping {
            self.end(id, Disconnect::SHUTDOWN);
        }
        Some(id)
    }

    /// Whether the connection's socket may be read now. If not, an [`Action::Resume`] says when.
    pub fn takes_input_of(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.held.is_none() && !(conn.is_open() && conn.session.is_blocked()))
    }

    /// Bytes from the connection's socket. They are unmasked in place.
    pub fn input(&mut self, id: ConnId, bytes: &mut [u8]) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.phase != Phase::Leaving) else { return };
        if let Some(held) = &mut conn.held {
            held.input.extend_from_slice(bytes);
            return;
        }
        let mut reader = std::mem::take(&mut conn.reader);
        let limit = self.config.websocket.message_size_limit;
        let result = reader.read(bytes, limit, |event| self.on_event(id, event));
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.reader = reader;
        match result {
            Ok(consumed) if consumed < bytes.len() && conn.is_open() => {
                conn.held.get_or_insert_default().input.extend_from_slice(&bytes[consumed..]);
            }
            Ok(_) => {}
            Err(violation) => self.on_violation(id, violation),
        }
    }

    /// The socket reached its end or failed.
    pub fn gone(&mut self, id: ConnId) {
        if self.conns.get(id).is_none() {
            return;
        }
        self.close_session(id);
        self.forget(id);
    }

    /// The outbox was offered to the socket, which took something or not. Ends the connection when too much is left, or when it only waited for
    /// this.
    pub fn flushed(&mut self, id: ConnId, progress: bool) {
        let limit = self.config.client.queue_max_size;
        let timeout_ms = self.config.websocket.write_timeout_ms;
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.outbox.is_empty() {
            conn.stalls_at = NEVER;
        } else if progress || conn.stalls_at == NEVER {
            conn.stalls_at = self.now.mono_ms + timeout_ms;
        }
        match conn.phase {
            Phase::Leaving if conn.outbox.is_empty() => self.forget(id),
            Phase::Open if conn.outbox.bytes() > limit || conn.is_overrun => self.end(id, Disconnect::SLOW),
            // The usual case: everything was taken, and no deadline came nearer.
            _ if conn.outbox.is_empty() => {}
            _ => self.arm(id),
        }
    }

    /// The outbox waits for the reply to connect. Ends the connection when too much waits.
    pub fn held_back(&mut self, id: ConnId) {
        let limit = self.config.client.queue_max_size;
        if self.conns.get(id).is_some_and(|conn| conn.is_open() && conn.outbox.bytes() > limit) {
            self.end(id, Disconnect::SLOW);
        }
    }

    /// The socket may take more of what the connection is owed.
    pub fn writable(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !conn.outbox.is_empty() && !std::mem::replace(&mut conn.is_dirty, true) {
            self.dirty.push(id);
        }
    }

    /// Connections that are owed something, each once, and forgets that they are.
    pub fn take_dirty(&mut self, into: &mut Vec<ConnId>) {
        into.clear();
        std::mem::swap(into, &mut self.dirty);
        self.overfull = 0;
        for id in into.iter() {
            if let Some(conn) = self.conns.get_mut(*id) {
                conn.is_dirty = false;
            }
        }
    }

    /// The connection's socket and outbox, for flushing; nothing while the outbox waits for the reply to connect.
    pub fn outbox(&mut self, id: ConnId) -> Option<(u32, &mut Outbox, &mut Pool)> {
        let conn = self.conns.get_mut(id).filter(|conn| !conn.is_open() || !conn.session.holds_pushes())?;
        Some((conn.socket, &mut conn.outbox, &mut self.pool))
    }

    /// Stops, to be called every turn: each connection is told once to come back elsewhere, and new ones at once. True
    /// while some are left to tell.
    pub fn stop(&mut self) -> bool {
        self.is_stopping = true;
        for _ in 0..TURN_BUDGET {
            if self.told >= self.conns.slots() {
                return false;
            }
            let slot = self.told;
            self.told += 1;
            if let Some((id, conn)) = self.conns.at(slot)
                && conn.is_open()
            {
                self.end(id, Disconnect::SHUTDOWN);
            }
        }
        true
    }

    fn on_event(&mut self, id: ConnId, event: Event<'_>) -> ControlFlow<()> {
        let Some(conn) = self.conns.get_mut(id) else { return ControlFlow::Break(()) };
        match event {
            Event::Close(_) => {
                let answered = conn.phase == Phase::Closing;
                self.close_session(id);
                if !answered {
                    let Event::Close(close) = event else { unreachable!() };
                    self.push_control(id, |out| write_close(out, close.map(|(code, _)| (code, ""))));
                }
                self.leave(id);
                ControlFlow::Break(())
            }
            _ if !conn.is_open() => ControlFlow::Continue(()),
            Event::Message(message) => {
                let commands = Commands::new(conn.protocol, message);
                self.run_commands(id, commands)
            }
            Event::Ping(payload) => {
                self.push_control(id, |out| write_pong(out, payload));
                ControlFlow::Continue(())
            }
            Event::Pong => {
                self.with_session(id, |session, cx| session.on_native_pong(cx));
                ControlFlow::Continue(())
            }
        }
    }

    /// Runs commands until one has to wait; then the rest is held.
    fn run_commands(&mut self, id: ConnId, mut commands: Commands<'_>) -> ControlFlow<()> {
        loop {
            match self.conns.get(id) {
                Some(conn) if conn.is_open() => {
                    if conn.session.is_blocked() {
                        // A home on this shard answers right here, and most clients never wait.
                        self.deliver_local(TURN_BUDGET);
                    }
                }
                // Further messages have no effect, but are read on: the peer's close frame stands behind them.
                _ => return ControlFlow::Continue(()),
            }
            let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.is_open()) else {
                return ControlFlow::Continue(());
            };
            if conn.session.is_blocked() {
                conn.held.get_or_insert_default().commands = Some(commands.rest().to_vec());
                return ControlFlow::Break(());
            }
            match commands.next() {
                None => return ControlFlow::Continue(()),
                Some(Ok(command)) => {
                    let bytes = commands.size();
                    self.with_session(id, |session, cx| session.on_command(cx, command, bytes));
                }
                Some(Err(_)) => self.with_session(id, |session, cx| session.on_malformed(cx)),
            }
        }
    }

    /// Goes on with what was held while a command waited. True when more is left.
    pub(super) fn run_unblocked(&mut self) -> bool {
        let mut budget = TURN_BUDGET;
        while budget > 0 {
            let Some(id) = self.unblocked.pop_front() else { return false };
            budget -= 1;
            self.resume(id);
        }
        true
    }

    fn resume(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let Some(mut held) = conn.held.take() {
            if let Some(rest) = held.commands.take() {
                let commands = Commands::resume(conn.protocol, &rest);
                let flow = self.run_commands(id, commands);
                let Some(conn) = self.conns.get_mut(id) else { return };
                if flow.is_break() {
                    if let Some(again) = &mut conn.held {
                        again.input = held.input;
                    }
                    return;
                }
            }
            if !held.input.is_empty() {
                self.input(id, &mut held.input);
            }
        }
        // Where a command ended the connection too: the peer's close frame, or its end, is still to be read.
        if self.takes_input_of(id)
            && let Some(conn) = self.conns.get(id)
        {
            self.actions.push(Action::Resume { socket: conn.socket });
        }
    }

    /// Runs one step of a session and carries out what it asks for.
    pub(super) fn with_session(&mut self, id: ConnId, step: impl FnOnce(&mut Session, &mut Cx<'_>)) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let was_blocked = conn.session.is_blocked();
        let mut cx = Cx {
            now: self.now,
            config: &self.config,
            verifiers: &self.verifiers,
            rng: &mut self.rng,
            conn: id,
            hub: &mut self.hub,
            out: &mut self.out,
            effects: &mut self.effects,
            metrics: &mut self.metrics,
        };
        step(&mut conn.session, &mut cx);
        if was_blocked && !conn.session.is_blocked() {
            self.unblocked.push_back(id);
        }
        self.settle(id);
    }

    fn settle(&mut self, id: ConnId) {
        if !self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            if let Some(conn) = self.conns.get(id) {
                let opcode = opcode_of(conn.protocol);
                let mut is_first = out.is_first();
                for message in out.messages() {
                    let built = self.builder.websocket(opcode, |frame| {
                        frame.extend_from_slice(message);
                        Ok::<_, Infallible>(())
                    });
                    let Ok(frame) = built;
                    if std::mem::take(&mut is_first) {
                        self.push_first(id, frame);
                    } else {
                        self.push(id, frame);
                    }
                }
            }
            self.out = out;
            self.out.clear();
        }
        if !self.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.drain(..) {
                self.carry_out(id, effect);
            }
            if self.effects.is_empty() {
                self.effects = effects;
            }
        }
        self.arm(id);
    }

    fn carry_out(&mut self, id: ConnId, effect: Effect) {
        match effect {
            Effect::Op { channel, op, tag } => {
                let reply = if tag == 0 { ReplyTo::None } else { ReplyTo::Conn { conn: id, tag } };
                self.request(channel, op, reply);
            }
            Effect::CountConnections { user } => self.count_connections(id, user),
            Effect::Connected { user } => self.index(id, &user),
            Effect::DisconnectOthers { user, disconnect } => self.disconnect_others_everywhere(id, user, disconnect),
            Effect::Ping => self.push_control(id, |out| write_ping(out, &[])),
            Effect::Disconnect(disconnect) => self.end(id, disconnect),
            Effect::Drain => {
                self.close_session(id);
                if let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.is_open()) {
                    conn.phase = Phase::Draining;
                    conn.close_at = self.now.mono_ms + CLOSE_WAIT_MS;
                    self.arm(id);
                }
            }
        }
    }

    /// Queues a control frame.
    fn push_control(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = Vec::new();
        write(&mut frame);
        self.push(id, Frame::new(&frame));
    }

    /// Queues a frame; the connection is flushed at the end of the turn.
    pub(super) fn push(&mut self, id: ConnId, frame: Frame) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.is_overrun |= frame.len() > self.config.client.queue_max_size;
        conn.outbox.push(&mut self.pool, frame);
        if conn.outbox.bytes() > self.config.client.queue_max_size {
            self.overfull += 1;
        }
        if !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Queues a frame in front of what waited for it.
    fn push_first(&mut self, id: ConnId, frame: Frame) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.outbox.push_front(&mut self.pool, frame);
        if !std::mem::replace(&mut conn.is_dirty, true) {
            self.dirty.push(id);
        }
    }

    /// As [`Engine::push`], for loops that hold the rest of the engine.
    pub(super) fn push_to(
        conn: &mut Conn,
        id: ConnId,
        frame: Frame,
        pool: &mut Pool,
        dirty: &mut Vec<ConnId>,
        limit: usize,
    ) -> usize {
        conn.is_overrun |= frame.len() > limit;
        conn.outbox.push(pool, frame);
        if !conn.is_dirty {
            conn.is_dirty = true;
            dirty.push(id);
        }
        usize::from(conn.outbox.bytes() > limit)
    }

    /// Ends a connection for a reason the peer is told.
    pub(super) fn end(&mut self, id: ConnId, disconnect: Disconnect) {
        let Some(conn) = self.conns.get(id) else { return };
        if !matches!(conn.phase, Phase::Open | Phase::Draining) {
            return;
        }
        if disconnect.code != Disconnect::CONNECTION_CLOSED.code {
            self.metrics.server_disconnect(u32::from(disconnect.code));
        }
        self.close_session(id);
        let Some(conn) = self.conns.get_mut(id) else { return };
        if disconnect.code == Disconnect::SLOW.code {
            // What is queued would reach the peer too late to be of use; only a frame that is half sent must end.
            conn.outbox.drop_unsent(&mut self.pool);
        }
        conn.phase = Phase::Closing;
        conn.close_at = self.now.mono_ms + CLOSE_WAIT_MS;
        let fits = disconnect.reason.len() <= MAX_CLOSE_REASON;
        if fits && disconnect.code != Disconnect::CONNECTION_CLOSED.code {
            self.metrics.close_sent(Transport::WebSocket, disconnect.code);
            self.push_control(id, |out| write_close(out, Some((disconnect.code, &disconnect.reason))));
            self.arm(id);
        } else {
            // A reason that does not fit: the socket ends without a close frame, as upstream.
            self.leave(id);
        }
    }

    fn on_violation(&mut self, id: ConnId, violation: Violation) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.phase == Phase::Closing {
            self.leave(id);
            return;
        }
        self.close_session(id);
        self.push_control(id, |out| violation.write_close(out));
        if let Some(conn) = self.conns.get_mut(id) {
            conn.lingers = violation.code().is_some();
        }
        self.leave(id);
    }

    /// Lets the outbox drain, then closes the socket.
    fn leave(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.phase = Phase::Leaving;
        conn.close_at = conn.close_at.min(self.now.mono_ms + CLOSE_WAIT_MS);
        if !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push(id);
        }
        self.arm(id);
    }

    /// Takes the session out of every channel. Harmless when done before.
    fn close_session(&mut self, id: ConnId) {
        let mut departure = None;
        self.with_session(id, |session, cx| departure = session.on_close(cx));
        self.departures.extend(departure);
        let Self { conns, users, metrics, .. } = self;
        let Some(conn) = conns.get_mut(id) else { return };
        conn.held = None;
        if !std::mem::take(&mut conn.is_indexed) {
            return;
        }
        metrics.disconnected(Transport::WebSocket, conn.session.labels());
        let place = conn.user_place;
        let Some(conn) = conns.get(id) else { return };
        let moved = users.remove(conn.session.user(), place, |id| user_of(conns, id));
        if let Some(moved) = moved.and_then(|moved| conns.get_mut(moved)) {
            moved.user_place = place;
        }
    }

    fn forget(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conns.remove(id) {
            conn.outbox.clear(&mut self.pool);
            self.actions.push(Action::Close { socket: conn.socket, lingers: conn.lingers });
        }
    }

    fn index(&mut self, id: ConnId, user: &str) {
        let Self { conns, users, metrics, .. } = self;
        let place = users.add(user, id, |id| user_of(conns, id));
        if let Some(conn) = conns.get_mut(id) {
            metrics.connected(Transport::WebSocket, conn.session.labels());
            conn.user_place = place;
            conn.is_indexed = true;
        }
    }

    pub(super) fn connections_of(&self, user: &str) -> Vec<ConnId> {
        self.users.of(user, |id| user_of(&self.conns, id)).to_vec()
    }

    pub(super) fn count_of(&self, user: &str) -> usize {
        self.users.of(user, |id| user_of(&self.conns, id)).len()
    }

    /// Makes sure that a wheel entry fires when the connection next needs it. Later ones are left to fire in vain.
    fn arm(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let due = conn.due_at();
        if due < conn.armed_at {
            conn.armed_at = due;
            self.wheel.insert(due, id);
        }
    }

    pub(super) fn run_timers(&mut self) -> bool {
        let mut due = Vec::new();
        let more = self.wheel.advance(self.now.mono_ms, TURN_BUDGET, |id| due.push(id));
        for id in due {
            let Some(conn) = self.conns.get_mut(id) else { continue };
            if conn.armed_at > self.now.mono_ms {
                // An earlier deadline took this entry's place and came and went; another entry stands for the next.
                continue;
            }
            conn.armed_at = NEVER;
            if conn.stalls_at <= self.now.mono_ms || conn.close_at <= self.now.mono_ms {
                // Nothing can be written to it any more: no close frame.
                self.close_session(id);
                self.forget(id);
            } else if conn.is_open() && conn.session.next_deadline() <= self.now.mono_ms {
                self.with_session(id, |session, cx| session.on_timer(cx));
            } else {
                self.arm(id);
            }
        }
        more
    }
}

fn user_of(conns: &crate::base::slab::Slab<Conn>, id: ConnId) -> &str {
    conns.get(id).map_or("", |conn| conn.session.user())
}

fn opcode_of(protocol: Protocol) -> OpCode {
    match protocol {
        Protocol::Json => OpCode::Data(Data::Text),
        Protocol::Protobuf => OpCode::Data(Data::Binary),
    }
}
