//! Random requests about a map against a model that knows every change it ever made.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::channel::map_op::{MapPhase, MapStreamOptions, MapSubscribeOp};

const STREAM: MapStreamOptions = MapStreamOptions { size: 3, ttl_ms: 7_000, meta_ttl_ms: 0 };
const OPTIONS: MapOptions = MapOptions { key_ttl_ms: 5_000, stream: Some(STREAM) };
const LIMITS: Limits = Limits { keys: 4, bytes: 1 << 20 };
const EPOCHS: [&str; 3] = ["", "x", "y"];

#[derive(Clone, Debug)]
enum Step {
    Publish { key: u8, mode: KeyMode, refresh: bool, version: u64, version_epoch: usize },
    Remove { key: u8 },
    Wait { ms: u64 },
    Live { behind: u64, same_epoch: bool, limit: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0u8..6;
    let mode = prop_oneof![3 => Just(KeyMode::Replace), 1 => Just(KeyMode::IfNew), 1 => Just(KeyMode::IfExists)];
    let step = prop_oneof![
        6 => (key.clone(), mode, any::<bool>(), 0u64..4, 0..EPOCHS.len()).prop_map(
            |(key, mode, refresh, version, version_epoch)| Step::Publish { key, mode, refresh, version, version_epoch }
        ),
        2 => key.prop_map(|key| Step::Remove { key }),
        2 => (0u64..4_000).prop_map(|ms| Step::Wait { ms }),
        3 => (0u64..6, prop::bool::weighted(0.9), 0u32..5)
            .prop_map(|(behind, same_epoch, limit)| Step::Live { behind, same_epoch, limit }),
    ];
    prop::collection::vec(step, 0..80)
}

/// What a change did: the key, and what it was set to; nothing when it was removed.
type Change = (u8, Option<u64>);

#[derive(Default)]
struct Model {
    keys: BTreeMap<u8, Key>,
    /// Every change there was; the first has offset 1.
    changes: Vec<Change>,
    /// When those that are kept end; 0 = nothing ends them: none was made yet, or only by keys that expired since the
    /// last end, which do not count.
    kept_until_ms: u64,
    /// How many of the first ones are gone.
    kept_from: usize,
}

#[derive(Clone, Default)]
struct Key {
    value: u64,
    expires_ms: u64,
    version: (u64, &'static str),
}

impl Model {
    fn change(&mut self, change: Change) {
        self.changes.push(change);
        self.kept_from = self.kept_from.max(self.changes.len().saturating_sub(STREAM.size as usize));
    }

    fn publish(&mut self, key: u8, value: u64, step: &Step, now_ms: u64) -> Result<Option<Suppression>, Error> {
        let Step::Publish { mode, refresh, version, version_epoch, .. } = *step else { unreachable!("not asked") };
        let (version_epoch, expires_ms) = (EPOCHS[version_epoch], now_ms + OPTIONS.key_ttl_ms);
        let is_full = self.keys.len() >= LIMITS.keys as usize;
        let old = self.keys.get_mut(&key);
        let stored = old.as_ref().map_or((0, ""), |old| old.version);
        if version > 0 && version <= stored.0 && (version_epoch.is_empty() || version_epoch == stored.1) {
            return Ok(Some(Suppression::Version));
        }
        match (mode, old) {
            (KeyMode::IfNew, Some(old)) => {
                old.expires_ms = if refresh { expires_ms } else { old.expires_ms };
                return Ok(Some(Suppression::KeyExists));
            }
            (KeyMode::IfExists, None) => return Ok(Some(Suppression::KeyNotFound)),
            (_, None) if is_full => return Err(Error::LIMIT_EXCEEDED),
            _ => {}
        }
        let version = if version > 0 { (version, version_epoch) } else { stored };
        self.keys.insert(key, Key { value, expires_ms, version });
        self.change((key, Some(value)));
        self.kept_until_ms = now_ms + STREAM.ttl_ms;
        Ok(None)
    }

    fn remove(&mut self, key: u8, now_ms: u64) -> bool {
        let was_there = self.keys.remove(&key).is_some();
        if was_there {
            self.change((key, None));
            self.kept_until_ms = now_ms + STREAM.ttl_ms;
        }
        was_there
    }

    /// The keys that are past their time; then the changes, if they are.
    fn pass_time(&mut self, now_ms: u64) {
        let mut gone: Vec<_> =
            self.keys.iter().filter(|(_, it)| it.expires_ms <= now_ms).map(|(key, _)| *key).collect();
        gone.sort_by_key(|key| (self.keys[key].expires_ms, *key));
        for key in gone {
            self.keys.remove(&key);
            self.change((key, None));
        }
        if self.kept_until_ms <= now_ms && self.kept_until_ms > 0 {
            self.kept_from = self.changes.len();
            self.kept_until_ms = 0;
        }
    }

