//! Metrics as families of labelled series, between counting and text.

use std::borrow::Cow;

use super::histogram::Histogram;
use super::shard::Durations;

/// What Prometheus calls the type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counted by bounds.
    Histogram,
    /// Quantiles.
    Summary,
}

/// All series of one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Label names, in alphabetical order.
    pub labels: &'static [&'static str],
    /// In order of their label values.
    pub series: Vec<Series>,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    /// In order of the family's label names.
    pub labels: Vec<Cow<'static, str>>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram.
    Histogram(Histogram),
    /// Of a summary.
    Summary {
        /// [`super::window::QUANTILES`], seconds.
        quantiles: [f64; 3],
        /// Sum of all durations, seconds.
        sum_s: f64,
        /// Number of all durations.
        count: u64,
    },
}

impl Family {
    /// A family without series.
    pub fn new(kind: Kind, name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        debug_assert!(labels.is_sorted(), "labels of {name}");
        Self { name, help, kind, labels, series: Vec::new() }
    }

    /// Adds a series; the labels in order of the family's label names.
    pub fn push<const N: usize>(&mut self, labels: [impl Into<Cow<'static, str>>; N], value: Value) {
        debug_assert_eq!(labels.len(), self.labels.len(), "labels of {}", self.name);
        self.series.push(Series { labels: labels.map(Into::into).into(), value });
    }

    /// Adds a counter or gauge.
    pub fn number<const N: usize>(&mut self, labels: [impl Into<Cow<'static, str>>; N], number: f64) {
        self.push(labels, Value::Number(number));
    }

    /// Puts the series in order.
    pub fn sorted(mut self) -> Self {
        self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        self
    }
}

impl Value {
    /// The summary half of some durations.
    pub fn summary(durations: &Durations, mono_ms: u64) -> Value {
        Value::Summary {
            quantiles: durations.window.quantiles(mono_ms),
            sum_s: durations.histogram.sum_s(),
            count: durations.histogram.count(),
        }
    }
}
