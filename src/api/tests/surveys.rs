//! Methods that ask every shard: what is done to sessions, channels, info, metrics.

use std::sync::Arc;

use super::super::{Control, ControlAnswer, ScrapeForm, ShardInfo, Target, scrape};
use super::{World, config};
use crate::base::ids::{ClientId, ShardId};
use crate::channel::name::{ChannelName, hash_of};
use crate::metrics::labels::{Api, Command};
use crate::metrics::{Interval, Shard};
use crate::session::SessionControl;

const EMPTY: &str = r#"{"result":{}}"#;
const CLIENT: &str = "01010101-0101-0101-0101-010101010101";

/// The text of the response, and what the shards were told, if anything.
fn told(method: &str, body: &str) -> (String, String) {
    let mut world = World::new();
    let response = world.call(method, body);
    assert_eq!(response.status, 200);
    (String::from_utf8(response.body).unwrap(), world.asked)
}

/// Checks that the method succeeds and that the shards are told this.
fn check(method: &str, body: &str, target: Target, what: Option<SessionControl>) {
    let expected = format!("{:?}", Control::Sessions(target, what));
    assert_eq!(told(method, body), (EMPTY.to_owned(), expected), "{method} {body}");
}

fn user(user: &str) -> Target {
    Target { user: user.into(), ..Target::default() }
}

