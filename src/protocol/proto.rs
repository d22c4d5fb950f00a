//! The Protobuf wire format (proto3), as upstream's generated code reads it: unknown fields and unknown groups are
//! skipped, a known field with another wire type is malformed, the last value wins and messages merge.

use crate::protocol::message::Message;
use crate::protocol::{MAX_MESSAGE_DEPTH, Malformed};

/// How a value is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// Base 128, least significant group first.
    Varint = 0,
    /// Eight bytes.
    Fixed64 = 1,
    /// A length and so many bytes.
    Bytes = 2,
    /// Start of a group (proto2 only).
    Group = 3,
    /// End of a group.
    GroupEnd = 4,
    /// Four bytes.
    Fixed32 = 5,
}

impl Wire {
    /// Fails unless this is the wire type that the field is declared with.
    #[inline]
    pub fn expect(self, declared: Wire) -> Result<(), Malformed> {
        if self == declared { Ok(()) } else { Err(Malformed("another wire type than declared")) }
    }
}

const CUT: Malformed = Malformed("the input ends within a field");

/// Reads one message from front to end.
pub struct Reader<'a> {
    input: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    /// Reads a message that fills the input.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, depth: 0 }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.input
    }

    /// The next field's number and wire type; none at the end.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<(u32, Wire)>, Malformed> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            3 => Wire::Group,
            4 => Wire::GroupEnd,
            5 => Wire::Fixed32,
            _ => return Err(Malformed("no such wire type")),
        };
        match u32::try_from(tag >> 3) {
            Ok(number) if (1..=i32::MAX as u32).contains(&number) => Ok(Some((number, wire))),
            _ => Err(Malformed("field number out of range")),
        }
    }

    /// A number. Bits beyond 64 are dropped, more than ten bytes are malformed.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        if let [first @ 0..0x80, rest @ ..] = self.input {
            self.input = rest;
            return Ok(u64::from(*first));
        }
        let mut value = 0u64;
        for (index, byte) in self.input.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * index);
            if *byte < 0x80 {
                self.input = &self.input[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.input.len() < 10 { CUT } else { Malformed("a number is longer than ten bytes") })
    }

    /// A length and so many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| CUT)?;
        let (bytes, rest) = self.input.split_at_checked(len).ok_or(CUT)?;
        self.input = rest;
        Ok(bytes)
    }

    /// So many bytes.
    #[inline]
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.input.split_first_chunk().ok_or(CUT)?;
        self.input = rest;
        Ok(*bytes)
    }

    /// A length and so many bytes, to be read as a message.
    #[inline]
    pub fn nested(&mut self) -> Result<Reader<'a>, Malformed> {
        if self.depth >= MAX_MESSAGE_DEPTH {
            return Err(Malformed("messages nest too deep"));
        }
        Ok(Reader { input: self.bytes()?, depth: self.depth + 1 })
    }

    /// Passes over the value of an unknown field. Groups may nest; counting their depth needs no memory.
    pub fn skip(&mut self, wire: Wire) -> Result<(), Malformed> {
        let mut wire = wire;
        let mut groups = 0usize;
        loop {
            match wire {
                Wire::Varint => drop(self.varint()?),
                Wire::Fixed64 => drop(self.fixed::<8>()?),
                Wire::Bytes => drop(self.bytes()?),
                Wire::Fixed32 => drop(self.fixed::<4>()?),
                Wire::Group => groups += 1,
                Wire::GroupEnd => {
                    groups = groups.checked_sub(1).ok_or(Malformed("a group ends that never began"))?;
                }
            }
            if groups == 0 {
                return Ok(());
            }
            wire = self.tag()?.ok_or(CUT)?.1;
        }
    }
}

/// Reads fields into the message, up to the reader's end.
pub(crate) fn read_message<'a, M: Message<'a>>(message: &mut M, reader: &mut Reader<'a>) -> Result<(), Malformed> {
    while let Some((number, wire)) = reader.tag()? {
        if !message.proto_field(number, wire, reader)? {
            reader.skip(wire)?;
        }
    }
    message.finish();
    Ok(())
}

/// Decodes a message that fills the input.
pub fn decode<'a, M: Message<'a>>(input: &'a [u8]) -> Result<M, Malformed> {
    let mut message = M::default();
    read_message(&mut message, &mut Reader::new(input))?;
    Ok(message)
}

/// Appends the message.
pub fn encode<'a, M: Message<'a>>(message: &M, out: &mut Vec<u8>) {
    message.proto_fields(out);
}

