//! How each kind of field is read and written: the part of the codecs that does not depend on the message.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::protocol::Malformed;
use crate::protocol::json;
use crate::protocol::json::scan::Scanner;
use crate::protocol::json::write::Writer;
use crate::protocol::message::Message;
use crate::protocol::proto::{self, Reader, Wire};
use crate::protocol::raw::Raw;
use crate::protocol::shape::Kind;

/// A value that stands alone: a field, an element of a list, a value of a map.
pub trait Element<'a> {
    /// The Rust type.
    type Value: Default;
    /// Wire type in Protobuf.
    const WIRE: Wire;
    /// What it holds, for descriptions.
    fn kind() -> Kind;
    /// Whether a field may be left out.
    fn is_zero(value: &Self::Value) -> bool;
    /// Reads a value. `null` leaves numbers and texts as they are, like Go's decoders do.
    fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed>;
    /// Writes the value.
    fn json_write(value: &Self::Value, writer: &mut Writer<'_>);
    /// Reads what follows the tag.
    fn proto_read(value: &mut Self::Value, reader: &mut Reader<'a>) -> Result<(), Malformed>;
    /// Length of what follows the tag.
    fn proto_len(value: &Self::Value) -> usize;
    /// Writes what follows the tag.
    fn proto_write(value: &Self::Value, out: &mut Vec<u8>);
}

/// A field of a message.
pub trait Field<'a> {
    /// The Rust type.
    type Value;
    /// What it holds, for descriptions.
    fn kind() -> Kind;
    /// Whether the field may be left out.
    fn is_zero(value: &Self::Value) -> bool;
    /// Reads the value of a member.
    fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed>;
    /// Writes the value.
    fn json_write(value: &Self::Value, writer: &mut Writer<'_>);
    /// Reads what follows the tag.
    fn proto_read(value: &mut Self::Value, wire: Wire, reader: &mut Reader<'a>) -> Result<(), Malformed>;
    /// Length of what [`Field::proto_write`] writes.
    fn proto_len(number: u32, value: &Self::Value) -> usize;
    /// Writes tag and value; nothing when zero.
    fn proto_write(number: u32, value: &Self::Value, out: &mut Vec<u8>);
    /// The message was read to its end.
    #[inline]
    fn finish(_value: &mut Self::Value) {}
}

/// `string`.
pub struct Text;

impl<'a> Element<'a> for Text {
    type Value = Cow<'a, str>;
    const WIRE: Wire = Wire::Bytes;

    fn kind() -> Kind {
        Kind::Text
    }

    #[inline]
    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    #[inline]
    fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        if !scan.take_null()? {
            *value = scan.string()?;
        }
        Ok(())
    }

    #[inline]
    fn json_write(value: &Self::Value, writer: &mut Writer<'_>) {
        writer.string(value);
    }

    /// Upstream keeps text that is not UTF-8 as it is; here each bad byte becomes U+FFFD, as in JSON.
    #[inline]
    fn proto_read(value: &mut Self::Value, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        *value = json::text::text(reader.bytes()?);
        Ok(())
    }

    #[inline]
    fn proto_len(value: &Self::Value) -> usize {
        proto::delimited_len(value.len())
    }

    #[inline]
    fn proto_write(value: &Self::Value, out: &mut Vec<u8>) {
        proto::write_bytes(value.as_bytes(), out);
    }
}

/// `bytes`.
pub struct Bytes;

impl<'a> Element<'a> for Bytes {
    type Value = Raw<'a>;
    const WIRE: Wire = Wire::Bytes;

    fn kind() -> Kind {
        Kind::Json
    }

    #[inline]
    fn is_zero(value: &Self::Value) -> bool {
        value.0.is_empty()
    }

    /// `null` is a payload like any other.
    #[inline]
    fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        *value = Raw(Cow::Borrowed(scan.raw()?));
        Ok(())
    }

    #[inline]
    fn json_write(value: &Self::Value, writer: &mut Writer<'_>) {
        writer.raw(&value.0);
    }

    #[inline]
    fn proto_read(value: &mut Self::Value, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        *value = Raw(Cow::Borrowed(reader.bytes()?));
        Ok(())
    }

    #[inline]
    fn proto_len(value: &Self::Value) -> usize {
        proto::delimited_len(value.0.len())
    }

    #[inline]
    fn proto_write(value: &Self::Value, out: &mut Vec<u8>) {
        proto::write_bytes(&value.0, out);
    }
}

