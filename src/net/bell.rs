//! A shard's doorbell: the one thing a sleeping shard waits for.
//!
//! It is an event counter (`eventfd`). Other threads ring it by writing; the shard's ring (see [`super::ring`])
//! rings it when a socket has news; the executor reads it with io_uring like any file. So a task of an executor is
//! never woken from another thread, which glommio does not survive (it may park with runnable tasks).

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use glommio::io::BufferedFile;
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

type Read = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// The side that sleeps. Lives inside the shard's executor.
pub struct Sleeper {
    file: Rc<BufferedFile>,
    /// The read under way. It outlives one sleep when something on this thread ended the sleep first.
    read: Option<Read>,
    nudge: Rc<Nudge>,
}

/// Lets tasks of the same executor (HTTP requests) end the shard's sleep. Same thread only.
#[derive(Default)]
pub struct Nudge {
    pending: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Nudge {
    /// Ends the shard's sleep once the current task yields.
    pub fn nudge(&self) {
        if !self.pending.replace(true)
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }
}

impl Sleeper {
    /// Must be called inside the executor that will sleep.
    pub fn new(bell: &Bell) -> io::Result<Self> {
        let fd = bell.0.try_clone()?;
        // SAFETY: the descriptor was just duplicated, so this file is its only owner.
        let file = unsafe { BufferedFile::from_raw_fd(fd.into_raw_fd()) };
        Ok(Self { file: Rc::new(file), read: None, nudge: Rc::default() })
    }

    /// A handle for tasks of this executor.
    pub fn nudge(&self) -> Rc<Nudge> {
        self.nudge.clone()
    }

    /// Returns when the bell rang (now or since the last sleep) or a task nudged.
    pub async fn sleep(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_sleep(cx)).await
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.nudge.pending.replace(false) {
            return Poll::Ready(Ok(()));
        }
        let read = self.read.get_or_insert_with(|| {
            let file = self.file.clone();
            Box::pin(async move { file.read_at(0, 8).await.map(drop).map_err(io::Error::from) })
        });
        match read.as_mut().poll(cx) {
            Poll::Ready(result) => {
                self.read = None;
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.nudge.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}
