//! One turn of the loop, and the loop.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::clock::Clock;
use super::sockets::{Role, Socket, Sockets, token_of};
use super::start::Pulse;
use crate::base::ids::ConnId;
use crate::base::wheel::Wheel;
use crate::engine::{Action, Engine, Opening};
use crate::net::bell::{Bell, Sleeper};
use crate::net::flush::{Flushed, flush};
use crate::net::http::{Ended, Upgraded, serve};
use crate::net::ring::{Event, Ring};
use crate::net::routes::Side;
use crate::net::stream::HttpSocket;

/// Bytes read from one socket in one turn.
pub(super) const READ_SIZE: usize = 64 * 1024;
/// Sockets read in one turn.
const READS_PER_TURN: usize = 1024;
/// Events taken in one turn.
const EVENTS_PER_TURN: usize = 8192;
/// Rounds of work and flushing in one turn while outboxes run over.
const ROUNDS_PER_TURN: usize = 16;
/// A new connection must send a whole request head within this time (upstream: ReadHeaderTimeout).
const FIRST_REQUEST_MS: u64 = 10_000;
/// The body of a request may pause for so long, and no longer than twice that.
const BODY_SILENCE_MS: u64 = 10_000;
/// A kept-alive connection may be silent for so long between requests.
const IDLE_HTTP_MS: u64 = 120_000;
/// How long a socket is kept after the last word, for a peer that is still sending (Go's net/http: half a second).
const LINGER_MS: u64 = 500;
/// How long accepting rests after it failed, usually because descriptors ran out.
const ACCEPT_REST_MS: u64 = 100;
/// Accepting must have worked for so long before a failure is news again.
const ACCEPT_SILENCE_MS: u64 = 10_000;

/// A connection that waits for its task.
type Accepted = (ConnId, Rc<HttpSocket>, Side);

/// A listening socket of this shard.
pub(super) struct Listener {
    pub(super) fd: std::os::fd::OwnedFd,
    pub(super) side: Side,
    /// When accepting goes on after a failure.
    pub(super) rests_until: Option<u64>,
    /// A failure before this time follows another one closely and is not logged again.
    pub(super) complains_from: u64,
}

/// Everything the loop and the HTTP tasks of one shard share.
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) callers: HashMap<ConnId, Waker>,
    /// Callers that wait until the engine takes input again.
    pub(super) admission: Vec<Waker>,
    pub(super) sockets: Sockets,
    pub(super) ring: Ring,
    pub(super) listeners: Vec<Listener>,
    pub(super) bells: Arc<[Bell]>,
    pub(super) me: usize,
    pub(super) pulse: Arc<CachePadded<Pulse>>,
    pub(super) http_timers: Wheel<ConnId>,
    pub(super) scratch: Box<[u8]>,
    pub(super) copies: Vec<u8>,
    pub(super) dirty: Vec<ConnId>,
    pub(super) is_stopping: bool,
}

impl super::host::ShardHost {
    /// Runs until the process stops.
    pub(super) async fn run(self: Rc<Self>, mut sleeper: Sleeper, spin_us: u32) -> io::Result<()> {
        self.inner.borrow_mut().listen()?;
        let spin = Duration::from_micros(u64::from(spin_us));
        let mut idle_since: Option<Instant> = None;
        loop {
            let more = self.turn()?;
            if self.may_end() {
                return Ok(());
            }
            self.inner.borrow_mut().end_turn(more, spin, &mut idle_since)?;
            sleeper.sleep().await?;
            self.inner.borrow_mut().wake_up();
        }
    }

    /// Whether the shard may end: not before all are drained, because until then it answers for its channels.
    fn may_end(&self) -> bool {
        let inner = self.inner.borrow();
        if !inner.is_stopping {
            return false;
        }
        inner.pulse.is_drained.store(inner.is_drained(), Ordering::SeqCst);
        let may_end = self.shared.may_end();
        if may_end {
            inner.bells.iter().for_each(Bell::ring);
        }
        may_end
    }

    fn turn(self: &Rc<Self>) -> io::Result<bool> {
        let mut accepted = Vec::new();
        let more = self.turn_inner(&mut accepted)?;
        // A new task runs at once until it first waits, so nothing may be borrowed here.
        for (key, socket, side) in accepted {
            glommio::spawn_local(self.clone().serve(key, socket, side)).detach();
        }
        Ok(more)
    }