/// `bool`.
pub struct Bool;

impl<'a> Element<'a> for Bool {
    type Value = bool;
    const WIRE: Wire = Wire::Varint;

    fn kind() -> Kind {
        Kind::Bool
    }

    #[inline]
    fn is_zero(value: &bool) -> bool {
        !value
    }

    #[inline]
    fn json_read(value: &mut bool, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        if !scan.take_null()? {
            *value = scan.boolean()?;
        }
        Ok(())
    }

    #[inline]
    fn json_write(value: &bool, writer: &mut Writer<'_>) {
        writer.token(if *value { "true" } else { "false" });
    }

    #[inline]
    fn proto_read(value: &mut bool, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        *value = reader.varint()? != 0;
        Ok(())
    }

    #[inline]
    fn proto_len(_value: &bool) -> usize {
        1
    }

    #[inline]
    fn proto_write(value: &bool, out: &mut Vec<u8>) {
        out.push(u8::from(*value));
    }
}

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $read:ident, $wire:ident => $from:expr, $value:ident => $to:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name;

        impl<'a> Element<'a> for $name {
            type Value = $type;
            const WIRE: Wire = Wire::Varint;

            fn kind() -> Kind {
                Kind::Whole { bits: <$type>::BITS, signed: <$type>::MIN != 0 }
            }

            #[inline]
            fn is_zero(value: &$type) -> bool {
                *value == 0
            }

            #[inline]
            fn json_read(value: &mut $type, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
                if !scan.take_null()? {
                    *value = <$type>::try_from(scan.$read()?).map_err(|_| Malformed("number out of range"))?;
                }
                Ok(())
            }

            #[inline]
            fn json_write(value: &$type, writer: &mut Writer<'_>) {
                writer.token(itoa::Buffer::new().format(*value));
            }

            #[inline]
            fn proto_read(value: &mut $type, reader: &mut Reader<'a>) -> Result<(), Malformed> {
                let $wire = reader.varint()?;
                *value = $from;
                Ok(())
            }

            #[inline]
            fn proto_len(value: &$type) -> usize {
                let $value = *value;
                proto::varint_len($to)
            }

            #[inline]
            fn proto_write(value: &$type, out: &mut Vec<u8>) {
                let $value = *value;
                proto::write_varint($to, out);
            }
        }
    )* };
}

// Protobuf carries 32-bit numbers as 64-bit ones and cuts what is beyond.
integers! {
    /// `uint32`.
    Uint32: u32, unsigned, wire => wire as u32, value => u64::from(value);
    /// `uint64`.
    Uint64: u64, unsigned, wire => wire, value => value;
    /// `int32`; ten bytes when negative.
    Int32: i32, signed, wire => wire as i32, value => i64::from(value) as u64;
    /// `int64`; ten bytes when negative.
    Int64: i64, signed, wire => wire as i64, value => value as u64;
    /// `sint64`: zigzag in Protobuf.
    Sint64: i64, signed,
        wire => (wire >> 1) as i64 ^ -((wire & 1) as i64),
        value => ((value << 1) ^ (value >> 63)) as u64;
}

/// `double`.
pub struct Double;

impl<'a> Element<'a> for Double {
    type Value = f64;
    const WIRE: Wire = Wire::Fixed64;

    fn kind() -> Kind {
        Kind::Number
    }

    #[inline]
    fn is_zero(value: &f64) -> bool {
        *value == 0.0
    }

    fn json_read(value: &mut f64, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        if !scan.take_null()? {
            *value = scan.double()?;
        }
        Ok(())
    }

    fn json_write(value: &f64, writer: &mut Writer<'_>) {
        writer.double(*value);
    }

    fn proto_read(value: &mut f64, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        *value = f64::from_le_bytes(reader.fixed()?);
        Ok(())
    }

    fn proto_len(_value: &f64) -> usize {
        8
    }

