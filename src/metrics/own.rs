//! Metrics of this server alone: one series for each shard.

use super::family::{Family, Kind, Value};
use super::shard::Shard;

/// The families in order of their names. The shards in order of their numbers.
pub fn families(shards: &[Box<Shard>]) -> Vec<Family> {
    use Kind::{Counter, Gauge};
    type Read = fn(&Shard) -> f64;
    let numbers: [(Kind, &'static str, &'static str, Read); 7] = [
        (
            Gauge,
            "spindle_shard_connections",
            "Clients connected to the shard.",
            |s| s.connections.0 as f64,
        ),
        (
            Counter,
            "spindle_shard_deliveries_total",
            "Publications handed to subscribers of the shard.",
            |s| s.deliveries as f64,
        ),
        (
            Counter,
            "spindle_shard_inbox_batches_total",
            "Batches that came from other shards.",
            |s| s.inbox_batches as f64,
        ),
        (
            Gauge,
            "spindle_shard_outbox_bytes",
            "Bytes owed to clients of the shard.",
            |s| s.outbox_bytes.0 as f64,
        ),
        (
            Counter,
            "spindle_shard_publications_total",
            "Publications that the shard's channels took.",
            |s| s.publications as f64,
        ),
        (
            Counter,
            "spindle_shard_stall_seconds_total",
            "Time in turns longer than 10 ms.",
            |s| s.stall_ns as f64 / 1e9,
        ),
        (
            Counter,
            "spindle_shard_turns_total",
            "Turns of the shard's loop.",
            |s| s.turns as f64,
        ),
    ];
    let mut latency = Family::new(
        Kind::Histogram,
        "spindle_shard_delivery_latency_seconds",
        &["shard"],
        "Time from a publication to its arrival on the shard.",
    );
    for shard in shards {
        latency.push([shard.id().0.to_string()], Value::Histogram(shard.lag.clone()));
    }
    let mut all: Vec<Family> = numbers
        .into_iter()
        .map(|(kind, name, help, read)| {
            let mut family = Family::new(kind, name, &["shard"], help);
            for shard in shards {
                family.number([shard.id().0.to_string()], read(shard));
            }
            family
        })
        .collect();
    all.push(latency);
    all.sort_by_key(|family| family.name);
    all
}
