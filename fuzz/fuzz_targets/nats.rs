//! What comes from NATS: any bytes are operations or broken, whole or in pieces, and the same either way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::control::link::Inlet;
use spindle::control::nats::wire::{Broken, Incoming};

/// What was said, and what is wrong at its end.
fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> (Vec<String>, Option<Broken>) {
    let (mut incoming, mut found) = (Incoming::default(), Vec::new());
    for piece in pieces {
        incoming.buffer().extend_from_slice(piece);
        loop {
            match incoming.next(|said| format!("{said:?}")) {
                Ok(Some(said)) => found.push(said),
                Ok(None) => break,
                Err(broken) => return (found, Some(broken)),
            }
        }
    }
    (found, None)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(std::iter::once(bytes));
    assert_eq!(read(bytes.chunks(1)), whole);
    // Pieces as long as the input itself says.
    let long = usize::from(bytes.first().copied().unwrap_or(1)).max(2);
    assert_eq!(read(bytes.chunks(long)), whole);
});
