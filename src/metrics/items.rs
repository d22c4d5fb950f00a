//! Metrics as the flat list that `info` shows (upstream: github.com/FZambia/eagle).

use super::family::{Family, Kind, Series, Value};
use super::window::QUANTILES;

/// Names and numbers in order of their names: counters and summaries as given (the caller passes what grew in an
/// interval), gauges and quantiles as they stand. Histograms are left out, and so are empty labels.
pub fn items(families: &[Family]) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for family in families {
        for series in &family.series {
            match &series.value {
                Value::Number(number) => all.push((name(family, "", series), *number)),
                Value::Summary {
                    quantiles,
                    sum_s,
                    count,
                } => {
                    all.push((name(family, ".sum", series), *sum_s));
                    all.push((name(family, ".count", series), *count as f64));
                    let known = QUANTILES.iter().zip(quantiles).filter(|(_, value)| !value.is_nan());
                    all.extend(known.map(|(at, value)| (name(family, &quantile(*at), series), *value)));
                }
                Value::Histogram(_) => debug_assert_eq!(family.kind, Kind::Histogram),
            }
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// `centrifugo_client_num_x{code="1"}` becomes `centrifugo.client.num_x.code.1`.
fn name(family: &Family, part: &str, series: &Series) -> String {
    let mut name = family.name.replacen('_', ".", 2);
    name.push_str(part);
    for (label, value) in family
        .labels
        .iter()
        .zip(&series.labels)
        .filter(|(_, value)| !value.is_empty())
    {
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
    use crate::metrics::shard::{ClientLabels, ShardMetrics};

    #[test]
    fn items_are_named_like_the_reference_names_them() {
        let mut shard = ShardMetrics::new(ShardId(0));
        shard.connected(Transport::WebSocket, ClientLabels::default());
        shard.command(Now::default(), Command::Connect, 1_000_000);
        let node = Node { version: "1.0 X", clients: 4, subscriptions: 3, users: 3,
            channels: 2,
            nodes: 1,
            mono_ms: 0,
        };
        let items = items(&families(&shard, &node));
        let value = |name: &str| items.iter().find(|item| item.0 == name).map(|item| item.1);
        assert_eq!(
            value("centrifugo.client.command_duration_seconds.count.method.connect"),
            Some(1.0)
        );
        assert_eq!(
            value("centrifugo.client.command_duration_seconds.sum.method.connect"),
            Some(0.001)
        );
        for quantile in ["50", "99", "999"] {
            let name = format!("centrifugo.client.command_duration_seconds.quantile.{quantile}.method.connect");
            assert!(value(&name).is_some_and(|s| (s - 0.001).abs() < 0.00001), "{name}");
        }
        assert_eq!(
            value("centrifugo.client.command_duration_seconds.count.method.send"),
            Some(0.0)
        );
        assert_eq!(
            value("centrifugo.client.command_duration_seconds.quantile.50.method.send"),
            None
        );
        assert_eq!(
            value(
                "centrifugo.client.connections_inflight.client_name.unnamed.client_version.unversioned.transport.websocket"
            ),
            Some(1.0)
        );
        assert_eq!(
            value("centrifugo.map.broker_redis_pub_sub_dropped_messages.channel_type.client"),
            Some(0.0)
        );
        assert_eq!(value("centrifugo.node.build.version.1.0 X"), Some(1.0));
        assert_eq!(value("centrifugo.node.num_users"), Some(3.0));
        assert!(items.iter().all(|item| !item.0.contains("histogram")));
        assert!(items.is_sorted_by(|a, b| a.0 < b.0));
    }
}
