//! A measured value: what it is, its unit, which way is better, and how several become one. Pure.

use serde_json::{Value, json};

/// How the figures of several reports become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// They add up.
    Sum,
    /// All saw the same thing.
    Mean,
    /// The worst counts.
    Max,
    /// It is computed again from the merged rest.
    Again,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less.
    Lower,
    /// More.
    Higher,
    /// It is a circumstance.
    Neither,
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Name for programs.
    pub key: String,
    /// Name for people.
    pub label: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// How several become one.
    pub merge: Merge,
}

impl Figure {
    /// A figure; `key` from the label.
    pub fn new(label: impl Into<String>, value: f64, unit: &str, better: Better, merge: Merge) -> Figure {
        let label = label.into();
        let key = label.to_lowercase().replace([' ', '-', ','], "_").replace("__", "_").replace('%', "percent");
        Figure { key, label, value, unit: unit.to_owned(), better, merge }
    }

    /// A figure of which less is better, and the worst counts.
    pub fn less(label: impl Into<String>, value: f64, unit: &str) -> Figure {
        Figure::new(label, value, unit, Better::Lower, Merge::Max)
    }

    /// A figure of which more is better, and that adds up.
    pub fn more(label: impl Into<String>, value: f64, unit: &str) -> Figure {
        Figure::new(label, value, unit, Better::Higher, Merge::Sum)
    }

    /// A circumstance.
    pub fn fact(label: impl Into<String>, value: f64, unit: &str, merge: Merge) -> Figure {
        Figure::new(label, value, unit, Better::Neither, merge)
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let better = match self.better {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Neither => "",
        };
        let merge = match self.merge {
            Merge::Sum => "sum",
            Merge::Mean => "mean",
            Merge::Max => "max",
            Merge::Again => "again",
        };
        json!({ "label": self.label, "value": self.value, "unit": self.unit, "better": better, "merge": merge })
    }

    /// From JSON.
    pub fn from_json(key: &str, value: &Value) -> Option<Figure> {
        Some(Figure {
            key: key.to_owned(),
            label: value["label"].as_str()?.to_owned(),
            value: value["value"].as_f64()?,
            unit: value["unit"].as_str()?.to_owned(),
            better: match value["better"].as_str()? {
                "lower" => Better::Lower,
                "higher" => Better::Higher,
                _ => Better::Neither,
            },
            merge: match value["merge"].as_str()? {
                "sum" => Merge::Sum,
                "mean" => Merge::Mean,
                "max" => Merge::Max,
                _ => Merge::Again,
            },
        })
    }
}

/// The middle one, 0 of none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A number as people read it: thousands apart, three digits that matter.
pub fn readable(value: f64) -> String {
    let size = value.abs();
    let digits = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (value, expected) in
            [(0.0, "0"), (0.12345, "0.123"), (5.678, "5.68"), (56.78, "56.8"), (1234.5, "1,234"), (-1e6, "-1,000,000")]
        {
            assert_eq!(readable(value), expected);
        }
    }

    #[test]
    fn json_keeps_everything() {
        let figure = Figure::less("Server CPU a delivery", 1.5, "us");
        assert_eq!(figure.key, "server_cpu_a_delivery");
        assert_eq!(Figure::from_json(&figure.key, &figure.to_json()), Some(figure));
    }
}
