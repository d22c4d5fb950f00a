//! The reader against frames that tungstenite encodes, cut at any place, and against the rules of the reference.

use std::io::Cursor;

use proptest::prelude::*;
use tungstenite::protocol::frame::coding::Data;
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tungstenite::protocol::{Role, WebSocket};

use super::*;
use crate::transport::ws::{HeaderFaults, write_close, write_header, write_pong};

/// An [`Event`] that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(payload) => Seen::Message(payload.to_vec()),
            Event::Ping(payload) => Seen::Ping(payload.to_vec()),
            Event::Pong => Seen::Pong,
            Event::Close(close) => Seen::Close(close.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

const LIMIT: usize = 1000;

/// Reads the pieces one after another.
fn read(pieces: &[&[u8]]) -> (Vec<Seen>, Result<(), Violation>, Reader) {
    let (mut reader, mut seen) = (Reader::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let all = piece.len();
        match reader.read(&mut piece, LIMIT, |event| {
            seen.push(Seen::from(event));
            ControlFlow::Continue(())
        }) {
            Ok(used) => assert_eq!(used, all),
            Err(violation) => return (seen, Err(violation), reader),
        }
        assert!(reader.held() <= LIMIT + 125);
    }
    (seen, Ok(()), reader)
}

/// A masked frame as tungstenite encodes it.
fn frame(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    let key = [0x11, 0xa2, 0x33, payload.len() as u8];
    let header = FrameHeader { is_final: fin, opcode: OpCode::from(opcode), mask: Some(key), ..FrameHeader::default() };
    let mut out = Vec::new();
    Frame::from_payload(header, payload.to_vec().into()).format(&mut out).unwrap();
    out
}

fn masked_header(first: u8, second: u8) -> Vec<u8> {
    vec![first, second, 0, 0, 0, 0]
}

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<Reader>() <= 16);
    let (seen, result, reader) = read(&[&frame(1, true, b"hello"), &frame(9, true, b"p")]);
    assert_eq!(seen, [Seen::Message(b"hello".to_vec()), Seen::Ping(b"p".to_vec())]);
    assert_eq!(result, Ok(()));
    assert!(reader.0.is_none());
}

