//! A part of a stream that was read, and what other reads would have found in it.

use std::sync::Arc;

use crate::channel::broker_op::Read;
use crate::channel::publication::{Position, Publication};

/// See the module.
#[derive(Debug)]
pub(super) struct Piece {
    /// Where the stream stood.
    pub(super) top: Position,
    /// What was found, oldest first: all that is kept behind `low`.
    pub(super) found: Vec<Arc<Publication>>,
    /// 0 when nothing older is kept.
    low: u64,
    /// And up to the top.
    is_whole: bool,
}

impl Piece {
    /// What this read, which began at no offset if it is reversed, found in a stream that stood at `top`.
    pub(super) fn new(read: Read, mut found: Vec<Arc<Publication>>, top: Position) -> Self {
        let is_cut = usize::try_from(read.limit).is_ok_and(|limit| found.len() >= limit);
        if !read.reverse {
            let since = read.since.unwrap_or_default();
            let is_trimmed = match found.first() {
                Some(first) => first.offset > since.saturating_add(1),
                None => !is_cut && top.offset > since,
            };
            return Self { top, found, low: if is_trimmed { 0 } else { since }, is_whole: !is_cut };
        }
        found.reverse();
        let low = match found.first() {
            Some(first) if is_cut => first.offset.saturating_sub(1),
            None if is_cut => top.offset,
            _ => 0,
        };
        Self { top, found, low, is_whole: true }
    }

    /// Nothing lies behind: the top itself was read, perhaps with what stands there.
    pub(super) fn at(top: Position, newest: Option<Arc<Publication>>) -> Self {
        let low = if newest.is_some() { top.offset.saturating_sub(1) } else { top.offset };
        Self { top, found: newest.into_iter().collect(), low, is_whole: true }
    }

    /// What another read would have found at that moment, if that can be said.
    pub(super) fn answer(&self, read: Read) -> Option<Vec<Arc<Publication>>> {
        let limit = usize::try_from(read.limit).unwrap_or(usize::MAX);
        if read.reverse {
            let newest = || self.found.iter().rev().take(limit).cloned().collect();
            let is_there = self.is_whole && (self.low == 0 || self.found.len() >= limit);
            return is_there.then(newest);
        }
        let since = read.since.unwrap_or_default();
        let behind = &self.found[self.found.partition_point(|found| found.offset <= since)..];
        let is_there = self.low <= since && (self.is_whole || behind.len() >= limit);
        is_there.then(|| behind.iter().take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::channel::publication::Epoch;
    use crate::channel::stream::Stream;

    /// A stream with `count` publications of which the last `kept` are left.
    fn stream(count: u64, kept: u32) -> Stream {
        let mut stream = Stream::new(Epoch::from_random([1; 8]));
        for n in 1..=count {
            stream.append(Publication::bare(Bytes::from(n.to_string())), kept, Box::default());
        }
        stream
    }

    fn read() -> impl Strategy<Value = Read> {
        (0u64..14, -1i32..8, any::<bool>()).prop_map(|(since, limit, reverse)| {
            let since = Some(since).filter(|_| !reverse);
            Read { since, limit, reverse, meta_ttl_s: 60 }
        })
    }

    fn offsets(found: &[Arc<Publication>]) -> Vec<u64> {
        found.iter().map(|publication| publication.offset).collect()
    }

    proptest! {
        /// What is said of another read is what that finds; and of the same read it can be said.
        #[test]
        fn others_are_answered_as_the_stream_would(count in 0u64..12, kept in 1u32..8, one in read(), other in read()) {
            let stream = stream(count, kept);
            let find = |read: Read| stream.read(&stream.select(read.since, read.limit, read.reverse));
            let piece = Piece::new(one, find(one), stream.position());
            prop_assert!(piece.answer(one).is_some());
            if let Some(found) = piece.answer(other) {
                prop_assert_eq!(offsets(&found), offsets(&find(other)));
            }
        }
    }

    #[test]
    fn what_was_read_is_used() {
        let stream = stream(9, 6);
        let forward = |since, limit| Read { since: Some(since), limit, reverse: false, meta_ttl_s: 60 };
        let newest = |limit| Read { since: None, limit, reverse: true, meta_ttl_s: 60 };
        for (one, other, expected) in [
            (forward(4, -1), forward(6, 5), Some(&[7, 8, 9][..])),
            (forward(4, 3), forward(5, 2), Some(&[6, 7])),
            (forward(4, 3), forward(5, 3), None),
            (forward(4, -1), forward(3, -1), None),
            (forward(4, -1), newest(2), Some(&[9, 8])),
            (forward(7, -1), newest(3), None),
            (newest(4), forward(6, -1), Some(&[7, 8, 9])),
            (newest(4), forward(4, -1), None),
            (newest(7), forward(1, -1), Some(&[4, 5, 6, 7, 8, 9])),
        ] {
            let found = stream.read(&stream.select(one.since, one.limit, one.reverse));
            let answer = Piece::new(one, found, stream.position()).answer(other);
            assert_eq!(answer.as_deref().map(offsets).as_deref(), expected, "{one:?} {other:?}");
        }
    }
}
