//! What nobody should send.

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::generate::Topic;
use crate::step::{Frame, Step};
use crate::values::HUGE;

/// A frame that is no sequence of commands, or hardly one. Not among them: a Protobuf length near 2^63, which ends the
/// process of the reference.
pub fn frame(topic: &mut Topic) -> Frame {
    const FRAMES: &[&[u8]] = &[
        b"",
        b"{}",
        b"null",
        b"[]",
        b"{",
        b"\n",
        b"\n\n",
        b"  ",
        b"0",
        b"\"x\"",
        b"{}{}",
        b"{}\n{}",
        b"{\"id\":7}",
        b"{\"id\":0,\"rpc\":{}}",
        b"{\"id\":-1,\"rpc\":{}}",
        b"{\"id\":4294967296,\"rpc\":{}}",
        b"{\"id\":\"7\",\"rpc\":{}}",
        b"{\"id\":7,\"rpc\":{}} ",
        b" {\"id\":7,\"rpc\":{}}",
        b"{\"id\":7,\"rpc\":{}}\n",
        b"{\"id\":7,\"rpc\":{}}\r\n",
        b"{\"id\":7,\"rpc\":{}}\n\n{\"id\":8,\"rpc\":{}}",
        b"{\"id\":7,\"rpc\":{}}{\"id\":8,\"rpc\":{}}",
        b"{\"id\":7,\"rpc\":{}} rubbish",
        b"{\"id\":7,\"rpc\":{}}\nrubbish",
        b"{\"id\":7,\"rpc\":null}",
        b"{\"id\":7,\"rpc\":[]}",
        b"{\"id\":7,\"nothing\":{}}",
        b"{\"id\":7,\"rpc\":{},\"nothing\":{\"deep\":[[[]]]}}",
        b"{\"ID\":7,\"RPC\":{\"METHOD\":\"x\"}}",
        b"{\"id\":7,\"id\":8,\"rpc\":{}}",
        b"{\"id\":7,\"rpc\":{},\"rpc\":null}",
        b"{\"id\":7,\"subscribe\":{\"channel\":\"open:x~\"},\"unsubscribe\":{\"channel\":\"open:x~\"}}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\":{\"a\":1,}}}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\":01}}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\":nul}}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\": { \"a\" :\t1e400 } }}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\":\"\xff\"}}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\":\"\\ud800\"}}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\":\"\\x\"}}",
        b"{\"id\":7,\"publish\":{\"channel\":\"open:~\",\"data\":\"\x01\"}}",
        b"{\"id\":7,\"subscribe\":{\"channel\":\"open:\xff~\"}}",
        b"{\"id\":7,\"subscribe\":{\"channel\":\"open:\\u0000~\"}}",
        b"{\"id\":7,\"subscribe\":{\"channel\":\"open:\\ud800~\"}}",
        b"{\"id\":7,\"subscribe\":{\"channel\":\"open:\x00~\"}}",
        b"\x00",
        b"\x01\x08",
        b"\x02\x08\x07",
        b"\x04\x08\x07\x6a\x00",
        b"\x04\x08\x07\x6a\x00\x04\x08\x08\x6a\x00",
        b"\x05\x08\x07\x6a\x00",
        b"\x02\x6a\x00",
        b"\x06\x08\x07\x6a\x00\xf8\x01",
        b"\x07\x08\x07\x6a\x00\xf8\x01\x05",
        b"\x0d\x08\x07\x6a\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x08\x07\x3a\x06\x0a\x04open",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x03\x0f\x00\x00",
        b"\x04\x08\x07\x6b\x6c",
    ];
    Frame::Raw { binary: topic.chance.percent(30), bytes: topic.chance.pick(FRAMES).to_vec() }
}

/// A call that the server API cannot understand, or hardly.
pub fn call(topic: &mut Topic) -> Step {
    const CALLS: &[(&str, &[u8])] = &[
        ("/api/publish", b""),
        ("/api/publish", b"null"),
        ("/api/publish", b"[]"),
        ("/api/publish", b"{"),
        ("/api/publish", b"{}x"),
        ("/api/publish", b"{}{}"),
        ("/api/publish", b" {} "),
        ("/api/publish", b"{\"channel\":1}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\": {\"a\" : \"<\" }}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":1e400}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":\"\xff\"}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":01}"),
        ("/api/publish", b"{\"Channel\":\"rec:a~\",\"DATA\":1}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":1,\"data\":2}"),
        ("/api/publish", b"{\"channel\":\"rec:\\u0000~\",\"data\":1}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":1,\"version\":-1}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":1,\"version\":18446744073709551615}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":1,\"tags\":{\"a\":1}}"),
        ("/api/publish", b"{\"channel\":\"rec:a~\",\"data\":1,\"unknown\":1}"),
        ("/api/history", b"{\"channel\":\"rec:a~\",\"limit\":2147483648}"),
        ("/api/history", b"{\"channel\":\"rec:a~\",\"limit\":1.0}"),
        ("/api/history", b"{\"channel\":\"rec:a~\",\"limit\":1e0}"),
        ("/api/unknown", b"{}"),
        ("/api/", b"{}"),
        ("/api", b"{\"method\":\"publish\",\"params\":{\"channel\":\"rec:a~\",\"data\":1}}"),
        ("/api", b"{\"method\":\"presence_stats\",\"params\":{\"channel\":\"pres:a~\"}}"),
        ("/api", b"{\"method\":\"nothing\"}"),
        ("/api", b"{\"id\":1,\"method\":\"info\",\"params\":[]}"),
        ("/api", b""),
        ("/api/batch", b"{\"commands\":[{}]}"),
        ("/api/batch", b"{\"commands\":[null]}"),
        ("/api/batch", b"{\"commands\":{}}"),
        ("/api/broadcast", b"{\"channels\":[\"rec:a~\",\"pos:a~\",\"\"],\"data\":1}"),
        ("/api/broadcast", b"{\"channels\":[1]}"),
        ("/api/disconnect", b"{\"user\":\"nobody\",\"disconnect\":{\"code\":4294967296}}"),
    ];
    let (path, body) = CALLS[topic.chance.below(CALLS.len())];
    Step::RawApi { path, body: body.to_vec() }
}

/// Puts something odd into one place of a command, leaves a member out, or adds one.
pub fn spoil(chance: &mut Chance, value: &mut Value) {
    let odd = [
        Value::Null,
        json!(-1),
        json!(0),
        json!(2_147_483_648_u64),
        json!(4_294_967_296_u64),
        json!(9_007_199_254_740_993_u64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(HUGE),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("1"),
        json!("a\u{0}b"),
        json!(true),
        json!([]),
        json!([1]),
        json!({}),
        json!({"x": {"y": []}}),
        json!("y".repeat(300)),
    ];
    let odd = odd[chance.below(odd.len())].clone();
    let Value::Object(map) = value else {
        *value = odd;
        return;
    };
    // What is filled in stays what it is.
    if map.is_empty() || map.keys().any(|key| key.starts_with('$')) {
        return;
    }
    let key = map.keys().nth(chance.below(map.len())).expect("a member").clone();
    match chance.below(10) {
        0 => drop(map.remove(&key)),
        1 => drop(map.insert("unknown".to_owned(), odd)),
        2 => {
            let member = map.remove(&key).expect("a member");
            map.insert(key.to_uppercase(), member);
        }
        3..8 if map[&key].is_object() => spoil(chance, &mut map[&key]),
        _ => drop(map.insert(key, odd)),
    }
}
