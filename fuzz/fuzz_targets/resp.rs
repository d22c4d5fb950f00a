//! What comes from Redis: any bytes are replies, or messages, or broken; whole or in pieces, and the same either way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::control::link::Inlet;
use spindle::control::redis::resp::{Broken, Incoming};

/// What is read of bytes that come in pieces, and what is wrong with the rest.
fn read(
    bytes: &[u8],
    piece: usize,
    next: impl Fn(&mut Incoming) -> Result<Option<String>, Broken>,
) -> (Vec<String>, Option<Broken>) {
    let (mut incoming, mut found) = (Incoming::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        incoming.buffer().extend_from_slice(piece);
        loop {
            match next(&mut incoming) {
                Ok(Some(read)) => found.push(read),
                Ok(None) => break,
                Err(broken) => return (found, Some(broken)),
            }
        }
    }
    (found, None)
}

fn reply(incoming: &mut Incoming) -> Result<Option<String>, Broken> {
    Ok(incoming.reply()?.map(|reply| format!("{reply:?}")))
}

fn message(incoming: &mut Incoming) -> Result<Option<String>, Broken> {
    incoming.message(|message| format!("{message:?}"))
}

fuzz_target!(|bytes: &[u8]| {
    // The first byte says how long the pieces are.
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = bytes.len().max(1);
    for piece in [1, usize::from(*piece).max(1)] {
        assert_eq!(read(bytes, piece, reply), read(bytes, whole, reply));
        assert_eq!(read(bytes, piece, message), read(bytes, whole, message));
    }
});
