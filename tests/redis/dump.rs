//! What is in a Redis, in the form of the recording.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use spindle::broker::Value;

use super::recording::to_text;
use super::redis::Connection;

/// Seconds that a key lives for unless a step renews it.
const UNTOUCHED_S: u64 = 100_000;

pub struct Key {
    pub r#type: String,
    pub value: Json,
    /// Seconds, rounded up, when renewed.
    pub ttl_s: Option<u64>,
    pub fields_ttl_s: BTreeMap<String, u64>,
}

fn text(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => to_text(bytes),
        Value::Int(number) => number.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

fn list(value: Value) -> Vec<Value> {
    let Value::List(values) = value else { panic!("no list: {value:?}") };
    values
}

fn texts(value: Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

fn pairs(value: Value) -> Json {
    texts(value)
        .chunks(2)
        .map(|pair| (pair[0].clone(), Json::from(pair[1].clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn knows_field_ttl(redis: &mut Connection) -> bool {
    list(redis.send(&["COMMAND", "INFO", "HPTTL"])) != [Value::Nil]
}

/// Milliseconds left, of those that have a time to live that was renewed.
fn renewed(left: &Value) -> Option<u64> {
    let Value::Int(ms) = left else { panic!("no number: {left:?}") };
    let seconds = u64::try_from(*ms).ok()?.div_ceil(1000);
    (seconds < UNTOUCHED_S - 1000).then_some(seconds)
}

fn fields(redis: &mut Connection, key: &str) -> Vec<String> {
    texts(redis.send(&["HKEYS", key]))
}

/// Makes renewals visible.
pub fn age(redis: &mut Connection) {
    let seconds = UNTOUCHED_S.to_string();
    let by_field = knows_field_ttl(redis);
    for key in texts(redis.send(&["KEYS", "*"])) {
        redis.send(&["EXPIRE", &key, &seconds, "XX"]);
        if by_field && text(&redis.send(&["TYPE", &key])) == "hash" {
            for field in fields(redis, &key) {
                redis.send(&["HEXPIRE", &key, &seconds, "XX", "FIELDS", "1", &field]);
            }
        }
    }
}

/// Everything that is there.
pub fn dump(redis: &mut Connection) -> BTreeMap<String, Key> {
    let by_field = knows_field_ttl(redis);
    let mut all = BTreeMap::new();
    for key in texts(redis.send(&["KEYS", "*"])) {
        let r#type = text(&redis.send(&["TYPE", &key]));
        let value = match &*r#type {
            "hash" => pairs(redis.send(&["HGETALL", &key])),
            "zset" => pairs(redis.send(&["ZRANGE", &key, "0", "-1", "WITHSCORES"])),
            "list" => json!(texts(redis.send(&["LRANGE", &key, "0", "-1"]))),
            "stream" => list(redis.send(&["XRANGE", &key, "-", "+"])).into_iter().map(entry).collect(),
            other => panic!("{key} is a {other}"),
        };
        let mut fields_ttl_s = BTreeMap::new();
        if by_field && r#type == "hash" {
            for field in fields(redis, &key) {
                let left = list(redis.send(&["HPTTL", &key, "FIELDS", "1", &field])).remove(0);
                fields_ttl_s.extend(renewed(&left).map(|seconds| (field, seconds)));
            }
        }
        let ttl_s = renewed(&redis.send(&["PTTL", &key]));
        all.insert(key, Key { r#type, value, ttl_s, fields_ttl_s });
    }
    all
}

/// Id, then fields and values in turn.
fn entry(entry: Value) -> Json {
    let [id, fields] = list(entry).try_into().expect("a stream's entry");
    let mut parts = vec![text(&id)];
    parts.extend(texts(fields));
    json!(parts)
}
