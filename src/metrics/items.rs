//! Metrics as the flat list that `info` shows (upstream: github.com/FZambia/eagle).

use super::family::{Family, Kind, Series, Value};
use super::window::QUANTILES;

/// Names and numbers in order of their names. Counters and summaries show what they grew by between two readings,
/// gauges and quantiles how they stand in the later one. Histograms are left out, and so are empty labels.
pub fn items(before: &[Family], after: &[Family]) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for family in after {
        let earlier = before.iter().find(|other| other.name == family.name);
        for series in &family.series {
            let earlier = earlier.and_then(|earlier| earlier.series.iter().find(|old| old.labels == series.labels));
            item(family, series, earlier.map(|series| &series.value), &mut all);
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn item(family: &Family, series: &Series, earlier: Option<&Value>, all: &mut Vec<(String, f64)>) {
    match &series.value {
        Value::Number(number) => {
            let grown = match earlier {
                Some(Value::Number(before)) if family.kind == Kind::Counter => number - before,
                _ => *number,
            };
            all.push((name(family, "", series), grown));
        }
        Value::Summary { quantiles, sum_s, count } => {
            let (sum_before_s, count_before) = match earlier {
                Some(Value::Summary { sum_s, count, .. }) => (*sum_s, *count),
                _ => (0.0, 0),
            };
            all.push((name(family, ".sum", series), sum_s - sum_before_s));
            all.push((name(family, ".count", series), (count - count_before) as f64));
            let known = QUANTILES.iter().zip(quantiles).filter(|(_, value)| !value.is_nan());
            all.extend(known.map(|(at, value)| (name(family, &quantile(*at), series), *value)));
        }
        Value::Histogram(_) => {}
    }
}

/// `centrifugo_client_num_x{code="1"}` becomes `centrifugo.client.num_x.code.1`.
fn name(family: &Family, part: &str, series: &Series) -> String {
    let mut name = family.name.replacen('_', ".", 2);
    name.push_str(part);
    for (label, value) in family.labels.iter().zip(&series.labels).filter(|(_, value)| !value.is_empty()) {
        name.extend([".", label, ".", value]);
    }
    name
}

/// 0.5 is named 50, 0.99 is named 99, 0.999 is named 999.
fn quantile(at: f64) -> String {
    let digits = at.to_string();
    format!(".quantile.{:0<2}", digits.strip_prefix("0.").unwrap_or(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ShardId;
    use crate::base::time::Now;
    use crate::metrics::catalogue::{Node, families};
    use crate::metrics::labels::{Command, Transport};
    use crate::metrics::shard::{ClientLabels, Shard};

    #[test]
    fn items_are_named_like_the_reference_names_them() {
        let mut shard = Shard::new(ShardId(0));
        shard.connected(Transport::WebSocket, ClientLabels::default());
        shard.command(Now::default(), Command::Connect, 1_000_000);
        let node = Node { version: "1.0 X", clients: 4, subscriptions: 3, users: 3, channels: 2, nodes: 1, mono_ms: 0 };
        let items = items(&[], &families(&shard, &node));
        let value = |name: &str| items.iter().find(|item| item.0 == name).map(|item| item.1);
        assert_eq!(value("centrifugo.client.command_duration_seconds.count.method.connect"), Some(1.0));
        assert_eq!(value("centrifugo.client.command_duration_seconds.sum.method.connect"), Some(0.001));
        for quantile in ["50", "99", "999"] {
            let name = format!("centrifugo.client.command_duration_seconds.quantile.{quantile}.method.connect");
            assert!(value(&name).is_some_and(|s| (s - 0.001).abs() < 0.00001), "{name}");
        }
        assert_eq!(value("centrifugo.client.command_duration_seconds.count.method.send"), Some(0.0));
        assert_eq!(value("centrifugo.client.command_duration_seconds.quantile.50.method.send"), None);
        assert_eq!(
            value(
                "centrifugo.client.connections_inflight.client_name.unnamed.client_version.unversioned.transport.websocket"
            ),
            Some(1.0)
        );
        assert_eq!(value("centrifugo.map.broker_redis_pub_sub_dropped_messages.channel_type.client"), Some(0.0));
        assert_eq!(value("centrifugo.node.build.version.1.0 X"), Some(1.0));
        assert_eq!(value("centrifugo.node.num_users"), Some(3.0));
        assert!(items.iter().all(|item| !item.0.contains("histogram")));
        assert!(items.is_sorted_by(|a, b| a.0 < b.0));
    }
    #[test]
    fn only_counters_and_summaries_show_growth() {
        let mut shard = Shard::new(ShardId(0));
        let node = Node { version: "1", clients: 1, subscriptions: 0, users: 1, channels: 0, nodes: 1, mono_ms: 0 };
        shard.connected(Transport::WebSocket, ClientLabels::default());
        shard.command(Now::default(), Command::Connect, 1_000_000);
        shard.server_disconnect(3000);
        let before = families(&shard, &node);
        shard.command(Now::default(), Command::Connect, 2_000_000);
        let items = items(&before, &families(&shard, &node));
        let value = |name: &str| items.iter().find(|item| item.0 == name).map(|item| item.1);
        assert_eq!(value("centrifugo.client.command_duration_seconds.count.method.connect"), Some(1.0));
        assert_eq!(value("centrifugo.client.num_server_disconnects.code.3000"), Some(0.0));
        assert_eq!(value("centrifugo.node.num_clients"), Some(1.0));
    }
}
