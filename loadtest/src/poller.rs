//! Waiting for sockets: epoll, and how long this thread had nothing to do.

use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{Timespec, epoll};

use crate::Failure;
use crate::clock::{self, SECOND};

/// Tags from here on belong to sockets beside the fleet's.
pub const OTHERS: u64 = 1 << 32;

/// The nearest moment that the kernel's timers are trusted with; nearer ones are waited for awake.
const AWAKE: u64 = 60_000;

/// What has happened to a socket.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// There is something to read, an end or an error maybe.
    pub readable: bool,
    /// The other side has said its last.
    pub ended: bool,
}

/// One epoll.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    waited: u64,
}

impl Poller {
    /// An empty one.
    pub fn new() -> Result<Poller, Failure> {
        // Timers of this thread shall fire when they are due, not 50 us later.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll, events: Vec::with_capacity(1024), waited: 0 })
    }

    /// Watches a socket for news and for room to write, each told once.
    pub fn add(&self, socket: impl AsFd, tag: u64) -> Result<(), Failure> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(tag), flags)?)
    }

    /// Watches a socket for news until they are read.
    pub fn add_level(&self, socket: impl AsFd, tag: u64) -> Result<(), Failure> {
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(tag), epoll::EventFlags::IN)?)
    }

    /// Stops watching.
    pub fn remove(&self, socket: impl AsFd) -> Result<(), Failure> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits until something happens or `until` has come; the number of events.
    pub fn wait(&mut self, until: u64) -> Result<usize, Failure> {
        self.events.clear();
        let before = clock::now();
        let left = until.saturating_sub(before);
        let sleep = if left < AWAKE { 0 } else { left - AWAKE / 2 };
        let timeout = Timespec { tv_sec: (sleep / SECOND) as i64, tv_nsec: (sleep % SECOND) as i64 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout)) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        self.waited += clock::now() - before;
        Ok(self.events.len())
    }

    /// Tag of event `i` of the last wait.
    pub fn tag(&self, i: usize) -> u64 {
        self.events[i].data.u64()
    }

    /// What event `i` of the last wait says.
    pub fn news(&self, i: usize) -> News {
        let flags = self.events[i].flags;
        let ended = flags.intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR);
        News { readable: ended || flags.contains(epoll::EventFlags::IN), ended }
    }

    /// Nanoseconds spent waiting so far: the rest of the time this thread was the limit.
    pub fn waited(&self) -> u64 {
        self.waited
    }
}
