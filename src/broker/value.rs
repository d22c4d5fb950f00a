//! A reply of Redis, whatever client library took it from the wire.

use bytes::Bytes;

use super::Unreadable;
use crate::channel::publication::{Epoch, Position};

/// See the module. An error is no value: whoever sends a call knows what to do with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// Text, simple or bulk.
    Bytes(Bytes),
    /// An array; a map is one of keys and values in turn.
    List(Vec<Value>),
}

const NO_LIST: Unreadable = Unreadable("a reply is no array");

impl Value {
    pub(super) fn list(self) -> Result<Vec<Value>, Unreadable> {
        if let Value::List(values) = self { Ok(values) } else { Err(NO_LIST) }
    }

    /// An array of so many.
    pub(super) fn array<const N: usize>(self) -> Result<[Value; N], Unreadable> {
        self.list()?.try_into().map_err(|_| Unreadable("a reply of another length"))
    }

    pub(super) fn bytes(self) -> Result<Bytes, Unreadable> {
        if let Value::Bytes(bytes) = self { Ok(bytes) } else { Err(Unreadable("a reply is no text")) }
    }

    /// A number, perhaps as text; nothing counts as 0.
    pub(super) fn number(&self) -> Result<u64, Unreadable> {
        match self {
            Value::Nil => Some(0),
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::Bytes(bytes) => number(bytes),
            Value::List(_) => None,
        }
        .ok_or(Unreadable("a reply is no number"))
    }

    pub(super) fn epoch(&self) -> Result<Epoch, Unreadable> {
        match self {
            Value::Bytes(bytes) => epoch(bytes),
            _ => Err(Unreadable("a reply is no epoch")),
        }
    }

    /// Offset and epoch.
    pub(super) fn position(offset: &Value, epoch: &Value) -> Result<Position, Unreadable> {
        Ok(Position { offset: offset.number()?, epoch: epoch.epoch()? })
    }
}

/// Digits and nothing else, unlike Rust's own reading, which takes a plus sign.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

pub(super) fn epoch(text: &[u8]) -> Result<Epoch, Unreadable> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(Epoch::parse).ok_or(Unreadable("an epoch is neither short ASCII text nor a UUID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let text = |text: &'static str| Value::Bytes(Bytes::from_static(text.as_bytes()));
        let reads = [
            (Value::Nil, Some(0)),
            (Value::Int(7), Some(7)),
            (Value::Int(-1), None),
            (text("18446744073709551615"), Some(u64::MAX)),
            (text("18446744073709551616"), None),
            (text("+1"), None),
            (text("1 "), None),
            (text(""), None),
            (Value::List(vec![]), None),
        ];
        for (value, expected) in reads {
            assert_eq!(value.number().ok(), expected, "{value:?}");
        }
    }

    #[test]
    fn arrays_have_their_length() {
        let pair = Value::List(vec![Value::Int(1), Value::Nil]);
        assert_eq!(pair.clone().array::<2>(), Ok([Value::Int(1), Value::Nil]));
        assert!(pair.array::<3>().is_err());
        assert!(Value::Nil.array::<0>().is_err());
    }
}
