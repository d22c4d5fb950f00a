//! What connections are owed: queueing frames, and what flushing them shows.

use super::Engine;
use super::connections::{Conn, Phase};
use crate::base::ids::ConnId;
use crate::base::time::NEVER;
use crate::fanout::frame::Frame;
use crate::fanout::outbox::{Outbox, Pool};
use crate::protocol::disconnect::Disconnect;

impl Engine {
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

    /// Queues a control frame.
    pub(super) fn push_control(&mut self, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
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
    pub(super) fn push_first(&mut self, id: ConnId, frame: Frame) {
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
}