    fn turn_inner(&self, accepted: &mut Vec<Accepted>) -> io::Result<bool> {
        let mut inner = self.inner.borrow_mut();
        let now = self.clock.now();
        inner.engine.set_now(now);
        inner.pulse.turns.fetch_add(1, Ordering::Relaxed);
        if inner.pulse.stop.load(Ordering::Relaxed) && !inner.is_stopping {
            inner.begin_stop();
        }
        let mut more = inner.take_events(now.mono_ms, accepted);
        // What other shards sent comes before new input: a client must not see an effect before its cause.
        more |= inner.engine.receive();
        inner.read_sockets();
        inner.discard();
        if inner.is_stopping {
            more |= inner.engine.stop();
        }
        for round in 0.. {
            let left = inner.engine.work();
            inner.flush_mesh();
            inner.flush_sockets(&self.clock);
            inner.carry_out_actions(now.mono_ms);
            if !left && inner.engine.is_settled() {
                break;
            }
            if round == ROUNDS_PER_TURN {
                more = true;
                break;
            }
        }
        inner.run_http_timers(now.mono_ms);
        // Only now: what the engine did may have put sockets in line whose news came and went long ago.
        more |= inner.sockets.are_waiting();
        inner.wake_callers();
        inner.pulse.connections.store(inner.engine.connections() as u64, Ordering::Relaxed);
        inner.ring.submit()?;
        let took_us = self.clock.now().mono_us.saturating_sub(now.mono_us);
        inner.engine.metrics().turn(took_us * 1000);
        Ok(more)
    }

    async fn serve(self: Rc<Self>, key: ConnId, socket: Rc<HttpSocket>, side: Side) {
        let ended = serve(self.clone(), socket, side).await;
        let mut inner = self.inner.borrow_mut();
        match ended {
            Ended::Upgraded(upgraded) => inner.upgrade(key, upgraded),
            Ended::ByUs => {
                let now_ms = inner.engine.now().mono_ms;
                inner.linger(key, now_ms);
            }
            Ended::ByPeer => {
                let Inner { sockets, ring, .. } = &mut *inner;
                sockets.close(key, ring);
            }
        }
        self.nudge.nudge();
    }
}

impl Inner {
    /// Decides how the coming sleep ends: at once, by the shard's own bell, when there is more to do; else by news.
    fn end_turn(&mut self, more: bool, spin: Duration, idle_since: &mut Option<Instant>) -> io::Result<()> {
        if more {
            *idle_since = None;
        }
        // Polling instead of sleeping, where it is asked for. Other tasks of this executor run in between.
        let polls = !spin.is_zero() && idle_since.get_or_insert_with(Instant::now).elapsed() < spin;
        if more || polls || !self.prepare_to_sleep()? {
            self.bells[self.me].ring();
        }
        Ok(())
    }

    /// Takes the ring's events.
    fn take_events(&mut self, mono_ms: u64, accepted: &mut Vec<Accepted>) -> bool {
        let mut new = Vec::new();
        let mut failed = Vec::new();
        let Self { ring, sockets, engine, .. } = self;
        let mut rearm = Vec::new();
        let more = ring.events(EVENTS_PER_TURN, |event| match event {
            Event::Accepted { listener, socket, ended } => new.push((listener, socket, ended)),
            Event::AcceptFailed { listener, error } => failed.push((listener, error)),
            Event::Ready { token, readable, writable, ending, ended } => {
                let Some((key, socket)) = sockets.find(token) else { return };
                if ended {
                    rearm.push(key);
                }
                match &mut socket.role {
                    Role::Http(http) => http.on_ready(readable, writable, ending),
                    Role::Lingering(_) => sockets.queue_lingering(key),
                    Role::WebSocket(ws) => {
                        ws.is_ending |= ending;
                        if writable {
                            engine.writable(ws.conn);
                        }
                        if readable {
                            ws.is_readable = true;
                            sockets.queue(key);
                        }
                    }
                    Role::Changing => {}
                }
            }
        });
        for key in rearm {
            self.watch_again(key);
        }
        for (listener, error) in failed {
            self.rest_listener(listener as usize, mono_ms, &error);
        }
        for (listener, fd, ended) in new {
            let Some(listener) = self.listeners.get_mut(listener as usize) else { continue };
            let side = listener.side;
            if ended {
                listener.rests_until = Some(mono_ms);
            }
            let Self { sockets, ring, http_timers, .. } = self;
            if let Some((key, socket)) = sockets.accept(fd, mono_ms, ring) {
                http_timers.insert(mono_ms + FIRST_REQUEST_MS, key);
                accepted.push((key, socket, side));
            }
        }
        self.resume_listeners(mono_ms);
        more
    }