    fn missed(&self, offset: u64, limit: u32) -> Option<Vec<Change>> {
        let at = offset as usize;
        let is_kept = at >= self.kept_from && self.changes.len() - at <= limit as usize;
        is_kept.then(|| self.changes[at..].to_vec())
    }
}

fn changes(publications: &[Arc<Publication>]) -> Vec<Change> {
    let number = |data: &[u8]| std::str::from_utf8(data).expect("digits").parse().expect("digits");
    let change = |it: &Arc<Publication>| {
        let entry = it.entry.as_ref().expect("a key");
        (entry.key.parse().expect("a number"), (!entry.removed).then(|| number(&it.data)))
    };
    publications.iter().map(change).collect()
}

/// Goes on with the map and its model side by side.
fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut now = Now { mono_ms: 1, ..Now::default() };
    let (mut map, mut model) = (Map::new(Epoch::from_random([1; 8]), OPTIONS, now), Model::default());
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Publish { key, mode, refresh, version, version_epoch } => {
                let data = Bytes::from(number.to_string());
                let publication = Publication { entry: MapEntry::set(&key.to_string()), ..Publication::bare(data) };
                let op = MapPublishOp {
                    key_mode: mode,
                    refresh_ttl: refresh,
                    version,
                    version_epoch: EPOCHS[version_epoch].into(),
                    ..MapPublishOp::plain(OPTIONS, publication)
                };
                let expected = model.publish(key, number as u64, &step, now.mono_ms);
                let came = map.publish(op, LIMITS, now).map(|update| match update {
                    Update::Changed(..) => None,
                    Update::Suppressed(reason) => Some(reason),
                });
                prop_assert_eq!(came.map_err(|error| error.code), expected.map_err(|error| error.code));
            }
            Step::Remove { key } => {
                let changed = matches!(map.remove(OPTIONS, &key.to_string(), now), Update::Changed(..));
                prop_assert_eq!(changed, model.remove(key, now.mono_ms));
            }
            Step::Wait { ms } => {
                now.mono_ms += ms;
                let (mut told, known) = (Vec::new(), model.changes.len());
                model.pass_time(now.mono_ms);
                while map.expire(now, 2, &mut |removal| told.push(removal)) > 0 {}
                map.drop_stale(now);
                let (mut told, mut expected) = (changes(&told), model.changes[known..].to_vec());
                // Those that expire at one time do so in any order; the model then takes it over.
                model.changes.truncate(known);
                model.changes.extend(&told);
                told.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(told, expected);
            }
            Step::Live { behind, same_epoch, limit } => {
                let top = map.position();
                let offset = top.offset.saturating_sub(behind);
                let epoch = if same_epoch { top.epoch.as_str() } else { "other".into() };
                let phase = MapPhase::Live { since: Since { offset, epoch: epoch.into() } };
                let op = MapSubscribeOp { options: OPTIONS, phase, live_limit: limit, presence: None, join: None };
                let came = map.subscribe(&op).ok().map(|it| (it.live, changes(&it.publications)));
                let expected = model.missed(offset, limit).filter(|_| same_epoch);
                prop_assert_eq!(came, expected.map(|changes| (true, changes)));
            }
        }
        let page = StatePage { cursor: Box::default(), limit: -1, revision: None };
        let state = map.read(None, &page).expect("no revision was named");
        let expected: Vec<_> = model.keys.iter().map(|(key, it)| (*key, Some(it.value))).collect();
        prop_assert_eq!(changes(&state.entries), expected);
        prop_assert_eq!(state.position.offset, model.changes.len() as u64);
    }
    Ok(())
}

proptest! {
    #[test]
    fn it_is_a_map_and_whoever_goes_live_has_it_all(steps in steps()) {
        check(steps)?;
    }
}

/// As upstream: nothing says when a removal by expiry ends, if the changes before it ended already.
#[test]
fn a_key_that_expires_behind_the_end_of_the_changes_is_told_to_who_comes_back() {
    let publish = |key, mode, refresh| Step::Publish { key, mode, refresh, version: 0, version_epoch: 0 };
    check(vec![
        publish(3, KeyMode::Replace, false),
        Step::Wait { ms: 3_368 },
        publish(3, KeyMode::IfNew, true),
        Step::Wait { ms: 3_632 },
        Step::Wait { ms: 1_368 },
        publish(0, KeyMode::Replace, false),
        Step::Live { behind: 2, same_epoch: true, limit: 2 },
    ])
    .unwrap();
}
