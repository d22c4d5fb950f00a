//! What the demo page draws: a few numbers of each shard as JSON (`assets/demo.html` reads it).

use super::shard::Shard;

/// Appends the object: `shards`, one each in their order, and `uptime_ms`. Deliveries and publications count from the
/// start. `p99_us` is the time that 99 of 100 deliveries of the last ten minutes did not exceed, 0 without any.
pub fn write(shards: &[Shard], uptime_ms: u64, out: &mut Vec<u8>) {
    let rows: Vec<String> = shards.iter().map(|shard| row(shard, uptime_ms)).collect();
    out.extend_from_slice(format!("{{\"shards\":[{}],\"uptime_ms\":{uptime_ms}}}", rows.join(",")).as_bytes());
}

fn row(shard: &Shard, mono_ms: u64) -> String {
    let [_, p99_s, _] = shard.latency.window.quantiles(mono_ms);
    let p99_us = if p99_s.is_nan() { 0.0 } else { (p99_s * 1e6).round() };
    format!(
        "{{\"id\":{},\"connections\":{},\"subscriptions\":{},\"channels\":{},\"deliveries\":{},\"publications\":{},\
         \"p99_us\":{p99_us}}}",
        shard.id().0,
        shard.connections.0,
        shard.subscriptions(),
        shard.channels.0,
        shard.deliveries,
        shard.publications,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::ids::ShardId;
    use crate::base::time::Now;
    use crate::metrics::labels::Transport;
    use crate::metrics::shard::ClientLabels;

    #[test]
    fn each_shard_is_an_object_in_order() {
        let mut second = Shard::new(ShardId(1));
        let now = Now { mono_ms: 700_000, ..Now::default() };
        second.connected(Transport::WebSocket, ClientLabels::default());
        second.subscribed(ClientLabels::default());
        second.subscribed(ClientLabels { named: true, versioned: false });
        second.broadcast(1_500_000, 2);
        second.published();
        second.channels(4);
        second.delivery(Now::default(), 9_000);
        second.delivery(now, 250);
        let mut out = Vec::new();
        write(&[Shard::new(ShardId(0)), second], now.mono_ms, &mut out);
        let mut value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let p99_us = value["shards"][1]["p99_us"].take().as_u64().unwrap();
        assert!((247..=253).contains(&p99_us), "{p99_us}: within a percent, and the old one has fallen off");
        let expected = json!({
            "shards": [
                {"id": 0, "connections": 0, "subscriptions": 0, "channels": 0, "deliveries": 0, "publications": 0,
                 "p99_us": 0},
                {"id": 1, "connections": 1, "subscriptions": 2, "channels": 4, "deliveries": 1_500_000,
                 "publications": 1, "p99_us": null},
            ],
            "uptime_ms": 700_000,
        });
        assert_eq!(value, expected);
    }
}
