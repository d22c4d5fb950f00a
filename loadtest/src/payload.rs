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

    fn read(payload: &[u8]) -> Option<Stamp> {
        let fixed: &[u8; SMALLEST - 1] = payload.first_chunk()?;
        let number = digits(&fixed[NUMBER])?.checked_sub(NUMBER_BASE)?;
        let stream = u32::try_from(digits(&fixed[STREAM])?.checked_sub(STREAM_BASE)?).ok()?;
        let due = digits(&fixed[TIME])?.checked_sub(TIME_BASE)?;
        Some(Stamp { stream, number, due })
    }
}

/// Finds stamps in messages. Where the last one was, the next one mostly is too, counted from the message's end.
pub struct Finder {
    mark: memchr::memmem::Finder<'static>,
    from_end: usize,
}

impl Finder {
    /// One that has seen nothing.
    pub fn new() -> Finder {
        Finder { mark: memchr::memmem::Finder::new(MARK), from_end: 0 }
    }

    /// The first stamp in `message`, and what follows its fixed part.
    #[inline]
    pub fn first<'a>(&mut self, message: &'a [u8]) -> Option<(Stamp, &'a [u8])> {
        let guess = message.len().checked_sub(self.from_end);
        let guess = guess.map(|at| &message[at..]).filter(|payload| payload.starts_with(MARK));
        let payload = match guess {
            Some(payload) => payload,
            None => &message[self.mark.find(message)?..],
        };
        self.from_end = payload.len();
        Some((Stamp::read(payload)?, &payload[SMALLEST - 1..]))
    }

    /// All stamps in `message`.
    pub fn each(&mut self, mut message: &[u8], mut on: impl FnMut(Stamp)) {
        while let Some(at) = self.mark.find(message) {
            message = &message[at..];
            if let Some(stamp) = Stamp::read(message) {
                on(stamp);
            }
            message = &message[MARK.len()..];
        }
    }
}

/// A decimal number; eight digits at a time, as this is done for each message that arrives.
fn digits(text: &[u8]) -> Option<u64> {
    let (head, chunks) = text.as_rchunks::<8>();
    let head =
        head.iter().try_fold(0u64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')));
    chunks.iter().try_fold(head?, |sum, chunk| Some(sum * 100_000_000 + eight_digits(*chunk)?))
}

fn eight_digits(chunk: [u8; 8]) -> Option<u64> {
    let text = u64::from_le_bytes(chunk);
    let are_threes = |text: u64| text & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030;
    // What is above '9' leaves the row of digits when six is added.
    if !are_threes(text) || !are_threes(text.wrapping_add(0x0606_0606_0606_0606)) {
        return None;
    }
    // Pairs of digits, then pairs of pairs, then both halves.
    let pairs = (text & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(2561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32)
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
            let mut finder = Finder::new();
            let mut found = Vec::new();
            finder.each(frame.as_bytes(), |stamp| found.push(stamp));
            assert_eq!(found, [stamp, stamp]);
            for message in [frame.as_bytes(), frame.as_bytes(), &frame.as_bytes()[8..]] {
                assert_eq!(finder.first(message).map(|found| found.0), Some(stamp));
            }
            Stamp::rewrite(&mut payload, 999_999_999, 5);
            let changed = Stamp { stream: 17, number: 999_999_999, due: 5 };
            assert_eq!(payload, changed.encode(size).into_bytes());
        }
    }

    #[test]
    fn digits_are_digits() {
        for text in ["0", "7", "12345678", "1234567890", "9999999999999999", "1000000012345678"] {
            assert_eq!(digits(text.as_bytes()), text.parse().ok());
        }
        for text in ["12345:78", "/2345678", "1234567a", " 2345678", "-2345678"] {
            assert_eq!(digits(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn other_messages_have_none() {
        for message in ["{}", "{\"n\":12", "{\"n\":abcdefghij,\"c\":100000,\"t\":1000000000000000,\"p\":\"\"}"] {
            assert_eq!(Finder::new().first(message.as_bytes()), None, "{message}");
        }
    }
}
