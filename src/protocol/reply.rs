//! Encodes what clients receive (upstream: protocol encode.go).

use crate::protocol::client::{Push, Reply};
use crate::protocol::json::write::Style;
use crate::protocol::message::Message;
use crate::protocol::{NotJson, Protocol, json, proto};

/// The application ping of the server in JSON.
pub const PING_JSON: &[u8] = b"{}";

/// The application ping of the server in Protobuf: a message of length zero.
pub const PING_PROTOBUF: &[u8] = b"\0";

/// Appends a reply. JSON: the object, no newline. Protobuf: length and message. On error the buffer is left as it was.
pub fn encode_reply(protocol: Protocol, reply: &Reply<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    encode(protocol, reply, out)
}

/// Appends a push as unidirectional clients receive it, without a reply around it; otherwise as [`encode_reply`].
pub fn encode_push(protocol: Protocol, push: &Push<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    encode(protocol, push, out)
}

fn encode<'a, M: Message<'a>>(protocol: Protocol, message: &M, out: &mut Vec<u8>) -> Result<(), NotJson> {
    match protocol {
        Protocol::Json => json::encode(message, Style::Client, out),
        Protocol::Protobuf => {
            proto::encode_delimited(message, out);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::client::*;

    #[track_caller]
    fn check(reply: Reply<'_>, expect: &str) {
        let mut out = b"before ".to_vec();
        encode_reply(Protocol::Json, &reply, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("before {expect}"));
        let mut out = b"before ".to_vec();
        encode_reply(Protocol::Protobuf, &reply, &mut out).unwrap();
        let mut reader = proto::Reader::new(&out[7..]);
        assert_eq!(proto::decode::<Reply<'_>>(reader.bytes().unwrap()), Ok(reply));
        assert!(reader.rest().is_empty());
    }

    #[test]
    fn replies() {
        check(Reply::default(), "{}");
        check(
            Reply {
                id: 1,
                error: Some(Error { code: 100, message: "internal server error".into(), temporary: true }),
                ..Default::default()
            },
            r#"{"id":1,"error":{"code":100,"message":"internal server error","temporary":true}}"#,
        );
        check(Reply { id: 2, publish: Some(PublishResult {}), ..Default::default() }, r#"{"id":2,"publish":{}}"#);
        check(
            Reply { id: 3, presence_stats: Some(PresenceStatsResult::default()), ..Default::default() },
            r#"{"id":3,"presence_stats":{"num_clients":0,"num_users":0}}"#,
        );
        check(
            Reply { id: 4, history: Some(Box::default()), ..Default::default() },
            r#"{"id":4,"history":{"publications":[],"epoch":"","offset":0}}"#,
        );
        check(
            Reply { id: 5, presence: Some(Box::default()), ..Default::default() },
            r#"{"id":5,"presence":{"presence":{}}}"#,
        );
        let presence = vec![("c".into(), ClientInfo::default())];
        check(
            Reply { id: 5, presence: Some(Box::new(PresenceResult { presence })), ..Default::default() },
            r#"{"id":5,"presence":{"presence":{"c":{"user":"","client":""}}}}"#,
        );
        let subscribe = SubscribeResult {
            recoverable: true,
            epoch: "aBcDeFgH".into(),
            publications: vec![Publication { data: r#"{"a":2}"#.into(), offset: 9, ..Default::default() }],
            recovered: true,
            offset: 8,
            positioned: true,
            was_recovering: true,
            ..Default::default()
        };
        check(
            Reply { id: 2, subscribe: Some(Box::new(subscribe)), ..Default::default() },
            r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"aBcDeFgH","publications":[{"data":{"a":2},"offset":9}],"recovered":true,"offset":8,"positioned":true,"was_recovering":true}}"#,
        );
    }

    fn publication(data: &str) -> Reply<'_> {
        let publication = Publication {
            data: data.into(),
            info: Some(ClientInfo { user: "u".into(), client: "c".into(), ..Default::default() }),
            offset: 1,
            tags: vec![("<k>".into(), "v".into())],
            epoch: "e".into(),
            ..Default::default()
        };
        let push = Push { channel: "a&b".into(), r#pub: Some(publication), ..Default::default() };
        Reply { push: Some(push), ..Default::default() }
    }

    #[test]
    fn pushes() {
        check(
            publication(r#"{ "<":1}"#),
            r#"{"push":{"channel":"a\u0026b","pub":{"data":{ "<":1},"info":{"user":"u","client":"c"},"offset":1,"tags":{"\u003ck\u003e":"v"},"epoch":"e"}}}"#,
        );
        let unsubscribe = Unsubscribe { code: 2500, reason: "insufficient state".into() };
        let push = Push { channel: "news".into(), unsubscribe: Some(unsubscribe), ..Default::default() };
        let mut out = Vec::new();
        encode_push(Protocol::Json, &push, &mut out).unwrap();
        assert_eq!(out, br#"{"channel":"news","unsubscribe":{"code":2500,"reason":"insufficient state"}}"#);
    }

    #[test]
    fn a_payload_that_is_no_json_leaves_the_buffer_alone() {
        let mut out = b"before".to_vec();
        assert_eq!(encode_reply(Protocol::Json, &publication("\u{1}\u{2}"), &mut out), Err(NotJson));
        assert_eq!(out, b"before");
        encode_reply(Protocol::Protobuf, &publication("\u{1}\u{2}"), &mut out).unwrap();
        assert!(out.len() > 6);
    }

    #[test]
    fn pings_are_empty_replies() {
        for (protocol, ping) in [(Protocol::Json, PING_JSON), (Protocol::Protobuf, PING_PROTOBUF)] {
            let mut out = Vec::new();
            encode_reply(protocol, &Reply::default(), &mut out).unwrap();
            assert_eq!(out, ping);
        }
    }

    #[test]
    fn debug_hides_secrets() {
        let connect = ConnectRequest { token: "eyJ".into(), name: "js".into(), ..Default::default() };
        assert_eq!(format!("{connect:?}"), r#"ConnectRequest { token: <hidden>, name: "js" }"#);
    }
}
