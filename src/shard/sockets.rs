//! The shard's sockets and what each of them is for.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use crate::base::ids::ConnId;
use crate::base::slab::Slab;
use crate::net::ring::{Ring, Token};
use crate::net::stream::HttpSocket;

/// Sockets of one shard at most.
const MAX_SOCKETS: u32 = 16 << 20;

/// An accepted socket.
pub(super) struct Socket {
    pub(super) role: Role,
    /// When it was accepted, milliseconds of the shard's clock.
    pub(super) accepted_ms: u64,
}

/// What a socket is for.
pub(super) enum Role {
    /// A task of the executor serves HTTP on it.
    Http(Rc<HttpSocket>),
    /// The engine has a connection for it.
    WebSocket(WebSocket),
    /// Between the two.
    Changing,
}

/// A socket whose frames the shard's loop reads and writes.
pub(super) struct WebSocket {
    pub(super) fd: OwnedFd,
    pub(super) conn: ConnId,
    /// The ring reported news that was not read to the end.
    pub(super) is_readable: bool,
    /// It stands in the line of sockets to be read.
    pub(super) is_queued: bool,
    /// The peer has ended its side: reading goes on until the end shows.
    pub(super) is_ending: bool,
}

/// All sockets of a shard, and those that are to be read.
pub(super) struct Sockets {
    table: Slab<Socket>,
    readable: VecDeque<ConnId>,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self { table: Slab::new(MAX_SOCKETS), readable: VecDeque::new() }
    }

    /// Takes over an accepted socket and has it watched. None when the table is full or the ring refuses it: the
    /// socket is closed.
    pub(super) fn accept(&mut self, fd: OwnedFd, mono_ms: u64, ring: &mut Ring) -> Option<(ConnId, Rc<HttpSocket>)> {
        let socket = HttpSocket::new(fd);
        let entry = Socket { role: Role::Http(socket.clone()), accepted_ms: mono_ms };
        let key = self.table.insert(entry).ok()?;
        if ring.watch(&*socket, token_of(key)).is_err() {
            self.table.remove(key);
            return None;
        }
        Some((key, socket))
    }

    pub(super) fn find(&mut self, token: Token) -> Option<(ConnId, &mut Socket)> {
        self.table.at(token.slot).filter(|(key, _)| token.names(key.slot, key.generation))
    }

    pub(super) fn at(&mut self, slot: u32) -> Option<(ConnId, &mut Socket)> {
        self.table.at(slot)
    }

    pub(super) fn get_mut(&mut self, key: ConnId) -> Option<&mut Socket> {
        self.table.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Socket)> {
        self.table.iter()
    }

    /// Closes a socket: its watch ends and its descriptor with it.
    pub(super) fn close(&mut self, key: ConnId, ring: &mut Ring) {
        if self.table.remove(key).is_some() {
            // A failure means that the ring is gone, and the watch with it.
            let _ = ring.unwatch(token_of(key));
        }
    }

    /// Puts a readable socket in line.
    pub(super) fn queue(&mut self, key: ConnId) {
        if let Some(Socket { role: Role::WebSocket(socket), .. }) = self.table.get_mut(key)
            && !std::mem::replace(&mut socket.is_queued, true)
        {
            self.readable.push_back(key);
        }
    }

    /// The next socket in line.
    pub(super) fn next_readable(&mut self) -> Option<ConnId> {
        let key = self.readable.pop_front()?;
        if let Some(Socket { role: Role::WebSocket(socket), .. }) = self.table.get_mut(key) {
            socket.is_queued = false;
        }
        Some(key)
    }

    pub(super) fn readable_count(&self) -> usize {
        self.readable.len()
    }
}

pub(super) fn token_of(key: ConnId) -> Token {
    Token { slot: key.slot, generation: key.generation }
}

impl AsFd for WebSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
