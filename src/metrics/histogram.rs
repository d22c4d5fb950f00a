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

/// Bounds of the number of publications that a recovery brings.
pub const RECOVERED: &[u64] = &[0, 1, 2, 3, 5, 10, 20, 50, 100, 250, 500, 1000, 2000, 5000, 10_000];

const MOST_BOUNDS: usize = 19;

/// Durations in nanoseconds, shown in seconds, or plain numbers, counted by bounds.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: [u64; MOST_BOUNDS + 1],
    sum: u64,
    /// What is shown as 1.
    unit: f64,
}

impl Histogram {
    /// An empty one for durations. At most 19 bounds, rising, in nanoseconds.
    pub fn new(bounds_ns: &'static [u64]) -> Self {
        Self::with_unit(bounds_ns, 1e9)
    }

    /// An empty one for plain numbers. At most 19 bounds, rising.
    pub fn of_numbers(bounds: &'static [u64]) -> Self {
        Self::with_unit(bounds, 1.0)
    }

    fn with_unit(bounds: &'static [u64], unit: f64) -> Self {
        assert!(bounds.len() <= MOST_BOUNDS && bounds.is_sorted(), "bounds of a histogram");
        Self { bounds, counts: [0; MOST_BOUNDS + 1], sum: 0, unit }
    }

    /// Counts one duration or number.
    #[inline]
    pub fn observe(&mut self, value: u64) {
        // A scan beats a binary search: nearly everything falls below the first few bounds.
        let slot = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[slot] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum; of durations in seconds.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / self.unit
    }

    /// Each bound, of durations in seconds, with how many were counted up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().zip(&self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((*bound as f64 / self.unit, *total))
        })
    }
}

impl Sum for Histogram {
    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.sum = self.sum.saturating_add(other.sum);
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
        assert_eq!(histogram.sum(), 1062.0 / 1e9);
    }

    #[test]
    fn numbers_are_shown_as_they_are() {
        let mut histogram = Histogram::of_numbers(RECOVERED);
        histogram.observe(0);
        histogram.observe(4);
        assert_eq!(
            histogram.cumulative().take(5).collect::<Vec<_>>(),
            [(0.0, 1), (1.0, 1), (2.0, 1), (3.0, 1), (5.0, 2)]
        );
        assert_eq!(histogram.sum(), 4.0);
    }

    #[test]
    fn the_shipped_bounds_fit() {
        for bounds in [COMMAND_NS, API_NS, SURVEY_NS, LAG_NS, BROADCAST_NS, RECOVERED] {
            assert_eq!(Histogram::new(bounds).count(), 0);
        }
    }
}
