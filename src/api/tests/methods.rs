//! Each method by itself: its checks, what it asks for, its reply, in both error modes.

use std::sync::Arc;

use bytes::Bytes;

use super::{World, top};
use crate::base::ids::ClientId;
use crate::channel::op::{Answer, HistoryOptions, Op, Since};
use crate::channel::publication::{ClientInfo, Publication};
use crate::protocol::error::Error;

const E100: &str = r#"{"error":{"code":100,"message":"internal server error"}}"#;
const E102: &str = r#"{"error":{"code":102,"message":"unknown channel"}}"#;
const E104: &str = r#"{"error":{"code":104,"message":"not found"}}"#;
const E107: &str = r#"{"error":{"code":107,"message":"bad request"}}"#;
const E108: &str = r#"{"error":{"code":108,"message":"not available"}}"#;
const EMPTY: &str = r#"{"result":{}}"#;
const PUBLISHED: &str = r#"{"result":{"offset":7,"epoch":"aaaaaaaa"}}"#;

/// Rows of body, what is asked, and the text of the response, which has status 200.
fn check(method: &str, rows: &[(&str, &str, &str)]) {
    for (body, asked, text) in rows {
        let mut world = World::new();
        let response = world.call(method, body);
        assert_eq!(String::from_utf8_lossy(&response.body), *text, "{method} {body}");
        assert_eq!((response.status, response.content_type), (200, "application/json"), "{method} {body}");
        assert_eq!(world.asked, *asked, "{method} {body}");
    }
}

