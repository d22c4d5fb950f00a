//! Conversations about shared-poll channels: a backend, and clients that track its keys.

use serde_json::{Map, Value, json};

use crate::backend::Change;
use crate::chance::Chance;
use crate::generate::payload;
use crate::rules::POLLS;
use crate::step::{CONNECTIONS, Frame, Step};

const MAX_STEPS: usize = 30;

const KEYS: [&str; 4] = ["k1", "k2", "k3", "ü<"];

/// The user of each connection.
const USERS: [&str; CONNECTIONS] = ["u1~", "u2~", "u1~", ""];

struct Topic {
    chance: Chance,
    channels: Vec<String>,
    next_id: u64,
}

/// The conversation with this number.
pub fn conversation(seed: u64) -> Vec<Step> {
    let mut chance = Chance::new(seed);
    let mut name = || format!("{}:{}", chance.pick(POLLS), chance.pick(&["a~", "b~"]));
    let channels = vec![name(), name()];
    let mut topic = Topic { chance, channels, next_id: 1 };
    let mut steps = Vec::new();
    for channel in topic.channels.clone() {
        for key in KEYS {
            if topic.chance.percent(60) {
                steps.push(topic.set(channel.clone(), key));
            }
        }
    }
    for connection in 0..2 {
        steps.push(topic.connect(connection));
        for channel in topic.channels.clone() {
            let subscribe = topic.subscribe(&channel);
            let track = topic.track(connection, &channel);
            steps.extend([subscribe, track].map(|command| send(connection, command)));
        }
    }
    for _ in 0..MAX_STEPS / 2 + topic.chance.below(MAX_STEPS / 2) {
        let step = topic.step();
        steps.push(step);
    }
    steps
}

fn send(connection: usize, command: Value) -> Step {
    Step::Send { connection, frame: Frame::Commands(vec![command]) }
}

impl Topic {
    fn step(&mut self) -> Step {
        let connection = self.chance.below(CONNECTIONS);
        let channel = self.chance.pick_text(&self.channels);
        let command = match self.chance.below(100) {
            0..6 => return self.connect(connection),
            6..8 => return Step::Leave { connection },
            8..30 => {
                let key = self.chance.pick(&KEYS);
                return self.set(channel, key);
            }
            30..36 => return self.backend(channel),
            36..44 => return self.publish(channel),
            44..58 => self.subscribe(&channel),
            58..84 => self.track(connection, &channel),
            84..92 => self.untrack(&channel),
            92..96 => json!({"id": self.id(), "unsubscribe": {"channel": channel}}),
            96 => json!({"id": self.id(), "publish": {"channel": channel, "data": {}}}),
            97 => json!({"id": self.id(), "presence": {"channel": channel}}),
            98 => json!({"id": self.id(), "history": {"channel": channel, "limit": 1}}),
            _ => json!({"id": self.id(), "sub_refresh": {"channel": channel, "token": "x"}}),
        };
        send(connection, command)
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn connect(&mut self, connection: usize) -> Step {
        let token = json!({"$token": {"sub": USERS[connection]}});
        let first = Frame::Commands(vec![json!({"id": self.id(), "connect": {"token": token}})]);
        Step::Connect { connection, protobuf: self.chance.percent(40), first }
    }

    fn set(&mut self, channel: String, key: &'static str) -> Step {
        // No null: whether it counts as data is another question.
        let data = match payload(&mut self.chance) {
            Value::Null => json!({}),
            data => data,
        };
        Step::Backend { channel, change: Change::Set { key, data } }
    }

    fn backend(&mut self, channel: String) -> Step {
        let change = match self.chance.below(10) {
            0..4 => Change::Remove { key: KEYS[self.chance.below(KEYS.len())] },
            4..6 => Change::Epoch(["one", "two", ""][self.chance.below(3)]),
            6 => Change::Answer(Some((500, ""))),
            7 => Change::Answer(Some((200, r#"{"error":{"code":1000,"message":"no"}}"#))),
            8 => Change::Answer(Some((200, ["{", "", "[]", "{}", r#"{"result":{}}"#][self.chance.below(5)]))),
            _ => Change::Answer(None),
        };
        Step::Backend { channel, change }
    }

    fn publish(&mut self, channel: String) -> Step {
        let mut body = json!({"channel": channel, "key": self.chance.pick(&KEYS), "data": payload(&mut self.chance)});
        body["version"] = self.chance.pick_number(&[0, 1, 2, 3, 5, 8]).into();
        if self.chance.percent(10) {
            body["epoch"] = self.chance.pick(&["one", "two", ""]).into();
        }
        if self.chance.percent(8) {
            let member = self.chance.pick(&["channel", "key", "data", "version"]);
            body.as_object_mut().map(|body| body.remove(member));
        }
        Step::Api { method: "shared_poll_publish", body }
    }

    fn subscribe(&mut self, channel: &str) -> Value {
        let mut request = Map::from_iter([("channel".to_owned(), Value::from(channel))]);
        let kind = if self.chance.percent(4) { self.chance.pick_number(&[0, 1, 3, 5, -1]) } else { 4 };
        request.insert("type".to_owned(), kind.into());
        if self.chance.percent(40) {
            request.insert("delta".to_owned(), "fossil".into());
        }
        if self.chance.percent(5) {
            request.insert("token".to_owned(), json!({"$token": {"sub": "u1~", "channel": channel}}));
        }
        json!({"id": self.id(), "subscribe": request})
    }

    /// Keys in order, so that they are asked for in the same order. One at a time where servers number versions.
    fn keys(&mut self, channel: &str) -> Vec<&'static str> {
        if !crate::rules::is_numbered_by_backend(channel) {
            return vec![KEYS[self.chance.below(KEYS.len())]];
        }
        KEYS.into_iter().filter(|_| self.chance.percent(40)).collect()
    }

    fn track(&mut self, connection: usize, channel: &str) -> Value {
        let count = if self.chance.percent(10) { 2 } else { 1 };
        let batches: Vec<Value> = (0..count)
            .map(|_| {
                let keys = self.keys(channel);
                let user = if self.chance.percent(96) { USERS[connection] } else { "other" };
                let lives = self.chance.pick_number(&[0, 0, 0, 300, 600, -20]);
                let secret = if self.chance.percent(97) { crate::rules::POLL_SECRET } else { "another" };
                let items = keys.iter().map(|key| {
                    let version = if self.chance.percent(70) { 0 } else { self.chance.pick_number(&[1, 2, 3, 7]) };
                    if version > 0 { json!({"key": key, "version": version}) } else { json!({"key": key}) }
                });
                let items: Vec<Value> = items.collect();
                let signature =
                    json!({"$track": keys, "channel": channel, "user": user, "lives": lives, "key": secret});
                json!({"signature": signature, "items": items})
            })
            .collect();
        let mut request = json!({"channel": channel, "type": 1, "track": batches});
        if self.chance.percent(8) {
            request["untrack"] = self.keys(channel).into();
        }
        json!({"id": self.id(), "sub_refresh": request})
    }

    fn untrack(&mut self, channel: &str) -> Value {
        let keys = self.keys(channel);
        json!({"id": self.id(), "sub_refresh": {"channel": channel, "type": 2, "untrack": keys}})
    }
}
