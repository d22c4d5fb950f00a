//! Metrics as the text that Prometheus reads (exposition format 0.0.4).

use std::fmt::Write;

use super::family::{Family, Kind, Series, Value};
use super::window::QUANTILES;

/// Value of `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Appends the families.
pub fn write(families: &[Family], out: &mut String) {
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        out.extend(["# HELP ", family.name, " ", &help, "\n# TYPE ", family.name, " ", kind, "\n"]);
        for series in &family.series {
            write_series(family, series, out);
        }
    }
}

fn write_series(family: &Family, series: &Series, out: &mut String) {
    let mut line = |suffix: &str, extra: Option<(&str, &str)>, value: &str| {
        out.push_str(family.name);
        out.push_str(suffix);
        let labels = family.labels.iter().copied().zip(series.labels.iter().map(|value| &**value)).chain(extra);
        let mut open = '{';
        for (name, value) in labels {
            out.push(open);
            out.extend([name, "=\""]);
            write_escaped(value, out);
            out.push('"');
            open = ',';
        }
        if open == ',' {
            out.push('}');
        }
        out.extend([" ", value, "\n"]);
    };
    match &series.value {
        Value::Number(value) => line("", None, &number(*value)),
        Value::Histogram(histogram) => {
            for (bound, count) in histogram.cumulative() {
                line("_bucket", Some(("le", &number(bound))), &number(count as f64));
            }
            let count = number(histogram.count() as f64);
            line("_bucket", Some(("le", "+Inf")), &count);
            line("_sum", None, &number(histogram.sum_s()));
            line("_count", None, &count);
        }
        Value::Summary { quantiles, sum_s, count } => {
            for (quantile, value) in QUANTILES.iter().zip(quantiles) {
                line("", Some(("quantile", &number(*quantile))), &number(*value));
            }
            line("_sum", None, &number(*sum_s));
            line("_count", None, &number(*count as f64));
        }
    }
}

