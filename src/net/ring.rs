//! The shard's ring: which sockets have news.
//!
//! One io_uring of our own beside the executor's. Sockets are accepted by one multishot request per listener and
//! watched by one multishot poll each, edge-triggered, for their whole life: no task, buffer, waker or timer exists
//! per idle socket, and arming again costs nothing. Reading and writing are direct, non-blocking system calls,
//! because the kernel's TCP path, not the call, is what they cost. While the shard turns, completions are found in
//! shared memory. It sleeps here, too, waiting for the next one: its bell is watched like a socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{Builder, IoUring, cqueue, opcode, squeue};

use super::bell::Bell;

/// Requests that fit before they must be handed to the kernel.
const SUBMISSIONS: u32 = 1024;
/// Completions that fit before the kernel keeps the rest aside (it drops none).
const COMPLETIONS: u32 = 16 * 1024;

/// `IORING_ENTER_GETEVENTS`.
const ENTER_GETEVENTS: u32 = 1;

const KIND_SOCKET: u64 = 0;
const KIND_LISTENER: u64 = 1;
const KIND_FORGET: u64 = 2;
const KIND_BELL: u64 = 3;

/// What the ring reports.
#[derive(Debug)]
pub enum Event {
    /// A listener accepted a connection: non-blocking, close-on-exec.
    Accepted {
        /// As given to [`Ring::listen`].
        listener: u32,
        /// The connection.
        socket: OwnedFd,
        /// The kernel ended the request, for lack of room for completions: the listener must be armed again.
        ended: bool,
    },
    /// A listener could not accept (out of descriptors, for example). It must be armed again.
    AcceptFailed {
        /// As given to [`Ring::listen`].
        listener: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// A watched socket has news.
    Ready {
        /// As given to [`Ring::watch`].
        token: Token,
        /// There may be something to read, the end of the stream included.
        readable: bool,
        /// There may be room to write.
        writable: bool,
        /// The peer has ended its side, or the connection is broken.
        ending: bool,
        /// The kernel ended the watch: it must be armed again.
        ended: bool,
    },
}

/// Names a watched socket: a slot and the low bits of its generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// Slot in the shard's table of sockets.
    pub slot: u32,
    /// Tells a reused slot apart; 24 bits are kept.
    pub generation: u32,
}

impl Token {
    fn pack(self, kind: u64) -> u64 {
        u64::from(self.slot) | (u64::from(self.generation & 0x00FF_FFFF) << 32) | (kind << 56)
    }

    fn unpack(data: u64) -> Self {
        Self { slot: data as u32, generation: (data >> 32) as u32 & 0x00FF_FFFF }
    }

    /// Whether this token names the socket of that slot and generation.
    pub fn names(self, slot: u32, generation: u32) -> bool {
        self.slot == slot && self.generation == generation & 0x00FF_FFFF
    }
}

/// See the module.
pub struct Ring {
    uring: IoUring,
    bell: Bell,
}

impl Ring {
    /// Opens the ring of the shard with this bell. Call it on the thread that will use it.
    pub fn new(bell: &Bell) -> io::Result<Self> {
        let uring = build(deferred).or_else(|_| build(cooperative))?;
        let mut ring = Self { uring, bell: bell.clone() };
        ring.watch_bell()?;
        Ok(ring)
    }

    fn watch_bell(&mut self) -> io::Result<()> {
        let entry = opcode::PollAdd::new(Fd(self.bell.as_fd().as_raw_fd()), libc::POLLIN as u32).multi(true).build();
        self.push(&entry.user_data(KIND_BELL << 56))
    }

    /// Accepts connections of the listener until it is closed, or an event says that accepting ended.
    pub fn listen(&mut self, socket: &impl AsFd, listener: u32) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(Fd(socket.as_fd().as_raw_fd()))
            .flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
            .build()
            .user_data(Token { slot: listener, generation: 0 }.pack(KIND_LISTENER));
        self.push(&entry)
    }

    /// Stops accepting.
    pub fn stop_listening(&mut self, listener: u32) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(Token { slot: listener, generation: 0 }.pack(KIND_LISTENER))
            .build()
            .user_data(KIND_FORGET << 56);
        self.push(&entry)
    }

    /// Watches a socket. News that was there before is reported too.
    pub fn watch(&mut self, socket: &impl AsFd, token: Token) -> io::Result<()> {
        let interest = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP;
        let entry = opcode::PollAdd::new(Fd(socket.as_fd().as_raw_fd()), interest as u32)
            .multi(true)
            .build()
            .user_data(token.pack(KIND_SOCKET));
        self.push(&entry)
    }

    /// Ends a watch. The kernel holds the socket open until this is submitted, so it goes with every close.
    ///
    /// Not by removing the poll: that fails, and leaves the socket open, while news of it wait to be taken in.
    pub fn unwatch(&mut self, token: Token) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(token.pack(KIND_SOCKET)).build().user_data(KIND_FORGET << 56);
        self.push(&entry)
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: no request refers to memory of ours; descriptors are only polled, accepted from or cancelled, and
            // the kernel keeps its own reference to each.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.uring.submit()?;
        }
    }

    /// Hands pending requests to the kernel: one system call, or none.
    pub fn submit(&mut self) -> io::Result<()> {
        let mut queue = self.uring.submission();
        queue.sync();
        if queue.is_empty() && !queue.cq_overflow() {
            return Ok(());
        }
        drop(queue);
        self.uring.submit().map(drop).or_else(passing)
    }

    /// Sleeps until there is an event, the bell rings, or the time is over. Pending requests are handed to the kernel,
    /// so this is the one system call of a turn without news. It may return early.
    pub fn sleep(&mut self, time: Option<Duration>) -> io::Result<()> {
        let time = time.map(Timespec::from);
        let args = time.as_ref().map_or(SubmitArgs::new(), |time| SubmitArgs::new().timespec(time));
        self.uring.submitter().submit_with_args(1, &args).map(drop).or_else(passing)
    }

    /// Takes up to `budget` events. True when the budget ran out first.
    pub fn events(&mut self, budget: usize, mut on: impl FnMut(Event)) -> io::Result<bool> {
        self.run_deferred();
        let (mut taken, mut is_unwatched) = (0, false);
        let completions = self.uring.completion();
        for completion in completions.take(budget) {
            taken += 1;
            is_unwatched |= completion.user_data() >> 56 == KIND_BELL && !cqueue::more(completion.flags());
            if let Some(event) = event_of(&completion) {
                on(event);
            }
        }
        if is_unwatched {
            self.watch_bell()?;
        }
        Ok(taken == budget)
    }

    /// Lets the kernel turn news into completions, if it says that there is some: one system call, or none.
    fn run_deferred(&mut self) {
        if self.uring.submission().taskrun() {
            // SAFETY: no argument is passed. A failure shows as missing events, and the next turn tries again.
            let _ = unsafe { self.uring.submitter().enter::<libc::sigset_t>(0, 0, ENTER_GETEVENTS, None) };
        }
    }
}

