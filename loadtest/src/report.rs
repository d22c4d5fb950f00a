//! What a run found: figures, plots' data and a verdict, as a table, as JSON, and as a page.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::bench::Bench;
use crate::figure::{Better, Figure, Merge, readable};
use crate::tally::{Tally, histogram};
use crate::verdict;
use crate::workers::ServerUse;

/// What a scenario hands over.
pub struct Outcome {
    /// What the CPU time is divided by, as one word.
    pub unit: &'static str,
    /// How many of them the measured part had.
    pub units: u64,
    /// What the figures depend on.
    pub settings: Vec<(&'static str, String)>,
    /// What was counted.
    pub tally: Tally,
    /// What the server used.
    pub server: Option<ServerUse>,
    /// Figures of this scenario alone.
    pub figures: Vec<Figure>,
    /// Whether the server was to be driven to its limit.
    pub saturating: bool,
    /// Microseconds of a send of the same size in a bare loop.
    pub floor: Option<f64>,
    /// What is known to be right in a valid run.
    pub checked: &'static str,
}

/// See the module.
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// What the figures depend on.
    pub settings: Vec<(String, String)>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// Why the run is invalid; nothing = it is valid.
    pub complaints: Vec<String>,
    /// What is known to be right if it is valid.
    pub checked: String,
    /// All latencies, nanoseconds.
    pub latency: Histogram<u64>,
    /// One object for each part of the time plots.
    pub series: Vec<Value>,
}

const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

