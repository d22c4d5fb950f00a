//! Histograms with fixed bounds, as Prometheus counts them.

use super::sum::Sum;

/// Bounds of command durations and of ping-pong round trips.
pub const COMMAND_NS: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Bounds of server API durations.
pub const API_NS: &[u64] = &[
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Bounds of survey durations.
pub const SURVEY_NS: &[u64] = &[
    1_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Bounds of the time from publication to delivery.
pub const LAG_NS: &[u64] = &[
    1_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Bounds of the time from a publication until all subscribers of a shard were served.
pub const BROADCAST_NS: &[u64] = &[
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const MOST_BOUNDS: usize = 19;

/// Durations counted by bounds.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds_ns: &'static [u64],
    counts: [u64; MOST_BOUNDS + 1],
    sum_ns: u64,
}

impl Histogram {
    /// An empty one. At most 19 bounds, rising.
    pub fn new(bounds_ns: &'static [u64]) -> Self {
        assert!(bounds_ns.len() <= MOST_BOUNDS && bounds_ns.is_sorted(), "bounds of a histogram");
        Self { bounds_ns, counts: [0; MOST_BOUNDS + 1], sum_ns: 0 }
    }

    /// Counts one duration.
    #[inline]
    pub fn observe(&mut self, ns: u64) {
        // A scan beats a binary search: nearly everything falls below the first few bounds.
        let slot = self.bounds_ns.iter().position(|bound| ns <= *bound).unwrap_or(self.bounds_ns.len());
        self.counts[slot] += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of the durations, seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Each bound in seconds with the number of durations up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds_ns.iter().zip(&self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((*bound as f64 / 1e9, *total))
        })
    }
}

impl Sum for Histogram {
    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::new(&[10, 20]);
        for ns in [0, 10, 11, 20, 21, 1000] {
            histogram.observe(ns);
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!((counts, histogram.count()), (vec![2, 4], 6));
        assert_eq!(histogram.sum_s(), 1062.0 / 1e9);
    }

    #[test]
    fn the_shipped_bounds_fit() {
        for bounds in [COMMAND_NS, API_NS, SURVEY_NS, LAG_NS, BROADCAST_NS] {
            assert_eq!(Histogram::new(bounds).count(), 0);
        }
    }
}
