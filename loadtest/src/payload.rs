//! The payload of a measured publication: stream, number, when it was meant to go out, and padding, at a fixed width.
//!
//! It is JSON, so that both protocols carry the same bytes; it is found in a message by its first bytes, without parsing
//! what stands around it; and it is written once, after which only its digits change.

/// Smallest payload, bytes.
pub const SMALLEST: usize = 55;

const MARK: &[u8] = b"{\"n\":";
/// Added to each number, so that its width is fixed and JSON has no leading zero.
const NUMBER_BASE: u64 = 1_000_000_000;
const STREAM_BASE: u64 = 100_000;
const TIME_BASE: u64 = 1_000_000_000_000_000;
const NUMBER: std::ops::Range<usize> = 5..15;
const STREAM: std::ops::Range<usize> = 20..26;
const TIME: std::ops::Range<usize> = 31..47;
/// Streams that a run can tell apart.
pub const STREAMS: u32 = 900_000;

/// One publication as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Who numbers: a channel, or a publisher where several publish to one channel.
    pub stream: u32,
    /// From 0, one up for each publication of the stream.
    pub number: u64,
    /// When it was due, nanoseconds on the run's clock (below eleven days).
    pub due: u64,
}

impl Stamp {
    /// The payload, padded to `size` bytes.
    pub fn encode(&self, size: usize) -> String {
        let padding = "x".repeat(size.max(SMALLEST) - SMALLEST);
        let (number, stream, time) =
            (NUMBER_BASE + self.number, STREAM_BASE + u64::from(self.stream), TIME_BASE + self.due);
        format!("{{\"n\":{number},\"c\":{stream},\"t\":{time},\"p\":\"{padding}\"}}")
    }

    /// Changes number and due time of a payload that [`Stamp::encode`] wrote.
    pub fn rewrite(payload: &mut [u8], number: u64, due: u64) {
        put(&mut payload[NUMBER], NUMBER_BASE + number);
        put(&mut payload[TIME], TIME_BASE + due);
    }

    /// The first stamp in `message`, and what follows its fixed part.
    pub fn find(message: &[u8]) -> Option<(Stamp, &[u8])> {
        let payload = &message[memchr::memmem::find(message, MARK)?..];
        let fixed = payload.get(..SMALLEST - 1)?;
        let number = digits(&fixed[NUMBER])?.checked_sub(NUMBER_BASE)?;
        let stream = u32::try_from(digits(&fixed[STREAM])?.checked_sub(STREAM_BASE)?).ok()?;
        let due = digits(&fixed[TIME])?.checked_sub(TIME_BASE)?;
        Some((Stamp { stream, number, due }, &payload[SMALLEST - 1..]))
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

fn put(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_again() {
        let stamp = Stamp { stream: 17, number: 7, due: 123_456 };
        for size in [SMALLEST, 64, 1000] {
            let mut payload = stamp.encode(size).into_bytes();
            assert_eq!(payload.len(), size);
            assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
            let frame = format!("{{\"push\":{{\"data\":{0}}},{{\"data\":{0}}}}}", String::from_utf8_lossy(&payload));
            let (first, rest) = Stamp::find(frame.as_bytes()).expect("a stamp");
            assert_eq!((first, Stamp::find(rest).map(|found| found.0)), (stamp, Some(stamp)));
            Stamp::rewrite(&mut payload, 999_999_999, 5);
            let changed = Stamp { stream: 17, number: 999_999_999, due: 5 };
            assert_eq!(payload, changed.encode(size).into_bytes());
        }
    }

    #[test]
    fn other_messages_have_none() {
        for message in ["{}", "{\"n\":12", "{\"n\":abcdefghij,\"c\":100000,\"t\":1000000000000000,\"p\":\"\"}"] {
            assert_eq!(Stamp::find(message.as_bytes()), None, "{message}");
        }
    }
}
