//! What a scenario found: named figures with units, as a table or as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// The outcome of one scenario.
#[derive(Default)]
pub struct Report {
    scenario: &'static str,
    figures: Vec<(String, Value, &'static str)>,
    complaints: Vec<String>,
}

impl Report {
    /// An empty report.
    pub fn new(scenario: &'static str) -> Report {
        Report { scenario, ..Report::default() }
    }

    /// A count, or a setting that the figures depend on.
    pub fn count(&mut self, name: &str, value: u64, unit: &'static str) {
        self.figures.push((name.to_owned(), value.into(), unit));
    }

    /// A measured value, kept to three digits behind the point.
    pub fn measure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push((name.to_owned(), json!((value * 1000.0).round() / 1000.0), unit));
    }

    /// The usual percentiles of a histogram of nanoseconds, in microseconds.
    pub fn latency(&mut self, nanoseconds: &Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            self.measure(&format!("latency_{name}"), nanoseconds.value_at_quantile(quantile) as f64 / 1000.0, "us");
        }
    }

    /// CPU time for each of `count` things.
    pub fn cpu_each(&mut self, name: &str, cpu: Duration, count: u64) {
        self.measure(name, cpu.as_secs_f64() * 1e6 / count.max(1) as f64, "us");
    }

    /// Something that must not be: the run fails.
    pub fn complain(&mut self, what: String) {
        self.complaints.push(what);
    }

    /// Whether nothing was wrong.
    pub fn is_sound(&self) -> bool {
        self.complaints.is_empty()
    }

    /// Prints everything to standard output.
    pub fn print(&self, as_json: bool) {
        if as_json {
            let mut object = Map::new();
            object.insert("scenario".to_owned(), self.scenario.into());
            for (name, value, unit) in &self.figures {
                let key = if unit.is_empty() { name.clone() } else { format!("{name}_{unit}") };
                object.insert(key, value.clone());
            }
            object.insert("complaints".to_owned(), self.complaints.clone().into());
            println!("{}", Value::Object(object));
            return;
        }
        println!("{}", self.scenario);
        for (name, value, unit) in &self.figures {
            println!("  {name:<28} {:>14} {unit}", value.to_string());
        }
        for complaint in &self.complaints {
            println!("  WRONG: {complaint}");
        }
    }
}
