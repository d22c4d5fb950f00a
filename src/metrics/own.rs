//! Metrics of this server alone: one series for each shard.

use super::family::{Family, Kind, Value};
use super::shard::Shard;

type Read = fn(&Shard) -> f64;

const NUMBERS: [(Kind, &str, &str, Read); 7] = [
    (Kind::Gauge, "spindle_shard_connections", "Clients connected to the shard.", |shard| shard.connections.0 as f64),
    (Kind::Counter, "spindle_shard_deliveries_total", "Publications handed to subscribers of the shard.", |shard| {
        shard.deliveries as f64
    }),
    (Kind::Counter, "spindle_shard_inbox_batches_total", "Batches that came from other shards.", |shard| {
        shard.inbox_batches as f64
    }),
    (Kind::Gauge, "spindle_shard_outbox_bytes", "Bytes owed to clients of the shard.", |shard| {
        shard.outbox_bytes.0 as f64
    }),
    (Kind::Counter, "spindle_shard_publications_total", "Publications that the shard's channels took.", |shard| {
        shard.publications as f64
    }),
    (Kind::Counter, "spindle_shard_stall_seconds_total", "Time in turns longer than 10 ms.", |shard| {
        shard.stall_ns as f64 / 1e9
    }),
    (Kind::Counter, "spindle_shard_turns_total", "Turns of the shard's loop.", |shard| shard.turns as f64),
];

/// The families in order of their names. The shards in order of their numbers.
pub fn families(shards: &[Shard]) -> Vec<Family> {
    let id = |shard: &Shard| [shard.id().0.to_string()];
    let numbers = NUMBERS.into_iter().map(|(kind, name, help, read)| {
        let mut family = Family::new(kind, name, &["shard"], help);
        shards.iter().for_each(|shard| family.number(id(shard), read(shard)));
        family
    });
    let mut latency = Family::new(
        Kind::Histogram,
        "spindle_shard_delivery_latency_seconds",
        &["shard"],
        "Time from a publication until all its subscribers on the shard were served.",
    );
    shards.iter().for_each(|shard| latency.push(id(shard), Value::Histogram(shard.latency.clone())));
    let mut all: Vec<Family> = numbers.chain([latency]).collect();
    all.sort_by_key(|family| family.name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "spindle_shard_";

    #[test]
    fn names_carry_the_prefix_and_stand_in_order() {
        let families = families(&[]);
        assert!(families.iter().all(|family| family.name.starts_with(PREFIX)));
        assert!(families.is_sorted_by(|a, b| a.name < b.name));
    }
}
