//! One message as it goes to a socket, shared by all connections of the shard that are owed it.

use std::rc::Rc;

use tungstenite::protocol::frame::coding::OpCode;

use crate::transport::ws::header::{self, MAX_HEADER};

/// Immutable bytes of one message, transport header included: one allocation. A clone is one non-atomic
/// increment, so a publication costs no copy and no atomic per subscriber.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Rc<[u8]>);

impl Frame {
    /// Copies bytes that are ready for the socket.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Rc::from(bytes))
    }

    /// The bytes for the socket.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes go to the socket.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Frame {
    /// Shows the size only: payloads are not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes)", self.len())
    }
}

/// The shard's scratch buffer in which messages are encoded before they become frames.
///
/// The header stands before the payload but depends on its length; room for the longest header is left in
/// front and the header is written right before the payload. So the payload is copied once, into the frame.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    scratch: Vec<u8>,
}

/// Scratch memory kept between messages; a buffer that a large message made larger is given up.
const MAX_KEPT_SCRATCH: usize = 256 * 1024;

impl FrameBuilder {
    /// A builder without memory yet.
    pub const fn new() -> Self {
        Self { scratch: Vec::new() }
    }

    /// One final WebSocket frame around what `encode` appends to the buffer. `encode` must only append.
    /// When it fails its error is passed on and nothing is built.
    pub fn websocket<E>(
        &mut self,
        opcode: OpCode,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Frame, E> {
        self.scratch.clear();
        self.scratch.resize(MAX_HEADER, 0);
        encode(&mut self.scratch)?;
        let (bytes, len) = header::header(opcode, self.scratch.len() - MAX_HEADER);
        let start = MAX_HEADER - len;
        self.scratch[start..MAX_HEADER].copy_from_slice(&bytes[..len]);
        let frame = Frame::new(&self.scratch[start..]);
        if self.scratch.capacity() > MAX_KEPT_SCRATCH {
            self.scratch = Vec::new();
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::coding::Data;

    #[test]
    fn the_header_stands_right_before_the_payload() {
        let mut builder = FrameBuilder::new();
        for len in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
            let payload = vec![b'x'; len];
            let frame = builder
                .websocket(OpCode::Data(Data::Text), |out| {
                    out.extend_from_slice(&payload);
                    Ok::<_, ()>(())
                })
                .unwrap();
            let mut expected = Vec::new();
            header::write_header(&mut expected, OpCode::Data(Data::Text), len);
            expected.extend_from_slice(&payload);
            assert!(frame.as_bytes() == expected, "payload of {len} bytes");
            assert!(builder.scratch.capacity() <= MAX_KEPT_SCRATCH);
        }
    }

    #[test]
    fn a_failed_encoding_builds_nothing_and_leaves_nothing_behind() {
        let mut builder = FrameBuilder::new();
        let failed = builder.websocket(OpCode::Data(Data::Binary), |out| {
            out.push(1);
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        let frame = builder.websocket(OpCode::Data(Data::Binary), |_| Ok::<_, ()>(())).unwrap();
        assert_eq!(frame.as_bytes(), [0x82, 0]);
    }

    #[test]
    fn debug_hides_the_payload() {
        assert_eq!(format!("{:?}", Frame::new(b"secret")), "Frame(6 bytes)");
    }
}
