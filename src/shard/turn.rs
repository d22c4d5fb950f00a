//! One turn of the loop, and the loop.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

use super::sockets::{Role, Socket, Sockets};
use super::start::{Pulse, RingPlane};
use crate::base::ids::ConnId;
use crate::base::wheel::Wheel;
use crate::engine::Engine;
use crate::net::bell::Bell;
use crate::net::http::{Ended, serve};
use crate::net::mux::Side;
use crate::net::ring::{Event, Ring};
use crate::net::stream::HttpSocket;

/// Sockets read in one turn.
pub(super) const READS_PER_TURN: usize = 1024;
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
/// How long accepting rests after it failed, usually because descriptors ran out.
const ACCEPT_REST_MS: u64 = 100;
/// Accepting must have worked for so long before a failure is news again.
const ACCEPT_SILENCE_MS: u64 = 10_000;

/// A connection that waits for its task.
type Accepted = (ConnId, Rc<HttpSocket>, Side);

/// A listening socket of this shard.
pub(super) struct Listener {
    pub(super) fd: OwnedFd,
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
    pub(super) ring_plane: RingPlane,
    /// Since when requests wait for whoever speaks with the broker to be woken.
    pub(super) broker_waits_since: Option<Instant>,
    pub(super) pulse: Arc<CachePadded<Pulse>>,
    pub(super) http_timers: Wheel<ConnId>,
    pub(super) scratch: Box<[u8]>,
    pub(super) copies: Vec<u8>,
    pub(super) dirty: Vec<ConnId>,
    pub(super) is_stopping: bool,
}

impl super::host::ShardHost {
    /// Runs until the process stops.
    pub(super) async fn run(self: Rc<Self>, spin_us: u32, hold_us: u32) -> io::Result<()> {
        self.inner.borrow_mut().listen()?;
        let [spin, hold] = [spin_us, hold_us].map(|us| Duration::from_micros(u64::from(us)));
        let mut idle_since: Option<Instant> = None;
        loop {
            let more = self.turn()?;
            if self.may_end() {
                self.inner.borrow_mut().ring_broker(false, hold);
                return Ok(());
            }
            self.tasks.run().await;
            let is_busy = more || self.tasks.take_wants();
            self.inner.borrow_mut().end_turn(is_busy, spin, hold, &mut idle_since)?;
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
            glommio::spawn_local(self.tasks.task(self.clone().serve(key, socket, side))).detach();
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
        if inner.pulse.has_rules.load(Ordering::Acquire) {
            inner.reload();
        }
        let mut more = inner.take_events(now.mono_ms, accepted)?;
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
        inner.pulse.clients.store(inner.engine.clients() as u64, Ordering::Relaxed);
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
        self.tasks.want_turn();
    }
}

impl Inner {
    /// Sleeps until there is something to do, unless there is.
    fn end_turn(
        &mut self,
        is_busy: bool,
        spin: Duration,
        hold: Duration,
        idle_since: &mut Option<Instant>,
    ) -> io::Result<()> {
        if is_busy {
            *idle_since = None;
        }
        // Polling instead of sleeping, where it is asked for.
        let polls = !is_busy && !spin.is_zero() && idle_since.get_or_insert_with(Instant::now).elapsed() < spin;
        let sleeps = !is_busy && !polls && self.engine.prepare_to_sleep();
        self.ring_broker(!sleeps && !polls, hold);
        if sleeps {
            self.pulse.is_asleep.store(true, Ordering::Relaxed);
            self.ring.sleep(self.time_to_sleep())?;
            self.pulse.is_asleep.store(false, Ordering::Relaxed);
        } else {
            self.ring.submit()?;
        }
        self.engine.awake();
        Ok(())
    }

    /// How long until a timer is due, if one runs.
    fn time_to_sleep(&self) -> Option<Duration> {
        let now_ms = self.engine.now().mono_ms;
        let http = self.http_timers.next_expiry();
        let rests = self.listeners.iter().filter_map(|listener| listener.rests_until);
        let until = |at: u64| at.saturating_sub(now_ms);
        let wait = self.engine.next_timer_ms().into_iter().chain(http.into_iter().chain(rests).map(until)).min();
        wait.map(|ms| Duration::from_millis(ms.max(1)))
    }

    /// Takes the ring's events.
    fn take_events(&mut self, mono_ms: u64, accepted: &mut Vec<Accepted>) -> io::Result<bool> {
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
        })?;
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
            if let Some((key, socket)) = self.adopt(fd, mono_ms) {
                accepted.push((key, socket, side));
            }
        }
        self.resume_listeners(mono_ms);
        Ok(more)
    }

    /// Takes over a socket in its HTTP life, which has its time.
    pub(super) fn adopt(&mut self, fd: OwnedFd, mono_ms: u64) -> Option<(ConnId, Rc<HttpSocket>)> {
        let adopted = self.sockets.accept(fd, mono_ms, &mut self.ring)?;
        self.http_timers.insert(mono_ms + FIRST_REQUEST_MS, adopted.0);
        Some(adopted)
    }

    fn listen(&mut self) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            self.ring.listen(&listener.fd, index as u32)?;
        }
        Ok(())
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

    fn reload(&mut self) {
        self.pulse.has_rules.store(false, Ordering::Relaxed);
        if let Some(rules) = self.pulse.rules.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.engine.reload(rules.config, rules.verifiers);
        }
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
