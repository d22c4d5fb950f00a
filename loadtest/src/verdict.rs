//! Whether a run may be believed. Pure.

use crate::tally::Tally;

/// Busier than this, a worker was the limit and not the server.
const BUSY: f64 = 0.97;
/// In saturating mode a worker this busy was the limit where the server was not.
const BUSY_BEFORE_SERVER: f64 = 0.85;
/// The hundredth part that was sent later than this makes an open loop's times fiction, nanoseconds.
const LATE: u64 = 10_000_000;

/// What must not be; nothing = the run is valid. `server` is the share of one core that the server used.
pub fn judge(tally: &Tally, saturating: bool, server: Option<f64>) -> Vec<String> {
    let mut complaints = tally.complaints.clone();
    let faults = &tally.faults;
    if !faults.is_empty() {
        let first = faults.first.as_deref().unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        for (count, what) in [
            (faults.lost, "lost"),
            (faults.duplicated, "duplicated"),
            (faults.reordered, "out of order"),
            (faults.misdirected, "misdirected"),
        ] {
            if count > 0 {
                words.push(format!("{count} {what}"));
            }
        }
        complaints.push(format!("publications {}; the first: {first}", words.join(", ")));
    }
    let busy = tally.busy;
    let before_server = saturating && busy > BUSY_BEFORE_SERVER && server.is_some_and(|share| share < busy - 0.05);
    if busy > BUSY || before_server {
        complaints.push(format!(
            "the generator was the limit: a worker was busy {:.0} % of the time; give it a core of its own (--core), \
             more --workers, or less load",
            busy * 100.0
        ));
    }
    let late = tally.late.value_at_quantile(0.99);
    if !tally.late.is_empty() && late > LATE && !saturating {
        complaints.push(format!(
            "the generator was late: 1 % was sent {} ms or more after it was due; other work on its core, or less \
             --rate",
            late / 1_000_000
        ));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;
    use crate::tally::Window;

    fn check(change: impl FnOnce(&mut Tally), saturating: bool, server: Option<f64>, expected: &[&str]) {
        let mut tally = Tally::new(Window { origin: 0, start: 0, end: SECOND });
        tally.arrive(5, 1);
        change(&mut tally);
        let complaints = judge(&tally, saturating, server);
        assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
        for (complaint, expected) in complaints.iter().zip(expected) {
            assert!(complaint.contains(expected), "{complaint}");
        }
    }

    #[test]
    fn unbelievable_runs_are_told() {
        check(|_| {}, false, None, &[]);
        check(|tally| tally.faults.lost = 2, false, None, &["2 lost"]);
        check(|tally| (tally.faults.lost, tally.faults.duplicated) = (2, 1), false, None, &["2 lost, 1 duplicated"]);
        check(|tally| tally.busy = 0.99, false, None, &["busy 99 %"]);
        check(|tally| tally.busy = 0.9, false, Some(0.5), &[]);
        check(|tally| tally.busy = 0.9, true, Some(0.5), &["the limit"]);
        check(|tally| tally.busy = 0.9, true, Some(1.0), &[]);
        check(|tally| tally.send(SECOND / 2, 0, 1), false, None, &["late"]);
        check(|tally| tally.send(SECOND / 2, 0, 1), true, None, &[]);
    }
}
