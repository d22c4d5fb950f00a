//! The life of a connection: opening, input, what a session asks for, timers, closing.

use std::convert::Infallible;

use rand::RngExt;

use super::input::Held;
use super::{Action, CLOSE_WAIT_MS, Engine, TURN_BUDGET};
use crate::auth::Evidence;
use crate::base::ids::{ClientId, ConnId};
use crate::base::time::NEVER;
use crate::channel::op::ReplyTo;
use crate::fanout::outbox::Outbox;
use crate::metrics::labels::Transport;
use crate::protocol::Protocol;
use crate::protocol::disconnect::Disconnect;
use crate::session::{Cx, Effect, Session, Setup, TransportKind};
use crate::transport::ws::Reader;
use crate::transport::ws::header::{opcode_of, write_close, write_ping};

/// Bytes of reason that fit into a close frame.
const MAX_CLOSE_REASON: usize = 123;

/// A connection and everything that exists per connection.
pub(super) struct Conn {
    pub(super) session: Session,
    pub(super) outbox: Outbox,
    pub(super) reader: Reader,
    /// Input that came while a command was waiting for its answer.
    pub(super) held: Option<Box<Held>>,
    /// When the earliest wheel entry of this connection fires.
    pub(super) armed_at: u64,
    /// When the socket will have taken nothing for too long.
    pub(super) stalls_at: u64,
    /// When a closing connection is closed even if the peer says nothing.
    pub(super) close_at: u64,
    pub(super) socket: u32,
    /// Place in the user's list; meaningful while `is_indexed`.
    pub(super) user_place: u32,
    pub(super) protocol: Protocol,
    pub(super) phase: Phase,
    pub(super) is_dirty: bool,
    pub(super) is_indexed: bool,
    /// One message alone was larger than all that may be owed: the client counts as slow, as upstream.
    pub(super) is_overrun: bool,
    /// The peer may still be sending when the socket closes: what it sends must not cost it our last words.
    pub(super) lingers: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Commands are taken.
    Open,
    /// The connect command failed: input is dropped until the peer leaves or the wait is over.
    Draining,
    /// A close frame is owed or was sent; the peer's is awaited.
    Closing,
    /// Nothing more is owed than what the outbox holds, then the socket is closed.
    Leaving,
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
    pub(super) fn due_at(&self) -> u64 {
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

    /// The socket reached its end or failed.
    pub fn gone(&mut self, id: ConnId) {
        if self.conns.get(id).is_none() {
            return;
        }
        self.close_session(id);
        self.forget(id);
    }

    /// Stops, to be called every turn: each connection is told once to come back elsewhere, and new ones at once. True
    /// while some are left to tell.
    pub fn stop(&mut self) -> bool {
        self.is_stopping = true;
        if let Some(clerk) = &mut self.clerk {
            clerk.cluster.leave();
        }
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

    /// Runs one step of a session and carries out what it asks for.
    pub(super) fn with_session(&mut self, id: ConnId, step: impl FnOnce(&mut Session, &mut Cx<'_>)) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let was_blocked = conn.session.is_blocked();
        let mut cx = Cx {
            now: self.now,
            config: &self.config,
            verifiers: &self.verifiers,
            keys: &self.keys,
            budget: &self.budget,
            evidence: Evidence::default(),
            rng: &mut self.rng,
            conn: id,
            hub: &mut self.hub,
            tracked: &mut self.tracked,
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

    pub(super) fn settle(&mut self, id: ConnId) {
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

    pub(super) fn carry_out(&mut self, id: ConnId, effect: Effect) {
        match effect {
            Effect::Op { channel, op, tag } => {
                let reply = if tag == 0 { ReplyTo::None } else { ReplyTo::Conn { conn: id, tag } };
                self.request(channel, op, reply);
            }
            Effect::Find(need) => self.find(id, need),
            Effect::CountConnections { user } => self.count_connections(id, user),
            Effect::Connected { user } => self.index(id, &user),
            Effect::DisconnectOthers { user, disconnect } => self.disconnect_others_everywhere(id, user, disconnect),
            Effect::SubscribedByServer { caller, is_live } => self.on_subscribed_by_server(caller, is_live),
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

    /// Lets the outbox drain, then closes the socket.
    pub(super) fn leave(&mut self, id: ConnId) {
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
    pub(super) fn close_session(&mut self, id: ConnId) {
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

    pub(super) fn forget(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conns.remove(id) {
            conn.outbox.clear(&mut self.pool);
            self.actions.push(Action::Close { socket: conn.socket, lingers: conn.lingers });
        }
    }

    pub(super) fn index(&mut self, id: ConnId, user: &str) {
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
    pub(super) fn arm(&mut self, id: ConnId) {
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
