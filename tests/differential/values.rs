//! Fills in what a step leaves open: tokens, epochs, offsets and names that a server gave.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};
use spindle::auth::track::{Tracked, sign};

use crate::memory::Memory;
use crate::step::RUN;

/// A number larger than any integer; written where a value is this text.
pub const HUGE: &str = "$huge";

/// The text to send. What is filled in: `{"$token": claims, "key": ..}`, `{"$track": keys, ..}`, `{"$now": seconds}`, `{"$offset": channel,
/// "add": n}`, and the texts `$epoch:channel`, `$cursor:channel`, `$client:number`.
pub fn text(value: &Value, memory: &Memory) -> String {
    let text = filled(value, memory).to_string();
    text.replace(&format!("\"{HUGE}\""), "184467440737095516160")
}

/// The name of a channel or user in this conversation.
pub fn name(text: &str, memory: &Memory) -> String {
    text.replace(RUN, &memory.run)
}

pub fn filled(value: &Value, memory: &Memory) -> Value {
    match value {
        Value::Object(map) => object(map, memory),
        Value::Array(values) => values.iter().map(|value| filled(value, memory)).collect(),
        Value::String(text) => string(text, memory).into(),
        other => other.clone(),
    }
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

fn string(text: &str, memory: &Memory) -> String {
    let text = name(text, memory);
    if let Some(channel) = text.strip_prefix("$epoch:") {
        return memory.position(channel).map_or(String::new(), |position| position.epoch.clone());
    }
    if let Some(channel) = text.strip_prefix("$cursor:") {
        return memory.cursor(channel);
    }
    if let Some(number) = text.strip_prefix("$client:") {
        return memory.client(number.parse().expect("a connection"));
    }
    text
}

fn object(map: &Map<String, Value>, memory: &Memory) -> Value {
    if let Some(claims) = map.get("$token") {
        let key = map.get("key").and_then(Value::as_str).unwrap_or(crate::rules::SECRET);
        let header = Header::new(Algorithm::HS256);
        let claims = filled(claims, memory);
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key.as_bytes()));
        return token.expect("plain claims").into();
    }
    if let Some(keys) = map.get("$track") {
        let text = |member: &str| string(map[member].as_str().expect("a text"), memory);
        let (user, channel, secret) = (text("user"), text("channel"), text("key"));
        let keys: Vec<&str> = keys.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let now = now_s();
        let expires = match map["lives"].as_i64().expect("a number") {
            0 => 0,
            lives => now + lives,
        };
        let tracked = Tracked { user: &user, channel: &channel, keys: &keys.join("\0") };
        return sign(&secret, (now, expires), tracked).into();
    }
    if let Some(seconds) = map.get("$now") {
        return (now_s() + seconds.as_i64().expect("a number")).into();
    }
    if let Some(channel) = map.get("$offset") {
        let channel = name(channel.as_str().expect("a channel"), memory);
        let offset = memory.position(&channel).map_or(0, |position| position.offset) as i64;
        return (offset + map["add"].as_i64().expect("a number")).max(0).into();
    }
    map.iter().map(|(key, value)| (string(key, memory), filled(value, memory))).collect::<Map<_, _>>().into()
}
