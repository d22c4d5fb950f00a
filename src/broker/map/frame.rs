//! Messages about a map on its PUB/SUB channel (upstream: centrifuge map_broker_redis.go `parseMessage`).
//!
//! | frame | what it is |
//! |---|---|
//! | `OFFSET:EPOCH:` publication | a key was set or removed; without a stream the offset is 0 |
//! | `d:OFFSET:EPOCH:LENGTH:` value `:LENGTH:` publication | a key was set, and what it was before, as it stood in Redis |
//! | publication | as the one before, told by whoever knows no place |
//! | a frame of streams | a client joined or left; Centrifugo tells it so, too, and does not understand it |

use bytes::Bytes;

use super::value::Placed;
use crate::broker::frame::{self, Message, counted};
use crate::broker::{Unreadable, stored};

/// Reads a message. Payloads stay slices of it.
pub fn read(frame: &Bytes) -> Result<Message, Unreadable> {
    if let Some(rest) = frame.strip_prefix(b"d:") {
        let placed = Placed::read(&frame.slice_ref(rest))?;
        let (before, rest) = counted(&placed.rest)?;
        let rest = rest.strip_prefix(b":").ok_or(Unreadable("a frame ends within its head"))?;
        let (publication, _) = counted(rest)?;
        // A value that cannot be read is one that nobody has: the whole does as well.
        let before = Placed::read(&frame.slice_ref(before)).and_then(|before| before.publication()).ok();
        let placed = Placed { rest: frame.slice_ref(publication), ..placed };
        return Ok(Message::Publication(placed.publication()?, before));
    }
    if frame.starts_with(b"__") {
        return frame::read(frame);
    }
    let publication = match frame.first() {
        Some(b'0'..=b'9') => Placed::read(frame)?.publication()?,
        _ => stored::read_publication(frame)?.publication,
    };
    Ok(Message::Publication(publication, None))
}
