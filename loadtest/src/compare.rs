//! Two servers under the same load, rounds in turn (A B B A A B ...), medians and ratios in one table.

use std::process::{Command, Stdio};

use clap::Args;
use serde_json::{Value, json};

use crate::Failure;
use crate::figure::{Better, Figure, readable};
use crate::merge::shared;
use crate::report::Report;

/// Compare two servers: rounds in turn, medians and ratios.
#[derive(Args)]
pub struct Compare {
    /// Command that starts the first server, `{port}` standing for its port; or the address of one that runs.
    #[arg(long, value_name = "COMMAND|URL")]
    a: String,
    /// The second server.
    #[arg(long, value_name = "COMMAND|URL")]
    b: String,
    /// Process id of the first, when --a is an address.
    #[arg(long)]
    a_pid: Option<u32>,
    /// Process id of the second.
    #[arg(long)]
    b_pid: Option<u32>,
    /// Core that started servers are pinned to.
    #[arg(long)]
    server_core: Option<usize>,
    /// Rounds of each.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// The scenario and its options, such as: -- fanout --core 1 --rate 20
    #[arg(last = true, required = true)]
    scenario: Vec<String>,
}

impl Compare {
    /// Runs all rounds and prints the table. Whether all of them were valid.
    pub fn run(&self) -> Result<bool, Failure> {
        let mut found = [Vec::new(), Vec::new()];
        let mut valid = true;
        for turn in order(self.rounds) {
            let report = self.round(turn)?;
            for complaint in &report.complaints {
                eprintln!(
                    "spindle-loadtest: {}, round {}: INVALID: {complaint}",
                    ["A", "B"][turn],
                    found[turn].len() + 1
                );
            }
            valid &= report.is_valid();
            found[turn].push(report.figures);
        }
        let [a, b] = found.map(|rounds| medians(&rounds));
        if self.json {
            println!("{}", self.to_json(&a, &b, valid));
        } else {
            print!("{}", self.table(&a, &b, valid));
        }
        Ok(valid)
    }

    fn round(&self, turn: usize) -> Result<Report, Failure> {
        let (server, pid) = [(&self.a, self.a_pid), (&self.b, self.b_pid)][turn];
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.scenario).arg("--json").stdin(Stdio::null()).stderr(Stdio::inherit());
        if server.starts_with("http://") {
            command.args(["--url", server]);
            pid.map(|pid| command.args(["--pid", &pid.to_string()]));
        } else {
            command.args(["--server", server]);
        }
        self.server_core.map(|core| command.args(["--server-core", &core.to_string()]));
        let output = command.output()?;
        let value: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("{} did not finish; its words are above", ["A", "B"][turn]))?;
        Ok(Report::from_json(&value).ok_or("a round's output is no report")?)
    }

    fn table(&self, a: &[Figure], b: &[Figure], valid: bool) -> String {
        let rows: Vec<[String; 5]> = shared(a, b)
            .map(|(a, b)| {
                let (better, ratio) = ratio(a, b);
                [a.label.clone(), readable(a.value), readable(b.value), format!("{ratio} {better}"), a.unit.clone()]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(8);
        let widths = [width(0), width(1), width(2), width(3)];
        let mut table = format!("A  {}\nB  {}\n", self.a, self.b);
        let verdict = if valid { "all valid" } else { "SOME INVALID" };
        table.push_str(&format!("{}: medians of {} rounds each, {verdict}\n", self.scenario.join(" "), self.rounds));
        let head = ["", "A", "B", "B to A", ""].map(str::to_owned);
        for row in std::iter::once(&head).chain(&rows) {
            let [label, a, b, ratio, unit] = row;
            let [w0, w1, w2, w3] = widths;
            table.push_str(format!("  {label:<w0$} {a:>w1$} {b:>w2$}  {ratio:<w3$} {unit}").trim_end());
            table.push('\n');
        }
        table
    }

    fn to_json(&self, a: &[Figure], b: &[Figure], valid: bool) -> Value {
        let figures: serde_json::Map<String, Value> = shared(a, b)
            .map(|(a, b)| {
                let ratio = if a.value == 0.0 { Value::Null } else { json!(b.value / a.value) };
                (a.key.clone(), json!({ "label": a.label, "unit": a.unit, "a": a.value, "b": b.value, "ratio": ratio }))
            })
            .collect();
        json!({ "a": self.a, "b": self.b, "rounds": self.rounds, "valid": valid, "figures": figures })
    }
}

/// A B B A A B B A: neither always follows the other, so drift of the machine hits both alike.
fn order(rounds: u32) -> impl Iterator<Item = usize> {
    (0..rounds as usize).flat_map(|round| if round.is_multiple_of(2) { [0, 1] } else { [1, 0] })
}

/// What B is to A: in words, and as a factor.
fn ratio(a: &Figure, b: &Figure) -> (&'static str, String) {
    if a.value == 0.0 || b.value == 0.0 {
        return ("", "-".to_owned());
    }
    let factor = b.value / a.value;
    let better = match (a.better, factor) {
        (Better::Neither, _) => "",
        (_, factor) if (0.98..1.02).contains(&factor) => "same",
        (Better::Lower, factor) if factor < 1.0 => "better",
        (Better::Higher, factor) if factor > 1.0 => "better",
        _ => "worse",
    };
    (better, format!("{} x", readable(factor)))
}

fn medians(rounds: &[Vec<Figure>]) -> Vec<Figure> {
    let mut figures = rounds.first().cloned().unwrap_or_default();
    for figure in &mut figures {
        let mut values: Vec<f64> =
            rounds.iter().filter_map(|round| round.iter().find(|f| f.key == figure.key)).map(|f| f.value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        figure.value = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_take_turns() {
        assert_eq!(order(4).collect::<Vec<_>>(), [0, 1, 1, 0, 0, 1, 1, 0]);
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        let round = |value| vec![Figure::less("CPU", value, "us")];
        assert_eq!(medians(&[round(5.0), round(1.0), round(2.0)])[0].value, 2.0);
        assert_eq!(medians(&[round(5.0), round(1.0)])[0].value, 3.0);
    }

    #[test]
    fn ratios_say_which_is_better() {
        let (less, more) = (|v| Figure::less("a", v, ""), |v| Figure::more("a", v, ""));
        assert_eq!(ratio(&less(2.0), &less(1.0)), ("better", "0.500 x".to_owned()));
        assert_eq!(ratio(&more(2.0), &more(1.0)).0, "worse");
        assert_eq!(ratio(&more(100.0), &more(101.0)).0, "same");
        assert_eq!(ratio(&more(0.0), &more(101.0)).1, "-");
    }
}
