//! Fossil deltas: a payload told as what changed against the one before.
//!
//! A patch is text around pieces of the payload: the length of the payload and a newline, then commands (`N@M,` copies
//! N bytes from place M of the old payload, `N:` is followed by N new bytes), and a checksum with a semicolon. Numbers
//! are in base 64 with digits of their own, without padding.
//!
//! The format is that of fossil-scm.org/home/doc/tip/www/delta_format.wiki; upstream: the module
//! shadowspore/fossil-delta. The server makes patches; applying them is for clients and for whoever tests servers.

mod apply;
mod create;

pub use apply::{BadPatch, apply};
pub use create::create;

/// The digits of a number, by value.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// The sum of the payload as words of four bytes, most significant first, the last one filled up with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(0u32, |sum, word| sum.wrapping_add(u32::from_be_bytes(*word)));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum.wrapping_add(u32::from_be_bytes(last))
}

#[cfg(test)]
mod tests;
