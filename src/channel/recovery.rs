//! What a returning subscriber missed, or that it cannot be told.
//!
//! Upstream: centrifuge client.go (`isStreamRecovered`, `isCacheRecovered`) and node.go (`recoverHistory`,
//! `recoverCache`).

use std::sync::Arc;

use crate::base::mutation::{Mutation, is_on};
use crate::channel::broker_op::Read;
use crate::channel::filter::Filter;
use crate::channel::op::{Recover, Since, Subscribed};
use crate::channel::publication::{Position, Publication};
use crate::channel::stream::Stream;

/// Recovers a subscription from the stream, in the mode that it asks for.
pub fn recover(stream: &Stream, recover: &Recover) -> Subscribed {
    let position = stream.position();
    let filter = recover.filter.as_deref();
    let publications = if recover.cache {
        newest_publication(stream, &recover.since, recover.limit, filter)
    } else {
        missed_publications(stream, &recover.since, recover.limit, filter)
    };
    let recovered = publications.is_some();
    Subscribed { position, recovered, publications: publications.unwrap_or_default() }
}

/// What a broker is to read for [`from_read`].
pub fn read_for(recover: &Recover, meta_ttl_s: u32) -> Read {
    let limit = signed(recover.limit);
    match (recover.cache, &recover.filter) {
        (false, _) => Read { since: Some(recover.since.offset), limit, reverse: false, meta_ttl_s },
        (true, None) => Read { since: None, limit: 1, reverse: true, meta_ttl_s },
        (true, Some(_)) => Read { since: None, limit, reverse: true, meta_ttl_s },
    }
}

/// Recovers a subscription from what was read of a stream that stood at `top`.
pub fn from_read(mut read: Vec<Arc<Publication>>, top: Position, recover: &Recover) -> Subscribed {
    let ends = read.first().zip(read.last()).map(|(first, last)| (first.offset, last.offset));
    let wanted = |publication: &Arc<Publication>| recover.wants(publication);
    let recovered = if recover.cache {
        // Newest first.
        let outcome =
            is_cache_recovered(top, &recover.since, ends.map(|(newest, _)| newest).filter(|_| read.iter().any(wanted)));
        match outcome {
            CacheRecovery::Newest => {
                read.retain(wanted);
                read.truncate(1);
            }
            CacheRecovery::Current | CacheRecovery::Failed => read.clear(),
        }
        outcome != CacheRecovery::Failed
    } else {
        read.retain(wanted);
        is_stream_recovered(top, &recover.since, ends)
    };
    if !recovered {
        read.clear();
    }
    Subscribed { position: top, recovered, publications: read }
}

/// Adds what was published after the read.
pub fn extend(subscribed: &mut Subscribed, later: Vec<Arc<Publication>>, recover: &Recover) {
    if !subscribed.recovered && !recover.cache {
        return;
    }
    let wanted = |publication: &Arc<Publication>| recover.wants(publication);
    let mut later = later.into_iter().filter(wanted);
    if !recover.cache {
        subscribed.publications.extend(later);
    } else if let Some(newest) = later.next_back() {
        subscribed.publications = vec![newest];
        subscribed.recovered = true;
    }
}

/// The publications behind `since` that are wanted, when all are kept and no more than `limit` (0 = no limit), those
/// that are not wanted included.
fn missed_publications(
    stream: &Stream,
    since: &Since,
    limit: u32,
    filter: Option<&Filter>,
) -> Option<Vec<Arc<Publication>>> {
    let limit = signed(limit);
    let too_far = u64::from(is_on(Mutation::RecoverTooFar));
    let since = &Since { offset: since.offset + too_far, epoch: since.epoch.clone() };
    let selection = stream.select(Some(since.offset), limit, false);
    if !is_stream_recovered(stream.position(), since, stream.offsets(&selection)) {
        return None;
    }
    let mut missed = stream.read(&selection);
    if let Some(filter) = filter.filter(|_| !is_on(Mutation::RecoverUnfiltered)) {
        missed.retain(|publication| filter.matches(publication.tags()));
    }
    Some(missed)
}

