//! What a shard counted in the last whole aggregation interval (`node.info_metrics_aggregate_interval`).

use std::sync::Arc;

use super::shard::ShardMetrics;
use super::sum::Sum;
use crate::base::time::Now;

/// Watches one shard's metrics. All shards of a process share the clock, so their intervals coincide.
#[derive(Debug)]
pub struct Interval {
    length_ms: u64,
    next_ms: u64,
    earlier: Box<ShardMetrics>,
    grown: Option<Arc<ShardMetrics>>,
}

impl Interval {
    /// Starts with an interval from the process's start on; a length of 0 turns it off.
    pub fn new(length_ms: u64, shard: &ShardMetrics) -> Self {
        Self {
            length_ms,
            next_ms: length_ms,
            earlier: Box::new(ShardMetrics::new(shard.id())),
            grown: None,
        }
    }

    /// When [`Interval::tick`] is due, on the clock of [`Now::mono_ms`].
    pub fn next_ms(&self) -> u64 {
        if self.length_ms == 0 {
            crate::base::time::NEVER
        } else {
            self.next_ms
        }
    }

    /// Ends the interval when it is over. Copies the metrics, so it is called by a timer, not every turn.
    pub fn tick(&mut self, now: Now, shard: &ShardMetrics) {
        if now.mono_ms < self.next_ms() {
            return;
        }
        let mut grown = shard.clone();
        grown.subtract(&self.earlier);
        self.grown = Some(Arc::new(grown));
        self.earlier = Box::new(shard.without_windows());
        self.next_ms = (now.mono_ms / self.length_ms + 1) * self.length_ms;
    }

    /// What was counted in the last whole interval, once there was one.
    pub fn grown(&self) -> Option<&Arc<ShardMetrics>> {
        self.grown.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ShardId;
    use crate::metrics::labels::Command;

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, unix_ms: 0 }
    }

    #[test]
    fn each_interval_shows_its_own_growth() {
        let mut shard = ShardMetrics::new(ShardId(0));
        let mut interval = Interval::new(1000, &shard);
        let count = |interval: &Interval| {
            interval
                .grown()
                .map(|grown| grown.commands[Command::Rpc as usize].histogram.count())
        };
        shard.command(at(10), Command::Rpc, 5);
        interval.tick(at(999), &shard);
        assert_eq!(count(&interval), None);
        interval.tick(at(1000), &shard);
        assert_eq!((count(&interval), interval.next_ms()), (Some(1), 2000));
        shard.command(at(1500), Command::Rpc, 5);
        shard.command(at(1500), Command::Rpc, 5);
        interval.tick(at(3700), &shard);
        assert_eq!((count(&interval), interval.next_ms()), (Some(2), 4000));
        interval.tick(at(4000), &shard);
        assert_eq!(count(&interval), Some(0));
    }

    #[test]
    fn no_length_means_no_intervals() {
        let shard = ShardMetrics::new(ShardId(0));
        let mut interval = Interval::new(0, &shard);
        interval.tick(at(u64::MAX - 1), &shard);
        assert!(interval.grown().is_none());
    }
}
