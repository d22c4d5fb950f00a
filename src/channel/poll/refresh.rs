//! What the backend is asked, and what becomes of its answers (upstream: `runNotifiedRefreshCycle`,
//! `applyRefreshResponse`). Both in pieces: an answer may be about thousands of keys.

use std::sync::Arc;
use std::vec::IntoIter;

use super::op::{KeyPublication, PollTally, Refresh, RefreshId, Refreshed, RefreshedKey, Trigger};
use super::{ByHash, Poll, fingerprint};
use crate::base::ids::ShardId;
use crate::base::mutation::{Mutation, is_on};
use crate::base::time::{NEVER, Now};
use crate::channel::home::Homes;
use crate::channel::name::ChannelName;
use crate::channel::op::Delivery;
use crate::channel::publication::Publication;

/// What clients are to be told of a key.
struct News {
    version: u64,
    /// The version that was known before, and the fingerprint of its data.
    known: u64,
    print: u64,
}

/// What of an answer is not told yet.
#[derive(Debug)]
pub(super) struct Applying {
    id: RefreshId,
    /// What versions count in, until that is told.
    epoch: Option<Box<str>>,
    keys: IntoIter<RefreshedKey>,
}

impl Homes {
    /// What the backend is to be asked next, if anything. Each question must be answered, by [`Homes::refreshed`] or
    /// [`Homes::not_refreshed`].
    pub fn next_refresh(&mut self, now: Now) -> Option<Refresh> {
        loop {
            let id = self.polls.line.pop_front()?;
            let Some((poll, tally)) = self.polls.get_and_tally(id) else { continue };
            poll.is_in_line = false;
            let (trigger, keys) = match poll.next_wanted() {
                keys if keys.is_empty() => (Trigger::Timer, poll.next_batch(now.mono_ms, tally)),
                keys => (Trigger::Notification, keys),
            };
            let channel = poll.name.clone();
            self.polls.reschedule(id);
            if !keys.is_empty() {
                return Some(Refresh { id: RefreshId { poll: id, trigger }, channel, keys });
            }
        }
    }

    /// What shared-poll channels did since it was last asked for.
    pub fn take_poll_tally(&mut self) -> PollTally {
        std::mem::take(&mut self.polls.tally)
    }

    /// Shared-poll channels that are remembered.
    pub fn polled_channels(&self) -> usize {
        self.polls.len()
    }

    /// Whether answers are not told yet, or a channel stands in line to ask.
    pub fn owes_refreshes(&self) -> bool {
        !self.polls.answers.is_empty() || self.wants_refreshes()
    }

    /// Whether a channel stands in line to ask.
    pub fn wants_refreshes(&self) -> bool {
        !self.polls.line.is_empty()
    }

    /// The backend answered; [`Homes::tell_refreshed`] tells it.
    pub fn refreshed(&mut self, id: RefreshId, refreshed: Refreshed) {
        let Refreshed { keys, epoch } = refreshed;
        self.polls.answers.push_back(Applying { id, epoch: Some(epoch), keys: keys.into_iter() });
    }

    /// The backend did not answer, or all of it is told: it is asked again when it is time for all keys.
    pub fn not_refreshed(&mut self, id: RefreshId, now: Now) {
        if let Some((poll, tally)) = self.polls.get_and_tally(id.poll) {
            match id.trigger {
                Trigger::Notification => poll.is_asking = false,
                Trigger::Timer => poll.rounds.answered(poll.plan, now.mono_ms, tally),
            }
        }
        self.polls.reschedule(id.poll);
    }

    /// Tells what was answered, forgets channels whose time is over, and lets others stand in line to ask; of so many
    /// answers, keys and channels. True when answers are left.
    pub fn tell_refreshed(&mut self, now: Now, budget: usize, out: &mut impl FnMut(ShardId, Delivery)) -> bool {
        let mut left = budget;
        while left > 0
            && let Some(mut answer) = self.polls.answers.pop_front()
        {
            if let Some(epoch) = answer.epoch.take() {
                left -= 1;
                self.enter_epoch(answer.id, &epoch, out);
            }
            while left > 0
                && let Some(key) = answer.keys.next()
            {
                left -= 1;
                self.tell_key(answer.id, key, now, out);
            }
            if answer.keys.len() == 0 {
                self.not_refreshed(answer.id, now);
            } else {
                self.polls.answers.push_front(answer);
            }
        }
        let Self { polls, polled, .. } = self;
        polls.line_up(now.mono_ms, budget, |channel| polled.contains(channel));
        !self.polls.answers.is_empty()
    }

    fn enter_epoch(&mut self, id: RefreshId, epoch: &str, out: &mut impl FnMut(ShardId, Delivery)) {
        let Some(poll) = self.polls.get(id.poll).filter(|poll| poll.plan.is_versioned) else { return };
        if poll.enter(epoch) {
            let channel = poll.name.clone();
            self.reset_keys(&channel, out);
        }
    }

