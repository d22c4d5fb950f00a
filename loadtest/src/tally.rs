//! What one worker counted in the measured part of a run, and how workers' results become one. Pure.

use hdrhistogram::Histogram;

use crate::clock::{SECOND, seconds};
use crate::fleet::Traffic;
use crate::order::Faults;

/// Longest latency that is told apart, nanoseconds.
const LONGEST: u64 = 600 * SECOND;
/// Parts that the time plots have at most.
const INTERVALS: u64 = 200;
const SHORTEST_INTERVAL: u64 = SECOND / 10;

/// The measured part of a run, on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When the load begins.
    pub origin: u64,
    /// When measuring begins.
    pub start: u64,
    /// When measuring ends, and with it the load.
    pub end: u64,
}

impl Window {
    /// Whether a moment is measured.
    pub fn holds(&self, moment: u64) -> bool {
        (self.start..self.end).contains(&moment)
    }
}

/// A part of the time plots.
#[derive(Clone)]
pub struct Interval {
    /// Units that arrived in it.
    pub arrived: u64,
    /// Their latencies, microseconds.
    pub latency: Histogram<u32>,
}

/// See the module.
pub struct Tally {
    /// The measured part.
    pub window: Window,
    /// Units that arrived in the measured part: deliveries, answers, connections.
    pub arrived: u64,
    /// Requests or publications sent in it.
    pub sent: u64,
    /// Latencies of what was due in it, nanoseconds.
    pub latency: Histogram<u64>,
    /// How late what was due in it was sent, nanoseconds; empty where nothing is due at a time.
    pub late: Histogram<u64>,
    /// The time plots.
    pub intervals: Vec<Interval>,
    /// What went wrong with deliveries, over the whole run.
    pub faults: Faults,
    /// Data frames in the measured part.
    pub traffic: Traffic,
    /// Share of the measured part in which this worker was not waiting; the highest of all workers.
    pub busy: f64,
    /// Clients that behave badly and that the server sent away.
    pub sent_away: u64,
    /// Other complaints.
    pub complaints: Vec<String>,
    interval: u64,
    current: (usize, u64),
    begun: Option<Mark>,
    ended: Option<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    now: u64,
    waited: u64,
    traffic: Traffic,
}

impl Tally {
    /// Nothing yet.
    pub fn new(window: Window) -> Tally {
        Tally {
            window,
            arrived: 0,
            sent: 0,
            latency: histogram(),
            late: histogram(),
            intervals: Vec::new(),
            faults: Faults::default(),
            traffic: Traffic::default(),
            busy: 0.0,
            sent_away: 0,
            complaints: Vec::new(),
            interval: ((window.end - window.start) / INTERVALS).max(SHORTEST_INTERVAL),
            current: (0, window.start),
            begun: None,
            ended: None,
        }
    }

    /// Something that was due at `due` arrived now.
    #[inline]
    pub fn arrive(&mut self, now: u64, due: u64) {
        let latency = now.saturating_sub(due).max(1);
        if self.window.holds(due) {
            self.latency.saturating_record(latency);
        }
        if self.window.holds(now) {
            self.arrived += 1;
            if now >= self.current.1 {
                self.next_interval(now);
            }
            let interval = &mut self.intervals[self.current.0];
            interval.arrived += 1;
            interval.latency.saturating_record((latency / 1000).max(1));
        }
    }

    #[cold]
    fn next_interval(&mut self, now: u64) {
        let length = self.interval;
        let at = (now - self.window.start) / length;
        let empty = Histogram::new_with_bounds(1, LONGEST / 1000, 2).expect("good bounds");
        self.intervals.resize(at as usize + 1, Interval { arrived: 0, latency: empty });
        self.current = (at as usize, self.window.start + (at + 1) * length);
    }

    /// Something that was due at `due` was sent now.
    pub fn send(&mut self, now: u64, due: u64, count: u64) {
        if self.window.holds(due) {
            self.late.saturating_record(now.saturating_sub(due).max(1));
        }
        if self.window.holds(now) {
            self.sent += count;
        }
    }

    /// A turn of the worker's loop is over: what it had received and how long it had waited when the measured part
    /// began and ended is kept.
    pub fn turn(&mut self, now: u64, traffic: Traffic, waited: u64) {
        if now < self.window.start {
            return;
        }
        let mark = Mark { now, waited, traffic };
        self.begun.get_or_insert(mark);
        if now < self.window.end || self.ended.is_none() {
            self.ended = Some(mark);
            self.settle();
        }
    }

