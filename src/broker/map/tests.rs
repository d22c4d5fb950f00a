//! Calls, replies and frames of maps.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::base::ids::ClientId;
use crate::broker::frame::Message;
use crate::broker::{Layout, Value};
use crate::channel::map_op::MapStreamOptions;
use crate::channel::publication::{ClientInfo, MapEntry, Position};

const STREAM: MapStreamOptions = MapStreamOptions { size: 10, ttl_ms: 60, meta_ttl_ms: 600 };
const RECOVERABLE: MapOptions = MapOptions { key_ttl_ms: 5, stream: Some(STREAM) };
const EPHEMERAL: MapOptions = MapOptions { key_ttl_ms: 5, stream: None };
const PERSISTENT: MapOptions =
    MapOptions { key_ttl_ms: 0, stream: Some(MapStreamOptions { meta_ttl_ms: 0, ..STREAM }) };
const TOLD: Keeping = Keeping { result_ttl_ms: 300, is_told: true };

fn names() -> Names {
    Names::new("p", Layout::Plain, false)
}

fn epoch(text: &str) -> Epoch {
    Epoch::parse(text).unwrap()
}

fn text(text: &str) -> Value {
    Value::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

fn set(key: &str) -> Publication {
    Publication { entry: MapEntry::set(key), version: 9, unix_ms: 1, ..Publication::bare("d".into()) }
}

fn op(options: MapOptions) -> MapPublishOp {
    MapPublishOp { version: 3, version_epoch: "v".into(), ..MapPublishOp::plain(options, set("k")) }
}

#[track_caller]
fn check(call: &Call, expected: &str) {
    assert_eq!(call.text(), expected);
}

#[test]
fn setting() {
    let call = |op: &MapPublishOp, keeping| publish(&names(), keeping, "a", op, epoch("fresh"));
    let all = "p:state:a p:state:expire:a p:stream:a p:meta:a p:state:meta:a";
    // Without the version.
    let payload = r#"k \"\x01dH\x01Z\x01k"#;
    check(
        &call(&op(RECOVERABLE), TOLD),
        &format!("MapUpdate {all} p:cleanup:channels | {payload} 10 60 600 fresh PUBLISH p.client.a  1 a 0 5  0 0 3 v"),
    );
    let more = MapPublishOp {
        key_mode: KeyMode::IfNew,
        refresh_ttl: true,
        delta: true,
        idempotency_key: Some("i".into()),
        ..op(PERSISTENT)
    };
    check(
        &call(&more, Keeping { is_told: false, ..TOLD }),
        &format!("MapUpdate {all} p.result.a.i | {payload} 10 60 0 fresh PUBLISH  300 1  0 0 if_new 1 1 3 v"),
    );
    let if_exists = MapPublishOp { key_mode: KeyMode::IfExists, ..op(EPHEMERAL) };
    check(
        &call(&if_exists, TOLD),
        &format!(
            "MapUpdate p:state:a p:state:expire:a p:cleanup:channels | {payload}  0 0 fresh PUBLISH p.client.a  1 a 0 5 if_exists 0 0 3 v"
        ),
    );
}

#[test]
fn removing() {
    let entry = Some(Box::new(MapEntry { key: "k".into(), removed: true }));
    let removal = Publication { entry, unix_ms: 1, ..Publication::bare(Bytes::new()) };
    let call = |options, key| remove(&names(), TOLD, "a", options, &removal, key, epoch("fresh"));
    check(
        &call(&RECOVERABLE, Some("i")),
        r"MapUpdate p:state:a p:state:expire:a p:stream:a p:meta:a p:state:meta:a p.result.a.i | k H\x01Z\x01k`\x01 10 60 600 fresh PUBLISH p.client.a 300 1  1",
    );
    check(
        &call(&EPHEMERAL, None),
        r"MapUpdate p:state:a p:state:expire:a | k H\x01Z\x01k`\x01  0 0 fresh PUBLISH p.client.a  1  1",
    );
    let (keys, registry) = (clear(&names(), "a"), unregister(&names(), "a"));
    check(&keys, "DEL p:stream:a p:meta:a p:state:meta:a p:state:a p:state:order:a p:state:expire:a | ");
    check(&registry, "ZREM p:cleanup:channels | a");
}

#[test]
fn reading() {
    let names = names();
    check(
        &read::read_state(&names, "a", &RECOVERABLE, "", 100, 7),
        "MapStateRead p:state:a p:state:expire:a p:meta:a p:state:meta:a p:stream:a | 0 100 7 600",
    );
    check(&read::read_state(&names, "a", &EPHEMERAL, "17", 0, 7), "MapStateRead p:state:a p:state:expire:a | 17 0 7 0");
    check(&read::read_key(&names, "a", &RECOVERABLE, "k"), "MapKeyRead p:state:a p:meta:a | k");
    check(&read::read_key(&names, "a", &EPHEMERAL, "k"), "MapKeyRead p:state:a | k");
    check(
        &read::read_changes(&names, "a", 600, (Some(7), 3, false), epoch("fresh")),
        "StreamRead p:stream:a p:meta:a | 8 3 0 fresh 600 PEXPIRE 1",
    );
    check(
        &read::change_epoch(&names, "a", epoch("old"), epoch("fresh"), 600),
        "MapEpochChange p:stream:a p:meta:a p:state:meta:a | old fresh 600",
    );
    check(&read::count_keys(&names, "a"), "HLEN p:state:a | ");
    assert_eq!(read::keys(Value::Int(7)), Ok(7));
}

#[test]
fn pages() {
    let pairs = [text("k"), text("3:old:\"\x01d"), text("broken"), text("3:old")];
    let change = Value::List(vec![text("5-0"), Value::List(vec![text("e"), text("old"), text("d"), text("\"\x01n")])]);
    let page_with = |cursor, newest| {
        let pairs = Value::List(pairs.to_vec());
        Value::List(vec![text("5"), text("life"), text(cursor), pairs, Value::List(newest)])
    };
    let page = |cursor| page_with(cursor, vec![change.clone()]);
    let state = read::state(page("17")).unwrap();
    let newest = Publication { offset: 5, epoch: epoch("life"), ..Publication::bare("n".into()) };
    assert_eq!(state.newest, Some(Arc::new(newest)));
    let unreadable = Value::List(vec![text("5-0"), Value::List(vec![])]);
    for gone in [vec![], vec![unreadable]] {
        assert_eq!(read::state(page_with("0", gone)).unwrap().newest, None);
    }
    assert_eq!((state.position, &*state.cursor), (Position { offset: 5, epoch: epoch("life") }, "17"));
    let expected =
        Publication { entry: MapEntry::set("k"), offset: 3, epoch: epoch("old"), ..Publication::bare("d".into()) };
    assert_eq!(state.entries, [Arc::new(expected.clone())]);
    assert_eq!(&*read::state(page("0")).unwrap().cursor, "");
    let reply = |value| Value::List(vec![Value::Nil, text(""), value]);
    assert_eq!(read::key("k", reply(text("3:old:\"\x01d"))).unwrap().entries, [Arc::new(expected)]);
    assert_eq!(read::key("k", reply(Value::Nil)).unwrap().entries, []);
    assert!(read::key("k", reply(text("3:old"))).is_err());
}

#[test]
fn expiring() {
    let names = names();
    check(&expiry::due(&names, 0, 7, 100), "MapDue p:cleanup:channels | 7 100");
    let due = expiry::maps(Value::List(vec![text("a"), text("5"), text("b"), text("6")]));
    assert_eq!(due, Ok(expiry::Due { maps: vec!["a".into(), "b".into()], since_ms: Some(5) }));
    assert_eq!(expiry::maps(Value::List(vec![])), Ok(expiry::Due::default()));
    check(&expiry::find(&names, "a", 7, 100), "MapExpired p:state:a p:state:expire:a | 7 100");
    let tagged = "1:e::\x06\n\x01t\x12\x01v";
    let reply = [text("k"), text(tagged), text("6"), text("l"), text("broken"), text("7")];
    let expired = expiry::expired(Value::List(reply.to_vec())).unwrap();
    check(
        &expiry::expire(&names, TOLD, "a", &RECOVERABLE, &expired, epoch("fresh"), 7),
        r"MapExpire p:state:a p:state:expire:a p:cleanup:channels p:stream:a p:meta:a p:state:meta:a | a 10 60 600 fresh PUBLISH p.client.a k :\x06\n\x01t\x12\x01vH\x07Z\x01k`\x01 6 l H\x07Z\x01l`\x01 7",
    );
    check(
        &expiry::expire(&names, TOLD, "a", &EPHEMERAL, &[], epoch("fresh"), 7),
        "MapExpire p:state:a p:state:expire:a p:cleanup:channels | a  0 0 fresh PUBLISH p.client.a",
    );
    assert_eq!(expiry::removed(Value::Int(2)), Ok(2));
}

#[track_caller]
fn told(frame: &'static [u8]) -> (u64, String, Bytes, Option<Publication>) {
    let Ok(Message::Publication(publication, before)) = frame::read(&Bytes::from_static(frame)) else {
        panic!("no publication: {}", frame.escape_ascii())
    };
    (publication.offset, publication.epoch.as_str().into_owned(), publication.data, before)
}

#[test]
fn frames() {
    assert_eq!(told(b"7:life:\x22\x01d"), (7, "life".into(), "d".into(), None));
    assert_eq!(told(b"0::\x22\x01d"), (0, "".into(), "d".into(), None));
    assert_eq!(told(b"\x22\x01d"), (0, "".into(), "d".into(), None));
    let before = Publication { offset: 6, epoch: epoch("life"), ..Publication::bare("c".into()) };
    assert_eq!(told(b"d:7:life:10:6:life:\x22\x01c:3:\x22\x01d"), (7, "life".into(), "d".into(), Some(before)));
    // What it was cannot be read.
    assert_eq!(told(b"d:7:life:1:x:3:\x22\x01d"), (7, "life".into(), "d".into(), None));
}

#[test]
fn broken_frames_are_refused() {
    for frame in [
        "7",
        "7:",
        "7:life",
        "7:life:\x22\x02d",
        "d:",
        "d:7:life:9:x:3:\"\x01d",
        "d:7:life:1:x3:\"\x01d",
        "d:7:life:1:x:3:d",
        "7x:e:",
    ] {
        assert!(frame::read(&Bytes::from_static(frame.as_bytes())).is_err(), "{}", frame.escape_debug());
    }
}

/// Nodes tell joins and leaves of a map's subscribers on the same PUB/SUB channel.
#[test]
fn joins_are_told_as_those_of_streams() {
    let info =
        ClientInfo { user: "ann".into(), client: ClientId([1; 16]), conn_info: Bytes::new(), chan_info: Bytes::new() };
    for (mark, expected) in [("__j__", Message::Join(info.clone())), ("__l__", Message::Leave(info.clone()))] {
        let mut bytes = mark.as_bytes().to_vec();
        stored::write_info(&info, &mut bytes);
        assert_eq!(frame::read(&bytes.into()), Ok(expected));
    }
}
