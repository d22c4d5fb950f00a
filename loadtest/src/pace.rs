//! When things are meant to happen: an open loop's intended times, with a ramp at the beginning. Pure.

use crate::clock::SECOND;

/// Evenly spaced moments; at first ever closer, until the full rate is reached.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    origin: u64,
    rate: f64,
    ramp: f64,
}

impl Pace {
    /// `rate` a second from `origin` on, reached after `ramp` nanoseconds.
    pub fn new(origin: u64, rate: f64, ramp: u64) -> Pace {
        Pace { origin, rate, ramp: ramp as f64 / SECOND as f64 }
    }

    /// When number `n` (from 0) is due.
    pub fn due(&self, n: u64) -> u64 {
        // While the rate grows linearly from nothing, rate * t^2 / (2 * ramp) have been due by t.
        let in_ramp = self.rate * self.ramp / 2.0;
        let n = n as f64;
        let seconds =
            if n < in_ramp { (2.0 * self.ramp * n / self.rate).sqrt() } else { self.ramp + (n - in_ramp) / self.rate };
        self.origin + (seconds * SECOND as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_evenly_spaced_and_do_not_drift() {
        let pace = Pace::new(7, 1000.0, 0);
        assert_eq!((pace.due(0), pace.due(1), pace.due(3_600_000)), (7, 1_000_007, 3600 * SECOND + 7));
    }

    #[test]
    fn a_ramp_begins_slowly_and_ends_at_the_rate() {
        let pace = Pace::new(0, 100.0, 10 * SECOND);
        // Half of what the full rate would have brought.
        assert_eq!(pace.due(500), 10 * SECOND);
        assert_eq!(pace.due(600), 11 * SECOND);
        assert_eq!(pace.due(125), 5 * SECOND);
        let gaps: Vec<u64> = (0..700).map(|n| pace.due(n + 1) - pace.due(n)).collect();
        assert!(gaps.windows(2).all(|two| two[0] + 2 >= two[1]), "gaps only shrink");
    }
}
