//! Fossil patches: what is created between two payloads must make the second of the first and be shorter than it; a
//! hostile patch must do no harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spindle::protocol::fossil::{apply, create};

/// Most that a hostile patch may make.
const LIMIT: usize = 1 << 16;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let (old, new) = rest.split_at(rest.len() * usize::from(*first) / 256);
    // Most inputs have little in common with themselves: the second round has much.
    let both = [new, old, new].concat();
    for (old, new) in [(old, new), (&*both, rest), (rest, &*both), (rest, rest)] {
        let Some(patch) = create(old, new) else { continue };
        assert!(patch.len() < new.len());
        assert_eq!(apply(old, &patch, new.len()).as_deref(), Ok(new));
        if std::str::from_utf8(new).is_ok() {
            std::str::from_utf8(&patch).expect("no character is cut");
        }
    }
    if let Ok(made) = apply(old, new, LIMIT) {
        assert!(made.len() <= LIMIT);
    }
});
