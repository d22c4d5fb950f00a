//! The reader of client frames: reads the same however the input is cut, holds no more than the limit, and gives
//! every message that tungstenite gives.
#![no_main]

use std::io::Cursor;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use spindle::transport::ws::{Event, Reader, Violation};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

const LIMIT: usize = 4096;
const MAX_CONTROL: usize = 125;

#[derive(Debug, PartialEq)]
enum Seen {
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
}

fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<Seen>, Option<Violation>) {
    let (mut reader, mut seen) = (Reader::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let result = reader.read(&mut piece, LIMIT, |event| {
            let (event, flow) = match event {
                Event::Message(payload) => (Seen::Message(payload.to_vec()), ControlFlow::Continue(())),
                Event::Ping(payload) => (Seen::Ping(payload.to_vec()), ControlFlow::Continue(())),
                Event::Pong => (Seen::Pong, ControlFlow::Continue(())),
                Event::Close(close) => {
                    let close = close.map(|(code, reason)| (code, reason.to_owned()));
                    (Seen::Close(close), ControlFlow::Break(()))
                }
            };
            seen.push(event);
            flow
        });
        assert!(reader.held() <= LIMIT + MAX_CONTROL);
        match result {
            Err(violation) => return (seen, Some(violation)),
            Ok(_) if matches!(seen.last(), Some(Seen::Close(_))) => break,
            Ok(used) => assert_eq!(used, piece.len()),
        }
    }
    (seen, None)
}

fn messages_of_tungstenite(input: &[u8]) -> Vec<Vec<u8>> {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    // Its answers go into the same cursor; they must not overwrite what is still to be read.
    struct Input<'i>(Cursor<&'i [u8]>);
    impl std::io::Read for Input<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }
    impl std::io::Write for Input<'_> {
        fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
            Ok(buffer.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut socket = WebSocket::from_raw_socket(Input(Cursor::new(input)), Role::Server, Some(config));
    let mut messages = Vec::new();
    while let Ok(message) = socket.read() {
        match message {
            tungstenite::Message::Text(_) | tungstenite::Message::Binary(_) => {
                messages.push(message.into_data().to_vec());
            }
            tungstenite::Message::Close(_) => break,
            _ => {}
        }
    }
    messages
}

/// One saw what the other saw, and one of them perhaps more.
fn agree(ours: &[Vec<u8>], theirs: &[Vec<u8>]) -> bool {
    ours.starts_with(theirs) || theirs.starts_with(ours)
}

fuzz_target!(|input: &[u8]| {
    let Some((step, input)) = input.split_first() else {
        return;
    };
    let whole = read([input]);
    assert_eq!(read(input.chunks(usize::from(*step).max(1))), whole);
    assert_eq!(read(input.chunks(1)), whole);
    let ours = whole.0.into_iter().filter_map(|seen| match seen {
        Seen::Message(payload) => Some(payload),
        _ => None,
    });
    let ours: Vec<_> = ours.collect();
    let theirs = messages_of_tungstenite(input);
    match whole.1 {
        // Upstream judges a control frame by the short length, and so do we: 126 is too long even where the extended
        // length that follows is not. Tungstenite reads on.
        Some(Violation::Header(faults)) if faults.long_control => assert!(agree(&ours, &theirs)),
        // It stops earlier than we do at text that is not UTF-8.
        _ => assert!(ours.starts_with(&theirs)),
    }
});
