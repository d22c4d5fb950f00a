//! Every metric of the reference that this server has: names, labels, and where the numbers come from
//! (upstream: centrifuge metrics.go, internal/metrics).
//!
//! A series appears when it was first counted, except for those the reference shows from the start.

use std::borrow::Cow;

use super::family::{Family, Kind, Value};
use super::labels::{Action, Api, Command, Frame, Message, Suppressed, Transport};
use super::shard::{ClientLabels, Durations, MARSHAL, Shard, TrafficTable, UNMARSHAL};
use crate::channel::broker_op::Realm;

/// Numbers of the node that no shard counts by itself.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The server's version.
    pub version: &'a str,
    /// Connected clients.
    pub clients: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Distinct users among them.
    pub users: u64,
    /// Channels with subscribers.
    pub channels: u64,
    /// Nodes of the cluster.
    pub nodes: u64,
    /// The moment of reading.
    pub mono_ms: u64,
}

const NAMESPACE: &str = "";
const PROTOCOL: &str = "http";

/// The families in order of their names, empty ones left out. `shard` is the sum of all shards.
pub fn families(shard: &Shard, node: &Node<'_>) -> Vec<Family> {
    let mut all: Vec<Family> = [
        api(shard, node).as_slice(),
        clients(shard, node).as_slice(),
        nodes(shard, node).as_slice(),
        transports(shard).as_slice(),
        suppressed(shard).as_slice(),
        shard.polls.families().as_slice(),
        shard.redis.families(Realm::Streams).as_slice(),
        shard.map_redis.families(Realm::Maps).as_slice(),
        shard.expiry.families().as_slice(),
    ]
    .concat();
    all.retain(|family| !family.series.is_empty());
    all.sort_by_key(|family| family.name);
    all.into_iter().map(Family::sorted).collect()
}

fn api(shard: &Shard, node: &Node<'_>) -> [Family; 3] {
    let used = || Api::ALL.iter().zip(&shard.api).filter(|(_, durations)| durations.histogram.count() > 0);
    let rows = used().map(|(method, durations)| ([method.name(), PROTOCOL], durations));
    let [summary, histogram] = durations(
        ["centrifugo_api_command_duration_seconds", "centrifugo_api_command_duration_seconds_histogram"],
        &["method", "protocol"],
        "Time to answer a method of the server API.",
        rows,
        node.mono_ms,
    );
    let mut errors = Family::new(
        Kind::Counter,
        "centrifugo_api_command_errors_total",
        &["error", "method", "protocol"],
        "Methods of the server API that failed.",
    );
    for ((method, code), count) in shard.api_errors.iter() {
        let error = match code {
            UNMARSHAL => "unmarshal".into(),
            MARSHAL => "marshal".into(),
            code => number(code),
        };
        errors.number([error, method.name().into(), PROTOCOL.into()], count as f64);
    }
    [summary, histogram, errors]
}

fn clients(shard: &Shard, node: &Node<'_>) -> Vec<Family> {
    let rows =
        Command::ALL.iter().zip(&shard.commands).map(|(command, durations)| ([NAMESPACE, command.name()], durations));
    let mut all: Vec<Family> = durations(
        ["centrifugo_client_command_duration_seconds", "centrifugo_client_command_duration_seconds_histogram"],
        &["channel_namespace", "method"],
        "Time to answer a command of a client.",
        rows,
        node.mono_ms,
    )
    .into();
    all.extend(connections(shard));

    let mut errors = Family::new(
        Kind::Counter,
        "centrifugo_client_num_reply_errors",
        &["channel_namespace", "code", "method"],
        "Commands of clients that were answered with an error.",
    );
    for ((command, code), count) in shard.reply_errors.iter() {
        errors.number([NAMESPACE.into(), number(code), command.name().into()], count as f64);
    }
    let mut unsubscribes = Family::new(
        Kind::Counter,
        "centrifugo_client_num_server_unsubscribes",
        &["channel_namespace", "code"],
        "Subscriptions that the server ended.",
    );
    for (code, count) in shard.server_unsubscribes.iter() {
        unsubscribes.number([NAMESPACE.into(), number(code)], count as f64);
    }
    let mut disconnects = Family::new(
        Kind::Counter,
        "centrifugo_client_num_server_disconnects",
        &["code"],
        "Connections that the server ended.",
    );
    for (code, count) in shard.server_disconnects.iter() {
        disconnects.number([number(code)], count as f64);
    }
    let mut recover = Family::new(
        Kind::Counter,
        "centrifugo_client_recover",
        &["channel_namespace", "has_recovered_publications", "recovered"],
        "Recoveries that subscriptions asked for.",
    );
    for (recovered, row) in ["no", "yes"].into_iter().zip(&shard.recoveries) {
        for (has_publications, count) in ["no", "yes"].into_iter().zip(row).filter(|(_, count)| **count > 0) {
            recover.number([NAMESPACE, has_publications, recovered], *count as f64);
        }
    }
    let mut ping_pong = Family::new(
        Kind::Histogram,
        "centrifugo_client_ping_pong_duration_seconds",
        &["transport"],
        "Time from a ping of the server to the client's pong.",
    );
    for (transport, histogram) in Transport::ALL.iter().zip(&shard.ping_pong).filter(|(_, h)| h.count() > 0) {
        ping_pong.push([transport.name()], Value::Histogram(histogram.clone()));
    }
    let mut recovered = Family::new(
        Kind::Histogram,
        "centrifugo_client_recovered_publications",
        &["channel_namespace"],
        "Publications that complete recoveries brought.",
    );
    if shard.recovered.count() > 0 {
        recovered.push([NAMESPACE], Value::Histogram(shard.recovered.clone()));
    }
    all.extend([errors, unsubscribes, disconnects, recover, recovered, ping_pong]);
    all
}

