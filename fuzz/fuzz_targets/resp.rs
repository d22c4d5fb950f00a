//! What comes from Redis: any bytes are replies or broken, whole or in pieces, and the same either way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::control::redis::resp::{Broken, Incoming, Reply};

fn read(bytes: &[u8], piece: usize) -> Result<Vec<Reply>, Broken> {
    let (mut incoming, mut found) = (Incoming::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        incoming.buffer().extend_from_slice(piece);
        while let Some(reply) = incoming.reply()? {
            found.push(reply);
        }
    }
    Ok(found)
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(read(bytes, 1), read(bytes, bytes.len().max(1)));
    let mut incoming = Incoming::default();
    incoming.buffer().extend_from_slice(bytes);
    while let Ok(Some(())) = incoming.message(|_| ()) {}
});