#[test]
fn publish() {
    check(
        "publish",
        &[
            (r#"{"channel":"open:a","data":1}"#, "publish open:a", EMPTY),
            (r#"{"channel":"hist:a","data":null}"#, "publish hist:a", PUBLISHED),
            (r#"{"Channel":"hist:a","DATA":{}}"#, "publish hist:a", PUBLISHED),
            (r#"{"channel":"hist:a","data":1,"skip_history":true}"#, "publish hist:a", EMPTY),
            (r#"{"channel":"open:é\u0000 long","data":1}"#, "publish open:é\0 long", EMPTY),
            (r#"{"data":1}"#, "", E107),
            ("null", "", E107),
            (r#"{"channel":"nowhere:a","data":1}"#, "", E102),
            (r#"{"channel":"kv:a","data":1}"#, "", E107),
            (r#"{"channel":"poll:a","data":1}"#, "", E107),
            (r#"{"channel":"open:a"}"#, "", E107),
            (r#"{"channel":"open:a","b64data":""}"#, "", E107),
            (r#"{"channel":"open:a","b64data":"***"}"#, "", E107),
            (r#"{"channel":"open:a","b64data":"MQ"}"#, "", E107),
            (r#"{"channel":"open:a","b64data":"M\r\nQ=\n="}"#, "publish open:a", EMPTY),
            // The payload is decoded before the channel is looked up.
            (r#"{"channel":"nowhere:a","b64data":"***"}"#, "", E107),
            (r#"{"channel":"fobj:a","data":[1]}"#, "", E107),
            (r#"{"channel":"fobj:a","data":{"a":1}}"#, "publish fobj:a", EMPTY),
            (r#"{"channel":"fbin:a"}"#, "publish fbin:a", EMPTY),
            (r#"{"channel":"fbin:a","b64data":"bm9wZQ=="}"#, "publish fbin:a", EMPTY),
        ],
    );
}

#[test]
fn a_publication_carries_everything_it_was_given() {
    let mut world = World::new();
    world.home = |_, op| {
        let Op::Publish(publish) = op else { panic!("{op:?}") };
        assert_eq!(&publish.publication.data[..], br#"{ "b" : 1 }"#);
        let tags = publish.publication.tags.as_ref().map(|tags| tags.len());
        assert_eq!((tags, publish.publication.info.is_none()), (Some(2), true));
        assert_eq!(publish.history, HistoryOptions { size: 10, ttl_s: 300, meta_ttl_s: 600 });
        assert_eq!((publish.idempotency_key.as_deref(), publish.publication.version), (Some("k"), 3));
        assert_eq!((&*publish.version_epoch, publish.delta), ("v", true));
        Answer::Published(top(7))
    };
    // b64data beats data.
    let body = r#"{"channel":"hist:a","data":1,"b64data":"eyAiYiIgOiAxIH0=","tags":{"x":"1","y":"2"},
        "idempotency_key":"k","version":3,"version_epoch":"v","delta":true}"#;
    assert_eq!(world.call("publish", body).body, PUBLISHED.as_bytes());

    world.home = |_, op| {
        let Op::Publish(publish) = op else { panic!("{op:?}") };
        assert_eq!(publish.history, HistoryOptions { size: 0, ttl_s: 0, meta_ttl_s: 600 });
        assert_eq!((&publish.idempotency_key, &publish.publication.tags), (&None, &None));
        assert!(!publish.delta);
        Answer::Failed(Error::NOT_AVAILABLE)
    };
    let body = r#"{"channel":"hist:a","data":1,"skip_history":true,"tags":{},"idempotency_key":""}"#;
    assert_eq!(world.call("publish", body).body, E100.as_bytes());
}

#[test]
fn broadcast() {
    check(
        "broadcast",
        &[
            (
                r#"{"channels":["open:a","nowhere:a","","hist:b"],"data":1}"#,
                "publish open:a publish hist:b",
                concat!(
                    r#"{"result":{"responses":[{"result":{}},{"error":{"code":102,"message":"unknown channel"}},"#,
                    r#"{"error":{"code":107,"message":"bad request"}},{"result":{"offset":7,"epoch":"aaaaaaaa"}}]}}"#
                ),
            ),
            (
                r#"{"channels":["fobj:a","kv:a"],"data":[1]}"#,
                "publish kv:a",
                r#"{"result":{"responses":[{"error":{"code":107,"message":"bad request"}},{"result":{}}]}}"#,
            ),
            (
                r#"{"channels":["nowhere:a"],"data":1}"#,
                "",
                r#"{"result":{"responses":[{"error":{"code":102,"message":"unknown channel"}}]}}"#,
            ),
            (r#"{"channels":[],"data":1}"#, "", E107),
            (r#"{"data":1}"#, "", E107),
            (r#"{"channels":["open:a"],"b64data":"*"}"#, "", E107),
        ],
    );
}

#[test]
fn a_wide_broadcast_is_sent_in_pieces() {
    let channels: Vec<String> = (0..2500).map(|n| format!("\"hist:{n}\"")).collect();
    let body = format!(r#"{{"channels":[{}],"data":1}}"#, channels.join(","));
    let mut world = World::new();
    let response = world.call("broadcast", &body);
    assert_eq!(String::from_utf8_lossy(&response.body).matches(r#""offset":7"#).count(), 2500);
    assert_eq!(world.asked.lines().next().map(|line| line.matches("publish").count()), Some(1024));
}

#[test]
fn history() {
    check(
        "history",
        &[
            (
                r#"{"channel":"hist:a"}"#,
                "history hist:a",
                r#"{"result":{"publications":[],"epoch":"aaaaaaaa","offset":7}}"#,
            ),
            (r#"{}"#, "", E107),
            (r#"{"channel":"nowhere:a"}"#, "", E102),
            (r#"{"channel":"open:a"}"#, "", E108),
            (r#"{"channel":"kv:a"}"#, "", E108),
        ],
    );
    check(
        "history_remove",
        &[
            (r#"{"channel":"hist:a"}"#, "history_remove hist:a", EMPTY),
            (r#"{}"#, "", E107),
            (r#"{"channel":"nowhere:a"}"#, "", E102),
            (r#"{"channel":"open:a"}"#, "", E108),
        ],
    );
}

#[test]
fn a_history_request_reaches_the_home_whole() {
    let mut world = World::new();
    world.home = |_, op| {
        let Op::History { since, limit, reverse, meta_ttl_s } = op else { panic!("{op:?}") };
        assert_eq!(since, &Some(Since { offset: 3, epoch: "zz".into() }));
        assert_eq!((*limit, *reverse, *meta_ttl_s), (256, true, 600));
        Answer::Failed(Error::UNRECOVERABLE_POSITION)
    };
    // All, that is, a first page.
    let body = r#"{"channel":"hist:a","limit":-5,"reverse":true,"since":{"offset":3,"epoch":"zz"}}"#;
    let text = r#"{"error":{"code":112,"message":"unrecoverable position"}}"#;
    assert_eq!(world.call("history", body).body, text.as_bytes());
    // Where clients are told 107, backends get 100.
    world.home = |_, _| Answer::Failed(Error::BAD_REQUEST);
    assert_eq!(world.call("history", body).body, E100.as_bytes());
}

fn info(user: &str, client: u8) -> ClientInfo {
    ClientInfo {
        user: user.into(),
        client: ClientId([client; 16]),
        conn_info: Bytes::from_static(b"{ \"c\" : \"<\" }"),
        chan_info: Bytes::new(),
    }
}

fn published(data: &'static [u8]) -> Answer {
    let publication = Publication {
        data: Bytes::from_static(data),
        info: Some(Arc::new(info("u", 1))),
        tags: Some(Arc::new(Box::new([("t".into(), "<".into())]))),
        entry: None,
        channel: None,
        version: 0,
        offset: 1,
        epoch: top(1).epoch,
        unix_ms: 5,
        taken_us: 5,
    };
    Answer::History(vec![Arc::new(publication)], top(1))
}

#[test]
fn payloads_come_back_compact_and_escaped() {
    let mut world = World::new();
    world.home = |_, _| published(b"{ \"a\" : \"<&>\" }");
    let text = concat!(
        r#"{"result":{"publications":[{"data":{"a":"\u003c\u0026\u003e"},"#,
        r#""info":{"user":"u","client":"01010101-0101-0101-0101-010101010101","conn_info":{"c":"\u003c"}},"#,
        r#""offset":1,"tags":{"t":"\u003c"}}],"epoch":"aaaaaaaa","offset":1}}"#
    );
    let response = world.call("history", r#"{"channel":"hist:a","limit":1}"#);
    assert_eq!(String::from_utf8_lossy(&response.body), text);
}

#[test]
fn a_payload_that_is_no_json_fails_the_response() {
    for (method, body) in [
        ("history", r#"{"channel":"hist:a","limit":1}"#),
        ("batch", r#"{"commands":[{"publish":{}},{"history":{"channel":"hist:a","limit":1}}]}"#),
        ("", r#"{"method":"history","params":{"channel":"hist:a","limit":1}}"#),
    ] {
        let mut world = World::new();
        world.home = |_, _| published(b"hello");
        let response = world.call(method, body);
        assert_eq!((response.status, &response.body[..]), (500, &b"Internal Server Error\n"[..]), "{method}");
    }
}

#[test]
fn presence() {
    let mut world = World::new();
    world.home = |_, _| Answer::Presence(vec![Arc::new(info("u", 2)), Arc::new(info("", 1))]);
    let text = concat!(
        r#"{"result":{"presence":{"01010101-0101-0101-0101-010101010101":{"user":"","#,
        r#""client":"01010101-0101-0101-0101-010101010101","conn_info":{"c":"\u003c"}},"#,
        r#""02020202-0202-0202-0202-020202020202":{"user":"u","#,
        r#""client":"02020202-0202-0202-0202-020202020202","conn_info":{"c":"\u003c"}}}}}"#
    );
    let response = world.call("presence", r#"{"channel":"pres:a"}"#);
    assert_eq!(String::from_utf8_lossy(&response.body), text);

    let refusals =
        [(r#"{}"#, "", E107), (r#"{"channel":"nowhere:a"}"#, "", E102), (r#"{"channel":"open:a"}"#, "", E108)];
    check("presence", &refusals);
    check("presence_stats", &refusals);
    check("presence", &[(r#"{"channel":"pres:a"}"#, "presence pres:a", r#"{"result":{"presence":{}}}"#)]);
    let counts = r#"{"result":{"num_clients":2,"num_users":1}}"#;
    check("presence_stats", &[(r#"{"channel":"pres:a"}"#, "presence_stats pres:a", counts)]);
}

#[test]
fn rpc_finds_no_extension() {
    check("rpc", &[(r#"{"method":"x","params":{}}"#, "", E104), (r#"{}"#, "", E107)]);
}

#[test]
fn shared_poll_publish_goes_where_it_is_enabled() {
    check(
        "shared_poll_publish",
        &[
            (r#"{"channel":"poll:a","key":"k","version":1}"#, "", E108),
            (r#"{"channel":"poll:a","key":"k"}"#, "", E107),
            (r#"{"channel":"poll:a","version":1}"#, "", E107),
            (r#"{"channel":"kv:a","key":"k","version":1}"#, "", E107),
            (r#"{"channel":"nowhere:a","key":"k","version":1}"#, "", E102),
        ],
    );
}

#[test]
fn bodies_that_cannot_be_decoded_are_refused() {
    for (method, body) in [
        ("publish", "hello"),
        ("publish", ""),
        ("publish", "[]"),
        ("publish", r#"{"channel":"open:a","data":1} rubbish"#),
        ("publish", r#"{"channel":"open:a","data":1}{}"#),
        ("publish", r#"{"channel":5,"data":1}"#),
        ("publish", r#"{"channel":"open:a","data":1,"tags":{"a":1}}"#),
        ("info", ""),
        ("info", "1"),
        ("batch", r#"{"commands":{}}"#),
        ("batch", r#"{"commands":[{"publish":{"channel":5}}]}"#),
    ] {
        let mut world = World::new();
        let response = world.call(method, body);
        assert_eq!((response.status, &response.body[..]), (400, &b"Bad Request\n"[..]), "{method} {body}");
        assert_eq!(response.content_type, "text/plain; charset=utf-8");
        assert_eq!(world.asked, "");
    }
}

#[test]
fn paths_that_name_no_method_are_not_found() {
    for path in ["Publish", "connections", "block_user", "device_register", "publish/", "nothing", "unknown"] {
        let response = World::new().call(path, "{}");
        assert_eq!((response.status, &response.body[..]), (404, &b"404 page not found\n"[..]), "{path}");
        assert_eq!(response.content_type, "text/plain; charset=utf-8");
    }
    for name in ["publish", "batch", "shared_poll_publish", "rpc"] {
        assert_eq!(super::super::methods().filter(|method| *method == name).count(), 1, "{name}");
    }
}

#[test]
fn errors_become_statuses_where_that_is_wanted() {
    let history = r#"{"channel":"hist:a"}"#;
    let fail: fn(&str, &Op) -> Answer = |_, _| Answer::Failed(Error::UNRECOVERABLE_POSITION);
    let break_: fn(&str, &Op) -> Answer = |_, _| Answer::Failed(Error::INTERNAL);
    for (method, body, home, status, text) in [
        ("publish", r#"{"channel":"nowhere:a"}"#, fail, 404, r#"{"code":102,"message":"unknown channel"}"#),
        ("rpc", r#"{"method":"x"}"#, fail, 404, r#"{"code":104,"message":"not found"}"#),
        ("publish", r#"{"channel":""}"#, fail, 400, r#"{"code":107,"message":"bad request"}"#),
        ("presence", r#"{"channel":"open:a"}"#, fail, 400, r#"{"code":108,"message":"not available"}"#),
        ("history", history, fail, 416, r#"{"code":112,"message":"unrecoverable position"}"#),
        ("history", history, break_, 500, r#"{"code":100,"message":"internal server error"}"#),
    ] {
        for is_configured in [false, true] {
            let mut world = World::new();
            world.home = home;
            world.config.http_api.error_mode_transport = is_configured;
            let response = world.call_with(method, (!is_configured).then_some("transport"), body);
            assert_eq!((response.status, &*String::from_utf8_lossy(&response.body)), (status, text));
            assert_eq!(response.content_type, "application/json");
        }
        let mut world = World::new();
        world.home = home;
        let response = world.call_with(method, Some("strange"), body);
        assert_eq!((response.status, response.body), (200, format!(r#"{{"error":{text}}}"#).into_bytes()));
    }
}

#[test]
fn errors_inside_lists_stay_in_the_body() {
    for (method, body, text) in [
        (
            "broadcast",
            r#"{"channels":["nowhere:a"],"data":1}"#,
            r#"{"result":{"responses":[{"error":{"code":102,"message":"unknown channel"}}]}}"#,
        ),
        (
            "batch",
            r#"{"commands":[{"publish":{"channel":"nowhere:a"}}]}"#,
            r#"{"replies":[{"error":{"code":102,"message":"unknown channel"}}]}"#,
        ),
        ("", r#"{"method":"publish","params":{}}"#, E107),
    ] {
        let response = World::new().call_with(method, Some("transport"), body);
        assert_eq!((response.status, &*String::from_utf8_lossy(&response.body)), (200, text));
    }
}
