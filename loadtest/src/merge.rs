//! Reports of several processes that loaded one server at the same time become one. Pure but for reading the files.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::Failure;
use crate::figure::{Better, Figure, Merge};
use crate::report::{Report, latency_figures};

/// Make one report of several that ran side by side against one server (written with --json).
#[derive(Args)]
pub struct MergeFiles {
    /// Files with the output of --json.
    #[arg(required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Write a page with plots.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl MergeFiles {
    /// Reads and merges.
    pub fn run(&self) -> Result<Report, Failure> {
        let mut reports = Vec::new();
        for path in &self.files {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let value: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
            let report = Report::from_json(&value);
            reports.push(report.ok_or_else(|| format!("{}: no output of --json", path.display()))?);
        }
        merge(reports)
    }
}

/// See the module.
pub fn merge(reports: Vec<Report>) -> Result<Report, Failure> {
    let mut reports = reports.into_iter();
    let mut merged = reports.next().ok_or("nothing to merge")?;
    let mut count = 1.0;
    for other in reports {
        if other.scenario != merged.scenario {
            return Err(format!("reports of {} and {} cannot become one", merged.scenario, other.scenario).into());
        }
        merged.latency.add(&other.latency)?;
        merged.complaints.extend(other.complaints);
        for figure in &mut merged.figures {
            let Some(theirs) = other.figures.iter().find(|theirs| theirs.key == figure.key) else { continue };
            match figure.merge {
                Merge::Sum => figure.value += theirs.value,
                Merge::Mean => figure.value = (figure.value * count + theirs.value) / (count + 1.0),
                Merge::Max => figure.value = figure.value.max(theirs.value),
                Merge::Again => {}
            }
        }
        count += 1.0;
        // Their clocks differ: the time plots of the first stay, and rates in them are its own.
    }
    again(&mut merged);
    merged.settings.push(("processes".to_owned(), count.to_string()));
    Ok(merged)
}

/// Latencies from the merged histogram, CPU a unit from the merged counts.
fn again(report: &mut Report) {
    let latencies = latency_figures(&report.latency);
    let value = |report: &Report, key: &str| report.figures.iter().find(|f| f.key == key).map(|figure| figure.value);
    let [cpu, other] = ["server_cpu_time", "other_process_cpu_time"].map(|key| value(report, key));
    let units = value(report, "units_that_took_it");
    for figure in report.figures.iter_mut().filter(|figure| figure.merge == Merge::Again) {
        if let Some(latency) = latencies.iter().find(|latency| latency.key == figure.key) {
            figure.value = latency.value;
        } else if let (Some(cpu), Some(units)) = (if figure.key.starts_with("other_") { other } else { cpu }, units) {
            figure.value = match figure.better {
                Better::Lower => cpu * 1e6 / units.max(1.0),
                _ => units / cpu.max(1e-9),
            };
        }
    }
}

/// The figures that two reports share, for whoever compares them.
pub fn shared<'a>(a: &'a [Figure], b: &'a [Figure]) -> impl Iterator<Item = (&'a Figure, &'a Figure)> {
    a.iter().filter_map(|mine| Some((mine, b.iter().find(|theirs| theirs.key == mine.key)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cpu_each;
    use crate::tally::histogram;
    use std::time::Duration;

    fn report(rate: f64, latencies: &[u64], units: u64) -> Report {
        let mut latency = histogram();
        latencies.iter().for_each(|value| latency.record(*value).expect("in bounds"));
        let mut figures = vec![
            Figure::more("Deliveries", rate, "/s"),
            Figure::fact("Server CPU time", 2.0, "s", Merge::Mean),
            Figure::fact("Units that took it", units as f64, "", Merge::Sum),
        ];
        figures.extend(latency_figures(&latency));
        figures.extend(cpu_each("delivery", Duration::from_secs(2), units));
        figures.push(Figure::fact("Other process CPU time", 1.0, "s", Merge::Mean));
        figures.push(Figure::new("Other process CPU a delivery", 0.0, "us", Better::Lower, Merge::Again));
        Report {
            scenario: "fanout".to_owned(),
            settings: Vec::new(),
            figures,
            complaints: Vec::new(),
            checked: String::new(),
            latency,
            series: Vec::new(),
        }
    }

    #[test]
    fn several_processes_become_one() {
        let (one, mut two) = (report(10.0, &[1000, 2000, 3000], 1000), report(30.0, &[9000], 3000));
        two.complaints.push("lost".to_owned());
        // By way of JSON, as between processes.
        let two = Report::from_json(&two.to_json()).expect("its own form");
        let merged = merge(vec![one, two]).expect("alike");
        let value = |key: &str| merged.figures.iter().find(|f| f.key == key).expect(key).value;
        assert_eq!(value("deliveries"), 40.0);
        assert_eq!((value("latency_p50"), value("latency_max").round()), (2.0, 9.0));
        assert_eq!(value("server_cpu_a_delivery"), 500.0);
        assert_eq!(value("deliveries_a_cpu_second"), 2000.0);
        assert_eq!(value("other_process_cpu_a_delivery"), 250.0);
        assert!(!merged.is_valid());
        let mut other = report(1.0, &[], 1);
        other.scenario = "echo".to_owned();
        assert!(merge(vec![report(1.0, &[], 1), other]).is_err());
    }
}