    fn proto_write(value: &f64, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A message within a message.
pub struct Nested<M>(PhantomData<M>);

impl<'a, M: Message<'a>> Element<'a> for Nested<M> {
    type Value = M;
    const WIRE: Wire = Wire::Bytes;

    fn kind() -> Kind {
        Kind::Message(M::shape)
    }

    #[inline]
    fn is_zero(_value: &M) -> bool {
        false
    }

    fn json_read(value: &mut M, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        if scan.take_null()? {
            return Ok(());
        }
        json::read_object(value, scan)
    }

    #[inline]
    fn json_write(value: &M, writer: &mut Writer<'_>) {
        writer.open(b'{');
        value.json_fields(writer);
        writer.close(b'}');
    }

    fn proto_read(value: &mut M, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        proto::read_message(value, &mut reader.nested()?)
    }

    #[inline]
    fn proto_len(value: &M) -> usize {
        proto::delimited_len(value.proto_len())
    }

    #[inline]
    fn proto_write(value: &M, out: &mut Vec<u8>) {
        proto::write_varint(value.proto_len() as u64, out);
        value.proto_fields(out);
    }
}

/// A field that is left out when zero.
pub struct Plain<E>(PhantomData<E>);

impl<'a, E: Element<'a>> Field<'a> for Plain<E> {
    type Value = E::Value;

    fn kind() -> Kind {
        E::kind()
    }

    #[inline]
    fn is_zero(value: &Self::Value) -> bool {
        E::is_zero(value)
    }

    #[inline]
    fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        E::json_read(value, scan)
    }

    #[inline]
    fn json_write(value: &Self::Value, writer: &mut Writer<'_>) {
        E::json_write(value, writer);
    }

    #[inline]
    fn proto_read(value: &mut Self::Value, wire: Wire, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        wire.expect(E::WIRE)?;
        E::proto_read(value, reader)
    }

    #[inline]
    fn proto_len(number: u32, value: &Self::Value) -> usize {
        if E::is_zero(value) { 0 } else { proto::tag_len(number) + E::proto_len(value) }
    }

    #[inline]
    fn proto_write(number: u32, value: &Self::Value, out: &mut Vec<u8>) {
        if !E::is_zero(value) {
            proto::write_tag(number, E::WIRE, out);
            E::proto_write(value, out);
        }
    }
}

macro_rules! optional {
    ($($(#[$doc:meta])* $name:ident: $value:ty;)*) => { $(
        $(#[$doc])*
        pub struct $name<M>(PhantomData<M>);

        impl<'a, M: Message<'a>> Field<'a> for $name<M> {
            type Value = Option<$value>;

            fn kind() -> Kind {
                Kind::Message(M::shape)
            }

            #[inline]
            fn is_zero(value: &Self::Value) -> bool {
                value.is_none()
            }

            /// `null` takes the message away; a second object adds to the first.
            #[inline]
            fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
                if scan.take_null()? {
                    *value = None;
                    return Ok(());
                }
                json::read_object::<M>(value.get_or_insert_default(), scan)
            }

            #[inline]
            fn json_write(value: &Self::Value, writer: &mut Writer<'_>) {
                match value {
                    Some(message) => Nested::<M>::json_write(message, writer),
                    None => writer.token("null"),
                }
            }

            #[inline]
            fn proto_read(value: &mut Self::Value, wire: Wire, reader: &mut Reader<'a>) -> Result<(), Malformed> {
                wire.expect(Wire::Bytes)?;
                Nested::<M>::proto_read(value.get_or_insert_default(), reader)
            }

            #[inline]
            fn proto_len(number: u32, value: &Self::Value) -> usize {
                value.as_ref().map_or(0, |message| proto::tag_len(number) + Nested::<M>::proto_len(message))
            }

            #[inline]
            fn proto_write(number: u32, value: &Self::Value, out: &mut Vec<u8>) {
                if let Some(message) = value {
                    proto::write_tag(number, Wire::Bytes, out);
                    Nested::<M>::proto_write(message, out);
                }
            }
        }
    )* };
}

optional! {
    /// A message that may be absent, stored in place.
    InPlace: M;
    /// A message that may be absent, behind a pointer.
    Boxed: Box<M>;
}

/// A list.
pub struct Repeated<E>(PhantomData<E>);