#[test]
fn disconnect() {
    use crate::protocol::disconnect::Disconnect;
    let force = || Some(SessionControl::Disconnect(Disconnect::FORCE_NO_RECONNECT));
    check("disconnect", r#"{"user":"u"}"#, user("u"), force());
    // Nobody in particular is the anonymous user.
    check("disconnect", "{}", user(""), force());
    let custom = Some(SessionControl::Disconnect(Disconnect { code: 4500, reason: "bye".into() }));
    check("disconnect", r#"{"user":"u","disconnect":{"code":4500,"reason":"bye"}}"#, user("u"), custom);
    let narrow = Target {
        user: "u".into(),
        client: Some(ClientId([1; 16])),
        session: "s".into(),
        whitelist: Box::new([ClientId([2; 16])]),
    };
    let body = format!(
        r#"{{"user":"u","client":"{CLIENT}","session":"s","whitelist":["x","02020202-0202-0202-0202-020202020202"]}}"#
    );
    check("disconnect", &body, narrow, force());
}

#[test]
fn a_client_that_is_none_is_told_nothing() {
    for client in ["x", "01010101010101010101010101010101", "AB010101-0101-0101-0101-010101010101"] {
        for method in ["disconnect", "unsubscribe", "refresh", "subscribe"] {
            let body = format!(r#"{{"user":"u","client":"{client}","channel":"open:a"}}"#);
            assert_eq!(told(method, &body), (EMPTY.to_owned(), String::new()), "{method} {client}");
        }
    }
}

#[test]
fn unsubscribe() {
    use crate::protocol::disconnect::Unsubscribe;
    let from =
        |channel: &str| Some(SessionControl::Unsubscribe { channel: channel.into(), unsubscribe: Unsubscribe::SERVER });
    check("unsubscribe", r#"{"user":"u","channel":"open:a"}"#, user("u"), from("open:a"));
    check("unsubscribe", r#"{"user":"u"}"#, user("u"), from(""));
    let (text, asked) = told("unsubscribe", r#"{"user":"u","channel":"nowhere:a"}"#);
    assert_eq!((&*text, &*asked), (r#"{"error":{"code":102,"message":"unknown channel"}}"#, ""));
}

#[test]
fn refresh() {
    let what = Some(SessionControl::Refresh { expired: true, expire_at: 5, info: "{ }".into() });
    check("refresh", r#"{"user":"u","expired":true,"expire_at":5,"info":{ }}"#, user("u"), what);
    check(
        "refresh",
        r#"{"user":"u"}"#,
        user("u"),
        Some(SessionControl::Refresh { expired: false, expire_at: 0, info: "".into() }),
    );
}

#[test]
fn subscribe() {
    use crate::channel::op::Since;
    use crate::session::ServerSubscribe;
    let plain = ServerSubscribe {
        channel: "pres:a".into(),
        presence: true,
        join_leave: true,
        recoverable: true,
        ..ServerSubscribe::default()
    };
    let subscribe = |session: ServerSubscribe| Some(SessionControl::Subscribe(Box::new(session)));
    check("subscribe", r#"{"user":"u","channel":"pres:a"}"#, user("u"), subscribe(plain.clone()));
    let given = ServerSubscribe {
        presence: false,
        push_join_leave: true,
        positioned: true,
        recoverable: false,
        recover_since: Some(Since { offset: 3, epoch: "e".into() }),
        expire_at: 1_700_000_001,
        info: r#"{"i":1}"#.into(),
        data: "2".into(),
        ..plain
    };
    let body = r#"{"user":"u","channel":"pres:a","expire_at":1700000001,"b64info":"eyJpIjoxfQ==","data":2,
        "recover_since":{"offset":3,"epoch":"e"},
        "override":{"presence":{"value":false},"force_push_join_leave":{"value":true},
        "force_positioning":{"value":true},"force_recovery":{}}}"#;
    check("subscribe", body, user("u"), subscribe(given));
    for (body, code) in [
        (r#"{"user":"u"}"#, 107),
        (r#"{"channel":"nowhere:a","b64data":"*"}"#, 102),
        (r#"{"channel":"open:a","b64data":"*"}"#, 107),
        (r#"{"channel":"open:a","b64info":"*"}"#, 107),
    ] {
        let (text, asked) = told("subscribe", body);
        assert!(text.starts_with(&format!(r#"{{"error":{{"code":{code},"#)) && asked.is_empty(), "{body}: {text}");
    }
}

#[test]
fn a_subscription_that_is_over_fails_where_a_session_is_meant() {
    let body = r#"{"user":"u","channel":"open:a","expire_at":1700000000}"#;
    check("subscribe", body, user("u"), None);
    let mut world = World::new();
    world.shard = |shard, _| vec![ControlAnswer::Sessions(u32::from(shard == 2))];
    assert_eq!(world.call("subscribe", body).body, br#"{"error":{"code":100,"message":"internal server error"}}"#);
}

#[test]
fn a_control_means_only_matching_sessions() {
    let (one, two) = (ClientId([1; 16]), ClientId([2; 16]));
    let matches = |target: Target, client, session| Control::Sessions(target, None).matches(client, session);
    assert!(matches(user("u"), one, "s"));
    assert!(matches(Target { client: Some(one), ..user("u") }, one, "s"));
    assert!(!matches(Target { client: Some(one), ..user("u") }, two, "s"));
    assert!(matches(Target { session: "s".into(), ..user("u") }, one, "s"));
    assert!(!matches(Target { session: "s".into(), ..user("u") }, one, ""));
    assert!(!matches(Target { whitelist: Box::new([two, one]), ..user("u") }, one, "s"));
    assert!(!Control::Info.matches(one, "s"));
    assert_eq!(Control::Info.user(), None);
    assert_eq!(Control::Sessions(user(""), None).user(), Some(""));
}

#[test]
fn channels_are_added_up_over_shards() {
    let mut world = World::new();
    world.shard = |shard, control| {
        let Control::Channels { pattern, .. } = control else { panic!("{control:?}") };
        let all = [("open:b", 1), ("rec:y", u32::from(shard)), ("<", 1)];
        let fits = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
        let fitting = all.into_iter().filter(|(name, count)| fits(name) && *count > 0);
        let piece = |(name, count)| ControlAnswer::Channels(vec![(ChannelName::new(name), count)]);
        fitting.map(piece).chain([ControlAnswer::Listed]).collect()
    };
    for (body, text) in [
        (
            "{}",
            r#"{"result":{"channels":{"\u003c":{"num_clients":3},"open:b":{"num_clients":3},"rec:y":{"num_clients":3}}}}"#,
        ),
        (r#"{"pattern":"open:*"}"#, r#"{"result":{"channels":{"open:b":{"num_clients":3}}}}"#),
        (r#"{"pattern":"none"}"#, r#"{"result":{"channels":{}}}"#),
        (r#"{"pattern":"[ab"}"#, r#"{"error":{"code":100,"message":"internal server error"}}"#),
    ] {
        assert_eq!(String::from_utf8_lossy(&world.call("channels", body).body), text, "{body}");
    }
}

fn shard_info(shard: u16, control: &Control) -> Vec<ControlAnswer> {
    let mut metrics = Shard::new(ShardId(shard));
    let mut interval = Interval::new(1000, ShardId(shard));
    let now = |mono_ms| crate::base::time::Now { mono_ms, ..Default::default() };
    metrics.command(now(0), Command::Rpc, 1_000_000);
    interval.tick(now(1000), &metrics);
    metrics.command(now(1500), Command::Rpc, 1_000_000);
    interval.tick(now(2000), &metrics);
    let mut info = ShardInfo { clients: 2, subscriptions: 5, users: 2, channels: 3, ..ShardInfo::default() };
    let users = [hash_of("everywhere"), u64::from(shard)].map(|hash| ControlAnswer::Users(vec![hash]));
    match control {
        Control::Info => info.interval = interval.ends().map(Arc::clone),
        _ => info.metrics = Some(Box::new(metrics)),
    }
    users.into_iter().chain([ControlAnswer::Info(Box::new(info))]).collect()
}

#[test]
fn info_adds_up_shards_and_counts_users_once() {
    let mut world = World::new();
    world.config = config(r#"{"node": {"name": "n1", "info_metrics_aggregate_interval": "1500ms"}}"#);
    let nothing_yet = concat!(
        r#"{"result":{"nodes":[{"uid":"uid-1","name":"n1","version":"1.2.3","num_clients":0,"num_users":0,"#,
        r#""num_channels":0,"uptime":5,"num_subs":0}]}}"#
    );
    assert_eq!(String::from_utf8_lossy(&world.call("info", "{}").body), nothing_yet);
    world.shard = shard_info;
    let value: serde_json::Value = serde_json::from_slice(&world.call("info", "{}").body).unwrap();
    let node = &value["result"]["nodes"][0];
    let numbers = ["num_clients", "num_users", "num_channels", "num_subs"].map(|name| node[name].as_u64().unwrap());
    assert_eq!(numbers, [6, 4, 9, 15]);
    assert_eq!(node["metrics"]["interval"], 1.5);
    let items = &node["metrics"]["items"];
    assert_eq!(items["centrifugo.client.command_duration_seconds.count.method.rpc"], 3);
    assert_eq!(items["centrifugo.node.num_users"], 4);
}

#[test]
fn metrics_are_read_from_all_shards() {
    let mut world = World::new();
    world.shard = shard_info;
    let response = world.run(|cx| scrape(cx, ScrapeForm::Prometheus));
    assert_eq!(response.content_type, super::super::PROMETHEUS_CONTENT_TYPE);
    let text = String::from_utf8(response.body).unwrap();
    for line in [
        "centrifugo_node_num_users 4",
        "centrifugo_node_num_channels 9",
        r#"centrifugo_node_build{version="1.2.3"} 1"#,
        r#"centrifugo_client_command_duration_seconds_count{channel_namespace="",method="rpc"} 6"#,
        r#"spindle_shard_turns_total{shard="2"} 0"#,
    ] {
        assert!(text.lines().any(|other| other == line), "no line {line} in {text}");
    }
    let response = world.run(|cx| scrape(cx, ScrapeForm::Demo));
    let value: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(value["shards"].as_array().map(Vec::len), Some(3));
    assert_eq!(world.metrics_text().matches("method=\"unknown\",protocol").count(), 0);
}

#[test]
fn methods_and_their_failures_are_counted() {
    let mut world = World::new();
    world.call("publish", r#"{"channel":"open:a","data":1}"#);
    world.call("publish", r#"{"channel":"nowhere:a","data":1}"#);
    world.call("publish", "rubbish");
    world.call("channels", "{}");
    world.call("broadcast", r#"{"channels":["open:a","","nowhere:a"],"data":1}"#);
    world.call("batch", r#"{"commands":[null,{},{"history":{"channel":"open:a"}}]}"#);
    world.call("", r#"{"method":"presence","params":{"channel":"open:a"}}"#);
    let text = world.metrics_text();
    let count = |method: Api| {
        format!(r#"centrifugo_api_command_duration_seconds_count{{method="{}",protocol="http"}}"#, method.name())
    };
    let error = |error: &str, method: Api| {
        format!(r#"centrifugo_api_command_errors_total{{error="{error}",method="{}",protocol="http"}}"#, method.name())
    };
    for (series, value) in [
        (count(Api::Publish), Some("2")),
        (count(Api::Broadcast), Some("1")),
        (count(Api::History), Some("1")),
        (count(Api::Presence), Some("1")),
        (count(Api::Batch), None),
        (count(Api::Unknown), None),
        (error("102", Api::Publish), Some("1")),
        (error("unmarshal", Api::Publish), Some("1")),
        (error("107", Api::BroadcastPublish), Some("1")),
        (error("102", Api::BroadcastPublish), Some("1")),
        (error("104", Api::Unknown), Some("1")),
        (error("107", Api::Unknown), None),
        (error("108", Api::History), Some("1")),
        (error("108", Api::Presence), None),
        (r#"centrifugo_node_survey_duration_seconds_count{op="channels"}"#.to_owned(), Some("1")),
    ] {
        let found = text.lines().find_map(|line| line.strip_prefix(&series)?.strip_prefix(' '));
        assert_eq!(found, value, "{series}");
    }
}
