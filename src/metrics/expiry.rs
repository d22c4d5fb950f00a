//! What is counted of keys of maps that expire in Redis (upstream: centrifuge metrics.go, subsystem `map_broker`).

use super::family::{Family, Kind};
use super::sum::{Gauge, Sum};
use crate::channel::broker_op;

/// The counts of a shard, or of several.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// Shards that were told how far it is.
    shards: Gauge,
    removed: u64,
    errors: u64,
    lag_ms: Gauge,
}

impl Sum for Expiry {
    fn add(&mut self, other: &Self) {
        self.shards.add(&other.shards);
        self.removed.add(&other.removed);
        self.errors.add(&other.errors);
        self.lag_ms.add(&other.lag_ms);
    }
}

impl Expiry {
    /// What searches came to since the last time.
    pub fn went_on(&mut self, came: broker_op::Expiry) {
        self.shards = Gauge(1);
        self.removed += came.removed;
        self.errors += came.errors;
        self.lag_ms = Gauge(i64::try_from(came.lag_ms).unwrap_or(i64::MAX));
    }

    /// The families; as in the reference counters are shown when there is something to count, and the lag once it was
    /// looked for.
    pub(super) fn families(&self) -> [Family; 3] {
        const LABELS: &[&str] = &["broker_name"];
        let family = |kind, name, help| Family::new(kind, name, LABELS, help);
        let mut lag = family(
            Kind::Gauge,
            "centrifugo_map_broker_cleanup_lag_seconds",
            "How long the oldest expired key waits to be removed; 0 = none does.",
        );
        let mut removed = family(
            Kind::Counter,
            "centrifugo_map_broker_cleanup_removed_count",
            "Keys that were removed when they expired.",
        );
        let mut errors =
            family(Kind::Counter, "centrifugo_map_broker_cleanup_errors_count", "Failures of removing expired keys.");
        if self.shards.0 > 0 {
            lag.number([""], self.lag_ms.0 as f64 / 1000.0);
        }
        for (family, count) in [(&mut removed, self.removed), (&mut errors, self.errors)] {
            if count > 0 {
                family.number([""], count as f64);
            }
        }
        [lag, removed, errors]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_shown() {
        let shown = |expiry: &Expiry| expiry.families().map(|family| format!("{:?}", family.series));
        let mut expiry = Expiry::default();
        assert_eq!(shown(&expiry), ["[]", "[]", "[]"]);
        for (removed, lag_ms) in [(0, 2_000), (3, 1_500)] {
            expiry.went_on(broker_op::Expiry { removed, errors: 0, lag_ms });
        }
        expiry.add(&Expiry::default());
        let [lag, removed, errors] = shown(&expiry);
        assert!(lag.contains("Number(1.5)") && removed.contains("Number(3.0)"), "{lag} {removed}");
        assert_eq!(errors, "[]");
    }
}