fn write_escaped(value: &str, out: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// A number as Go prints it with `%g` and the shortest precision, which is what the reference exports:
/// with an exponent, of at least two digits, below 0.0001 and from a million up.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let mut text = String::with_capacity(scientific.len() + 2);
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a String does not fail.
    let _ = write!(text, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ShardId;
    use crate::base::time::Now;
    use crate::metrics::catalogue::{self, Node};
    use crate::metrics::labels::{Api, Command, Frame, Transport};
    use crate::metrics::own;
    use crate::metrics::shard::{ClientLabels, Shard, UNMARSHAL};

    fn text(shard: &Shard) -> String {
        let node = Node { version: "1.0", clients: 4, subscriptions: 3, users: 1, channels: 2, nodes: 1, mono_ms: 0 };
        let mut out = String::new();
        write(&catalogue::families(shard, &node), &mut out);
        out
    }

    fn check(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|other| other == *line), "no line {line} in:\n{text}");
        }
    }

    #[test]
    fn numbers_look_as_in_go() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (2.5, "2.5"),
            (0.0001, "0.0001"),
            (0.00025, "0.00025"),
            (5e-5, "5e-05"),
            (2.0842e-5, "2.0842e-05"),
            (2.2e-7, "2.2e-07"),
            (100_000.0, "100000"),
            (123_456.5, "123456.5"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e100, "1e+100"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn an_idle_node_shows_what_the_reference_shows() {
        let text = text(&Shard::new(ShardId(0)));
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE centrifugo_")?.split(' ').next()).collect();
        assert_eq!(
            names,
            [
                "broker_redis_pub_sub_dropped_messages",
                "client_command_duration_seconds",
                "client_command_duration_seconds_histogram",
                "map_broker_redis_pub_sub_dropped_messages",
                "node_build",
                "node_client_connection_limit",
                "node_messages_received_count",
                "node_messages_sent_count",
                "node_num_channels",
                "node_num_clients",
                "node_num_nodes",
                "node_num_subscriptions",
                "node_num_users",
                "shared_poll_num_channels",
                "shared_poll_num_keys",
            ]
        );
        check(
            &text,
            &[
                "# TYPE centrifugo_client_command_duration_seconds summary",
                r#"centrifugo_client_command_duration_seconds{channel_namespace="",method="connect",quantile="0.5"} NaN"#,
                r#"centrifugo_client_command_duration_seconds_sum{channel_namespace="",method="connect"} 0"#,
                r#"centrifugo_client_command_duration_seconds_count{channel_namespace="",method="unknown"} 0"#,
                r#"centrifugo_node_messages_sent_count{channel_namespace="",type="publication"} 0"#,
                r#"centrifugo_node_build{version="1.0"} 1"#,
                "centrifugo_node_num_channels 2",
            ],
        );
    }

    #[test]
    fn traffic_shows_with_labels_in_order() {
        let mut shard = Shard::new(ShardId(0));
        shard.connected(Transport::WebSocket, ClientLabels::default());
        shard.subscribed(ClientLabels { named: true, versioned: false });
        shard.command(Now::default(), Command::Connect, 127_000);
        shard.reply_error(Command::Subscribe, 102);
        shard.server_unsubscribe(2000);
        shard.server_disconnect(3503);
        shard.close_sent(Transport::WebSocket, 3503);
        shard.recovery(true, true);
        shard.sent(Transport::WebSocket, Frame::PushPublication, 3, 300);
        shard.received(Transport::WebSocket, Frame::Connect, 24);
        shard.broadcast(3, 0);
        shard.delivery(40);
        shard.api(Now::default(), Api::Publish, 20_000);
        shard.api_error(Api::Publish, UNMARSHAL);
        shard.api_error(Api::BroadcastPublish, 107);
        check(
            &text(&shard),
            &[
                r#"centrifugo_client_connections_accepted{accept_protocol="",client_name="unnamed",client_version="unversioned",transport="websocket"} 1"#,
                r#"centrifugo_client_subscriptions_inflight{channel_namespace="",client_name="unregistered"} 1"#,
                r#"centrifugo_client_command_duration_seconds_histogram_bucket{channel_namespace="",method="connect",le="0.0001"} 0"#,
                r#"centrifugo_client_command_duration_seconds_histogram_bucket{channel_namespace="",method="connect",le="0.00025"} 1"#,
                r#"centrifugo_client_command_duration_seconds_histogram_bucket{channel_namespace="",method="connect",le="+Inf"} 1"#,
                r#"centrifugo_client_command_duration_seconds_sum{channel_namespace="",method="connect"} 0.000127"#,
                r#"centrifugo_client_num_reply_errors{channel_namespace="",code="102",method="subscribe"} 1"#,
                r#"centrifugo_client_num_server_unsubscribes{channel_namespace="",code="2000"} 1"#,
                r#"centrifugo_client_num_server_disconnects{code="3503"} 1"#,
                r#"centrifugo_transport_outgoing_close_count{code="3503",transport="websocket"} 1"#,
                r#"centrifugo_client_recover{channel_namespace="",has_recovered_publications="yes",recovered="yes"} 1"#,
                r#"centrifugo_transport_messages_sent{channel_namespace="",frame_type="push_publication",transport="websocket"} 3"#,
                r#"centrifugo_transport_messages_sent_size{channel_namespace="",frame_type="push_publication",transport="websocket"} 300"#,
                r#"centrifugo_transport_messages_received_size{channel_namespace="",frame_type="connect",transport="websocket"} 24"#,
                r#"centrifugo_node_broadcast_duration_seconds_bucket{channel_namespace="",type="publication",le="5e-05"} 1"#,
                r#"centrifugo_node_pub_sub_lag_seconds_count{channel_namespace=""} 1"#,
                r#"centrifugo_node_action_count{action="add_client",channel_namespace=""} 1"#,
                r#"centrifugo_api_command_duration_seconds_sum{method="publish",protocol="http"} 2e-05"#,
                r#"centrifugo_api_command_errors_total{error="107",method="broadcast_publish",protocol="http"} 1"#,
                r#"centrifugo_api_command_errors_total{error="unmarshal",method="publish",protocol="http"} 1"#,
            ],
        );
    }

    #[test]
    fn every_shard_has_a_series_of_its_own() {
        let mut shards = [Shard::new(ShardId(0)), Shard::new(ShardId(1))];
        shards[1].broadcast(5, 2);
        shards[1].delivery(2000);
        let mut out = String::new();
        write(&own::families(&shards), &mut out);
        check(
            &out,
            &[
                "# TYPE spindle_shard_deliveries_total counter",
                r#"spindle_shard_deliveries_total{shard="0"} 0"#,
                r#"spindle_shard_deliveries_total{shard="1"} 5"#,
                r#"spindle_shard_delivery_latency_seconds_bucket{shard="1",le="0.005"} 1"#,
            ],
        );
    }

    #[test]
    fn label_values_are_escaped() {
        let mut family = Family::new(Kind::Gauge, "x", &["a", "b"], "two\nlines");
        family.number(["q\"\\", "n\n"], 0.5);
        let mut out = String::new();
        write(&[family], &mut out);
        assert_eq!(out, "# HELP x two\\nlines\n# TYPE x gauge\nx{a=\"q\\\"\\\\\",b=\"n\\n\"} 0.5\n");
    }
}
