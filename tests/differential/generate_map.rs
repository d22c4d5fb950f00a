//! Requests about maps.

use serde_json::{Map, Value, json};

use crate::generate::{Topic, filter, payload, value};
use crate::rules::MAPS;

const KEYS: &[&str] = &["k1", "k2", "k3", "k4", "k5", "k6", "k7"];

/// Whether the channel's name says that it is a map.
pub fn is_map(channel: &str) -> bool {
    channel.split_once(':').is_some_and(|(namespace, _)| MAPS.contains(&namespace))
}

fn key(topic: &mut Topic) -> &'static str {
    if topic.chance.percent(4) { topic.chance.pick(&["", "u1~", "$client:0", "ü<"]) } else { topic.chance.pick(KEYS) }
}

/// The request of a client to read, catch up with, or follow a map.
pub fn subscribe(topic: &mut Topic, channel: String) -> Value {
    let kind = match channel.split(':').next() {
        Some("cl") => 2,
        Some("us") => 3,
        _ => 1,
    };
    let kind = if topic.chance.percent(3) { topic.chance.pick_number(&[0, 1, 2, 3, 4, 5]) } else { kind };
    let mut request =
        Map::from_iter([("channel".to_owned(), channel.clone().into()), ("type".to_owned(), kind.into())]);
    match topic.chance.below(100) {
        // From the beginning.
        0..55 => {
            request.insert("phase".to_owned(), 2.into());
        }
        // The page behind the last one that was seen.
        55..75 => {
            request.insert("phase".to_owned(), 2.into());
            request.insert("cursor".to_owned(), format!("$cursor:{channel}").into());
            request.extend(topic.recovery(&channel));
            request.remove("recover");
        }
        // The stream from somewhere.
        75..85 => {
            request.insert("phase".to_owned(), 1.into());
            request.extend(topic.recovery(&channel));
        }
        // Live at once.
        _ => request.extend(topic.recovery(&channel)),
    }
    topic.maybe(&mut request, 50, "limit", |topic| topic.chance.pick_number(&[-1, 0, 1, 2, 3, 100, 5000]).into());
    topic.maybe(&mut request, 10, "asc", |_| true.into());
    topic.maybe(&mut request, 2, "phase", |topic| topic.chance.pick_number(&[0, 1, 2, 3, -1]).into());
    let is_tailored = channel.starts_with("kvd");
    // Not both: the reference passes over the filter where patches are asked for too.
    if topic.chance.percent(50) {
        topic.maybe(&mut request, if is_tailored { 90 } else { 4 }, "delta", |_| "fossil".into());
    } else {
        topic.maybe(&mut request, if is_tailored { 60 } else { 4 }, "tf", |topic| filter(&mut topic.chance, 1));
    }
    request.into()
}

/// A client sets or removes a key.
pub fn publish(topic: &mut Topic, channel: String) -> Value {
    let mut request = Map::from_iter([("channel".to_owned(), channel.into())]);
    topic.maybe(&mut request, 97, "type", |_| 1.into());
    topic.maybe(&mut request, 97, "key", |topic| key(topic).into());
    topic.maybe(&mut request, 95, "data", |topic| payload(&mut topic.chance));
    topic.maybe(&mut request, 20, "removed", |_| true.into());
    request.into()
}

/// A call of the server API.
pub fn call(topic: &mut Topic, channel: String) -> (&'static str, Value) {
    let mut body = Map::from_iter([("channel".to_owned(), Value::from(channel.clone()))]);
    let method = match topic.chance.below(100) {
        0..60 => {
            topic.maybe(&mut body, 98, "key", |topic| key(topic).into());
            topic.maybe(&mut body, 95, "data", |topic| payload(&mut topic.chance));
            topic.maybe(&mut body, 3, "b64data", |topic| topic.chance.pick(&["eyJ4IjoxfQ==", "!", ""]).into());
            topic.maybe(&mut body, 4, "stream_data", |topic| payload(&mut topic.chance));
            topic.maybe(
                &mut body,
                30,
                "tags",
                |topic| json!({"a": value(&mut topic.chance), "n": value(&mut topic.chance)}),
            );
            topic.maybe(&mut body, 10, "idempotency_key", |topic| topic.chance.pick(&["i1", "i2"]).into());
            topic.maybe(&mut body, 40, "delta", |_| true.into());
            topic.maybe(&mut body, 15, "version", |topic| topic.chance.pick_number(&[1, 2, 3, 4]).into());
            topic.maybe(&mut body, 5, "version_epoch", |topic| topic.chance.pick(&["v1", "v2"]).into());
            topic.maybe(&mut body, 5, "score", |topic| topic.chance.pick_number(&[1, -1]).into());
            topic.maybe(&mut body, 15, "key_mode", |topic| {
                topic.chance.pick(&["if_new", "if_exists", "replace", "other", ""]).into()
            });
            "map_publish"
        }
        60..70 => {
            topic.maybe(&mut body, 98, "key", |topic| key(topic).into());
            topic.maybe(&mut body, 10, "idempotency_key", |topic| topic.chance.pick(&["i1", "i3"]).into());
            "map_remove"
        }
        70..84 => {
            topic.maybe(&mut body, 70, "limit", |topic| topic.chance.pick_number(&[-1, 0, 1, 2, 3, 100]).into());
            topic.maybe(&mut body, 20, "cursor", |topic| {
                if topic.chance.percent(90) { format!("$cursor:{channel}").into() } else { "odd".into() }
            });
            topic.maybe(&mut body, 15, "key", |topic| key(topic).into());
            topic.maybe(&mut body, 15, "asc", |_| true.into());
            if topic.chance.percent(10) {
                body.insert("revision_offset".to_owned(), json!({"$offset": channel, "add": 0}));
                body.insert("revision_epoch".to_owned(), format!("$epoch:{channel}").into());
            }
            "map_read_state"
        }
        84..92 => {
            topic.maybe(&mut body, 80, "limit", |topic| topic.chance.pick_number(&[-1, 0, 1, 2, 100]).into());
            topic.maybe(&mut body, 30, "reverse", |_| true.into());
            if topic.chance.percent(50) {
                let add = topic.chance.pick_number(&[0, -1, -2, -4, 3]);
                body.insert("since_offset".to_owned(), json!({"$offset": channel, "add": add}));
                topic.maybe(&mut body, 90, "since_epoch", |_| format!("$epoch:{channel}").into());
            }
            "map_read_stream"
        }
        92..97 => "map_stats",
        _ => "map_clear",
    };
    (method, body.into())
}