    fn listen(&mut self) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            self.ring.listen(&listener.fd, index as u32)?;
        }
        self.ring.submit()
    }

    fn rest_listener(&mut self, index: usize, mono_ms: u64, error: &io::Error) {
        if self.is_stopping {
            return;
        }
        if let Some(listener) = self.listeners.get_mut(index) {
            if listener.complains_from <= mono_ms {
                tracing::warn!(%error, "cannot accept connections; raise the limit of open files (ulimit -n) if it was reached");
            }
            listener.complains_from = mono_ms + ACCEPT_SILENCE_MS;
            listener.rests_until = Some(mono_ms + ACCEPT_REST_MS);
        }
    }

    fn resume_listeners(&mut self, mono_ms: u64) {
        if self.is_stopping {
            return;
        }
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if listener.rests_until.is_some_and(|until| until <= mono_ms)
                && self.ring.listen(&listener.fd, index as u32).is_ok()
            {
                listener.rests_until = None;
            }
        }
    }

    fn watch_again(&mut self, key: ConnId) {
        let Self { sockets, ring, .. } = self;
        let watched = match sockets.get_mut(key).map(|socket| &socket.role) {
            Some(Role::Http(http)) => ring.watch(&**http, token_of(key)),
            Some(Role::WebSocket(socket)) => ring.watch(socket, token_of(key)),
            Some(Role::Lingering(fd)) => ring.watch(fd, token_of(key)),
            _ => return,
        };
        if watched.is_err() {
            self.lose(key);
        }
    }

    /// The socket is of no use any more.
    fn lose(&mut self, key: ConnId) {
        if let Some(Socket { role: Role::WebSocket(socket), .. }) = self.sockets.get_mut(key) {
            let conn = socket.conn;
            self.engine.gone(conn);
        } else {
            self.sockets.close(key, &mut self.ring);
        }
    }

    fn upgrade(&mut self, key: ConnId, upgraded: Upgraded) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let Role::Http(http) = std::mem::replace(&mut socket.role, Role::Changing) else { return };
        let (is_readable, is_ending) = (http.is_readable(), http.is_ending());
        let Some(fd) = http.into_fd() else {
            debug_assert!(false, "someone still holds an upgraded socket");
            self.sockets.close(key, &mut self.ring);
            return;
        };
        let opened = self.engine.open(Opening {
            socket: key.slot,
            protocol: upgraded.upgrade.protocol,
            native_ping: upgraded.upgrade.native_ping,
            user_header: upgraded.upgrade.user_header,
        });
        let Some(conn) = opened else { return self.sockets.close(key, &mut self.ring) };
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.role = Role::WebSocket(super::sockets::WebSocket { fd, conn, is_readable, is_queued: false, is_ending });
        if !upgraded.early.is_empty() {
            self.engine.input(conn, &mut upgraded.early.to_vec());
        }
        if is_readable {
            self.sockets.queue(key);
        }
    }

    /// Reads sockets in line, one read each.
    fn read_sockets(&mut self) {
        let rounds = self.sockets.readable_count().min(READS_PER_TURN);
        for _ in 0..rounds {
            if !self.engine.takes_input() {
                // Publishers wait until the full lane has room; the next turn looks again.
                return;
            }
            let Some(key) = self.sockets.next_readable() else { break };
            self.read(key);
        }
    }

    fn read(&mut self, key: ConnId) {
        let Some(Socket { role: Role::WebSocket(socket), .. }) = self.sockets.get_mut(key) else { return };
        let conn = socket.conn;
        if !socket.is_readable || !self.engine.takes_input_of(conn) {
            return;
        }
        match recv(&socket.fd, &mut *self.scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.engine.gone(conn),
            Ok((length, _)) => {
                // A short read has emptied the socket; further news comes with a further event.
                socket.is_readable = length == self.scratch.len() || socket.is_ending;
                let again = socket.is_readable;
                self.engine.input(conn, &mut self.scratch[..length]);
                if again {
                    self.sockets.queue(key);
                }
            }
            Err(Errno::AGAIN) => socket.is_readable = false,
            Err(Errno::INTR) => self.sockets.queue(key),
            Err(_) => self.engine.gone(conn),
        }
    }

    fn flush_mesh(&mut self) {
        let bells = &self.bells;
        self.engine.flush_mesh(|shard| bells[shard.index()].ring());
    }

    fn flush_sockets(&mut self, clock: &Clock) {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.engine.take_dirty(&mut dirty);
        for conn in &dirty {
            let Some((slot, outbox, pool)) = self.engine.outbox(*conn) else {
                self.engine.held_back(*conn);
                continue;
            };
            let Some((_, Socket { role: Role::WebSocket(socket), .. })) = self.sockets.at(slot) else { continue };
            match flush(std::os::fd::AsFd::as_fd(socket), outbox, pool, &mut self.copies) {
                Flushed::All => self.engine.flushed(*conn, true),
                Flushed::Blocked { progress } => self.engine.flushed(*conn, progress),
                Flushed::Failed => self.engine.gone(*conn),
            }
        }
        if !dirty.is_empty() {
            self.engine.note_flushed(clock.now().mono_us);
        }
        self.dirty = dirty;
    }

    /// Keeps a socket for a while after the last word.
    fn linger(&mut self, key: ConnId, mono_ms: u64) {
        self.sockets.linger(key, &mut self.ring);
        self.http_timers.insert(mono_ms + LINGER_MS, key);
    }

    fn discard(&mut self) {
        let Self { sockets, ring, scratch, .. } = self;
        sockets.discard(scratch, ring);
    }

    fn carry_out_actions(&mut self, mono_ms: u64) {
        let Self { engine, sockets, ring, http_timers, .. } = self;
        for action in engine.take_actions() {
            match action {
                Action::Close { socket, lingers } => {
                    if let Some((key, _)) = sockets.at(socket) {
                        if lingers {
                            sockets.linger(key, ring);
                            http_timers.insert(mono_ms + LINGER_MS, key);
                        } else {
                            sockets.close(key, ring);
                        }
                    }
                }
                Action::Resume { socket } => {
                    if let Some((key, Socket { role: Role::WebSocket(ws), .. })) = sockets.at(socket)
                        && ws.is_readable
                    {
                        sockets.queue(key);
                    }
                }
            }
        }
    }

    fn run_http_timers(&mut self, mono_ms: u64) {
        let Self { http_timers, sockets, ring, .. } = self;
        let mut again = Vec::new();
        http_timers.advance(mono_ms, READS_PER_TURN, |key| match sockets.get_mut(key) {
            Some(Socket { role: Role::Http(http), accepted_ms }) => {
                match http.give_up_at(*accepted_ms, FIRST_REQUEST_MS, IDLE_HTTP_MS) {
                    Some(at) if at <= mono_ms => http.abort(),
                    Some(at) => again.push((at, key)),
                    None if http.is_body_stuck() => http.abort(),
                    None => again.push((mono_ms + BODY_SILENCE_MS, key)),
                }
            }
            // A timer left from its HTTP life may come first: the wait is then shorter, which is harmless.
            Some(Socket { role: Role::Lingering(_), .. }) => sockets.close(key, ring),
            _ => {}
        });
        for (at, key) in again {
            self.http_timers.insert(at, key);
        }
    }

    fn wake_callers(&mut self) {
        let Self { engine, callers, .. } = self;
        for call in engine.finished_calls() {
            if let Some(waker) = callers.remove(&call) {
                waker.wake();
            }
        }
        if self.engine.takes_input() {
            self.admission.drain(..).for_each(Waker::wake);
        }
    }

    /// True when the shard may sleep: its bell rings for other shards, sockets and the next timer.
    fn prepare_to_sleep(&mut self) -> io::Result<bool> {
        let now_ms = self.engine.now().mono_ms;
        let http = self.http_timers.next_expiry().map(|at| at.saturating_sub(now_ms));
        let rest =
            self.listeners.iter().filter_map(|listener| listener.rests_until).map(|at| at.saturating_sub(now_ms));
        let wait = self.engine.next_timer_ms().into_iter().chain(http).chain(rest).min();
        if let Some(ms) = wait {
            self.ring.wake_at(now_ms, now_ms + ms.max(1))?;
        }
        self.ring.submit()?;
        if !self.engine.prepare_to_sleep() {
            return Ok(false);
        }
        if !self.ring.ring_on_events() {
            return Ok(false);
        }
        self.pulse.is_asleep.store(true, Ordering::Relaxed);
        Ok(true)
    }

    fn wake_up(&mut self) {
        self.pulse.is_asleep.store(false, Ordering::Relaxed);
        self.ring.silence();
        self.engine.awake();
    }

    fn begin_stop(&mut self) {
        self.is_stopping = true;
        for index in 0..self.listeners.len() {
            // The listener closes with the process at the latest.
            let _ = self.ring.stop_listening(index as u32);
            self.listeners[index].rests_until = None;
        }
    }

    /// Every client is gone and every request answered. Nobody waits for sockets that linger.
    fn is_drained(&self) -> bool {
        self.engine.connections() == 0
            && self.sockets.iter().all(|(_, socket)| match &socket.role {
                Role::Http(http) => http.give_up_at(0, 0, 0).is_some(),
                Role::Lingering(_) => true,
                Role::WebSocket(_) | Role::Changing => false,
            })
    }
}