    fn settle(&mut self) {
        let (Some(begun), Some(ended)) = (self.begun, self.ended) else { return };
        self.traffic = Traffic {
            reads: ended.traffic.reads - begun.traffic.reads,
            frames: ended.traffic.frames - begun.traffic.frames,
            pushes: ended.traffic.pushes - begun.traffic.pushes,
            bytes: ended.traffic.bytes - begun.traffic.bytes,
        };
        let (waited, passed) = (ended.waited - begun.waited, ended.now - begun.now);
        if passed > 0 {
            self.busy = 1.0 - (waited as f64 / passed as f64).min(1.0);
        }
    }

    /// Adds another worker's result.
    pub fn merge(&mut self, other: Tally) {
        self.arrived += other.arrived;
        self.sent += other.sent;
        self.latency.add(&other.latency).expect("same bounds");
        self.late.add(&other.late).expect("same bounds");
        for (i, interval) in other.intervals.into_iter().enumerate() {
            if let Some(mine) = self.intervals.get_mut(i) {
                mine.arrived += interval.arrived;
                mine.latency.add(&interval.latency).expect("same bounds");
            } else {
                self.intervals.push(interval);
            }
        }
        self.faults.merge(other.faults);
        self.traffic.reads += other.traffic.reads;
        self.traffic.frames += other.traffic.frames;
        self.traffic.pushes += other.traffic.pushes;
        self.traffic.bytes += other.traffic.bytes;
        self.busy = self.busy.max(other.busy);
        self.sent_away += other.sent_away;
        self.complaints.extend(other.complaints);
    }

    /// Length of one part of the time plots, seconds.
    pub fn interval(&self) -> f64 {
        seconds(self.interval)
    }

    /// Length of the measured part, seconds.
    pub fn measured(&self) -> f64 {
        seconds(self.window.end - self.window.start)
    }
}

/// An empty histogram of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("good bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { origin: 0, start: SECOND, end: 3 * SECOND };

    #[test]
    fn only_the_measured_part_counts() {
        let mut tally = Tally::new(WINDOW);
        let millisecond = SECOND / 1000;
        // Due before, arrived within: a delivery of the measured time, but no latency of it.
        tally.arrive(SECOND + millisecond, SECOND - millisecond);
        tally.arrive(SECOND + 250 * millisecond, SECOND + 248 * millisecond);
        // Due within, arrived after the end: the latency counts.
        tally.arrive(4 * SECOND, 2 * SECOND);
        assert_eq!((tally.arrived, tally.latency.len()), (2, 2));
        assert!(tally.latency.max() >= 2 * SECOND);
        assert_eq!(tally.intervals.iter().map(|i| i.arrived).collect::<Vec<_>>(), [1, 0, 1]);
        tally.send(SECOND, SECOND, 50);
        tally.send(3 * SECOND, 3 * SECOND, 50);
        assert_eq!((tally.sent, tally.late.len()), (50, 1));
    }

    #[test]
    fn busy_is_the_time_not_waited() {
        let mut tally = Tally::new(WINDOW);
        let traffic = |frames| Traffic { reads: frames, frames, pushes: frames * 2, bytes: frames * 100 };
        tally.turn(SECOND / 2, traffic(5), 0);
        tally.turn(SECOND, traffic(10), 0);
        tally.turn(2 * SECOND, traffic(20), SECOND / 2);
        assert_eq!((tally.busy, tally.traffic.frames), (0.5, 10));
    }

    #[test]
    fn merged_workers_are_one_worker() {
        let arrivals: Vec<(u64, u64)> =
            (0..5000).map(|i| (SECOND + i * 400_000, SECOND + i * 400_000 - i * 77)).collect();
        let mut one = Tally::new(WINDOW);
        let mut halves = [Tally::new(WINDOW), Tally::new(WINDOW)];
        for (i, (now, due)) in arrivals.into_iter().enumerate() {
            one.arrive(now, due);
            halves[usize::from(i > 1000)].arrive(now, due);
        }
        let [mut merged, other] = halves;
        merged.merge(other);
        assert_eq!(merged.latency, one.latency);
        assert_eq!(merged.arrived, one.arrived);
        assert_eq!(merged.intervals.len(), one.intervals.len());
        for (a, b) in merged.intervals.iter().zip(&one.intervals) {
            assert_eq!((a.arrived, &a.latency), (b.arrived, &b.latency));
        }
    }
}
