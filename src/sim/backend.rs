//! The backend of shared-poll channels as the simulator plays it: versions of keys advance, keys go and come back,
//! epochs change; answers are old when they arrive, leave keys out, or do not come at all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;

use super::setup::{changes_epoch, is_versioned};
use crate::channel::poll::key_of;
use crate::channel::poll::op::{Refreshed, RefreshedKey};
use crate::channel::publication::MapEntry;
use crate::errand::{BackendError, PollAnswer, PollQuery};

/// Keys of each channel.
pub(super) const KEYS: u32 = 6;

/// All of them.
pub(super) fn all_keys() -> Vec<String> {
    (0..KEYS).map(|key| key.to_string()).collect()
}

/// Of so many questions one is not answered, and of so many keys one is left out.
const FAILURES: u32 = 12;

/// So long that patches are worth it.
const SAME: &str = "what all versions of all keys have in common, so that a patch is the shorter one";

/// See the module.
pub(super) struct Backend {
    channels: BTreeMap<String, State>,
    /// Questions may fail.
    pub(super) is_faulty: bool,
    /// Keys that were asked for since the last time somebody looked, with their channels.
    pub(super) asked: BTreeSet<(String, String)>,
}

#[derive(Default)]
struct State {
    /// 0 = it does not count in epochs.
    epoch: u32,
    keys: BTreeMap<String, Item>,
}

impl State {
    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.keys.values_mut().for_each(|item| item.version = 1);
    }
}

struct Item {
    version: u64,
    is_removed: bool,
}

impl Backend {
    pub(super) fn new(channels: &[String], rng: &mut StdRng) -> Self {
        let mut state = |name: &String| {
            let item = || Item { version: rng.random_range(1..5), is_removed: rng.random() };
            let keys = all_keys().into_iter().zip(std::iter::repeat_with(item)).collect();
            (name.clone(), State { epoch: u32::from(changes_epoch(name)), keys })
        };
        let channels = channels.iter().map(&mut state).collect();
        Self { channels, is_faulty: true, asked: BTreeSet::new() }
    }

    /// Something changes; the channel and the key.
    pub(super) fn change(&mut self, rng: &mut StdRng) -> Option<(String, String)> {
        let (name, state) = self.channels.iter_mut().choose(rng)?;
        if changes_epoch(name) && rng.random_ratio(1, 10) {
            state.begin_epoch();
        }
        let (key, item) = state.keys.iter_mut().choose(rng)?;
        item.version += rng.random_range(1..3);
        item.is_removed = rng.random_ratio(1, 8);
        Some((name.clone(), key.clone()))
    }

    /// All keys of the channel are there, in versions well above the first ones.
    pub(super) fn fill(&mut self, channel: &str) {
        for item in self.channels.get_mut(channel).into_iter().flat_map(|state| state.keys.values_mut()) {
            *item = Item { version: item.version + 10, is_removed: false };
        }
    }

    /// Versions of the channel are counted anew.
    pub(super) fn begin_epoch(&mut self, channel: &str) {
        if let Some(state) = self.channels.get_mut(channel) {
            state.begin_epoch();
        }
    }

    /// What is true of a key: its data, if it is there.
    pub(super) fn truth(&self, channel: &str, key: &str) -> Option<Vec<u8>> {
        let state = self.channels.get(channel)?;
        let item = state.keys.get(key).filter(|item| !item.is_removed)?;
        Some(data(state.epoch, key, item.version))
    }

    /// The body of a call that publishes the key as it is.
    pub(super) fn publication(&self, channel: &str, key: &str) -> Option<String> {
        let state = self.channels.get(channel)?;
        let version = state.keys.get(key).filter(|item| !item.is_removed)?.version;
        let data = String::from_utf8(data(state.epoch, key, version)).ok()?;
        let epoch = epoch_name(state.epoch);
        Some(format!(r#"{{"channel":"{channel}","key":"{key}","data":{data},"version":{version},"epoch":"{epoch}"}}"#))
    }

    /// What it would answer now.
    pub(super) fn look(&mut self, query: &PollQuery, rng: &mut StdRng) -> Refreshed {
        let channel = query.channel.as_str();
        for (name, _) in &query.keys {
            self.asked.insert((channel.to_owned(), key_of(channel, name).to_owned()));
        }
        let Some(state) = self.channels.get(channel) else { return Refreshed::default() };
        let mut keys = Vec::new();
        for (name, known) in &query.keys {
            let key = key_of(channel, name);
            let Some(item) = state.keys.get(key) else { continue };
            if self.is_faulty && rng.random_ratio(1, FAILURES) {
                continue;
            }
            // Data of before is that of the version named, or of the one before, as the backend likes.
            let before = if is_versioned(channel) && rng.random() { *known } else { item.version - 1 };
            let is_there = !item.is_removed;
            keys.push(RefreshedKey {
                name: name.clone(),
                entry: MapEntry { key: key.into(), removed: item.is_removed },
                data: if is_there { data(state.epoch, key, item.version).into() } else { Bytes::new() },
                before: if is_there && before > 0 { data(state.epoch, key, before).into() } else { Bytes::new() },
                version: if is_versioned(channel) && is_there { item.version } else { 0 },
            });
        }
        Refreshed { keys, epoch: epoch_name(state.epoch).into() }
    }

    /// The answer to a question that was looked at before, perhaps long ago.
    pub(super) fn answer(&mut self, query: PollQuery, looked: Refreshed, rng: &mut StdRng) -> PollAnswer {
        let result = match rng.random_range(0..FAILURES * 2) {
            0 if self.is_faulty => return PollAnswer::timeout(query),
            1 if self.is_faulty => Err(BackendError::Status(500)),
            2..FAILURES => Ok(looked),
            _ => Ok(self.look(&query, rng)),
        };
        PollAnswer { proxy: query.proxy, result, waited_us: 0, took_us: 0 }
    }
}

fn epoch_name(epoch: u32) -> String {
    if epoch == 0 { String::new() } else { format!("e{epoch}") }
}

fn data(epoch: u32, key: &str, version: u64) -> Vec<u8> {
    format!(r#"{{"same":"{SAME}","e":{epoch},"k":"{key}","v":{version}}}"#).into_bytes()
}
