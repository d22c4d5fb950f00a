//! Quantiles over the last ten minutes.

use hdrhistogram::Histogram;

/// Quantiles that summaries show.
pub const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

const SLICE_MS: u64 = 120_000;
const SLICES: u64 = 5;
/// Durations are kept in tenths of a microsecond, up to a minute; longer ones count as a minute.
const UNIT_NS: u64 = 100;
const MOST_UNITS: u64 = 60_000_000_000 / UNIT_NS;
/// Two digits: the value shown is at most 1 % off. One slice costs 12 KB.
const DIGITS: u8 = 2;

/// Durations of the last ten minutes, in five slices of which the oldest falls off. Costs memory only while
/// something is counted.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Rising by number.
    slices: Vec<Slice>,
}

#[derive(Clone, Debug)]
struct Slice {
    number: u64,
    durations: Histogram<u32>,
}

impl Window {
    /// Counts one duration.
    #[inline]
    pub fn observe(&mut self, mono_ms: u64, ns: u64) {
        let number = mono_ms / SLICE_MS;
        if self.slices.last().is_none_or(|slice| slice.number != number) {
            self.begin(number);
        }
        if let Some(slice) = self.slices.last_mut() {
            slice.durations.saturating_record(ns / UNIT_NS);
        }
    }

    /// [`QUANTILES`] in seconds; not a number when nothing was counted lately.
    pub fn quantiles(&self, mono_ms: u64) -> [f64; 3] {
        let mut live = self.slices.iter().filter(|slice| is_live(slice.number, mono_ms / SLICE_MS));
        let Some(first) = live.next() else { return [f64::NAN; 3] };
        let mut all = first.durations.clone();
        live.for_each(|slice| all += &slice.durations);
        QUANTILES.map(|quantile| (all.value_at_quantile(quantile) * UNIT_NS) as f64 / 1e9)
    }

    /// Adds what another shard counted.
    pub fn add(&mut self, other: &Self) {
        for slice in &other.slices {
            match self.slices.binary_search_by_key(&slice.number, |own| own.number) {
                Ok(at) => self.slices[at].durations += &slice.durations,
                Err(at) => self.slices.insert(at, slice.clone()),
            }
        }
    }

    #[cold]
    fn begin(&mut self, number: u64) {
        let fresh = |durations: Histogram<u32>| Slice { number, durations };
        let oldest = self.slices.first().filter(|slice| !is_live(slice.number, number));
        if oldest.is_some() {
            let mut durations = self.slices.remove(0).durations;
            durations.reset();
            self.slices.retain(|slice| is_live(slice.number, number));
            self.slices.push(fresh(durations));
        } else if let Ok(durations) = Histogram::new_with_bounds(1, MOST_UNITS, DIGITS) {
            self.slices.push(fresh(durations));
        }
    }
}

fn is_live(number: u64, now: u64) -> bool {
    number + SLICES > now
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    fn near(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= expected * 0.01
    }

    #[test]
    fn quantiles_are_right_within_a_percent() {
        let mut window = Window::default();
        for n in 1..=1000u64 {
            window.observe(n * 100, n * 10_000);
        }
        let [median, high, highest] = window.quantiles(100_000);
        assert!(near(median, 0.005) && near(high, 0.0099) && near(highest, 0.00999), "{median} {high} {highest}");
    }

    #[test]
    fn old_durations_fall_off() {
        let mut window = Window::default();
        assert!(window.quantiles(0)[0].is_nan());
        window.observe(0, 1_000_000);
        window.observe(5 * MINUTE_MS, 9_000_000);
        assert!(near(window.quantiles(9 * MINUTE_MS)[0], 0.001));
        assert!(near(window.quantiles(11 * MINUTE_MS)[0], 0.009));
        assert!(window.quantiles(20 * MINUTE_MS)[0].is_nan());
    }

    #[test]
    fn slices_do_not_pile_up() {
        let mut window = Window::default();
        for minute in 0..500 {
            window.observe(minute * MINUTE_MS, 5);
        }
        assert_eq!(window.slices.len(), SLICES as usize);
    }

    #[test]
    fn windows_of_shards_add_up() {
        let mut one = Window::default();
        let mut two = Window::default();
        one.observe(0, 1_000_000);
        two.observe(0, 3_000_000);
        two.observe(3 * MINUTE_MS, 3_000_000);
        one.add(&two);
        assert!(near(one.quantiles(3 * MINUTE_MS)[0], 0.003));
        assert_eq!(one.slices.len(), 2);
    }

    #[test]
    fn a_duration_above_the_range_counts_as_a_minute() {
        let mut window = Window::default();
        window.observe(0, u64::MAX);
        assert!(near(window.quantiles(0)[2], 60.0));
    }
}