impl<'a, E: Element<'a>> Field<'a> for Repeated<E> {
    type Value = Vec<E::Value>;

    fn kind() -> Kind {
        Kind::List(Box::new(E::kind()))
    }

    #[inline]
    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    /// `null` empties the list; a second list replaces the first.
    fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        value.clear();
        if scan.take_null()? {
            return Ok(());
        }
        scan.open(b'[')?;
        while scan.next_element(value.is_empty())? {
            let mut element = E::Value::default();
            E::json_read(&mut element, scan)?;
            value.push(element);
        }
        Ok(())
    }

    fn json_write(value: &Self::Value, writer: &mut Writer<'_>) {
        writer.open(b'[');
        for element in value {
            writer.comma(b'[');
            E::json_write(element, writer);
        }
        writer.close(b']');
    }

    fn proto_read(value: &mut Self::Value, wire: Wire, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        wire.expect(E::WIRE)?;
        let mut element = E::Value::default();
        E::proto_read(&mut element, reader)?;
        value.push(element);
        Ok(())
    }

    fn proto_len(number: u32, value: &Self::Value) -> usize {
        value.iter().map(|element| proto::tag_len(number) + E::proto_len(element)).sum()
    }

    fn proto_write(number: u32, value: &Self::Value, out: &mut Vec<u8>) {
        for element in value {
            proto::write_tag(number, E::WIRE, out);
            E::proto_write(element, out);
        }
    }
}

/// A map from text. In Protobuf a list of entries with key 1 and value 2.
pub struct Map<E>(PhantomData<E>);

impl<'a, E: Element<'a>> Map<E> {
    fn entry_len(key: &str, value: &E::Value) -> usize {
        2 + proto::delimited_len(key.len()) + E::proto_len(value)
    }
}

impl<'a, E: Element<'a>> Field<'a> for Map<E> {
    type Value = Vec<(Cow<'a, str>, E::Value)>;

    fn kind() -> Kind {
        Kind::Map(Box::new(E::kind()))
    }

    #[inline]
    fn is_zero(value: &Self::Value) -> bool {
        value.is_empty()
    }

    /// `null` empties the map; a second object adds to the first.
    fn json_read(value: &mut Self::Value, scan: &mut Scanner<'a>) -> Result<(), Malformed> {
        if scan.take_null()? {
            value.clear();
            return Ok(());
        }
        scan.open(b'{')?;
        let mut first = true;
        while let Some(key) = scan.next_key(first)? {
            first = false;
            let mut element = E::Value::default();
            E::json_read(&mut element, scan)?;
            value.push((key, element));
        }
        Ok(())
    }

    fn json_write(value: &Self::Value, writer: &mut Writer<'_>) {
        writer.open(b'{');
        for (key, element) in value {
            writer.comma(b'{');
            writer.string(key);
            writer.token(":");
            E::json_write(element, writer);
        }
        writer.close(b'}');
    }

    fn proto_read(value: &mut Self::Value, wire: Wire, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        wire.expect(Wire::Bytes)?;
        let mut entry = reader.nested()?;
        let (mut key, mut element) = Default::default();
        while let Some((number, wire)) = entry.tag()? {
            match number {
                1 => Plain::<Text>::proto_read(&mut key, wire, &mut entry)?,
                2 => {
                    wire.expect(E::WIRE)?;
                    E::proto_read(&mut element, &mut entry)?;
                }
                _ => entry.skip(wire)?,
            }
        }
        value.push((key, element));
        Ok(())
    }

    fn proto_len(number: u32, value: &Self::Value) -> usize {
        let entry = |(key, element): &(Cow<'a, str>, E::Value)| {
            proto::tag_len(number) + proto::delimited_len(Self::entry_len(key, element))
        };
        value.iter().map(entry).sum()
    }

    fn proto_write(number: u32, value: &Self::Value, out: &mut Vec<u8>) {
        for (key, element) in value {
            proto::write_tag(number, Wire::Bytes, out);
            proto::write_varint(Self::entry_len(key, element) as u64, out);
            proto::write_tag(1, Wire::Bytes, out);
            Text::proto_write(key, out);
            proto::write_tag(2, E::WIRE, out);
            E::proto_write(element, out);
        }
    }

    /// Sorts by key and keeps the last value of each. Sorting keeps many equal keys from costing quadratic time.
    fn finish(value: &mut Self::Value) {
        if value.len() > 1 {
            value.sort_by(|a, b| a.0.cmp(&b.0));
            value.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
    }
}