#[test]
fn memory_follows_what_arrived_and_not_what_was_announced() {
    let mut whole = frame(2, true, &[b'x'; 1000]);
    let mut reader = Reader::new();
    let (first, second) = whole.split_at_mut(10 + 8);
    reader.read(first, LIMIT, |_| ControlFlow::Continue(())).unwrap();
    assert!(reader.held() <= 16, "{}", reader.held());
    reader.read(second, LIMIT, |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(reader.held(), 0);
}

#[test]
fn a_break_leaves_the_rest_as_it_came() {
    let mut input = [frame(1, true, b"one"), frame(1, true, b"two")].concat();
    let untouched = input.clone();
    let mut reader = Reader::new();
    let used = reader.read(&mut input, LIMIT, |_| ControlFlow::Break(())).unwrap();
    assert_eq!(used, untouched.len() / 2);
    assert_eq!(input[used..], untouched[used..]);
    // The same when the message had been cut.
    let mut input = untouched;
    let (head, tail) = input.split_at_mut(7);
    reader.read(head, LIMIT, |_| ControlFlow::Break(())).unwrap();
    let used = reader.read(tail, LIMIT, |_| ControlFlow::Break(())).unwrap();
    let mut seen = Vec::new();
    reader
        .read(&mut tail[used..], LIMIT, |event| {
            seen.push(Seen::from(event));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, [Seen::Message(b"two".to_vec())]);
}

#[test]
fn breaches_of_the_header_are_named_as_the_reference_names_them() {
    for (bytes, reason) in [
        (masked_header(0xc1, 0x80), "RSV1 set"),
        (masked_header(0xf1, 0x80), "RSV1 set, RSV2 set, RSV3 set"),
        (masked_header(0x83, 0x80), "bad opcode 3"),
        (masked_header(0xcf, 0x00), "RSV1 set, bad opcode 15, bad MASK"),
        (masked_header(0x81, 0x00), "bad MASK"),
        (masked_header(0x80, 0x80), "continuation after FIN"),
        (masked_header(0x09, 0xfe), "len > 125 for control, FIN not set on control"),
        ([frame(1, false, b"a"), frame(2, true, b"b")].concat(), "data before FIN"),
    ] {
        let (_, result, _) = read(&[&bytes]);
        let violation = result.unwrap_err();
        assert_eq!(violation.to_string(), reason);
        let (mut close, mut expected) = (Vec::new(), Vec::new());
        violation.write_close(&mut close);
        write_close(&mut expected, Some((1002, reason)));
        assert_eq!(close, expected);
    }
}

#[test]
fn breaches_are_found_with_the_second_byte() {
    let (_, result, _) = read(&[&[0x81], &[0x05]]);
    assert_eq!(result, Err(Violation::Header(HeaderFaults { unmasked: true, ..HeaderFaults::default() })));
}

#[test]
fn the_limit_holds_for_whole_messages() {
    let (seen, result, _) = read(&[&frame(1, true, &[b'x'; LIMIT])]);
    assert_eq!((seen.len(), result), (1, Ok(())));
    let (seen, result, _) = read(&[&frame(1, true, &[b'x'; LIMIT + 1])]);
    assert_eq!((seen.len(), result), (0, Err(Violation::TooLong)));
    // By the header alone, and by the sum of fragments.
    let (_, result, _) = read(&[&frame(1, true, &[b'x'; LIMIT + 1])[..8]]);
    assert_eq!(result, Err(Violation::TooLong));
    let fragments = [frame(1, false, &[b'x'; LIMIT]), frame(0, false, b""), frame(0, true, b"y")];
    let (_, result, _) = read(&[&fragments.concat()]);
    assert_eq!(result, Err(Violation::TooLong));
    let mut close = Vec::new();
    Violation::TooLong.write_close(&mut close);
    assert_eq!(close, [0x88, 2, 0x03, 0xf1]);
}

#[test]
fn impossible_lengths_end_it_without_a_close_frame() {
    for start in [vec![], frame(1, false, b"a")] {
        let huge = if start.is_empty() { [0x81, 0xff, 0x80] } else { [0x80, 0xff, 0x7f] };
        let (_, result, _) = read(&[&[&start[..], &huge, &[0xff; 7], &[0; 4]].concat()]);
        assert_eq!(result, Err(Violation::Length));
        let mut close = Vec::new();
        Violation::Length.write_close(&mut close);
        assert!(close.is_empty());
    }
}

#[test]
fn close_frames_are_checked() {
    let close = |payload: &[u8]| {
        let (seen, result, _) = read(&[&frame(8, true, payload)]);
        result.map(|()| seen)
    };
    assert_eq!(close(b""), Ok(vec![Seen::Close(None)]));
    assert_eq!(close(b"\x03"), Ok(vec![Seen::Close(None)]));
    assert_eq!(close(b"\x03\xe8bye"), Ok(vec![Seen::Close(Some((1000, "bye".to_owned())))]));
    assert_eq!(close(b"\x03\xe8\xff"), Err(Violation::CloseReason));
    assert_eq!(Violation::CloseCode(1005).to_string(), "bad close code 1005");
    for code in 0..=u16::MAX {
        let allowed = matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999);
        let expected = if allowed { Ok(Some((code, ""))) } else { Err(Violation::CloseCode(code)) };
        assert_eq!(super::close(&code.to_be_bytes()), expected);
    }
}

#[test]
fn a_message_of_text_need_not_be_utf8() {
    let (seen, result, _) = read(&[&frame(1, true, b"\xff\xfe")]);
    assert_eq!((seen, result), (vec![Seen::Message(b"\xff\xfe".to_vec())], Ok(())));
}

#[derive(Debug, Clone)]
enum Sent {
    Message { text: bool, fragments: Vec<Vec<u8>>, control_between: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let payload = || prop::collection::vec(any::<u8>(), 0..150);
    prop_oneof![
        4 => (any::<bool>(), prop::collection::vec(payload(), 1..4), any::<bool>())
            .prop_map(|(text, fragments, control_between)| Sent::Message { text, fragments, control_between }),
        1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Sent::Ping),
        1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Sent::Pong),
        1 => prop::option::of((prop_oneof![Just(1000u16), 3000..5000u16], "[a-zä]{0,20}")).prop_map(Sent::Close),
    ]
}

