//! Compares the Protobuf codec with prost, and both codecs with themselves, on generated messages.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message as _;

use crate::protocol::json::write::Style;
use crate::protocol::{api, client, json, proto};

#[derive(Clone, PartialEq, prost::Message)]
struct ClientInfo {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    client: String,
    #[prost(bytes = "vec", tag = "3")]
    conn_info: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    chan_info: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Publication {
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    info: Option<ClientInfo>,
    #[prost(uint64, tag = "6")]
    offset: u64,
    #[prost(btree_map = "string, string", tag = "7")]
    tags: BTreeMap<String, String>,
    #[prost(bool, tag = "8")]
    delta: bool,
    #[prost(int64, tag = "9")]
    time: i64,
    #[prost(string, tag = "10")]
    channel: String,
    #[prost(string, tag = "11")]
    key: String,
    #[prost(bool, tag = "12")]
    removed: bool,
    #[prost(sint64, tag = "13")]
    score: i64,
    #[prost(string, tag = "14")]
    epoch: String,
    #[prost(bytes = "vec", tag = "15")]
    prev_data: Vec<u8>,
    #[prost(uint64, tag = "16")]
    version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SubscribeResult {
    #[prost(bool, tag = "1")]
    expires: bool,
    #[prost(uint32, tag = "2")]
    ttl: u32,
    #[prost(message, repeated, tag = "7")]
    publications: Vec<Publication>,
    #[prost(int32, tag = "15")]
    r#type: i32,
    #[prost(string, tag = "17")]
    cursor: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ConnectResult {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(btree_map = "string, message", tag = "6")]
    subs: BTreeMap<String, SubscribeResult>,
    #[prost(uint32, tag = "7")]
    ping: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Push {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    channel: String,
    #[prost(message, optional, tag = "4")]
    publication: Option<Publication>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Reply {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "4")]
    push: Option<Push>,
    #[prost(message, optional, boxed, tag = "5")]
    connect: Option<Box<ConnectResult>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FilterNode {
    #[prost(string, tag = "1")]
    op: String,
    #[prost(string, repeated, tag = "5")]
    vals: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    nodes: Vec<FilterNode>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metrics {
    #[prost(double, tag = "1")]
    interval: f64,
    #[prost(btree_map = "string, double", tag = "2")]
    items: BTreeMap<String, f64>,
}

/// A number, small ones and zero often.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..300u64, any::<u64>()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z:<\\\\\"é€\u{2028}\n]{1,20}", any::<String>()]
}

/// A payload that JSON can carry, without the newlines that it would lose.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"null".to_vec()),
        Just(br#"{ "a" : [1,2.5e3,"\u0041<"] }"#.to_vec()),
        text().prop_map(|text| serde_json::to_vec(&text).unwrap()),
    ]
}

prop_compose! {
    fn client_info()(user in text(), client in text(), conn_info in payload(), chan_info in payload()) -> ClientInfo {
        ClientInfo { user, client, conn_info, chan_info }
    }
}

prop_compose! {
    fn publication()(
        data in payload(),
        info in proptest::option::of(client_info().boxed()),
        numbers in (number(), number(), number(), number()),
        flags: (bool, bool),
        tags in btree_map(text(), text(), 0..5),
        texts in (text(), text(), text()),
        prev_data in payload(),
    ) -> Publication {
        Publication {
            data,
            info,
            offset: numbers.0,
            tags,
            delta: flags.0,
            time: numbers.1 as i64,
            channel: texts.0,
            key: texts.1,
            removed: flags.1,
            score: numbers.2 as i64,
            epoch: texts.2,
            prev_data,
            version: numbers.3,
        }
    }
}

prop_compose! {
    fn subscribe_result()(
        expires: bool, ttl: u32, publications in vec(publication().boxed(), 0..3), r#type: i32, cursor in text()
    ) -> SubscribeResult {
        SubscribeResult { expires, ttl, publications, r#type, cursor }
    }
}

prop_compose! {
    fn reply()(
        id: u32,
        push in proptest::option::of((number(), text(), proptest::option::of(publication().boxed()))),
        connect in proptest::option::of((text(), btree_map(text(), subscribe_result().boxed(), 0..3), any::<u32>())),
    ) -> Reply {
        let push = push.map(|(id, channel, publication)| Push { id: id as i64, channel, publication });
        let connect = connect.map(|(client, subs, ping)| Box::new(ConnectResult { client, subs, ping }));
        Reply { id, push, connect }
    }
}

fn filter() -> impl Strategy<Value = FilterNode> {
    let leaf = (text(), vec(text(), 0..3)).prop_map(|(op, vals)| FilterNode { op, vals, nodes: Vec::new() });
    leaf.prop_recursive(6, 30, 4, |inner| {
        (text(), vec(inner, 0..4)).prop_map(|(op, nodes)| FilterNode { op, vals: Vec::new(), nodes })
    })
}

/// Prost's bytes decode to a message whose bytes decode, with prost, to the same; and the message survives JSON.
macro_rules! check_same {
    ($message:expr, $ours:ty, $theirs:ty) => {{
        let bytes = $message.encode_to_vec();
        let decoded: $ours = proto::decode(&bytes).unwrap();
        let mut encoded = Vec::new();
        proto::encode(&decoded, &mut encoded);
        prop_assert_eq!(&<$theirs>::decode(&encoded[..]).unwrap(), &$message);
        prop_assert_eq!(&proto::decode::<$ours>(&encoded).unwrap(), &decoded);
        let mut delimited = Vec::new();
        proto::encode_delimited(&decoded, &mut delimited);
        prop_assert_eq!(&<$theirs>::decode_length_delimited(&delimited[..]).unwrap(), &$message);
        let mut text = Vec::new();
        json::encode(&decoded, Style::Client, &mut text).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        prop_assert_eq!(&json::decode_whole::<$ours>(&text).unwrap(), &decoded);
        let mut text = Vec::new();
        json::encode(&decoded, Style::Api, &mut text).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        json::decode_whole::<$ours>(&text).unwrap();
    }};
}

proptest! {
    #[test]
    fn replies(message in reply().boxed()) {
        check_same!(message, client::Reply<'_>, Reply);
    }

    #[test]
    fn filters(message in filter()) {
        check_same!(message, client::FilterNode<'_>, FilterNode);
    }

    #[test]
    fn metrics(interval in proptest::num::f64::NORMAL, items in btree_map(text(), proptest::num::f64::NORMAL, 0..4)) {
        let message = Metrics { interval, items };
        check_same!(message, api::Metrics<'_>, Metrics);
    }

    /// What one side rejects, the other rejects too, but for groups, text that is not UTF-8 and overlong numbers.
    #[test]
    fn damage(message in reply().boxed(), damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: bool) {
        let mut bytes = message.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (place, byte) in damages {
            let at = place.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at + 1);
            }
        }
        if let (Ok(theirs), Ok(ours)) = (Reply::decode(&bytes[..]), proto::decode::<client::Reply<'_>>(&bytes)) {
            let mut encoded = Vec::new();
            proto::encode(&ours, &mut encoded);
            // Prost knows only some of the fields: the others are passed over by it in both.
            prop_assert_eq!(Reply::decode(&encoded[..]).unwrap(), theirs);
        }
    }

    #[test]
    fn rubbish_never_panics(bytes: Vec<u8>) {
        let _ = proto::decode::<client::Command<'_>>(&bytes);
        let _ = json::decode_whole::<client::Command<'_>>(&bytes);
    }
}