/// The newest publication unless the subscriber has it. With a filter, the newest one that fits among the last `limit`
/// (0 = no limit); when none does it is as if nothing were kept.
fn newest_publication(
    stream: &Stream,
    since: &Since,
    limit: u32,
    filter: Option<&Filter>,
) -> Option<Vec<Arc<Publication>>> {
    let wanted = match filter {
        None if is_on(Mutation::RecoverOldest) => stream.read(&stream.select(None, 1, false)).pop(),
        None => stream.newest().cloned(),
        Some(filter) => {
            let newest_first = stream.read(&stream.select(None, signed(limit), true));
            newest_first.into_iter().find(|publication| filter.matches(publication.tags()))
        }
    };
    let newest = wanted.as_ref().and(stream.newest()).map(|newest| newest.offset);
    match is_cache_recovered(stream.position(), since, newest) {
        CacheRecovery::Failed => None,
        CacheRecovery::Current => Some(Vec::new()),
        CacheRecovery::Newest => Some(wanted.into_iter().collect()),
    }
}

/// A limit as [`Stream::select`] takes it: 0 = none.
pub fn signed(limit: u32) -> i32 {
    if limit == 0 { -1 } else { i32::try_from(limit).unwrap_or(i32::MAX) }
}

/// Whether the publications read behind `since` are all that was missed. `read` holds the first and the last
/// offset of them. Contiguity between the two is the stream's; what must be seen is that they begin right
/// behind the subscriber's place (else the stream was trimmed) and end at the top (else the limit cut them).
pub fn is_stream_recovered(top: Position, since: &Since, read: Option<(u64, u64)>) -> bool {
    since.matches(top.epoch)
        && match read {
            None => since.offset == top.offset,
            Some((first, last)) => first == since.offset.wrapping_add(1) && last == top.offset,
        }
}

/// The outcome of [`is_cache_recovered`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheRecovery {
    /// The newest publication is not kept, and the subscriber is elsewhere.
    Failed,
    /// The subscriber has the newest publication.
    Current,
    /// The newest publication is what it needs, whatever its epoch.
    Newest,
}