impl Report {
    /// Everything that follows from an outcome.
    pub fn new(bench: &Bench, outcome: Outcome) -> Report {
        let tally = &outcome.tally;
        let share = outcome.server.as_ref().map(|server| server.cpu.as_secs_f64() / server.wall.max(1e-9));
        let mut figures = rates(&outcome);
        figures.extend(outcome.figures.iter().cloned());
        figures.extend(latency_figures(&tally.latency));
        if let Some(server) = &outcome.server {
            figures.extend(server_figures(outcome.unit, outcome.units, server));
        }
        if let Some(floor) = outcome.floor {
            figures.push(Figure::fact("Floor CPU a send", floor, "us", Merge::Mean));
            if let Some(server) = &outcome.server {
                let over = server.cpu.as_secs_f64() * 1e6 / outcome.units.max(1) as f64 / floor;
                figures.push(Figure::less(format!("Server CPU a {} over the floor", outcome.unit), over, "x"));
            }
        }
        if let Some(server) = outcome.server.as_ref().filter(|server| server.memory.1 > 0) {
            figures.push(Figure::less("Server private memory", server.memory.1 as f64 / 1024.0, "KiB"));
        }
        if !tally.late.is_empty() && !outcome.saturating {
            let late = tally.late.value_at_quantile(0.99) as f64 / 1000.0;
            figures.push(Figure::fact("Sent late p99", late, "us", Merge::Max));
        }
        if tally.busy > 0.0 {
            figures.push(Figure::fact("Generator busy", tally.busy * 100.0, "%", Merge::Max));
        }
        let mut complaints = verdict::judge(tally, outcome.saturating, share);
        if outcome.units == 0 {
            complaints.push(format!("not one {} was measured", outcome.unit));
        }
        let mut settings = vec![("protocol".to_owned(), bench.options.protocol.name().to_owned())];
        settings.extend(outcome.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        settings.push(("payload".to_owned(), format!("{} bytes", bench.options.size)));
        settings.push(("workers".to_owned(), bench.options.workers.to_string()));
        Report {
            scenario: bench.name.to_owned(),
            settings,
            figures,
            complaints,
            checked: outcome.checked.to_owned(),
            latency: tally.latency.clone(),
            series: series(tally, outcome.server.as_ref()),
        }
    }

    /// Whether the figures may be believed.
    pub fn is_valid(&self) -> bool {
        self.complaints.is_empty()
    }

    /// The table.
    pub fn table(&self) -> String {
        let verdict = if self.is_valid() { format!("valid: {}", self.checked) } else { "INVALID".to_owned() };
        let settings: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let mut table = format!("{} — {verdict}\n  {}\n", self.scenario, settings.join(" · "));
        let width = self.figures.iter().map(|figure| figure.label.chars().count()).max().unwrap_or(0);
        for figure in &self.figures {
            let value = readable(figure.value);
            table.push_str(&format!("  {:<width$} {value:>14} {}\n", figure.label, figure.unit));
        }
        for complaint in &self.complaints {
            table.push_str(&format!("  INVALID: {complaint}\n"));
        }
        table
    }

    /// All of it for programs, and to be merged.
    pub fn to_json(&self) -> Value {
        let settings: Map<String, Value> =
            self.settings.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let figures: Map<String, Value> =
            self.figures.iter().map(|figure| (figure.key.clone(), figure.to_json())).collect();
        let counts: Vec<Value> =
            self.latency.iter_recorded().map(|step| json!([step.value_iterated_to(), step.count_at_value()])).collect();
        json!({
            "scenario": self.scenario,
            "valid": self.is_valid(),
            "complaints": self.complaints,
            "checked": self.checked,
            "settings": settings,
            "figures": figures,
            "latency_ns": counts,
            "series": self.series,
        })
    }

    /// From what [`Report::to_json`] made.
    pub fn from_json(value: &Value) -> Option<Report> {
        let mut latency = histogram();
        for pair in value["latency_ns"].as_array()? {
            latency.record_n(pair[0].as_u64()?, pair[1].as_u64()?).ok()?;
        }
        Some(Report {
            scenario: value["scenario"].as_str()?.to_owned(),
            settings: pairs(&value["settings"])?,
            figures: value["figures"]
                .as_object()?
                .iter()
                .map(|(k, v)| Figure::from_json(k, v))
                .collect::<Option<_>>()?,
            complaints: value["complaints"]
                .as_array()?
                .iter()
                .map(|c| Some(c.as_str()?.to_owned()))
                .collect::<Option<_>>()?,
            checked: value["checked"].as_str()?.to_owned(),
            latency,
            series: value["series"].as_array()?.clone(),
        })
    }

    /// The page with plots.
    pub fn page(&self) -> String {
        // In a script element only "</" could end it.
        let data = self.to_json().to_string().replace("</", "<\\/");
        include_str!("page.html").replace("/*REPORT*/ null", &data)
    }

    /// Prints and writes what the options ask for.
    pub fn deliver(&self, json: bool, page: Option<&std::path::Path>) -> Result<(), Failure> {
        if let Some(path) = page {
            std::fs::write(path, self.page()).map_err(|e| format!("--report {}: {e}", path.display()))?;
        }
        if json {
            println!("{}", self.to_json())
        } else {
            print!("{}", self.table())
        }
        Ok(())
    }
}

fn pairs(value: &Value) -> Option<Vec<(String, String)>> {
    value.as_object()?.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn plural(unit: &str) -> String {
    unit.strip_suffix('y').map_or_else(|| format!("{unit}s"), |stem| format!("{stem}ies"))
}

fn rates(outcome: &Outcome) -> Vec<Figure> {
    let (tally, measured) = (&outcome.tally, outcome.tally.measured());
    let mut units = plural(outcome.unit);
    units[..1].make_ascii_uppercase();
    let mut figures = vec![Figure::more(units, outcome.units as f64 / measured, "/s")];
    if tally.sent > 0 {
        figures.push(Figure::fact("Publications", tally.sent as f64 / measured, "/s", Merge::Sum));
    }
    let traffic = &tally.traffic;
    if traffic.frames > 0 {
        let frames = traffic.frames as f64;
        figures.push(Figure::fact("Messages a frame", traffic.pushes as f64 / frames, "", Merge::Mean));
        let reads = traffic.reads.max(1) as f64;
        figures.push(Figure::fact("Messages a read", traffic.pushes as f64 / reads, "", Merge::Mean));
        figures.push(Figure::fact("Bytes a frame", traffic.bytes as f64 / frames, "bytes", Merge::Mean));
    }
    figures
}

/// The usual percentiles.
pub fn latency_figures(latency: &Histogram<u64>) -> Vec<Figure> {
    if latency.is_empty() {
        return Vec::new();
    }
    let at = |(name, quantile): (&str, f64)| {
        let value = latency.value_at_quantile(quantile) as f64 / 1000.0;
        Figure::new(format!("Latency {name}"), value, "us", Better::Lower, Merge::Again)
    };
    QUANTILES.into_iter().map(at).collect()
}

/// CPU of the server.
pub fn server_figures(unit: &str, units: u64, server: &ServerUse) -> Vec<Figure> {
    let mut figures = vec![
        Figure::fact(
            "Server CPU",
            server.cpu.as_secs_f64() * 100.0 / server.wall.max(1e-9),
            "% of a core",
            Merge::Mean,
        ),
        Figure::fact("Server CPU time", server.cpu.as_secs_f64(), "s", Merge::Mean),
        Figure::fact("Units that took it", units as f64, "", Merge::Sum),
    ];
    figures.extend(cpu_each(unit, server.cpu, units));
    if let Some(also) = server.also {
        let each = also.as_secs_f64() * 1e6 / units.max(1) as f64;
        figures.push(Figure::fact("Other process CPU time", also.as_secs_f64(), "s", Merge::Mean));
        figures.push(Figure::new(format!("Other process CPU a {unit}"), each, "us", Better::Lower, Merge::Again));
    }
    figures
}

/// CPU time a unit, both ways round.
pub fn cpu_each(unit: &str, cpu: Duration, units: u64) -> [Figure; 2] {
    let (each, rate) = (cpu.as_secs_f64() * 1e6 / units.max(1) as f64, units as f64 / cpu.as_secs_f64().max(1e-9));
    let mut units = plural(unit);
    units[..1].make_ascii_uppercase();
    [
        Figure::new(format!("Server CPU a {unit}"), each, "us", Better::Lower, Merge::Again),
        Figure::new(format!("{units} a CPU second"), rate, "", Better::Higher, Merge::Again),
    ]
}

fn series(tally: &Tally, server: Option<&ServerUse>) -> Vec<Value> {
    let interval = tally.interval();
    let mut series: Vec<Value> = tally
        .intervals
        .iter()
        .enumerate()
        .map(|(i, part)| {
            let at = |quantile| part.latency.value_at_quantile(quantile);
            json!({
                "t": ((i as f64 + 0.5) * interval * 1000.0).round() / 1000.0,
                "per_s": (part.arrived as f64 / interval).round(),
                "p50": at(0.5), "p99": at(0.99), "max": at(1.0),
            })
        })
        .collect();
    for (t, share) in server.iter().flat_map(|server| &server.series) {
        series.push(json!({ "t": (t * 1000.0).round() / 1000.0, "server_cpu": (share * 1000.0).round() / 10.0 }));
    }
    series
}
