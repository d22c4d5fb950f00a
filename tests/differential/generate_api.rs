//! Calls of the server API.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::generate::{Topic, USERS, payload, value};
use crate::generate_map;
use crate::generate_token::describe;
use crate::step::Step;

/// A call.
pub fn call(topic: &mut Topic) -> Step {
    let (method, mut body) = if topic.chance.percent(8) { batch(topic) } else { single(topic) };
    topic.spoil(&mut body, 3);
    Step::Api { method, body }
}

/// Methods that concern one channel and no connection.
const OF_A_CHANNEL: [&str; 10] = [
    "publish",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "map_publish",
    "map_remove",
    "map_read_state",
    "map_read_stream",
    "map_stats",
];

fn batch(topic: &mut Topic) -> (&'static str, Value) {
    let count = topic.chance.below(4);
    let is_parallel = count < 2 || topic.chance.percent(40);
    let mut commands: Vec<Value> = Vec::with_capacity(count);
    let mut channels = BTreeSet::new();
    while commands.len() < count {
        let (method, body) = single(topic);
        // What runs at the same time must not meet.
        let is_alone = OF_A_CHANNEL.contains(&method) && channels.insert(body["channel"].to_string());
        // The reference ends connections a while later, and has gone on by then.
        let is_last = commands.len() + 1 == count;
        let may_follow = is_last || !["disconnect", "refresh", "subscribe"].contains(&method);
        let fits = if is_parallel && count > 1 { is_alone } else { may_follow };
        if fits {
            commands.push(json!({method: body}));
        }
    }
    ("batch", json!({"commands": commands, "parallel": is_parallel}))
}

fn single(topic: &mut Topic) -> (&'static str, Value) {
    let channel = topic.channel();
    match topic.chance.below(100) {
        0..45 if generate_map::is_map(&channel) && topic.chance.percent(90) => generate_map::call(topic, channel),
        0..45 => ("publish", publish(topic, Some(channel))),
        45..52 => {
            let mut body = publish(topic, None);
            // The reference publishes into all at the same time: into one and the same channel in any order.
            let channels: BTreeSet<String> = (0..topic.chance.below(4)).map(|_| topic.channel()).collect();
            body["channels"] = channels.into_iter().collect();
            ("broadcast", body)
        }
        52..59 => ("subscribe", subscribe(topic, channel)),
        59..65 => ("unsubscribe", to_clients(topic, json!({"channel": channel}))),
        65..68 => {
            let mut body = to_clients(topic, json!({}));
            if topic.chance.percent(40) {
                let code = topic.chance.pick_number(&[4000, 4500, 3000, 3503, 0, 1000, 70_000]);
                body["disconnect"] = json!({"code": code, "reason": topic.chance.pick(&["", "why", "because"])});
            }
            if topic.chance.percent(20) {
                body["whitelist"] = json!(["$client:0", "$client:2"]);
            }
            ("disconnect", body)
        }
        68..72 => {
            let mut body = to_clients(topic, json!({}));
            if topic.chance.percent(20) {
                body["expired"] = true.into();
            }
            if topic.chance.percent(60) {
                body["expire_at"] = json!({"$now": topic.chance.pick_number(&[60, 600, -10])});
            }
            if topic.chance.percent(20) {
                body["info"] = payload(&mut topic.chance);
            }
            ("refresh", body)
        }
        72..78 => ("presence", json!({"channel": channel})),
        78..82 => ("presence_stats", json!({"channel": channel})),
        82..90 => ("history", topic.history(channel)),
        90..94 => ("history_remove", json!({"channel": channel})),
        94..97 => (
            "channels",
            json!({"pattern": topic.chance.pick(&["", "*", "*:a*", "rec:*", "[", "{open,rec}:*", "?pen:*"])}),
        ),
        97 => ("info", json!({})),
        98 => ("rpc", json!({"method": topic.chance.pick(&["", "m"]), "params": payload(&mut topic.chance)})),
        _ => generate_map::call(topic, channel),
    }
}

fn publish(topic: &mut Topic, channel: Option<String>) -> Value {
    let mut body = Map::new();
    if let Some(channel) = channel {
        body.insert("channel".to_owned(), channel.into());
    }
    if topic.chance.percent(94) {
        body.insert("data".to_owned(), payload(&mut topic.chance));
    }
    if topic.chance.percent(4) {
        body.insert("b64data".to_owned(), topic.chance.pick(&["eyJ4IjoxfQ==", "MQ==", "/w==", "!", ""]).into());
    }
    if topic.chance.percent(8) {
        body.insert("skip_history".to_owned(), true.into());
    }
    if topic.chance.percent(40) {
        let tags: Map<_, _> =
            ["a", "n"].map(|key| (key.to_owned(), value(&mut topic.chance).into())).into_iter().collect();
        body.insert("tags".to_owned(), tags.into());
    }
    if topic.chance.percent(12) {
        body.insert("idempotency_key".to_owned(), topic.chance.pick(&["i1", "i2", "i1"]).into());
    }
    if topic.chance.percent(25) {
        body.insert("delta".to_owned(), true.into());
    }
    if topic.chance.percent(15) {
        body.insert("version".to_owned(), topic.chance.pick_number(&[1, 2, 3, 4, 5, i64::MAX]).into());
        if topic.chance.percent(30) {
            body.insert("version_epoch".to_owned(), topic.chance.pick(&["v1", "v2"]).into());
        }
    }
    body.into()
}

/// Whom it is for.
fn to_clients(topic: &mut Topic, mut body: Value) -> Value {
    if topic.chance.percent(95) {
        body["user"] = topic.chance.pick(USERS).into();
    }
    if topic.chance.percent(15) {
        body["client"] = topic.chance.pick(&["$client:0", "$client:1", "other"]).into();
    }
    if topic.chance.percent(2) {
        body["session"] = "other".into();
    }
    body
}

fn subscribe(topic: &mut Topic, channel: String) -> Value {
    let mut body = Map::from_iter([("channel".to_owned(), channel.clone().into())]);
    describe(topic, &mut body, 20);
    if topic.chance.percent(10) {
        body.insert("expire_at".to_owned(), json!({"$now": topic.chance.pick_number(&[60, 600, -10])}));
    }
    if topic.chance.percent(15) {
        let since = json!({"epoch": format!("$epoch:{channel}"), "offset": {"$offset": channel, "add": topic.chance.pick_number(&[0, -1, -2, 5])}});
        body.insert("recover_since".to_owned(), since);
    }
    to_clients(topic, body.into())
}
