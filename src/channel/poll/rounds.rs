//! Asks for all keys of a channel again and again, batch by batch: the batches of a round are spread over the interval,
//! and a round that takes longer than the interval delays the next one (upstream: `runRefreshCycle`).

use std::collections::BTreeMap;
use std::ops::Bound;

use super::op::PollTally;
use super::{ByHash, Key};
use crate::base::time::NEVER;
use crate::channel::name::ChannelName;
use crate::config::snapshot::PollPlan;

#[derive(Debug)]
pub(super) enum Rounds {
    /// Until the next round begins.
    Waiting { at_ms: u64 },
    Running {
        began_ms: u64,
        /// When the next batch is due; [`NEVER`] behind the last one.
        next_ms: u64,
        /// Between two batches.
        step_ms: u64,
        /// All pauses between batches so far.
        pauses_ms: u64,
        /// The last key of the batches so far.
        behind: Option<ByHash>,
        /// Batches that are not answered.
        under_way: usize,
    },
}

impl Rounds {
    pub(super) fn new(at_ms: u64) -> Self {
        Self::Waiting { at_ms }
    }

    /// When there is something to ask.
    pub(super) fn due(&self) -> u64 {
        match self {
            Self::Waiting { at_ms } => *at_ms,
            Self::Running { next_ms, .. } => *next_ms,
        }
    }

    /// The first key is tracked: no round begins before it is time for one.
    pub(super) fn wake(&mut self, now_ms: u64, interval_ms: u64) {
        if let Self::Waiting { at_ms } = self
            && *at_ms <= now_ms
        {
            *at_ms = now_ms + interval_ms;
        }
    }

    /// The next batch, in the order of the keys. None when all keys of it were published lately.
    pub(super) fn next_batch(
        &mut self,
        keys: &mut BTreeMap<ByHash, Key>,
        plan: PollPlan,
        life: u32,
        now_ms: u64,
        tally: &mut PollTally,
    ) -> Vec<(ChannelName, u64)> {
        if let Self::Waiting { .. } = self {
            let step_ms = plan.interval_ms / (keys.len().div_ceil(plan.batch).max(1) as u64);
            *self =
                Self::Running { began_ms: now_ms, next_ms: now_ms, step_ms, pauses_ms: 0, behind: None, under_way: 0 };
        }
        let Self::Running { next_ms, step_ms, pauses_ms, behind, under_way, .. } = self else { return Vec::new() };
        let range = (behind.take().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut batch = Vec::new();
        let mut rest = keys.range_mut(range);
        for (name, key) in rest.by_ref().take(plan.batch) {
            *behind = Some(name.clone());
            if !std::mem::take(&mut key.is_fresh) || key.life != life {
                batch.push((name.0.clone(), key.version_to_ask(plan, life)));
            }
        }
        let is_last = rest.next().is_none();
        let pause_ms = if is_last || batch.is_empty() { 0 } else { *step_ms };
        *next_ms = if is_last { NEVER } else { now_ms + pause_ms };
        *pauses_ms += pause_ms;
        *under_way += usize::from(!batch.is_empty());
        self.end_if_over(plan, now_ms, tally);
        batch.sort_unstable_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        batch
    }

    /// A batch was answered, or was not.
    pub(super) fn answered(&mut self, plan: PollPlan, now_ms: u64, tally: &mut PollTally) {
        if let Self::Running { under_way, .. } = self {
            *under_way = under_way.saturating_sub(1);
        }
        self.end_if_over(plan, now_ms, tally);
    }

    fn end_if_over(&mut self, plan: PollPlan, now_ms: u64, tally: &mut PollTally) {
        if let Self::Running { began_ms, next_ms: NEVER, under_way: 0, pauses_ms, .. } = self {
            let took_ms = now_ms - *began_ms;
            tally.rounds.push((took_ms, took_ms.saturating_sub(*pauses_ms)));
            *self = Self::Waiting { at_ms: (*began_ms + plan.interval_ms).max(now_ms) };
        }
    }
}
