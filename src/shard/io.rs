//! Sockets between turns and engine: reading, flushing, upgrading, closing.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::clock::Clock;
use super::sockets::{Role, Socket, token_of};
use super::start::PlanePart;
use super::turn::{Inner, READS_PER_TURN};
use crate::base::ids::ConnId;
use crate::engine::{Action, Opening};
use crate::net::flush::{Flushed, flush};
use crate::net::http::Upgraded;

/// Bytes read from one socket in one turn.
pub(super) const READ_SIZE: usize = 64 * 1024;

/// How long a socket is kept after the last word, for a peer that is still sending (Go's net/http: half a second).
const LINGER_MS: u64 = 500;

impl Inner {
    /// Reads sockets in line, one read each.
    pub(super) fn read_sockets(&mut self) {
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

    pub(super) fn read(&mut self, key: ConnId) {
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

    /// Hands over what is for other shards and for the control plane.
    pub(super) fn flush_mesh(&mut self) {
        let bells = &self.bells;
        self.engine.flush_mesh(|shard| bells[shard.index()].ring());
        if self.engine.flush_errands() {
            (self.ring_plane)(PlanePart::Errands);
        }
        if self.engine.flush_broker() && self.broker_waits_since.is_none() {
            self.broker_waits_since = Some(Instant::now());
        }
    }

    /// Wakes who speaks with the broker, if anything was handed over since the last time. A shard that `is_busy` lets
    /// more come together first, for so long: each wake-up costs both sides, and on a core that they share it
    /// interrupts the shard.
    pub(super) fn ring_broker(&mut self, is_busy: bool, hold: Duration) {
        if self.broker_waits_since.is_some_and(|since| !is_busy || since.elapsed() >= hold) {
            self.broker_waits_since = None;
            (self.ring_plane)(PlanePart::Broker);
        }
    }

    pub(super) fn flush_sockets(&mut self, clock: &Clock) {
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
    pub(super) fn linger(&mut self, key: ConnId, mono_ms: u64) {
        self.sockets.linger(key, &mut self.ring);
        self.http_timers.insert(mono_ms + LINGER_MS, key);
    }

    pub(super) fn discard(&mut self) {
        let Self { sockets, ring, scratch, .. } = self;
        sockets.discard(scratch, ring);
    }

    pub(super) fn carry_out_actions(&mut self, mono_ms: u64) {
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

    pub(super) fn watch_again(&mut self, key: ConnId) {
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
    pub(super) fn lose(&mut self, key: ConnId) {
        if let Some(Socket { role: Role::WebSocket(socket), .. }) = self.sockets.get_mut(key) {
            let conn = socket.conn;
            self.engine.gone(conn);
        } else {
            self.sockets.close(key, &mut self.ring);
        }
    }

    pub(super) fn upgrade(&mut self, key: ConnId, upgraded: Upgraded) {
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
}
