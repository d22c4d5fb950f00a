//! What is counted of shared-poll channels (upstream: centrifuge metrics.go, subsystem `shared_poll`; centrifugo
//! internal/metrics, subsystem `shared_poll_proxy`).

use std::collections::BTreeMap;

use super::family::{Family, Kind, Value};
use super::histogram::Histogram;
use super::sum::{Gauge, Sum};
use crate::channel::poll::op::{PollTally, Trigger};

/// Bounds of the time that a round takes.
const ROUND_NS: &[u64] = &[
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
    30_000_000_000,
    60_000_000_000,
];

/// Bounds of the time that a backend takes.
const CALL_NS: &[u64] = &[
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
    30_000_000_000,
];

/// Bounds of the time that a question waits for its turn.
const WAIT_NS: &[u64] = &[
    100_000,
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
    30_000_000_000,
];

/// Bounds of the number of keys in a question or an answer.
const KEYS: &[u64] = &[1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

/// Why backends are asked, in order of [`Trigger`].
const TRIGGERS: [&str; 2] = ["timer", "notification"];

/// What became of keys: those asked for, and then the fields of `Told`.
const RESULTS: [&str; 4] = ["polled", "changed", "unchanged", "removed"];

/// Labels of one channel namespace, which are not told apart here.
const NAMESPACE: &str = "";

/// See the module.
#[derive(Clone, Debug)]
pub struct Polls {
    calls: [Histogram; 2],
    waits: [Histogram; 2],
    failures: [u64; 2],
    keys: [[u64; 4]; 2],
    rounds: Histogram,
    work: Histogram,
    noted: u64,
    dropped: u64,
    applied: u64,
    skipped: u64,
    channels: Gauge,
    tracked: Gauge,
    /// Keys in questions and answers, by the name of the backend: those are few.
    proxies: BTreeMap<Box<str>, [Histogram; 2]>,
}

impl Default for Polls {
    fn default() -> Self {
        Self {
            calls: [Histogram::new(CALL_NS), Histogram::new(CALL_NS)],
            waits: [Histogram::new(WAIT_NS), Histogram::new(WAIT_NS)],
            failures: [0; 2],
            keys: [[0; 4]; 2],
            rounds: Histogram::new(ROUND_NS),
            work: Histogram::new(ROUND_NS),
            noted: 0,
            dropped: 0,
            applied: 0,
            skipped: 0,
            channels: Gauge(0),
            tracked: Gauge(0),
            proxies: BTreeMap::new(),
        }
    }
}

impl Sum for Polls {
    fn add(&mut self, other: &Self) {
        self.calls.add(&other.calls);
        self.waits.add(&other.waits);
        self.failures.add(&other.failures);
        self.keys.add(&other.keys);
        self.rounds.add(&other.rounds);
        self.work.add(&other.work);
        self.noted += other.noted;
        self.dropped += other.dropped;
        self.applied += other.applied;
        self.skipped += other.skipped;
        self.channels.add(&other.channels);
        self.tracked.add(&other.tracked);
        for (name, keys) in &other.proxies {
            self.proxy(name).add(keys);
        }
    }
}

impl Polls {
    fn proxy(&mut self, name: &str) -> &mut [Histogram; 2] {
        if !self.proxies.contains_key(name) {
            self.proxies.insert(name.into(), [Histogram::of_numbers(KEYS), Histogram::of_numbers(KEYS)]);
        }
        self.proxies.get_mut(name).expect("it was put there")
    }

    /// A backend is asked for so many keys.
    pub fn asked(&mut self, trigger: Trigger, proxy: &str, keys: usize) {
        self.keys[trigger as usize][0] += keys as u64;
        self.proxy(proxy)[0].observe(keys as u64);
    }

    /// It answered, or did not, after it took its turn and its time, in microseconds.
    pub fn answered(&mut self, trigger: Trigger, waited_us: u64, took_us: u64, is_good: bool) {
        self.waits[trigger as usize].observe(waited_us.saturating_mul(1000));
        self.calls[trigger as usize].observe(took_us.saturating_mul(1000));
        self.failures[trigger as usize] += u64::from(!is_good);
    }

    /// An answer was about so many keys.
    pub fn read(&mut self, proxy: &str, keys: usize) {
        self.proxy(proxy)[1].observe(keys as u64);
    }

    /// What the channels did since the last time.
    pub fn add_tally(&mut self, tally: PollTally) {
        for (row, told) in self.keys.iter_mut().zip(tally.told) {
            for (count, more) in row[1..].iter_mut().zip([told.changed, told.unchanged, told.removed]) {
                *count += more;
            }
        }
        for (took_ms, worked_ms) in tally.rounds {
            self.rounds.observe(took_ms.saturating_mul(1_000_000));
            self.work.observe(worked_ms.saturating_mul(1_000_000));
        }
        self.noted += tally.noted;
        self.dropped += tally.dropped;
        self.applied += tally.applied;
        self.skipped += tally.skipped;
    }

    /// So many channels and keys are there at this moment.
    pub fn are(&mut self, channels: usize, keys: usize) {
        (self.channels.0, self.tracked.0) = (channels as i64, keys as i64);
    }

    /// For the catalogue.
    pub(super) fn families(&self) -> Vec<Family> {
        const TRIGGER: &[&str] = &["channel_namespace", "trigger"];
        let by_trigger = |name, help, rows: &[Histogram; 2]| {
            let mut family = Family::new(Kind::Histogram, name, TRIGGER, help);
            for (trigger, row) in TRIGGERS.into_iter().zip(rows).filter(|(_, row)| row.count() > 0) {
                family.push([NAMESPACE, trigger], Value::Histogram(row.clone()));
            }
            family
        };
        let alone = |name, help, row: &Histogram| {
            let mut family = Family::new(Kind::Histogram, name, &["channel_namespace"], help);
            if row.count() > 0 {
                family.push([NAMESPACE], Value::Histogram(row.clone()));
            }
            family
        };
        let count = |name, help, number: u64| {
            let mut family = Family::new(Kind::Counter, name, &["channel_namespace"], help);
            if number > 0 {
                family.number([NAMESPACE], number as f64);
            }
            family
        };
        let gauge = |name, help, number: Gauge| {
            let mut family = Family::new(Kind::Gauge, name, &[], help);
            family.number([""; 0], number.0 as f64);
            family
        };
        let mut failures = Family::new(
            Kind::Counter,
            "centrifugo_shared_poll_handler_error_count",
            TRIGGER,
            "Questions to backends that failed.",
        );
        for (trigger, number) in TRIGGERS.into_iter().zip(self.failures).filter(|(_, number)| *number > 0) {
            failures.number([NAMESPACE, trigger], number as f64);
        }
        let mut keys = Family::new(
            Kind::Counter,
            "centrifugo_shared_poll_items_count",
            &["channel_namespace", "result", "trigger"],
            "Keys that backends were asked for, and what became of those they told of.",
        );
        for (trigger, row) in TRIGGERS.into_iter().zip(self.keys) {
            for (result, number) in RESULTS.into_iter().zip(row).filter(|(_, number)| *number > 0) {
                keys.number([NAMESPACE, result, trigger], number as f64);
            }
        }
        let mut published = Family::new(
            Kind::Counter,
            "centrifugo_shared_poll_publish_count",
            &["channel_namespace", "result"],
            "Published versions of tracked keys.",
        );
        for (result, number) in [("applied", self.applied), ("skipped", self.skipped)] {
            if number > 0 {
                published.number([NAMESPACE, result], number as f64);
            }
        }
        let mut all = vec![
            failures,
            keys,
            published,
            by_trigger(
                "centrifugo_shared_poll_handler_duration_seconds",
                "Time that backends took to answer.",
                &self.calls,
            ),
            by_trigger(
                "centrifugo_shared_poll_sem_wait_duration_seconds",
                "Time that questions to backends waited for their turn.",
                &self.waits,
            ),
            alone("centrifugo_shared_poll_cycle_duration_seconds", "Time of a round over all keys.", &self.rounds),
            alone(
                "centrifugo_shared_poll_cycle_work_duration_seconds",
                "Time of a round without the pauses between its batches.",
                &self.work,
            ),
            count("centrifugo_shared_poll_notify_count", "Keys noted for being asked at once.", self.noted),
            count(
                "centrifugo_shared_poll_dropped_notify_count",
                "Keys not noted for want of room: they wait for the next round.",
                self.dropped,
            ),
            gauge("centrifugo_shared_poll_num_channels", "Channels that are polled.", self.channels),
            gauge("centrifugo_shared_poll_num_keys", "Keys that are polled.", self.tracked),
        ];
        let names = ["centrifugo_shared_poll_proxy_request_items", "centrifugo_shared_poll_proxy_response_items"];
        let helps = ["Keys in questions to a backend.", "Keys in answers of a backend."];
        for (at, (name, help)) in names.into_iter().zip(helps).enumerate() {
            let mut family = Family::new(Kind::Histogram, name, &["name"], help);
            for (proxy, rows) in self.proxies.iter().filter(|(_, rows)| rows[at].count() > 0) {
                family.push([proxy.to_string()], Value::Histogram(rows[at].clone()));
            }
            all.push(family);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::poll::op::Told;

    /// Names, labels and numbers of the series that are shown; of histograms how many were counted.
    fn shown(polls: &Polls) -> Vec<String> {
        let families = polls.families();
        let lines = families.iter().flat_map(|family| {
            family.series.iter().map(|series| {
                let number = match &series.value {
                    Value::Histogram(histogram) => histogram.count() as f64,
                    Value::Number(number) => *number,
                    Value::Summary { count, .. } => *count as f64,
                };
                let name = family.name.trim_start_matches("centrifugo_shared_poll_");
                format!("{name} {} {number}", series.labels.join(","))
            })
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_series_appears_when_it_was_counted() {
        let mut polls = Polls::default();
        assert_eq!(shown(&polls), ["num_channels  0", "num_keys  0"]);
        polls.asked(Trigger::Timer, "one", 7);
        polls.answered(Trigger::Timer, 10, 1_000, true);
        polls.read("one", 6);
        polls.asked(Trigger::Notification, "two", 1);
        polls.answered(Trigger::Notification, 0, 1_000, false);
        let told = [Told { changed: 4, unchanged: 1, removed: 1 }, Told::default()];
        polls.add_tally(PollTally { told, rounds: vec![(900, 100)], noted: 3, dropped: 2, applied: 5, skipped: 6 });
        polls.are(1, 2);
        let mut sum = Polls::default();
        sum.add(&polls);
        sum.add(&polls);
        assert_eq!(
            shown(&sum),
            [
                "cycle_duration_seconds  2",
                "cycle_work_duration_seconds  2",
                "dropped_notify_count  4",
                "handler_duration_seconds ,notification 2",
                "handler_duration_seconds ,timer 2",
                "handler_error_count ,notification 2",
                "items_count ,changed,timer 8",
                "items_count ,polled,notification 2",
                "items_count ,polled,timer 14",
                "items_count ,removed,timer 2",
                "items_count ,unchanged,timer 2",
                "notify_count  6",
                "num_channels  2",
                "num_keys  4",
                "proxy_request_items one 2",
                "proxy_request_items two 2",
                "proxy_response_items one 2",
                "publish_count ,applied 10",
                "publish_count ,skipped 12",
                "sem_wait_duration_seconds ,notification 2",
                "sem_wait_duration_seconds ,timer 2",
            ]
        );
    }
}
