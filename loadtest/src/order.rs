//! Whether every subscriber got every publication exactly once and in order, per connection and stream. Pure.

use std::collections::BTreeSet;

/// Gaps that are remembered one by one, to tell late from lost. Beyond it a late one counts as a duplicate.
const GAPS_REMEMBERED: usize = 100_000;

/// What went wrong, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never came.
    pub lost: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Belongs to a stream that the connection does not hear.
    pub misdirected: u64,
    /// The first of them in words.
    pub first: Option<String>,
}

impl Faults {
    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.lost + self.duplicated + self.reordered + self.misdirected == 0
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: Faults) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.misdirected += other.misdirected;
        self.first = self.first.take().or(other.first);
    }

    fn note(&mut self, words: impl FnOnce() -> String) {
        self.first.get_or_insert_with(words);
    }
}

/// What each connection expects next of each stream that it hears.
pub struct Order {
    /// Where each connection's streams begin; one more at the end.
    begins: Vec<u32>,
    /// Streams of all connections, sorted within each.
    streams: Vec<u32>,
    expected: Vec<u64>,
    gaps: BTreeSet<(u32, u64)>,
    faults: Faults,
    heard: u64,
}

impl Order {
    /// Connection `i` hears the streams of the `i`th list.
    pub fn new(lists: impl IntoIterator<Item = Vec<u32>>) -> Order {
        let (mut begins, mut streams) = (vec![0], Vec::new());
        for mut list in lists {
            list.sort_unstable();
            list.dedup();
            streams.append(&mut list);
            begins.push(streams.len() as u32);
        }
        let expected = vec![0; streams.len()];
        Order { begins, streams, expected, gaps: BTreeSet::new(), faults: Faults::default(), heard: 0 }
    }

    /// A publication arrived.
    #[inline]
    pub fn take(&mut self, connection: usize, stream: u32, number: u64) {
        let (begin, end) = (self.begins[connection] as usize, self.begins[connection + 1] as usize);
        let Ok(slot) = self.streams[begin..end].binary_search(&stream).map(|at| begin + at) else {
            self.faults.misdirected += 1;
            self.faults.note(|| format!("connection {connection} got {number} of stream {stream}, not its own"));
            return;
        };
        let expected = self.expected[slot];
        if number == expected {
            self.heard += 1;
            self.expected[slot] = expected + 1;
        } else {
            self.unexpected(connection, slot, number);
        }
    }

    #[cold]
    fn unexpected(&mut self, connection: usize, slot: usize, number: u64) {
        let (stream, expected) = (self.streams[slot], self.expected[slot]);
        self.faults.note(|| format!("connection {connection}, stream {stream}: expected {expected}, got {number}"));
        if number > expected {
            self.heard += 1;
            self.faults.lost += number - expected;
            let room = GAPS_REMEMBERED.saturating_sub(self.gaps.len()) as u64;
            self.gaps.extend((expected..number.min(expected + room)).map(|gap| (slot as u32, gap)));
            self.expected[slot] = number + 1;
        } else if self.gaps.remove(&(slot as u32, number)) {
            self.heard += 1;
            self.faults.lost -= 1;
            self.faults.reordered += 1;
        } else {
            self.faults.duplicated += 1;
        }
    }

    /// Number of the next publication that the connection expects of the stream.
    pub fn expects(&self, connection: usize, stream: u32) -> u64 {
        let (begin, end) = (self.begins[connection] as usize, self.begins[connection + 1] as usize);
        self.streams[begin..end].binary_search(&stream).map_or(0, |at| self.expected[begin + at])
    }

    /// Different publications that arrived, over all connections.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// How many there should be when `published` has each stream's count.
    pub fn owed(&self, published: &[u64]) -> u64 {
        self.streams.iter().map(|stream| published.get(*stream as usize).copied().unwrap_or(0)).sum()
    }

    /// The end: what has not come now is lost.
    pub fn finish(mut self, published: &[u64]) -> Faults {
        for connection in 0..self.begins.len() - 1 {
            for slot in self.begins[connection] as usize..self.begins[connection + 1] as usize {
                let (stream, expected) = (self.streams[slot], self.expected[slot]);
                let owed = published.get(stream as usize).copied().unwrap_or(0);
                if expected < owed {
                    self.faults.lost += owed - expected;
                    self.faults.note(|| {
                        format!("connection {connection}, stream {stream}: {expected} of {owed} came, then nothing")
                    });
                }
            }
        }
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost, duplicated, reordered, misdirected after `arrivals` of streams 3 and 5, of which `published` went out.
    fn check(arrivals: &[(u32, u64)], published: [u64; 2], expected: [u64; 4]) {
        let mut order = Order::new([vec![5, 3]]);
        for (stream, number) in arrivals {
            order.take(0, *stream, *number);
        }
        let faults = order.finish(&[0, 0, 0, published[0], 9, published[1]]);
        assert_eq!([faults.lost, faults.duplicated, faults.reordered, faults.misdirected], expected, "{arrivals:?}");
        assert_eq!(faults.first.is_some(), !faults.is_empty());
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        check(&[(3, 0), (5, 0), (3, 1)], [2, 1], [0, 0, 0, 0]);
        check(&[(3, 0), (3, 2)], [3, 0], [1, 0, 0, 0]);
        check(&[(3, 0), (3, 0), (3, 1)], [2, 0], [0, 1, 0, 0]);
        check(&[(3, 1), (3, 0), (3, 2)], [3, 0], [0, 0, 1, 0]);
        check(&[(3, 2), (3, 0), (3, 0)], [3, 0], [1, 1, 1, 0]);
        check(&[(3, 0)], [3, 2], [4, 0, 0, 0]);
        check(&[(4, 0)], [0, 0], [0, 0, 0, 1]);
    }

    #[test]
    fn what_is_owed_is_the_sum_over_subscriptions() {
        let mut order = Order::new([vec![0], vec![0, 1]]);
        assert_eq!(order.owed(&[3, 4]), 10);
        order.take(1, 1, 0);
        assert_eq!((order.heard(), order.expects(1, 1), order.expects(0, 0)), (1, 1, 0));
    }
}