fn encode(sent: &[Sent]) -> (Vec<u8>, Vec<Seen>) {
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    for item in sent {
        match item {
            Sent::Message { text, fragments, control_between } => {
                for (at, fragment) in fragments.iter().enumerate() {
                    let opcode = if at > 0 { 0 } else { 2 - u8::from(*text) };
                    let last = at + 1 == fragments.len();
                    bytes.extend(frame(opcode, last, fragment));
                    if *control_between && !last {
                        bytes.extend(frame(9, true, b"between"));
                        seen.push(Seen::Ping(b"between".to_vec()));
                    }
                }
                seen.push(Seen::Message(fragments.concat()));
            }
            Sent::Ping(payload) => {
                bytes.extend(frame(9, true, payload));
                seen.push(Seen::Ping(payload.clone()));
            }
            Sent::Pong(payload) => {
                bytes.extend(frame(10, true, payload));
                seen.push(Seen::Pong);
            }
            Sent::Close(close) => {
                let payload = close.as_ref().map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat());
                bytes.extend(frame(8, true, &payload.unwrap_or_default()));
                seen.push(Seen::Close(close.clone()));
            }
        }
    }
    (bytes, seen)
}

/// Cuts the bytes at the places.
fn cut<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces.push(&bytes[from..]);
    pieces
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        sent in prop::collection::vec(sent(), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (bytes, expected) = encode(&sent);
        let (seen, result, reader) = read(&cut(&bytes, &cuts));
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(seen, &expected[..]);
        prop_assert!(reader.0.is_none());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(read(&single).0, expected);
    }

    #[test]
    fn anything_is_read_alike_however_it_is_cut(
        bytes in prop::collection::vec(prop_oneof![Just(0x81u8), Just(0x82), Just(0), any::<u8>()], 0..300),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (seen, result, _) = read(&[&bytes]);
        let (seen_cut, result_cut, _) = read(&cut(&bytes, &cuts));
        prop_assert_eq!((seen, result), (seen_cut, result_cut));
    }

    #[test]
    fn a_client_of_tungstenite_is_understood_and_understands(
        payload in prop::collection::vec(any::<u8>(), 0..LIMIT),
        ping in prop::collection::vec(any::<u8>(), 0..=125),
    ) {
        let mut client = WebSocket::from_raw_socket(Cursor::new(Vec::new()), Role::Client, None);
        client.send(tungstenite::Message::Binary(payload.clone().into())).unwrap();
        client.send(tungstenite::Message::Ping(ping.clone().into())).unwrap();
        let (seen, result, _) = read(&[client.get_ref().get_ref()]);
        prop_assert_eq!((seen, result), (vec![Seen::Message(payload.clone()), Seen::Ping(ping.clone())], Ok(())));

        let mut answer = Vec::new();
        write_header(&mut answer, OpCode::Data(Data::Binary), payload.len());
        answer.extend_from_slice(&payload);
        write_pong(&mut answer, &ping);
        write_close(&mut answer, Some((3501, "bad request")));
        *client.get_mut() = Cursor::new(answer);
        prop_assert_eq!(client.read().unwrap(), tungstenite::Message::Binary(payload.into()));
        prop_assert_eq!(client.read().unwrap(), tungstenite::Message::Pong(ping.into()));
        let close = CloseFrame { code: 3501.into(), reason: "bad request".into() };
        prop_assert_eq!(client.read().unwrap(), tungstenite::Message::Close(Some(close)));
    }
}
