//! The payload of a measured publication: its number, when it was meant to go out, and padding, at a fixed width.
//!
//! It is JSON, so that both protocols carry the same bytes, and it is found in a frame by its first bytes, without
//! parsing what stands around it.

use std::time::{Duration, Instant};

/// Smallest payload, bytes.
pub const SMALLEST: usize = 44;

const MARK: &[u8] = b"{\"n\":";
/// Added to each number, so that its width is fixed and JSON has no leading zero.
const NUMBER_BASE: u64 = 1_000_000_000;
const TIME_BASE: u64 = 1_000_000_000_000_000;
const NUMBER: std::ops::Range<usize> = 5..15;
const TIME: std::ops::Range<usize> = 20..36;

/// One publication as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// From 0, one up for each publication.
    pub number: u64,
    /// When it was due, since the run's origin.
    pub due: Duration,
}

impl Stamp {
    /// The payload, padded to `size` bytes.
    pub fn encode(&self, size: usize) -> String {
        let padding = "x".repeat(size.max(SMALLEST) - SMALLEST);
        let (number, time) = (NUMBER_BASE + self.number, TIME_BASE + self.due.as_nanos() as u64);
        format!("{{\"n\":{number},\"t\":{time},\"p\":\"{padding}\"}}")
    }

    /// The stamp somewhere in `message`.
    pub fn find(message: &[u8]) -> Option<Stamp> {
        let payload = &message[memchr::memmem::find(message, MARK)?..];
        let number = digits(payload.get(NUMBER)?)?.checked_sub(NUMBER_BASE)?;
        let nanoseconds = digits(payload.get(TIME)?)?.checked_sub(TIME_BASE)?;
        Some(Stamp { number, due: Duration::from_nanos(nanoseconds) })
    }

    /// Nanoseconds from when it was due until `now`; a server that waits for its turn is charged for the wait.
    pub fn age_ns(&self, origin: Instant, now: Instant) -> u64 {
        (now - origin).saturating_sub(self.due).as_nanos() as u64
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_again() {
        let stamp = Stamp { number: 7, due: Duration::from_nanos(123_456) };
        for size in [SMALLEST, 64, 1000] {
            let payload = stamp.encode(size);
            assert_eq!(payload.len(), size);
            assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok());
            let frame = format!("{{\"push\":{{\"channel\":\"c\",\"pub\":{{\"data\":{payload}}}}}}}");
            assert_eq!(Stamp::find(frame.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn other_messages_have_none() {
        assert_eq!(Stamp::find(b"{}"), None);
        assert_eq!(Stamp::find(b"{\"n\":12"), None);
        assert_eq!(Stamp::find(b"{\"n\":abcdefghij,\"t\":1000000000000000,"), None);
    }
}
