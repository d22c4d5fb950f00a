//! Fan-out: many subscribers of one channel, publications over the server API at a fixed rate.

use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;

use crate::Failure;
use crate::api::ApiConnection;
use crate::fleet::Fleet;
use crate::payload::{SMALLEST, Stamp};
use crate::report::Report;
use crate::target::{Protocol, Target};

/// How long to wait for what is missing after the last publication.
const GRACE: Duration = Duration::from_secs(10);
/// The next publication this near is waited for awake: the kernel's timers are too coarse for it.
const AWAKE: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Args)]
pub struct Fanout {
    #[command(flatten)]
    target: Target,
    /// Encoding of the subscribers' connections.
    #[arg(long, default_value = "json")]
    protocol: Protocol,
    /// Subscribers of the channel.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    subscribers: u32,
    /// Publications a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Seconds before the measured ones.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=600))]
    warmup: u32,
    /// Measured seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    duration: u32,
    /// Bytes of a publication's data.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(SMALLEST as i64..=60_000))]
    size: u32,
    /// The channel.
    #[arg(long, default_value = "fanout")]
    channel: String,
}

/// What the subscribers have seen.
struct Seen {
    /// Number that each subscriber expects next.
    expected: Vec<u64>,
    deliveries: u64,
    out_of_order: u64,
    first_wrong: Option<String>,
}

impl Seen {
    fn take(&mut self, subscriber: usize, number: u64) {
        self.deliveries += 1;
        let expected = &mut self.expected[subscriber];
        if number != *expected {
            self.out_of_order += 1;
            self.first_wrong
                .get_or_insert_with(|| format!("subscriber {subscriber} expected {expected}, got {number}"));
        }
        *expected = number + 1;
    }
}

impl Fanout {
    /// Runs it.
    pub fn run(&self) -> Result<Report, Failure> {
        self.target.pin()?;
        let process = self.target.process();
        let mut fleet =
            Fleet::open(&self.target, self.protocol, self.subscribers as usize, |_| vec![self.channel.clone()])?;
        let mut api = ApiConnection::open(&self.target)?;
        let mut seen = Seen { expected: vec![0; fleet.len()], deliveries: 0, out_of_order: 0, first_wrong: None };
        let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;

        let warm = u64::from(self.warmup) * u64::from(self.rate);
        let total = warm + u64::from(self.duration) * u64::from(self.rate);
        let interval = Duration::from_secs(1) / self.rate;
        let origin = Instant::now();
        let due_of = |number: u64| interval * u32::try_from(number).unwrap_or(u32::MAX);
        let mut next = 0;
        let (mut frames, mut frame_bytes) = (0, 0);
        let mut window = None;
        loop {
            let now = Instant::now();
            while next < total && now - origin >= due_of(next) {
                if next == warm {
                    let cpu = process.as_ref().map(|p| p.cpu()).transpose()?;
                    window = Some((now, cpu, seen.deliveries));
                    (frames, frame_bytes) = (0, 0);
                }
                let stamp = Stamp { number: next, due: due_of(next) };
                api.publish(&self.channel, &stamp.encode(self.size as usize))?;
                next += 1;
            }
            let timeout = if next < total {
                let wait = due_of(next).saturating_sub(now - origin);
                if wait < AWAKE { Duration::ZERO } else { wait - AWAKE / 2 }
            } else {
                Duration::from_millis(10)
            };
            let turn = fleet.turn(timeout, |subscriber, push| {
                let Some(stamp) = Stamp::find(push) else { return };
                seen.take(subscriber, stamp.number);
                if stamp.number >= warm {
                    latency.saturating_record(stamp.age_ns(origin, Instant::now()).max(1));
                }
            })?;
            (frames, frame_bytes) = (frames + turn.frames, frame_bytes + turn.frame_bytes);
            api.flush()?;
            api.receive()?;
            let complete = next == total && api.answered == total && seen.deliveries >= total * fleet.len() as u64;
            if complete || Instant::now() - origin > due_of(total) + GRACE {
                break;
            }
        }
        let (began, cpu_before, deliveries_before) = window.ok_or("nothing was measured")?;
        let elapsed = began.elapsed();
        let deliveries = seen.deliveries - deliveries_before;

        let mut report = Report::new("fanout");
        report.count("subscribers", fleet.len() as u64, "");
        report.count("rate", u64::from(self.rate), "per_s");
        report.count("payload", u64::from(self.size), "bytes");
        report.count("publications", total, "");
        report.count("deliveries_measured", deliveries, "");
        report.measure("deliveries", deliveries as f64 / elapsed.as_secs_f64(), "per_s");
        report.measure("deliveries_a_frame", deliveries as f64 / frames.max(1) as f64, "");
        report.measure("frame_payload", frame_bytes as f64 / frames.max(1) as f64, "bytes");
        report.latency(&latency);
        if let (Some(process), Some(before)) = (&process, cpu_before) {
            let cpu = process.cpu()? - before;
            report.measure("server_cpu", cpu.as_secs_f64() * 100.0 / elapsed.as_secs_f64(), "percent");
            report.cpu_each("server_cpu_a_delivery", cpu, deliveries);
        }
        self.judge(&seen, &api, total, &mut report);
        Ok(report)
    }

    fn judge(&self, seen: &Seen, api: &ApiConnection, total: u64, report: &mut Report) {
        let owed = total * seen.expected.len() as u64;
        if seen.deliveries != owed {
            report.complain(format!("{} deliveries, owed {owed}", seen.deliveries));
        }
        if let Some(first) = &seen.first_wrong {
            report.complain(format!("{} deliveries out of order; the first: {first}", seen.out_of_order));
        }
        if api.answered != total {
            report.complain(format!("{} of {total} publications answered", api.answered));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_repetition_and_disorder_are_seen() {
        for (numbers, wrong) in [(vec![0, 1, 2], 0), (vec![0, 2], 1), (vec![0, 0, 1], 1), (vec![1, 0, 2], 3)] {
            let mut seen = Seen { expected: vec![0], deliveries: 0, out_of_order: 0, first_wrong: None };
            for number in &numbers {
                seen.take(0, *number);
            }
            assert_eq!(seen.out_of_order, wrong, "{numbers:?}");
            assert_eq!(seen.first_wrong.is_some(), wrong > 0);
        }
    }
}
