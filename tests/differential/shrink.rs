//! Makes a failing conversation short: the beginning up to the failure, then without halves, quarters, single steps.

use crate::compare::{Found, Pair};
use crate::step::Step;

/// How many shorter conversations are tried at most.
const TRIES: usize = 100;

/// The shortest conversation found that still fails.
pub fn shortest(pair: &mut Pair, mut steps: Vec<Step>, mut found: Found) -> (Vec<Step>, Found) {
    steps.truncate(found.at + 1);
    let mut size = steps.len() / 2;
    let mut tries = 0;
    while size > 0 && tries < TRIES {
        let mut is_shorter = false;
        let mut start = 0;
        while start < steps.len() && tries < TRIES {
            let mut fewer = steps.clone();
            fewer.drain(start..(start + size).min(steps.len()));
            tries += 1;
            match pair.run(&fewer) {
                Err(shown) if !fewer.is_empty() => {
                    fewer.truncate(shown.at + 1);
                    (steps, found, is_shorter) = (fewer, shown, true);
                }
                _ => start += size,
            }
        }
        if !is_shorter || size > 1 {
            size /= 2;
        }
    }
    (steps, found)
}