fn connections(shard: &Shard) -> [Family; 3] {
    const LABELS: &[&str] = &["accept_protocol", "client_name", "client_version", "transport"];
    let mut accepted =
        Family::new(Kind::Counter, "centrifugo_client_connections_accepted", LABELS, "Clients that connected.");
    let mut inflight =
        Family::new(Kind::Gauge, "centrifugo_client_connections_inflight", LABELS, "Clients that are connected.");
    for transport in Transport::ALL {
        let rows = shard.accepted[*transport as usize].iter().zip(&shard.inflight[*transport as usize]);
        for (client, (made, open)) in ClientLabels::ALL.into_iter().zip(rows).filter(|(_, (made, _))| **made > 0) {
            let version = if client.versioned { "unregistered" } else { "unversioned" };
            let labels = ["", client_name(client.named), version, transport.name()];
            accepted.number(labels, *made as f64);
            inflight.number(labels, open.0 as f64);
        }
    }
    let mut subscriptions = Family::new(
        Kind::Gauge,
        "centrifugo_client_subscriptions_inflight",
        &["channel_namespace", "client_name"],
        "Subscriptions of connected clients.",
    );
    let rows = shard.subscribed.iter().zip(&shard.subscriptions);
    for (named, (_, open)) in [false, true].into_iter().zip(rows).filter(|(_, (made, _))| **made > 0) {
        subscriptions.number([NAMESPACE, client_name(named)], open.0 as f64);
    }
    [accepted, inflight, subscriptions]
}

fn client_name(named: bool) -> &'static str {
    if named { "unregistered" } else { "unnamed" }
}

fn nodes(shard: &Shard, node: &Node<'_>) -> Vec<Family> {
    const TYPES: &[&str] = &["channel_namespace", "type"];
    let mut actions = Family::new(
        Kind::Counter,
        "centrifugo_node_action_count",
        &["action", "channel_namespace"],
        "What the node did, by kind.",
    );
    for (action, count) in Action::ALL.iter().zip(&shard.actions).filter(|(_, count)| **count > 0) {
        actions.number([action.name(), NAMESPACE], *count as f64);
    }
    let mut build = Family::new(Kind::Gauge, "centrifugo_node_build", &["version"], "The server's version.");
    build.number([node.version.to_owned()], 1.0);
    let mut sent =
        Family::new(Kind::Counter, "centrifugo_node_messages_sent_count", TYPES, "Messages given to the channels.");
    let mut received = Family::new(
        Kind::Counter,
        "centrifugo_node_messages_received_count",
        TYPES,
        "Messages that came from the channels.",
    );
    for message in Message::ALL {
        let (given, came) = (shard.messages_sent[*message as usize], shard.messages_received[*message as usize]);
        // Those of maps are given only, and show when there were some.
        let is_of_map = matches!(message, Message::MapPublication | Message::MapRemoval);
        if !is_of_map || given > 0 {
            sent.number([NAMESPACE, message.name()], given as f64);
        }
        if !is_of_map {
            received.number([NAMESPACE, message.name()], came as f64);
        }
    }
    let mut broadcast = Family::new(
        Kind::Histogram,
        "centrifugo_node_broadcast_duration_seconds",
        TYPES,
        "Time from a publication until all its subscribers on a shard were served.",
    );
    if shard.latency.histogram.count() > 0 {
        broadcast.push([NAMESPACE, Message::Publication.name()], Value::Histogram(shard.latency.histogram.clone()));
    }
    let mut lag = Family::new(
        Kind::Histogram,
        "centrifugo_node_pub_sub_lag_seconds",
        &["channel_namespace"],
        "Time from a publication to its arrival at the subscribers' shard.",
    );
    if shard.lag.count() > 0 {
        lag.push([NAMESPACE], Value::Histogram(shard.lag.clone()));
    }
    let surveyed = (shard.surveys.histogram.count() > 0).then_some((["channels"], &shard.surveys));
    let [survey, survey_histogram] = durations(
        ["centrifugo_node_survey_duration_seconds", "centrifugo_node_survey_duration_seconds_histogram"],
        &["op"],
        "Time to ask everyone.",
        surveyed.into_iter(),
        node.mono_ms,
    );
    let mut requests = Family::new(
        Kind::Counter,
        "centrifugo_node_incoming_http_requests_total",
        &["method", "path", "status"],
        "HTTP requests to the node's own paths.",
    );
    for (path, method, status, count) in shard.requests.iter() {
        requests.number([method.to_owned(), path.to_owned(), status.to_string()], count as f64);
    }
    let mut filtered = Family::new(
        Kind::Counter,
        "centrifugo_node_tags_filter_dropped_publications",
        &["channel_namespace"],
        "Publications that tags filters kept from subscribers.",
    );
    if shard.filtered > 0 {
        filtered.number([NAMESPACE], shard.filtered as f64);
    }
    vec![
        actions,
        requests,
        filtered,
        build,
        sent,
        received,
        broadcast,
        lag,
        survey,
        survey_histogram,
        single(
            Kind::Counter,
            "centrifugo_node_client_connection_limit",
            "Connections refused because the node has too many.",
            shard.connection_limit as f64,
        ),
        single(Kind::Gauge, "centrifugo_node_num_channels", "Channels with subscribers.", node.channels as f64),
        single(Kind::Gauge, "centrifugo_node_num_clients", "Connected clients.", node.clients as f64),
        single(Kind::Gauge, "centrifugo_node_num_nodes", "Nodes of the cluster.", node.nodes as f64),
        single(Kind::Gauge, "centrifugo_node_num_subscriptions", "Subscriptions.", node.subscriptions as f64),
        single(Kind::Gauge, "centrifugo_node_num_users", "Distinct connected users.", node.users as f64),
    ]
}

