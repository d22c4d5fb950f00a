//! A shard's doorbell: how other threads wake it.
//!
//! It is an event counter (`eventfd`). Other threads ring it by writing; the shard's ring (see [`super::ring`]) watches
//! it like any socket. Nobody reads it: the watch reports each write. So a task of an executor is never woken from
//! another thread, which glommio does not survive (it may park with runnable tasks).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// The side that rings: cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// A new bell. Fails only when the process has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?)))
    }

    /// Wakes the shard, or makes its next sleep return at once. One write of 8 bytes; never blocks in practice (the
    /// counter would have to reach 2^64 - 1).
    pub fn ring(&self) {
        // Nothing can be done about a failure here, and none is possible while the descriptor is open.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
