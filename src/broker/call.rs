//! A request to Redis, as bytes.

use std::fmt::Display;
use std::io::Write;

use smallvec::SmallVec;

use super::script::Script;

/// What a [`Call`] calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// A command of Redis: its keys and then its arguments follow.
    Command(&'static str),
    /// A script, by `EVALSHA`: the number of keys, the keys and then the arguments follow.
    Script(Script),
}

/// One request, its keys and arguments in one buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    verb: Verb,
    keys: usize,
    bytes: Vec<u8>,
    /// Where each key and each argument ends in `bytes`.
    ends: SmallVec<[usize; 16]>,
}

impl Call {
    pub(super) fn command(name: &'static str) -> Self {
        Self::new(Verb::Command(name))
    }

    pub(super) fn script(script: Script) -> Self {
        Self::new(Verb::Script(script))
    }

    fn new(verb: Verb) -> Self {
        Self { verb, keys: 0, bytes: Vec::new(), ends: SmallVec::new() }
    }

    /// A key; all of them come before the arguments.
    pub(super) fn key(self, name: impl Display) -> Self {
        debug_assert_eq!(self.keys, self.ends.len(), "a key behind arguments");
        let mut call = self.shown(name);
        call.keys += 1;
        call
    }

    /// An argument as its text.
    pub(super) fn shown(self, value: impl Display) -> Self {
        // Writing to memory does not fail.
        self.written(|out| drop(write!(out, "{value}")))
    }

    /// An argument as it is.
    pub(super) fn arg(self, bytes: impl AsRef<[u8]>) -> Self {
        self.written(|out| out.extend_from_slice(bytes.as_ref()))
    }

    /// A yes or no.
    pub(super) fn flag(self, is_set: bool) -> Self {
        self.arg(if is_set { "1" } else { "0" })
    }

    /// An argument that is appended to the buffer.
    pub(super) fn written(mut self, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self
    }

    /// What is called.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The keys. All are in one slot of a Redis Cluster. A PUB/SUB channel counts as one where it decides on the slot.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.keys).map(|index| self.part(index))
    }

    /// Bytes of all keys and arguments.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The arguments behind the keys.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (self.keys..self.ends.len()).map(|index| self.part(index))
    }

    fn part(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// What is called and with what, readable.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        let verb = match self.verb {
            Verb::Command(name) => name.to_owned(),
            Verb::Script(script) => format!("{script:?}"),
        };
        let show = |part: &[u8]| part.escape_ascii().to_string();
        let (keys, args): (Vec<_>, Vec<_>) = (self.keys().map(show).collect(), self.args().map(show).collect());
        format!("{verb} {} | {}", keys.join(" "), args.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let call = Call::command("X").key("a").key("").arg(b"\xff").flag(true).shown(12).arg("");
        assert_eq!(call.verb(), Verb::Command("X"));
        assert_eq!(call.keys().collect::<Vec<_>>(), [&b"a"[..], b""]);
        assert_eq!(call.args().collect::<Vec<_>>(), [&b"\xff"[..], b"1", b"12", b""]);
        assert_eq!((call.keys().len(), call.args().len()), (2, 4));
        assert_eq!(call.text(), "X a  | \\xff 1 12 ");
    }
}
