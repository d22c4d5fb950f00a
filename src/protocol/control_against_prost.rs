//! Compares messages between nodes with prost.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::num::f64::NORMAL;
use proptest::option::of;
use proptest::prelude::*;
use prost::Message as _;

use crate::protocol::{control, proto};

#[derive(Clone, PartialEq, prost::Message)]
struct Command {
    #[prost(string, tag = "1")]
    uid: String,
    #[prost(message, optional, tag = "4")]
    node: Option<Node>,
    #[prost(message, optional, tag = "5")]
    unsubscribe: Option<Unsubscribe>,
    #[prost(message, optional, tag = "6")]
    disconnect: Option<Disconnect>,
    #[prost(message, optional, tag = "7")]
    shutdown: Option<Shutdown>,
    #[prost(message, optional, tag = "8")]
    survey_request: Option<SurveyRequest>,
    #[prost(message, optional, tag = "9")]
    survey_response: Option<SurveyResponse>,
    #[prost(message, optional, tag = "10")]
    subscribe: Option<Subscribe>,
    #[prost(message, optional, tag = "11")]
    notification: Option<Notification>,
    #[prost(message, optional, tag = "12")]
    refresh: Option<Refresh>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Shutdown {}

#[derive(Clone, PartialEq, prost::Message)]
struct Metrics {
    #[prost(double, tag = "1")]
    interval: f64,
    #[prost(btree_map = "string, double", tag = "2")]
    items: BTreeMap<String, f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Node {
    #[prost(string, tag = "1")]
    uid: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(uint32, tag = "4")]
    num_clients: u32,
    #[prost(uint32, tag = "5")]
    num_users: u32,
    #[prost(uint32, tag = "6")]
    num_channels: u32,
    #[prost(uint32, tag = "7")]
    uptime: u32,
    #[prost(message, optional, tag = "8")]
    metrics: Option<Metrics>,
    #[prost(bytes = "vec", tag = "9")]
    data: Vec<u8>,
    #[prost(uint32, tag = "10")]
    num_subs: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StreamPosition {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(string, tag = "2")]
    epoch: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FilterNode {
    #[prost(string, tag = "1")]
    op: String,
    #[prost(string, tag = "2")]
    key: String,
    #[prost(string, tag = "3")]
    cmp: String,
    #[prost(string, tag = "4")]
    val: String,
    #[prost(string, repeated, tag = "5")]
    vals: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    nodes: Vec<FilterNode>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Subscribe {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    channel: String,
    #[prost(bool, tag = "3")]
    emit_presence: bool,
    #[prost(bool, tag = "4")]
    emit_join_leave: bool,
    #[prost(int64, tag = "5")]
    expire_at: i64,
    #[prost(bool, tag = "6")]
    position: bool,
    #[prost(bool, tag = "7")]
    recover: bool,
    #[prost(bytes = "vec", tag = "8")]
    channel_info: Vec<u8>,
    #[prost(string, tag = "9")]
    client: String,
    #[prost(bytes = "vec", tag = "10")]
    data: Vec<u8>,
    #[prost(message, optional, tag = "11")]
    recover_since: Option<StreamPosition>,
    #[prost(string, tag = "12")]
    session: String,
    #[prost(bool, tag = "13")]
    push_join_leave: bool,
    #[prost(uint32, tag = "14")]
    source: u32,
    #[prost(message, optional, tag = "15")]
    label_filter: Option<FilterNode>,
    #[prost(bool, tag = "16")]
    all_users: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Unsubscribe {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(string, tag = "2")]
    user: String,
    #[prost(string, tag = "3")]
    client: String,
    #[prost(string, tag = "4")]
    session: String,
    #[prost(uint32, tag = "5")]
    code: u32,
    #[prost(string, tag = "6")]
    reason: String,
    #[prost(message, optional, tag = "7")]
    label_filter: Option<FilterNode>,
    #[prost(bool, tag = "8")]
    all_users: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Disconnect {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, repeated, tag = "2")]
    whitelist: Vec<String>,
    #[prost(uint32, tag = "3")]
    code: u32,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(bool, tag = "5")]
    reconnect: bool,
    #[prost(string, tag = "6")]
    client: String,
    #[prost(string, tag = "7")]
    session: String,
    #[prost(message, optional, tag = "8")]
    label_filter: Option<FilterNode>,
    #[prost(bool, tag = "9")]
    all_users: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SurveyRequest {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    op: String,
    #[prost(bytes = "vec", tag = "3")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SurveyResponse {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint32, tag = "2")]
    code: u32,
    #[prost(bytes = "vec", tag = "3")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Notification {
    #[prost(string, tag = "1")]
    op: String,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Refresh {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    client: String,
    #[prost(bool, tag = "3")]
    expired: bool,
    #[prost(int64, tag = "4")]
    expire_at: i64,
    #[prost(bytes = "vec", tag = "5")]
    info: Vec<u8>,
    #[prost(string, tag = "6")]
    session: String,
    #[prost(message, optional, tag = "7")]
    label_filter: Option<FilterNode>,
    #[prost(bool, tag = "8")]
    all_users: bool,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zé]{1,9}"]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..300u32, any::<u32>()]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..9)
}

fn filter() -> impl Strategy<Value = FilterNode> {
    let leaf = (text(), text(), text(), text(), vec(text(), 0..3)).prop_map(|(op, key, cmp, val, vals)| FilterNode {
        op,
        key,
        cmp,
        val,
        vals,
        nodes: Vec::new(),
    });
    leaf.prop_recursive(3, 8, 3, |inner| {
        (text(), vec(inner, 0..3)).prop_map(|(op, nodes)| FilterNode { op, nodes, ..Default::default() })
    })
}

fn node() -> impl Strategy<Value = Node> {
    let metrics = (NORMAL, btree_map(text(), NORMAL, 0..3));
    let metrics = metrics.prop_map(|(interval, items)| Metrics { interval, items });
    ([text(), text(), text()], [number(), number(), number(), number(), number()], of(metrics), data()).prop_map(
        |([uid, name, version], [num_clients, num_users, num_channels, uptime, num_subs], metrics, data)| Node {
            uid,
            name,
            version,
            num_clients,
            num_users,
            num_channels,
            uptime,
            metrics,
            data,
            num_subs,
        },
    )
}

fn subscribe() -> impl Strategy<Value = Subscribe> {
    let since = (any::<u64>(), text()).prop_map(|(offset, epoch)| StreamPosition { offset, epoch });
    let texts = [text(), text(), text(), text()];
    (texts, any::<[bool; 6]>(), any::<i64>(), data(), data(), of(since), number(), of(filter())).prop_map(
        |(texts, flags, expire_at, channel_info, data, recover_since, source, label_filter)| {
            let [user, channel, client, session] = texts;
            let [emit_presence, emit_join_leave, position, recover, push_join_leave, all_users] = flags;
            Subscribe {
                user,
                channel,
                emit_presence,
                emit_join_leave,
                expire_at,
                position,
                recover,
                channel_info,
                client,
                data,
                recover_since,
                session,
                push_join_leave,
                source,
                label_filter,
                all_users,
            }
        },
    )
}

fn unsubscribe() -> impl Strategy<Value = Unsubscribe> {
    ([text(), text(), text(), text(), text()], number(), of(filter()), any::<bool>()).prop_map(
        |([channel, user, client, session, reason], code, label_filter, all_users)| Unsubscribe {
            channel,
            user,
            client,
            session,
            code,
            reason,
            label_filter,
            all_users,
        },
    )
}

fn disconnect() -> impl Strategy<Value = Disconnect> {
    ([text(), text(), text(), text()], vec(text(), 0..3), number(), of(filter()), any::<[bool; 2]>()).prop_map(
        |([user, reason, client, session], whitelist, code, label_filter, [reconnect, all_users])| Disconnect {
            user,
            whitelist,
            code,
            reason,
            reconnect,
            client,
            session,
            label_filter,
            all_users,
        },
    )
}

fn refresh() -> impl Strategy<Value = Refresh> {
    ([text(), text(), text()], any::<[bool; 2]>(), any::<i64>(), data(), of(filter())).prop_map(
        |([user, client, session], [expired, all_users], expire_at, info, label_filter)| Refresh {
            user,
            client,
            expired,
            expire_at,
            info,
            session,
            label_filter,
            all_users,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let request = (any::<u64>(), text(), data()).prop_map(|(id, op, data)| SurveyRequest { id, op, data });
    let response = (any::<u64>(), number(), data()).prop_map(|(id, code, data)| SurveyResponse { id, code, data });
    let notification = (text(), data()).prop_map(|(op, data)| Notification { op, data });
    let told = prop_oneof![
        of(node()).prop_map(|node| Command { node, ..Default::default() }),
        subscribe().prop_map(|subscribe| Command { subscribe: Some(subscribe), ..Default::default() }),
        unsubscribe().prop_map(|unsubscribe| Command { unsubscribe: Some(unsubscribe), ..Default::default() }),
        disconnect().prop_map(|disconnect| Command { disconnect: Some(disconnect), ..Default::default() }),
        refresh().prop_map(|refresh| Command { refresh: Some(refresh), ..Default::default() }),
        request.prop_map(|request| Command { survey_request: Some(request), ..Default::default() }),
        response.prop_map(|response| Command { survey_response: Some(response), ..Default::default() }),
        notification.prop_map(|notification| Command { notification: Some(notification), ..Default::default() }),
        Just(Command { shutdown: Some(Shutdown {}), ..Default::default() }),
    ];
    (text(), told).prop_map(|(uid, told)| Command { uid, ..told })
}

proptest! {
    #[test]
    fn encodes_and_decodes_as_prost(theirs in command()) {
        let bytes = theirs.encode_to_vec();
        let ours: control::Command<'_> = proto::decode(&bytes).unwrap();
        let mut encoded = Vec::new();
        proto::encode(&ours, &mut encoded);
        prop_assert_eq!(&proto::decode::<control::Command<'_>>(&encoded).unwrap(), &ours);
        // Entries of maps are written whole here, as upstream's are; prost leaves out what is zero.
        prop_assert_eq!(Command::decode(&encoded[..]).unwrap(), theirs);
    }
}
