//! What the demo page draws: a few numbers of each shard as JSON (`assets/demo.html` reads it).

use super::histogram::Histogram;
use super::shard::Shard;

/// One shard, and what its counters do not hold.
#[derive(Debug)]
pub struct Live {
    /// The shard's counters.
    pub metrics: Shard,
    /// Subscriptions of its clients.
    pub subscriptions: u32,
    /// Channels that have their home on it.
    pub channels: u32,
}

/// Appends the object: `shards`, one each in their order, and `uptime_ms`. Deliveries and publications count from the
/// start, and so does `p99_us`: the bound below which 99 of 100 deliveries stayed.
pub fn write(shards: &[Live], uptime_ms: u64, out: &mut Vec<u8>) {
    let rows: Vec<String> = shards.iter().map(row).collect();
    out.extend_from_slice(format!("{{\"shards\":[{}],\"uptime_ms\":{uptime_ms}}}", rows.join(",")).as_bytes());
}

fn row(shard: &Live) -> String {
    let metrics = &shard.metrics;
    format!(
        "{{\"id\":{},\"connections\":{},\"subscriptions\":{},\"channels\":{},\"deliveries\":{},\"publications\":{},\
         \"p99_us\":{}}}",
        metrics.id().0,
        metrics.connections.0,
        shard.subscriptions,
        shard.channels,
        metrics.deliveries,
        metrics.publications,
        p99_us(&metrics.latency),
    )
}

/// The smallest bound that 99 of 100 durations did not exceed; the largest bound when there is none, 0 without any.
fn p99_us(latency: &Histogram) -> u64 {
    let enough = latency.count() - latency.count() / 100;
    let mut bounds = latency.cumulative().skip_while(|(_, up_to)| *up_to < enough);
    let bound = bounds.next().or_else(|| latency.cumulative().last());
    match bound {
        Some((seconds, _)) if enough > 0 => (seconds * 1e6).round() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ShardId;

    #[test]
    fn each_shard_is_an_object_in_order() {
        let mut second = Shard::new(ShardId(1));
        second.broadcast(1_500_000, 2);
        second.published();
        let live = |metrics| Live { metrics, subscriptions: 3, channels: 2 };
        let mut out = Vec::new();
        write(&[live(Shard::new(ShardId(0))), live(second)], 1234, &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({
            "shards": [
                {"id": 0, "connections": 0, "subscriptions": 3, "channels": 2, "deliveries": 0, "publications": 0,
                 "p99_us": 0},
                {"id": 1, "connections": 0, "subscriptions": 3, "channels": 2, "deliveries": 1_500_000,
                 "publications": 1, "p99_us": 0},
            ],
            "uptime_ms": 1234,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn one_of_a_hundred_may_be_late() {
        let bounds: &[u64] = &[1_000, 50_000, 9_000_000];
        for (quick, late, expected) in [(0, 0, 0), (99, 1, 1), (98, 2, 50), (1, 0, 1), (0, 1, 50)] {
            let mut latency = Histogram::new(bounds);
            (0..quick).for_each(|_| latency.observe(900));
            (0..late).for_each(|_| latency.observe(49_000));
            assert_eq!(p99_us(&latency), expected, "{quick} quick, {late} late");
        }
        let mut beyond = Histogram::new(bounds);
        beyond.observe(u64::MAX);
        assert_eq!(p99_us(&beyond), 9_000);
    }
}
