//! A socket as hyper wants it: reads and writes that wait for the ring's news.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// A socket in its HTTP life, shared by the shard's table (which hears the news) and the HTTP task.
pub struct HttpSocket {
    fd: OwnedFd,
    readable: Cell<bool>,
    writable: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    /// The owner gave up on the peer: every read and write fails from now on.
    aborted: Cell<bool>,
    /// The peer has ended its side, or the connection is broken.
    ending: Cell<bool>,
    /// A read met the end of the stream, or failed.
    ended: Cell<bool>,
    stage: Cell<Stage>,
    /// Bytes came since somebody asked.
    received: Cell<bool>,
    /// When the last request was answered; 0 before the first.
    answered_ms: Cell<u64>,
}

/// How far a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// There is none, or its head is incomplete.
    Head,
    /// Its body is arriving.
    Body,
    /// It is being answered: the peer is not idle, however long that takes.
    Answer,
}

impl HttpSocket {
    /// Takes over an accepted, non-blocking socket.
    pub fn new(fd: OwnedFd) -> Rc<Self> {
        Rc::new(Self {
            fd,
            readable: Cell::new(true),
            writable: Cell::new(true),
            reader: Cell::new(None),
            writer: Cell::new(None),
            aborted: Cell::new(false),
            ending: Cell::new(false),
            ended: Cell::new(false),
            stage: Cell::new(Stage::Head),
            received: Cell::new(false),
            answered_ms: Cell::new(0),
        })
    }

    /// News from the ring.
    pub fn on_ready(&self, readable: bool, writable: bool, ending: bool) {
        if ending {
            self.ending.set(true);
        }
        if readable {
            self.readable.set(true);
            if let Some(waker) = self.reader.take() {
                waker.wake();
            }
        }
        if writable {
            self.writable.set(true);
            if let Some(waker) = self.writer.take() {
                waker.wake();
            }
        }
    }

    /// Makes the task that serves this socket end.
    pub fn abort(&self) {
        self.aborted.set(true);
        self.on_ready(true, true, false);
    }

    /// A request's head has arrived, and its body is to follow or not.
    pub fn begin_request(&self, has_body: bool) {
        self.stage.set(if has_body { Stage::Body } else { Stage::Answer });
    }

    /// The request's body has arrived.
    pub fn end_body(&self) {
        self.stage.set(Stage::Answer);
    }

    /// Whether a body was to arrive and nothing came since this was last asked.
    pub fn is_body_stuck(&self) -> bool {
        !self.received.replace(false) && self.stage.get() == Stage::Body
    }

    /// The request is answered.
    pub fn end_request(&self, mono_ms: u64) {
        self.stage.set(Stage::Head);
        self.answered_ms.set(mono_ms);
    }

    /// When this socket is to be given up unless it begins a request: `first` milliseconds after it was accepted,
    /// then `idle` milliseconds after each answer. None while a request's body arrives or it is being answered.
    pub fn give_up_at(&self, accepted_ms: u64, first: u64, idle: u64) -> Option<u64> {
        match (self.stage.get(), self.answered_ms.get()) {
            (Stage::Body | Stage::Answer, _) => None,
            (Stage::Head, 0) => Some(accepted_ms + first),
            (Stage::Head, answered) => Some(answered + idle),
        }
    }

    /// The descriptor, once nobody else holds this socket.
    pub fn into_fd(self: Rc<Self>) -> Option<OwnedFd> {
        Rc::try_unwrap(self).ok().map(|socket| socket.fd)
    }

    /// Whether the peer has ended its side: what is unread is followed by the end, of which no further news comes.
    pub fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Whether there is nobody left to write to.
    pub fn is_over(&self) -> bool {
        self.ended.get() || self.aborted.get()
    }

    /// Whether something may be waiting to be read.
    pub fn is_readable(&self) -> bool {
        self.readable.get()
    }
}

impl AsFd for HttpSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What hyper reads from and writes to.
pub struct HttpStream(pub Rc<HttpSocket>);

impl Read for HttpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let socket = &self.0;
        loop {
            if socket.aborted.get() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if !socket.readable.get() {
                socket.reader.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            // SAFETY: `recv` only writes to the slice, and exactly the bytes it filled are declared as filled.
            let filled = match recv(&socket.fd, unsafe { buf.as_mut() }, RecvFlags::DONTWAIT) {
                Ok((_, filled)) => filled,
                // Only now, and not after a short read: what came meanwhile is answered in the same turn, and what it
                // causes leaves in one write.
                Err(Errno::AGAIN) => {
                    socket.readable.set(false);
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(error) => {
                    socket.ended.set(true);
                    return Poll::Ready(Err(error.into()));
                }
            };
            let is_end = filled == 0;
            socket.ended.set(is_end);
            socket.received.set(!is_end);
            // SAFETY: as above.
            unsafe { buf.advance(filled) };
            return Poll::Ready(Ok(()));
        }
    }
}

impl Write for HttpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = &self.0;
        loop {
            if socket.aborted.get() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            match send(&socket.fd, buf, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => return Poll::Ready(Ok(sent)),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    socket.writable.set(false);
                    socket.writer.set(Some(cx.waker().clone()));
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = rustix::net::shutdown(&self.0.fd, rustix::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> (Rc<HttpSocket>, std::os::unix::net::UnixStream) {
        let (ours, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        (HttpSocket::new(ours.into()), peer)
    }

    #[test]
    fn heads_and_pauses_have_their_time_and_answers_take_theirs() {
        let (socket, _peer) = socket();
        let at = || socket.give_up_at(100, 10, 1000);
        assert_eq!(at(), Some(110), "the first head");
        socket.begin_request(false);
        assert_eq!(at(), None);
        socket.end_request(500);
        assert_eq!(at(), Some(1500), "the next one");
        socket.begin_request(true);
        assert_eq!(at(), None, "bodies are looked at by progress");
    }

    #[test]
    fn a_body_is_stuck_when_nothing_came_between_two_looks() {
        use std::io::Write;
        let (socket, mut peer) = socket();
        let mut stream = HttpStream(socket.clone());
        let mut read = || {
            peer.write_all(b"x").unwrap();
            let mut bytes = [0; 8];
            let mut buffer = hyper::rt::ReadBuf::new(&mut bytes);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut stream).poll_read(&mut cx, buffer.unfilled()).is_ready());
        };
        read();
        socket.begin_request(true);
        assert!(!socket.is_body_stuck(), "the head came");
        read();
        assert!(!socket.is_body_stuck());
        assert!(socket.is_body_stuck());
        read();
        socket.end_body();
        assert!(!socket.is_body_stuck());
        assert!(!socket.is_body_stuck(), "it is our turn");
    }
}
