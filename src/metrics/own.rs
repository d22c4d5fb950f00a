//! Metrics of this server alone: one series for each shard.

use super::family::{Family, Kind, Value};
use super::shard::Shard;

type Read = fn(&Shard) -> f64;

const NUMBERS: [(Kind, &str, &str, Read); 9] = [
    (Kind::Gauge, "spindle_shard_channels", "Channels at home on the shard with subscribers on any.", |shard| {
        shard.channels.0 as f64
    }),
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
    (Kind::Gauge, "spindle_shard_subscriptions", "Subscriptions of the shard's clients.", |shard| {
        shard.subscriptions() as f64
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
    shards.iter().for_each(|shard| latency.push(id(shard), Value::Histogram(shard.latency.histogram.clone())));
    let mut all: Vec<Family> = numbers.chain([latency]).collect();
    all.sort_by_key(|family| family.name);
    all
}

/// What the demo page shows: an object with a list `shards`, in order, and the process's age. `p99_us` is the 99th
/// percentile of the delivery latency lately, 0 while nothing was delivered.
pub fn write_json(shards: &[Shard], mono_ms: u64, out: &mut Vec<u8>) {
    let rows: Vec<String> = shards
        .iter()
        .map(|shard| {
            let [_, p99_s, _] = shard.latency.window.quantiles(mono_ms);
            let p99_us = if p99_s.is_nan() { 0.0 } else { (p99_s * 1e6).round() };
            format!(
                r#"{{"id":{},"connections":{},"subscriptions":{},"channels":{},"deliveries":{},"publications":{},"p99_us":{p99_us}}}"#,
                shard.id().0,
                shard.connections.0,
                shard.subscriptions(),
                shard.channels.0,
                shard.deliveries,
                shard.publications,
            )
        })
        .collect();
    out.extend_from_slice(format!(r#"{{"shards":[{}],"uptime_ms":{mono_ms}}}"#, rows.join(",")).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ShardId;
    use crate::base::time::Now;
    use crate::metrics::labels::Transport;
    use crate::metrics::shard::ClientLabels;

    const PREFIX: &str = "spindle_shard_";

    #[test]
    fn the_demo_page_gets_what_it_shows() {
        let mut shards = [Shard::new(ShardId(0)), Shard::new(ShardId(1))];
        let now = Now { mono_ms: 700_000, ..Now::default() };
        shards[1].broadcast(1_500_000, 2);
        shards[1].published();
        shards[1].channels(4);
        shards[1].connected(Transport::WebSocket, ClientLabels::default());
        shards[1].subscribed(ClientLabels { named: true, versioned: false });
        shards[1].delivery(Now::default(), 9_000);
        shards[1].delivery(now, 250);
        let mut out = Vec::new();
        write_json(&shards, now.mono_ms, &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let idle = serde_json::json!({
            "id": 0, "connections": 0, "subscriptions": 0, "channels": 0, "deliveries": 0, "publications": 0, "p99_us": 0
        });
        let mut busy = value["shards"][1].clone();
        // Within a percent, and the old one has fallen off.
        assert!((248..=252).contains(&busy["p99_us"].take().as_u64().unwrap()), "{value}");
        let expected = serde_json::json!({
            "id": 1, "connections": 1, "subscriptions": 1, "channels": 4, "deliveries": 1_500_000, "publications": 1, "p99_us": null
        });
        assert_eq!((&value["shards"][0], &busy, &value["uptime_ms"]), (&idle, &expected, &700_000.into()));
    }

    #[test]
    fn names_carry_the_prefix_and_stand_in_order() {
        let families = families(&[]);
        assert!(families.iter().all(|family| family.name.starts_with(PREFIX)));
        assert!(families.is_sorted_by(|a, b| a.name < b.name));
    }
}