fn transports(shard: &Shard) -> [Family; 5] {
    let [sent, sent_size] = traffic(
        ["centrifugo_transport_messages_sent", "centrifugo_transport_messages_sent_size"],
        ["Messages sent to clients.", "Bytes of messages sent to clients, without framing."],
        &shard.sent,
    );
    let [received, received_size] = traffic(
        ["centrifugo_transport_messages_received", "centrifugo_transport_messages_received_size"],
        ["Messages from clients.", "Bytes of messages from clients, without framing."],
        &shard.received,
    );
    let mut closes = Family::new(
        Kind::Counter,
        "centrifugo_transport_outgoing_close_count",
        &["code", "transport"],
        "Close frames sent to clients.",
    );
    for ((transport, code), count) in shard.closes.iter() {
        closes.number([number(code), transport.name().into()], count as f64);
    }
    [sent, sent_size, received, received_size, closes]
}

fn traffic(names: [&'static str; 2], help: [&'static str; 2], table: &TrafficTable) -> [Family; 2] {
    const LABELS: &[&str] = &["channel_namespace", "frame_type", "transport"];
    let mut messages = Family::new(Kind::Counter, names[0], LABELS, help[0]);
    let mut bytes = Family::new(Kind::Counter, names[1], LABELS, help[1]);
    for (transport, row) in Transport::ALL.iter().zip(table) {
        for (frame, traffic) in Frame::ALL.iter().zip(row).filter(|(_, traffic)| traffic.messages > 0) {
            let labels = [NAMESPACE, frame.name(), transport.name()];
            messages.number(labels, traffic.messages as f64);
            bytes.number(labels, traffic.bytes as f64);
        }
    }
    [messages, bytes]
}

/// Publications and removals that changed nothing.
fn suppressed(shard: &Shard) -> [Family; 3] {
    const LABELS: &[&str] = &["channel_namespace", "reason"];
    let family = |request, name, help| {
        let mut family = Family::new(Kind::Counter, name, LABELS, help);
        for ((_, reason), count) in shard.suppressed.iter().filter(|((counted, _), _)| *counted == request) {
            family.number([NAMESPACE, reason], count as f64);
        }
        family
    };
    [
        family(Suppressed::Publish, "centrifugo_broker_publish_suppressed_count", "Publications that changed nothing."),
        family(
            Suppressed::MapPublish,
            "centrifugo_map_broker_publish_suppressed_count",
            "Publications into maps that changed nothing.",
        ),
        family(
            Suppressed::MapRemove,
            "centrifugo_map_broker_remove_suppressed_count",
            "Removals from maps that changed nothing.",
        ),
    ]
}

fn durations<'d, const N: usize>(
    names: [&'static str; 2],
    labels: &'static [&'static str],
    help: &'static str,
    rows: impl Iterator<Item = ([&'static str; N], &'d Durations)>,
    mono_ms: u64,
) -> [Family; 2] {
    let mut summary = Family::new(Kind::Summary, names[0], labels, help);
    let mut histogram = Family::new(Kind::Histogram, names[1], labels, help);
    for (values, durations) in rows {
        summary.push(values, Value::summary(durations, mono_ms));
        histogram.push(values, Value::Histogram(durations.histogram.clone()));
    }
    [summary, histogram]
}

fn single(kind: Kind, name: &'static str, help: &'static str, value: f64) -> Family {
    let mut family = Family::new(kind, name, &[], help);
    family.number([""; 0], value);
    family
}

fn number(code: u32) -> Cow<'static, str> {
    code.to_string().into()
}
