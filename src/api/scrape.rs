//! Reading the metrics of all shards: no method of the server API, but asked for in the same way.

use super::control::ControlAnswer;
use super::info::Numbers;
use super::request::ApiCx;
use super::step::Outcome;
use crate::base::ids::ShardId;
use crate::metrics::{Shard, Sum, catalogue, live, own, prometheus};

/// How the metrics are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScrapeForm {
    /// Prometheus text; content type [`prometheus::CONTENT_TYPE`].
    Prometheus,
    /// For the demo page, see [`live::write`].
    Demo,
}

/// Collects the metrics of all shards.
#[derive(Debug)]
pub(super) struct Scrape {
    form: ScrapeForm,
    numbers: Numbers,
    shards: Vec<Shard>,
}

impl Scrape {
    pub(super) fn new(form: ScrapeForm) -> Self {
        Self { form, numbers: Numbers::default(), shards: Vec::new() }
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self.form {
            ScrapeForm::Prometheus => prometheus::CONTENT_TYPE,
            ScrapeForm::Demo => "application/json",
        }
    }

    pub(super) fn add(&mut self, answer: ControlAnswer) {
        let shard = match answer {
            ControlAnswer::Info(shard) => shard,
            ControlAnswer::Users(hashes) => return self.numbers.add_users(&hashes),
            ControlAnswer::Nodes(nodes) => return self.numbers.others = nodes,
            _ => return,
        };
        self.numbers.add(&shard);
        if let Some(metrics) = shard.metrics {
            self.shards.push(*metrics);
        }
    }

    /// None while users are left to count.
    pub(super) fn write(&mut self, cx: &ApiCx<'_>, budget: &mut usize, out: &mut Vec<u8>) -> Option<Outcome> {
        let users = self.numbers.count_users(cx, budget)?;
        self.shards.sort_by_key(Shard::id);
        match self.form {
            ScrapeForm::Prometheus => {
                let mut all = Shard::new(ShardId(0));
                self.shards.iter().for_each(|shard| all.add(shard));
                let mut text = String::with_capacity(64 << 10);
                prometheus::write(&catalogue::families(&all, &self.numbers.for_metrics(cx, users)), &mut text);
                prometheus::write(&own::families(&self.shards), &mut text);
                out.append(&mut text.into_bytes());
            }
            ScrapeForm::Demo => live::write(&self.shards, cx.now.mono_ms, out),
        }
        Some(Ok(()))
    }
}