/// Whether a subscriber that cares about the newest publication alone can be brought up to date. Its state
/// is the same only under the same offset and the very same epoch; offset 0 is no state.
pub fn is_cache_recovered(top: Position, since: &Since, newest: Option<u64>) -> CacheRecovery {
    let same_state = since.offset > 0 && since.offset == top.offset && *since.epoch == top.epoch.as_str();
    match newest {
        Some(offset) if offset != top.offset => CacheRecovery::Failed,
        _ if same_state => CacheRecovery::Current,
        Some(_) => CacheRecovery::Newest,
        None => CacheRecovery::Failed,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::channel::publication::{Epoch, Tags};
    use crate::protocol::client::FilterNode;

    fn epoch() -> Epoch {
        Epoch::from_random([1; 8])
    }

    fn since(offset: u64, epoch: &str) -> Since {
        Since { offset, epoch: epoch.into() }
    }

    /// A stream with `count` publications of which the last `kept` are left.
    fn stream(count: u64, kept: u32) -> Stream {
        let mut stream = Stream::new(epoch());
        for n in 1..=count {
            let publication = Publication::bare(Bytes::from(n.to_string()));
            stream.append(publication, kept.max(1), Box::default());
        }
        if kept == 0 {
            stream.clear();
        }
        stream
    }

    /// Offsets recovered, or nothing when recovery failed.
    fn recovered(stream: &Stream, since: Since, limit: u32, cache: bool) -> Option<Vec<u64>> {
        let subscribed = recover(stream, &Recover { since, limit, cache, filter: None, or_fail: false });
        assert_eq!(subscribed.position, stream.position());
        let offsets = subscribed.publications.iter().map(|publication| publication.offset).collect::<Vec<_>>();
        assert!(subscribed.recovered || offsets.is_empty());
        subscribed.recovered.then_some(offsets)
    }

    #[test]
    fn streams_of_five_with_three_kept() {
        let (stream, same) = (stream(5, 3), epoch());
        for (offset, epoch, limit, expected) in [
            (0, "", 0, None),
            (1, "", 0, None),
            (2, "", 0, Some(&[3, 4, 5][..])),
            (2, &same.as_str(), 3, Some(&[3, 4, 5])),
            (2, &same.as_str(), 2, None),
            (3, &same.as_str(), 2, Some(&[4, 5])),
            (5, &same.as_str(), 1, Some(&[])),
            (5, "", 0, Some(&[])),
            (6, &same.as_str(), 0, None),
            (5, "other", 0, None),
            (4, "other", 0, None),
            (u64::MAX, "", 0, None),
        ] {
            let outcome = recovered(&stream, since(offset, epoch), limit, false);
            assert_eq!(outcome.as_deref(), expected, "{offset} {epoch:?} limit {limit}");
        }
    }

    #[test]
    fn expired_publications_are_missed_unless_there_were_none() {
        assert_eq!(recovered(&stream(5, 0), since(5, ""), 0, false), Some(vec![]));
        assert_eq!(recovered(&stream(5, 0), since(4, ""), 0, false), None);
        assert_eq!(recovered(&stream(0, 0), since(0, ""), 0, false), Some(vec![]));
    }

    #[test]
    fn the_cache_gives_the_newest_publication() {
        let same = epoch();
        for (kept, offset, epoch, expected) in [
            (3, 0, "", Some(&[5][..])),
            (3, 4, &same.as_str(), Some(&[5])),
            (3, 5, &same.as_str(), Some(&[])),
            (3, 5, "", Some(&[5])),
            (3, 5, "other", Some(&[5])),
            (3, 9, &same.as_str(), Some(&[5])),
            (0, 5, &same.as_str(), Some(&[])),
            (0, 5, "", None),
            (0, 4, &same.as_str(), None),
        ] {
            let outcome = recovered(&stream(5, kept), since(offset, epoch), 1, true);
            assert_eq!(outcome.as_deref(), expected, "{kept} kept, {offset} {epoch:?}");
        }
        assert_eq!(recovered(&stream(0, 0), since(0, &same.as_str()), 1, true), None);
    }

    /// Five publications of which the odd ones have the tag `odd`, with three kept.
    fn tagged() -> Stream {
        let mut tagged = Stream::new(epoch());
        for publication in stream(5, 5).read(&stream(5, 5).select(None, -1, false)) {
            let tags: Tags = Box::new([("odd".into(), (publication.offset % 2).to_string().into())]);
            let publication = Publication { tags: Some(Arc::new(tags)), ..(*publication).clone() };
            tagged.append(publication, 3, Box::default());
        }
        tagged
    }

    #[test]
    fn a_filter_hides_publications_and_no_gaps() {
        let (stream, same) = (tagged(), epoch());
        for (odd, offset, limit, cache, expected) in [
            ("1", 2, 0, false, Some(&[3, 5][..])),
            ("0", 2, 0, false, Some(&[4])),
            ("2", 2, 0, false, Some(&[])),
            ("0", 1, 0, false, None),
            ("0", 2, 2, false, None),
            ("1", 4, 0, true, Some(&[5])),
            ("0", 4, 0, true, Some(&[4])),
            ("0", 4, 1, true, None),
            ("2", 4, 0, true, None),
            ("0", 5, 0, true, Some(&[])),
            ("2", 5, 0, true, Some(&[])),
        ] {
            let node = FilterNode { key: "odd".into(), cmp: "eq".into(), val: odd.into(), ..FilterNode::default() };
            let filter = Some(Arc::new(Filter::compile(&node).unwrap()));
            let since = since(offset, &same.as_str());
            let subscribed = recover(&stream, &Recover { since, limit, cache, filter, or_fail: false });
            let offsets = subscribed.publications.iter().map(|publication| publication.offset).collect::<Vec<_>>();
            let outcome = subscribed.recovered.then_some(&offsets[..]);
            assert_eq!(outcome, expected, "{odd} since {offset} limit {limit} cache {cache}");
            assert_eq!(subscribed.position, stream.position());
        }
    }

    proptest! {
        /// Whoever is somewhere in the stream gets exactly what it missed, or is told that it cannot.
        #[test]
        fn exactly_the_missed_or_not_recovered(count in 0u64..20, kept in 0u32..20, offset in 0u64..25, limit in 0u32..25) {
            let missed: Vec<u64> = (offset + 1..=count).collect();
            let all_kept = missed.len() <= kept as usize;
            let within_limit = limit == 0 || missed.len() <= limit as usize;
            let expected = (offset <= count && all_kept && within_limit).then_some(missed);
            prop_assert_eq!(recovered(&stream(count, kept), since(offset, ""), limit, false), expected);
        }
    }
}
