//! The stream against a naive model of the memory broker, and its life in time.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn publication(data: u64) -> Publication {
    Publication::bare(Bytes::from(data.to_string()))
}

fn epoch() -> Epoch {
    Epoch::from_random([7; 8])
}

fn filled(count: u64, size: u32) -> Stream {
    let mut stream = Stream::new(epoch());
    for n in 1..=count {
        let publication = stream.append(publication(n), size, Box::default());
        assert_eq!((publication.offset, publication.epoch), (n, epoch()));
    }
    stream
}

fn offsets(stream: &Stream, since: Option<u64>, limit: i32, reverse: bool) -> Vec<u64> {
    let selection = stream.select(since, limit, reverse);
    let offsets: Vec<_> = stream.read(&selection).iter().map(|publication| publication.offset).collect();
    assert_eq!(stream.offsets(&selection), offsets.first().copied().zip(offsets.last().copied()));
    offsets
}

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, ..Now::default() }
}

#[test]
fn reads_of_offsets_3_to_5() {
    let stream = filled(5, 3);
    for (since, limit, reverse, expected) in [
        (None, -1, false, &[3, 4, 5][..]),
        (None, 2, false, &[3, 4]),
        (None, 0, false, &[]),
        (None, 2, true, &[5, 4]),
        (None, -1, true, &[5, 4, 3]),
        (Some(0), -1, false, &[3, 4, 5]),
        (Some(1), 1, false, &[3]),
        (Some(2), -1, false, &[3, 4, 5]),
        (Some(3), -1, false, &[4, 5]),
        (Some(3), 1, false, &[4]),
        (Some(5), -1, false, &[]),
        (Some(6), -1, false, &[]),
        (Some(u64::MAX), -1, false, &[3, 4, 5]),
        (Some(5), -1, true, &[4, 3]),
        (Some(5), 1, true, &[4]),
        (Some(6), -1, true, &[5, 4, 3]),
        (Some(7), -1, true, &[]),
        (Some(4), -1, true, &[3]),
        (Some(3), -1, true, &[]),
        (Some(1), -1, true, &[]),
        (Some(u64::MAX), -1, true, &[]),
    ] {
        assert_eq!(offsets(&stream, since, limit, reverse), expected, "{since:?} {limit} {reverse}");
    }
}

#[test]
fn an_empty_stream_reads_empty() {
    let never_published = filled(0, 3);
    let mut cleared = filled(5, 3);
    assert_eq!(cleared.clear().len(), 3);
    assert_eq!(cleared.position(), Position { offset: 5, epoch: epoch() });
    for stream in [never_published, cleared] {
        for since in [None, Some(0), Some(4), Some(5), Some(9), Some(u64::MAX)] {
            assert_eq!(offsets(&stream, since, -1, false), [0u64; 0]);
            assert_eq!(offsets(&stream, since, -1, true), [0u64; 0]);
        }
    }
}

#[test]
fn a_version_is_outdated_up_to_the_stored_one() {
    let mut stream = filled(0, 1);
    stream.append(Publication { version: 5, ..publication(1) }, 1, "a".into());
    for (version, version_epoch, expected) in [
        (0, "", false),
        (0, "a", false),
        (5, "", true),
        (4, "a", true),
        (5, "b", false),
        (6, "a", false),
        (6, "", false),
    ] {
        assert_eq!(stream.is_outdated(version, version_epoch), expected, "{version} {version_epoch:?}");
    }
    stream.append(publication(2), 1, Box::default());
    assert!(!stream.is_outdated(1, ""), "a publication without version clears the stored one");
}

#[test]
fn time_takes_publications_first_and_then_the_stream() {
    let mut stream = filled(1, 1);
    assert_eq!(stream.deadline_ms(), NEVER);
    stream.prolong(&HistoryOptions { size: 1, ttl_s: 2, meta_ttl_s: 5 }, at(1000));
    assert_eq!(stream.deadline_ms(), 3000);
    assert!(!stream.is_stale(at(2999)) && stream.is_stale(at(3000)));
    stream.clear();
    assert_eq!(stream.deadline_ms(), 6000);
    assert!(!stream.is_stale(at(10_000)) && !stream.is_over(at(5999)) && stream.is_over(at(6000)));
    stream.touch(9, at(5000));
    assert_eq!(stream.deadline_ms(), 14_000);
    stream.touch(0, at(5000));
    assert_eq!(stream.deadline_ms(), NEVER);
}

/// The memory broker's list, walked item by item.
struct Model {
    top: u64,
    list: Vec<u64>,
}

impl Model {
    fn read(&self, since: Option<u64>, limit: i32, reverse: bool) -> Vec<u64> {
        let start = since.map(|offset| if reverse { offset.wrapping_sub(1) } else { offset.wrapping_add(1) });
        let mut list = self.list.clone();
        if reverse {
            list.reverse();
        }
        if let Some(start) = start {
            if start > self.top || (reverse && !list.contains(&start)) {
                return Vec::new();
            }
            if let Some(found) = list.iter().position(|offset| *offset == start) {
                list.drain(..found);
            }
        }
        list.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        list
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32),
    Clear,
    Read(Option<u64>, i32, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let since = prop_oneof![Just(None), (0u64..30).prop_map(Some), Just(Some(u64::MAX))];
    let step = prop_oneof![
        4 => (1u32..6).prop_map(Step::Append),
        1 => Just(Step::Clear),
        4 => (since, -1i32..5, any::<bool>()).prop_map(|(since, limit, reverse)| Step::Read(since, limit, reverse)),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn the_stream_is_the_memory_brokers(steps in steps()) {
        let mut stream = Stream::new(epoch());
        let mut model = Model { top: 0, list: Vec::new() };
        for step in steps {
            match step {
                Step::Append(size) => {
                    model.top += 1;
                    model.list.push(model.top);
                    let surplus = model.list.len().saturating_sub(size as usize);
                    model.list.drain(..surplus);
                    let publication = stream.append(publication(model.top), size, Box::default());
                    prop_assert_eq!(publication.offset, model.top);
                }
                Step::Clear => {
                    model.list.clear();
                    stream.clear();
                }
                Step::Read(since, limit, reverse) => {
                    let read = offsets(&stream, since, limit, reverse);
                    prop_assert_eq!(&read, &model.read(since, limit, reverse));
                    for pair in read.windows(2) {
                        prop_assert_eq!(if reverse { pair[0] - pair[1] } else { pair[1] - pair[0] }, 1);
                    }
                }
            }
            prop_assert_eq!(stream.position(), Position { offset: model.top, epoch: epoch() });
            prop_assert_eq!(stream.len(), model.list.len());
            prop_assert_eq!(stream.newest().map(|publication| publication.offset), model.list.last().copied());
        }
    }
}