/// Appends the message's length and the message.
pub fn encode_delimited<'a, M: Message<'a>>(message: &M, out: &mut Vec<u8>) {
    let len = message.proto_len();
    out.reserve(delimited_len(len));
    write_varint(len as u64, out);
    message.proto_fields(out);
}

/// Bytes that a number takes: 1 to 10.
#[inline]
pub fn varint_len(value: u64) -> usize {
    // One byte for every seven bits: (bits * 9 + 64) / 64 equals the division by 7 rounded up, for 1 to 64 bits.
    ((64 - (value | 1).leading_zeros() as usize) * 9 + 64) / 64
}

/// Appends a number.
#[inline]
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that a length and so many bytes take.
#[inline]
pub(crate) fn delimited_len(len: usize) -> usize {
    varint_len(len as u64) + len
}

#[inline]
pub(crate) fn tag_len(number: u32) -> usize {
    varint_len(u64::from(number) << 3)
}

#[inline]
pub(crate) fn write_tag(number: u32, wire: Wire, out: &mut Vec<u8>) {
    write_varint(u64::from(number) << 3 | wire as u64, out);
}

#[inline]
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::client::{Command, FilterNode, HistoryRequest, StreamPosition};

    #[track_caller]
    fn check(bytes: &[u8], expect: Option<Command<'_>>) {
        assert_eq!(decode(bytes).ok(), expect, "{bytes:x?}");
    }

    fn with_id(id: u32) -> Option<Command<'static>> {
        Some(Command { id, ..Default::default() })
    }

    #[test]
    fn numbers() {
        check(&[], with_id(0));
        check(&[8, 1], with_id(1));
        check(&[8, 1, 8, 2], with_id(2));
        check(&[8, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], with_id(u32::MAX));
        // Beyond 32 bits is cut, as upstream does.
        check(&[8, 0x81, 0x80, 0x80, 0x80, 0x10], with_id(1));
        check(&[8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1], None);
        check(&[8, 0x80], None);
        check(&[8], None);
    }

    #[test]
    fn unknown_fields_are_skipped() {
        check(&[0x10, 5, 8, 1], with_id(1));
        check(&[0x11, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1], with_id(1));
        check(&[0x12, 2, 0xFF, 0xFF, 8, 1], with_id(1));
        check(&[0x15, 1, 2, 3, 4, 8, 1], with_id(1));
        check(&[0x13, 0x10, 5, 0x1B, 0x1C, 0x14, 8, 1], with_id(1));
        check(&[0x12, 3, 0xFF, 0xFF], None);
        check(&[0x13, 0x10, 5], None);
        check(&[0x14], None);
        check(&[0x16, 0], None);
        check(&[0x17, 0], None);
        check(&[0, 0], None);
        check(&[0x80, 0x80, 0x80, 0x80, 0x40, 0], None);
    }

    #[test]
    fn known_fields_must_have_their_wire_type() {
        check(&[0x0A, 0], None);
        check(&[0x0D, 0, 0, 0, 0], None);
        check(&[0x28, 1], None);
        check(&[0x2B, 0x2C], None);
    }

    #[test]
    fn messages_merge() {
        let since = StreamPosition { offset: 7, epoch: "e".into() };
        let history = HistoryRequest { channel: "b".into(), since: Some(since), ..Default::default() };
        let bytes = [0x52, 7, 10, 1, b'a', 0x42, 2, 8, 7, 0x52, 8, 10, 1, b'b', 0x42, 3, 18, 1, b'e'];
        check(&bytes, Some(Command { history: Some(Box::new(history)), ..Default::default() }));
    }

    #[test]
    fn text_that_is_not_utf8_is_repaired() {
        let bytes = [0x32, 4, 10, 2, b'a', 0xFF];
        assert_eq!(decode::<Command<'_>>(&bytes).unwrap().unsubscribe.unwrap().channel, "a\u{FFFD}");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: u32| {
            let mut node = FilterNode::default();
            for _ in 0..depth {
                node = FilterNode { nodes: vec![node], ..Default::default() };
            }
            let mut out = Vec::new();
            encode(&node, &mut out);
            out
        };
        assert!(decode::<FilterNode<'_>>(&nested(MAX_MESSAGE_DEPTH)).is_ok());
        assert!(decode::<FilterNode<'_>>(&nested(MAX_MESSAGE_DEPTH + 1)).is_err());
    }

    #[test]
    fn lengths_of_numbers() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                write_varint(value, &mut out);
                assert_eq!(varint_len(value), out.len(), "{value}");
                assert_eq!(Reader::new(&out).varint(), Ok(value));
            }
        }
    }
}
