//! A shard's metrics at both ends of the last whole aggregation interval (`node.info_metrics_aggregate_interval`).

use std::sync::Arc;

use super::shard::Shard;
use super::sum::Sum;
use crate::base::ids::ShardId;
use crate::base::time::{NEVER, Now};

/// Watches one shard's metrics. All shards of a process share the clock, so their intervals coincide.
#[derive(Debug)]
pub struct Interval {
    length_ms: u64,
    next_ms: u64,
    ends: Option<Arc<Ends>>,
}

/// Metrics at the beginning and at the end of an interval.
#[derive(Clone, Debug)]
pub struct Ends {
    /// At the beginning, without quantiles.
    pub before: Shard,
    /// At the end.
    pub after: Shard,
}

impl Sum for Ends {
    fn add(&mut self, other: &Self) {
        self.before.add(&other.before);
        self.after.add(&other.after);
    }
}

impl Interval {
    /// Starts with an interval from the process's start on, behind one in which nothing happened (upstream: node.go
    /// `initMetrics`); a length of 0 turns it off.
    pub fn new(length_ms: u64, id: ShardId) -> Self {
        if length_ms == 0 {
            return Self { length_ms, next_ms: NEVER, ends: None };
        }
        let ends = Ends { before: Shard::new(id), after: Shard::new(id) };
        Self { length_ms, next_ms: length_ms, ends: Some(Arc::new(ends)) }
    }

    /// When [`Interval::tick`] is due, on the clock of [`Now::mono_ms`].
    pub fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// Which interval this is; the ones before are over.
    pub fn number(&self, now: Now) -> u64 {
        now.mono_ms.checked_div(self.length_ms).unwrap_or(0)
    }

    /// Ends the interval when it is over. Copies the metrics, so it is called by a timer, not every turn.
    pub fn tick(&mut self, now: Now, shard: &Shard) {
        if now.mono_ms < self.next_ms {
            return;
        }
        let before = match &self.ends {
            Some(ends) => ends.after.without_windows(),
            None => Shard::new(shard.id()),
        };
        self.ends = Some(Arc::new(Ends { before, after: shard.clone() }));
        self.next_ms = (now.mono_ms / self.length_ms + 1) * self.length_ms;
    }

    /// The last whole interval.
    pub fn ends(&self) -> Option<&Arc<Ends>> {
        self.ends.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::labels::Command;

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, ..Now::default() }
    }

    #[test]
    fn each_interval_has_its_own_ends() {
        let mut shard = Shard::new(ShardId(0));
        let mut interval = Interval::new(1000, ShardId(0));
        let counts = |interval: &Interval| {
            let count = |metrics: &Shard| metrics.commands[Command::Rpc as usize].histogram.count();
            interval.ends().map(|ends| (count(&ends.before), count(&ends.after)))
        };
        shard.command(at(10), Command::Rpc, 5);
        interval.tick(at(999), &shard);
        assert_eq!(counts(&interval), Some((0, 0)));
        interval.tick(at(1000), &shard);
        assert_eq!((counts(&interval), interval.next_ms()), (Some((0, 1)), 2000));
        shard.command(at(1500), Command::Rpc, 5);
        shard.command(at(1500), Command::Rpc, 5);
        interval.tick(at(3700), &shard);
        assert_eq!((counts(&interval), interval.next_ms()), (Some((1, 3)), 4000));
        interval.tick(at(4000), &shard);
        assert_eq!(counts(&interval), Some((3, 3)));
    }

    #[test]
    fn no_length_means_no_intervals() {
        let mut interval = Interval::new(0, ShardId(0));
        interval.tick(at(u64::MAX - 1), &Shard::new(ShardId(0)));
        assert!(interval.ends().is_none());
    }
}
