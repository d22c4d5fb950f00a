//! Cuts a client's frame into commands (upstream: protocol decode_stream.go, centrifuge HandleReadFrame).

use crate::protocol::client::Command;
use crate::protocol::proto::Reader;
use crate::protocol::{Malformed, Protocol, json, proto};

/// The commands of one frame, in order. Behind the first malformed one comes no more.
pub struct Commands<'a> {
    protocol: Protocol,
    rest: &'a [u8],
    /// The newest command, and what is left behind it.
    newest: &'a [u8],
    /// A frame without any command is malformed; one that goes on had some before.
    started: bool,
    /// Bytes of the newest command.
    size: usize,
}

impl<'a> Commands<'a> {
    /// Reads a frame from its front.
    pub fn new(protocol: Protocol, frame: &'a [u8]) -> Self {
        Self { protocol, rest: frame, newest: frame, started: false, size: 0 }
    }

    /// Goes on with what [`Commands::rest`] gave after a command.
    pub fn resume(protocol: Protocol, rest: &'a [u8]) -> Self {
        Self { protocol, rest, newest: rest, started: true, size: 0 }
    }

    /// What is left of the frame.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// As [`Commands::rest`], with the command that came last in front: it is to come again.
    pub fn rest_with_newest(&self) -> &'a [u8] {
        self.newest
    }

    /// Bytes of the command that came last, without what stands between commands.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The next command; none at the end of the frame.
    #[expect(clippy::should_implement_trait, reason = "an iterator here would be collected, which allocates")]
    pub fn next(&mut self) -> Option<Result<Command<'a>, Malformed>> {
        self.newest = self.rest;
        let command = match self.protocol {
            Protocol::Json => self.next_json(),
            Protocol::Protobuf => self.next_protobuf(),
        };
        match command {
            Ok(Some(command)) => {
                self.started = true;
                Some(Ok(command))
            }
            Ok(None) if self.started => None,
            Ok(None) => {
                self.started = true;
                Some(Err(Malformed("a frame without commands")))
            }
            Err(malformed) => {
                self.started = true;
                self.rest = &[];
                Some(Err(malformed))
            }
        }
    }

    /// One line is one command: the line's first value. What follows on the line is dropped, as upstream does.
    fn next_json(&mut self) -> Result<Option<Command<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line = match memchr::memchr(b'\n', self.rest) {
            Some(end) => {
                let line = &self.rest[..end];
                self.rest = &self.rest[end + 1..];
                line
            }
            None => std::mem::take(&mut self.rest),
        };
        self.size = line.len();
        json::decode_first(line).map(Some)
    }

    /// Each command stands behind its length. A length with nothing at all behind it ends the frame, as upstream does.
    fn next_protobuf(&mut self) -> Result<Option<Command<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(self.rest);
        let len = reader.varint()?;
        let body = reader.rest();
        if body.is_empty() && len > 0 {
            self.rest = body;
            return Ok(None);
        }
        let len = usize::try_from(len).ok().filter(|len| *len <= body.len());
        let (command, rest) = body.split_at(len.ok_or(Malformed("a command longer than its frame"))?);
        self.rest = rest;
        self.size = command.len();
        proto::decode(command).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Outcome = Vec<Result<(u32, bool), Malformed>>;

    /// Id of each command and whether it subscribes, and what is malformed.
    fn all(protocol: Protocol, frame: &[u8]) -> Outcome {
        let mut commands = Commands::new(protocol, frame);
        let mut outcome = Vec::new();
        while let Some(command) = commands.next() {
            outcome.push(command.map(|command| (command.id, command.subscribe.is_some())));
        }
        assert!(commands.next().is_none(), "the end is the end");
        outcome
    }

    /// The same with a pause behind each command.
    fn all_with_pauses(protocol: Protocol, frame: &[u8]) -> Outcome {
        let mut outcome = Vec::new();
        let mut commands = Commands::new(protocol, frame);
        while let Some(command) = commands.next() {
            outcome.push(command.map(|command| (command.id, command.subscribe.is_some())));
            commands = Commands::resume(protocol, commands.rest());
        }
        outcome
    }

    /// The same with each command taken twice.
    fn all_again(protocol: Protocol, frame: &[u8]) -> Outcome {
        let mut outcome = Vec::new();
        let mut commands = Commands::new(protocol, frame);
        while commands.next().is_some_and(|command| command.is_ok()) {
            commands = Commands::resume(protocol, commands.rest_with_newest());
            outcome.extend(commands.next().map(|command| command.map(|again| (again.id, again.subscribe.is_some()))));
        }
        outcome
    }

    #[track_caller]
    fn check(protocol: Protocol, frame: &[u8], ids: &[u32], ends_malformed: bool) {
        let outcome = all(protocol, frame);
        assert_eq!(outcome, all_with_pauses(protocol, frame));
        let well_formed: Outcome = outcome.iter().copied().take_while(Result::is_ok).collect();
        assert_eq!(well_formed, all_again(protocol, frame));
        let good: Vec<u32> = outcome.iter().filter_map(|command| command.ok()).map(|(id, _)| id).collect();
        assert_eq!(good, ids, "{}", frame.escape_ascii());
        assert_eq!(outcome.iter().filter(|command| command.is_err()).count(), usize::from(ends_malformed));
        assert_eq!(outcome.last().is_some_and(|command| command.is_err()), ends_malformed, "{}", frame.escape_ascii());
    }

    #[test]
    fn json_frames() {
        let check = |frame: &str, ids: &[u32], malformed| check(Protocol::Json, frame.as_bytes(), ids, malformed);
        check("", &[], true);
        check("\n", &[], true);
        check("\n\n", &[], true);
        check("{}", &[0], false);
        check("{\"id\":1}", &[1], false);
        check("{\"id\":1}\n", &[1], false);
        check("{\"id\":1}\r\n{\"id\":2}", &[1, 2], false);
        check("{\"id\":1}\n{\"id\":2}\n", &[1, 2], false);
        check("{\"id\":1}\n\n", &[1], true);
        check("{\"id\":1}\n\n{\"id\":2}", &[1], true);
        check("\n{\"id\":1}", &[], true);
        check("{\"id\":1}{\"id\":2}\n{\"id\":3}", &[1, 3], false);
        check("{\"id\":1} rubbish\n{\"id\":3}", &[1, 3], false);
        check("{\"id\":1}\nrubbish\n{\"id\":3}", &[1], true);
        check("{\"id\":\n1}", &[], true);
        check("null", &[0], false);
    }

    #[test]
    fn protobuf_frames() {
        let check = |frame: &[u8], ids: &[u32], malformed| check(Protocol::Protobuf, frame, ids, malformed);
        check(&[], &[], true);
        check(&[0], &[0], false);
        check(&[2, 8, 1], &[1], false);
        check(&[2, 8, 1, 0, 2, 8, 2], &[1, 0, 2], false);
        // A length and nothing behind it: the end, if there was a command before.
        check(&[5], &[], true);
        check(&[2, 8, 1, 5], &[1], false);
        check(&[2, 8, 1, 5, 8], &[1], true);
        check(&[2, 8, 1, 0x80], &[1], true);
        check(&[2, 8, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 8], &[1], true);
        check(&[0xFF; 11], &[], true);
        check(&[1, 8], &[], true);
        check(b"{\"id\":1}", &[], true);
    }

    #[test]
    fn a_command_is_as_long_as_its_own_bytes() {
        for (protocol, frame) in [(Protocol::Json, b"{\"id\":1}\n{}".as_slice()), (Protocol::Protobuf, &[2, 8, 1, 0])] {
            let mut commands = Commands::new(protocol, frame);
            let sizes: Vec<usize> = std::iter::from_fn(|| commands.next().map(|_| commands.size())).collect();
            assert_eq!(sizes, if protocol == Protocol::Json { [8, 2] } else { [2, 0] });
        }
    }

    #[test]
    fn two_requests_in_one_command_are_both_there() {
        let frame = br#"{"id":2,"subscribe":{"channel":"a"},"unsubscribe":{"channel":"a"}}"#;
        let command = Commands::new(Protocol::Json, frame).next().unwrap().unwrap();
        assert!(command.subscribe.is_some() && command.unsubscribe.is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn a_pause_changes_nothing_in_json(lines in proptest::collection::vec(prop_oneof![
            (0..9u32).prop_map(|id| format!("{{\"id\":{id}}}")),
            Just(r#"{"id":1,"subscribe":{"channel":"\u0061"}}"#.to_owned()),
            "[ {}\":,1n\\\\]{0,8}",
        ], 0..6)) {
            let frame = lines.join("\n");
            prop_assert_eq!(all(Protocol::Json, frame.as_bytes()), all_with_pauses(Protocol::Json, frame.as_bytes()));
        }

        #[test]
        fn a_pause_changes_nothing_in_protobuf(
            commands in proptest::collection::vec((0..300u32, any::<bool>()), 0..6),
            damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cut in any::<prop::sample::Index>(),
            is_cut: bool,
        ) {
            let mut frame = Vec::new();
            for (id, subscribe) in commands {
                let subscribe = subscribe.then(Default::default);
                proto::encode_delimited(&Command { id, subscribe, ..Default::default() }, &mut frame);
            }
            if let (Some((place, byte)), false) = (damage, frame.is_empty()) {
                let at = place.index(frame.len());
                frame[at] = byte;
            }
            if is_cut && !frame.is_empty() {
                frame.truncate(cut.index(frame.len()));
            }
            prop_assert_eq!(all(Protocol::Protobuf, &frame), all_with_pauses(Protocol::Protobuf, &frame));
        }
    }
}
