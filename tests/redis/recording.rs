//! What was recorded. Bytes stand as characters up to U+00FF.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A conversation with a reference of its own, on an empty Redis, all keys below `p`.
#[derive(Deserialize)]
pub struct Recording {
    pub name: String,
    pub lists: bool,
    pub cluster: bool,
    pub keeping: Keeping,
    pub clients: BTreeMap<String, Client>,
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
pub struct Keeping {
    pub ttl_s: u32,
    pub users_counted: bool,
    pub fields_expire: bool,
}

#[derive(Deserialize)]
pub struct Client {
    pub id: String,
    pub user: String,
    pub info: String,
}

#[derive(Deserialize)]
pub struct Step {
    pub r#do: Vec<Deed>,
    /// What was answered, if anything.
    #[serde(default)]
    pub reply: Value,
    pub messages: Vec<(String, String)>,
    /// Keys with another value or a renewed time to live.
    pub changed: BTreeMap<String, Key>,
    pub gone: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Publish(Publish),
    History { channel: String, limit: i32, reverse: bool, since: Option<u64>, meta_ttl_s: u32 },
    RemoveHistory { channel: String },
    AddPresence { channel: String, client: String },
    RemovePresence { channel: String, client: String },
    Join { channel: String, client: String },
    Leave { channel: String, client: String },
    Presence { channel: String },
    PresenceStats { channel: String },
    Map(MapDeed),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapDeed {
    Publish(MapPublish),
    Remove {
        channel: String,
        options: Options,
        key: String,
        idempotency_key: Option<String>,
    },
    ReadState {
        channel: String,
        options: Options,
        key: String,
        limit: i32,
    },
    ReadStream {
        channel: String,
        options: Options,
        limit: i32,
        reverse: bool,
        since: Option<u64>,
    },
    Stats {
        channel: String,
    },
    Clear {
        channel: String,
    },
    /// Some time went by, and its keys expired.
    Expire {
        channel: String,
        options: Options,
    },
}

#[derive(Deserialize)]
pub struct MapPublish {
    pub channel: String,
    pub options: Options,
    pub key: String,
    pub data: String,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub delta: bool,
    pub idempotency_key: Option<String>,
    #[serde(default)]
    pub version: u64,
    #[serde(default)]
    pub version_epoch: String,
    #[serde(default)]
    pub key_mode: String,
}

/// How a map is kept; milliseconds.
#[derive(Deserialize, Clone, Copy)]
pub struct Options {
    pub key_ttl_ms: u64,
    /// Size, time to live, time to live of the meta data.
    pub stream: Option<(u32, u64, u64)>,
}

#[derive(Deserialize)]
pub struct Publish {
    pub channel: String,
    pub data: String,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Size, seconds, seconds of the meta data.
    pub history: (u32, u32, u32),
    pub delta: bool,
    pub idempotency_key: Option<String>,
    #[serde(default)]
    pub version: u64,
    #[serde(default)]
    pub version_epoch: String,
    /// The publisher; none = the server API.
    pub client: Option<String>,
}

#[derive(Deserialize)]
pub struct Key {
    pub r#type: String,
    pub value: Value,
    /// Seconds, when renewed.
    pub ttl_s: Option<u64>,
    /// Of fields of a hash; seconds, when renewed.
    #[serde(default)]
    pub fields_ttl_s: BTreeMap<String, u64>,
}

impl Recording {
    pub fn load(name: &str) -> Self {
        let file =
            if name == "maps" { include_str!("recorded_maps.json") } else { include_str!("recorded_channels.json") };
        let all: Vec<Self> = serde_json::from_str(file).expect("the recordings");
        all.into_iter().find(|recording| recording.name == name).expect("a recording")
    }
}

pub fn to_bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).expect("a byte")).collect()
}

pub fn to_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