    fn tell_key(&mut self, id: RefreshId, key: RefreshedKey, now: Now, out: &mut impl FnMut(ShardId, Delivery)) {
        let RefreshedKey { name, entry, data, before, version } = key;
        let Some((poll, tally)) = self.polls.get_and_tally(id.poll) else { return };
        let told = &mut tally.told[id.trigger as usize];
        told.removed += u64::from(entry.removed);
        let at = ByHash(name);
        let (interest, News { version, known, print }) = if entry.removed {
            let Some(removed) = poll.keys.remove(&at) else { return };
            poll.end_if_empty(now.mono_ms);
            self.polls.forget(id.poll, vec![at.0.clone()]);
            (removed.interest, News { version: 0, known: 0, print: 0 })
        } else {
            let is_tracked = poll.keys.contains_key(&at);
            let news = poll.refresh(&at, &data, version);
            let has_changed = news.as_ref().is_some_and(|news| news.version > news.known);
            told.changed += u64::from(has_changed);
            told.unchanged += u64::from(is_tracked && !has_changed);
            let Some(news) = news else { return };
            let Some(found) = poll.keys.get(&at) else { return };
            (found.interest.clone(), news)
        };
        let Some(poll) = self.polls.get(id.poll) else { return };
        let publication = Publication {
            entry: Some(Box::new(entry)),
            version,
            unix_ms: now.unix_ms,
            taken_us: now.mono_us,
            ..Publication::bare(if version == 0 { Default::default() } else { data })
        };
        // Data of before that is not what clients have makes no patch: an answer may be older than what is known, and
        // backends may mean another version. Upstream patches whatever it gets.
        let is_base = version > known && known > 0 && !before.is_empty();
        let is_base = is_base && (fingerprint(&before) == print || is_on(Mutation::PollPatchesAnything));
        let before = is_base.then_some((before, known));
        let channel = poll.name.clone();
        let told = Arc::new(KeyPublication { channel, key: at.0, publication, before, epoch: Box::default() });
        for shard in interest.iter() {
            out(shard, Delivery::Key(told.clone()));
        }
    }
}

impl Poll {
    /// When it is to be looked at.
    pub(super) fn due(&self) -> u64 {
        let asks = self.plan.asks_backend && !self.keys.is_empty();
        let wanted = if asks && !self.is_asking && !self.wanted.is_empty() { 0 } else { NEVER };
        let round = if asks { self.rounds.due() } else { NEVER };
        self.ends_at.min(wanted).min(round)
    }

    /// Keys that somebody waits for. As upstream the first one is asked for alone, and at once; those that came with
    /// it or meanwhile go together.
    fn next_wanted(&mut self) -> Vec<(ChannelName, u64)> {
        let mut keys = Vec::new();
        if self.is_asking {
            return keys;
        }
        let most = if std::mem::take(&mut self.asks_alone) { 1 } else { self.plan.batch };
        // Those that are not tracked any more cost a look-up.
        for _ in 0..self.plan.batch {
            let Some(name) = self.wanted.pop_front() else { break };
            let at = ByHash(name);
            if let Some(key) = self.keys.get_mut(&at) {
                key.is_listed = false;
                keys.push((at.0, key.version_to_ask(self.plan, self.life)));
                if keys.len() == most {
                    break;
                }
            }
        }
        self.is_asking = !keys.is_empty();
        keys
    }

    fn next_batch(&mut self, now_ms: u64, tally: &mut PollTally) -> Vec<(ChannelName, u64)> {
        if self.rounds.due() > now_ms {
            return Vec::new();
        }
        self.rounds.next_batch(&mut self.keys, self.plan, self.life, now_ms, tally)
    }

    /// Notes what the backend told of a key. What to tell clients, if they are to be told.
    fn refresh(&mut self, at: &ByHash, data: &[u8], version: u64) -> Option<News> {
        let life = self.life;
        let key = self.keys.get_mut(at)?;
        let (known, before) = (key.version_in(life), key.data);
        let (version, print) = if !self.plan.is_versioned && version == 0 {
            let print = fingerprint(data);
            let is_same = known > 0 && print == before;
            (if is_same { known } else { self.counter + 1 }, print)
        } else if version > known {
            (version, fingerprint(data))
        } else {
            (version, before)
        };
        let news = News { version, known, print: before };
        if version > known {
            self.counter = self.counter.max(version);
            (key.version, key.life, key.data, key.is_wanted) = (version, life, print, false);
            return Some(news);
        }
        // What the backend told belongs to the version that is known, or else it is older: then it is asked again.
        let is_told = key.is_wanted && known > 0 && version == known;
        key.is_wanted &= !is_told;
        is_told.then_some(news)
    }
}
