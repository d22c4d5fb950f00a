//! Writing what a connection is owed: one system call for everything, however many frames.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};

use crate::fanout::outbox::{Outbox, Pool};

/// Up to so many bytes are copied together and sent from one buffer: for small frames that is cheaper than a vector.
const COPY_LIMIT: usize = 16 * 1024;
/// Frames in one vectored send.
const MAX_SLICES: usize = 64;

/// How a flush ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    /// Nothing is owed any more.
    All,
    /// The socket takes no more now; something was sent or not.
    Blocked {
        /// Whether at least one byte went out.
        progress: bool,
    },
    /// The socket is dead.
    Failed,
}

/// Sends from the outbox until it is empty or the socket is full.
pub fn flush(socket: BorrowedFd<'_>, outbox: &mut Outbox, pool: &mut Pool, scratch: &mut Vec<u8>) -> Flushed {
    let mut progress = false;
    while !outbox.is_empty() {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let (offered, sent) = if outbox.frames() == 1 {
            outbox.fill(&mut slices[..1]);
            (slices[0].len(), send(socket, &slices[0], flags))
        } else if outbox.copy_small(scratch, COPY_LIMIT) > 0 {
            (scratch.len(), send(socket, scratch, flags))
        } else {
            let count = outbox.fill(&mut slices);
            let offered = slices[..count].iter().map(|slice| slice.len()).sum();
            (offered, sendmsg(socket, &slices[..count], &mut SendAncillaryBuffer::default(), flags))
        };
        match sent {
            Ok(sent) => {
                progress |= sent > 0;
                outbox.advance(sent, pool);
                if sent < offered {
                    return Flushed::Blocked { progress };
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Flushed::Blocked { progress },
            Err(_) => return Flushed::Failed,
        }
    }
    Flushed::All
}