/// What the kernel says that is no failure: it is short of room until completions are taken, which the next turn does; a
/// signal came; or the time is over.
fn passing(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EAGAIN | libc::EINTR | libc::ETIME) => Ok(()),
        _ => Err(error),
    }
}

fn build(configure: impl FnOnce(&mut Builder)) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(COMPLETIONS).setup_clamp().dontfork();
    configure(&mut builder);
    builder.build(SUBMISSIONS)
}

/// News of sockets wait until the shard asks for them (Linux 6.1). Without this the kernel interrupts the shard for
/// each of them: an API publish then costs 1.6 times as much, an echo 1.5 times.
fn deferred(builder: &mut Builder) {
    builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
}

/// News are taken in at the next system call, whichever it is (Linux 5.19).
fn cooperative(builder: &mut Builder) {
    builder.setup_coop_taskrun().setup_taskrun_flag();
}

fn event_of(completion: &cqueue::Entry) -> Option<Event> {
    let data = completion.user_data();
    let result = completion.result();
    let ended = !cqueue::more(completion.flags());
    let token = Token::unpack(data);
    match data >> 56 {
        KIND_LISTENER if result >= 0 => {
            // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            Some(Event::Accepted { listener: token.slot, socket, ended })
        }
        KIND_LISTENER if result == -libc::ECANCELED => None,
        KIND_LISTENER => {
            Some(Event::AcceptFailed { listener: token.slot, error: io::Error::from_raw_os_error(-result) })
        }
        KIND_SOCKET if result == -libc::ECANCELED => None,
        KIND_SOCKET => {
            let bits = if result < 0 { libc::POLLERR as i32 } else { result };
            let has = |flags: i16| bits & i32::from(flags) != 0;
            Some(Event::Ready {
                token,
                readable: has(libc::POLLIN | libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR),
                writable: has(libc::POLLOUT | libc::POLLHUP | libc::POLLERR),
                ending: has(libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR),
                ended: ended && result >= 0,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> (Ring, Bell) {
        let bell = Bell::new().expect("a bell");
        (Ring::new(&bell).expect("a ring; is io_uring available?"), bell)
    }

    #[test]
    fn each_ring_of_the_bell_ends_a_sleep_though_nobody_reads_the_counter() {
        let (mut ring, bell) = ring();
        for _ in 0..3 {
            // Rung before the sleep, and more than once: a ring is never lost, and never counts for the next sleep.
            bell.ring();
            bell.ring();
            ring.sleep(None).expect("it wakes");
            let more = ring.events(16, |event| panic!("{event:?} is news of no socket"));
            assert!(!more.expect("the bell stays watched"));
        }
        let other = std::thread::spawn({
            let bell = bell.clone();
            move || bell.ring()
        });
        ring.sleep(None).expect("it wakes");
        other.join().expect("it rang");
    }

    #[test]
    fn news_and_the_time_end_a_sleep() {
        let (mut ring, _bell) = ring();
        ring.sleep(Some(Duration::from_millis(1))).expect("the time is over");
        let (ours, peer) = std::os::unix::net::UnixStream::pair().expect("sockets");
        let token = Token { slot: 7, generation: 3 };
        ring.watch(&ours, token).expect("it is watched");
        ring.sleep(None).expect("there is room to write");
        let mut seen = Vec::new();
        let mut look = |ring: &mut Ring| {
            ring.events(16, |event| match event {
                Event::Ready { token, readable, writable, ending, .. } => {
                    assert!(token.names(7, 3));
                    seen.push((readable, writable, ending));
                }
                other => panic!("{other:?}"),
            })
            .expect("it looks");
        };
        look(&mut ring);
        drop(peer);
        ring.sleep(None).expect("the peer is gone");
        look(&mut ring);
        assert_eq!((seen[0], seen.last()), ((false, true, false), Some(&(true, true, true))));
    }
}
