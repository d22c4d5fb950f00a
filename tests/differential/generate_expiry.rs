//! Conversations in which time passes: tokens of connections and subscriptions that end, are renewed, or are not.

use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::step::{CONNECTIONS, Frame, Step};

/// So many steps, then time passes.
const STEPS: usize = 14;

/// Longer than everything that is to end lives, with all delays (see [`rules`](crate::rules)). One that is to live on
/// lives far longer.
const PASSES_S: u64 = 6;

const CHANNELS: [&str; 4] = ["closed:a~", "hist:a~", "jl:a~", "kv:a~"];

struct Topic {
    chance: Chance,
    next_id: u64,
}

/// The conversation with this number.
pub fn conversation(seed: u64) -> Vec<Step> {
    let mut topic = Topic { chance: Chance::new(seed), next_id: 1 };
    let mut steps: Vec<Step> = (0..CONNECTIONS).map(|connection| topic.connect(connection)).collect();
    for rest in (0..3).rev() {
        for _ in 0..STEPS {
            let step = topic.step();
            steps.push(step);
        }
        if rest > 0 {
            steps.push(Step::Pass { seconds: PASSES_S });
        }
    }
    steps
}

impl Topic {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Ends within the time that passes, or long after it.
    fn end(&mut self) -> Value {
        json!({"$now": self.chance.pick_number(&[2, 3, 2, 600, 6000])})
    }

    fn times(&mut self, claims: &mut Map<String, Value>) {
        if self.chance.percent(75) {
            claims.insert("exp".to_owned(), self.end());
        }
        if self.chance.percent(20) {
            let end = if self.chance.percent(25) { json!(0) } else { self.end() };
            claims.insert("expire_at".to_owned(), end);
        }
        // Over from the beginning: what comes of it differs from command to command.
        if self.chance.percent(10) {
            claims.insert("exp".to_owned(), json!({"$now": -10}));
        }
        if self.chance.percent(3) {
            claims.insert("expire_at".to_owned(), json!({"$now": -10}));
        }
    }

    fn connection_token(&mut self, connection: usize) -> Value {
        let user = if self.chance.percent(95) { format!("u{connection}~") } else { "other".to_owned() };
        let mut claims = Map::from_iter([("sub".to_owned(), user.into())]);
        self.times(&mut claims);
        if self.chance.percent(25) {
            claims.insert("channels".to_owned(), json!(["hist:server~"]));
        }
        json!({"$token": claims})
    }

    fn subscription_token(&mut self, connection: usize, channel: &str) -> Value {
        let mut claims = Map::from_iter([("sub".to_owned(), format!("u{connection}~").into())]);
        claims.insert("channel".to_owned(), channel.into());
        self.times(&mut claims);
        json!({"$token": claims})
    }

    fn connect(&mut self, connection: usize) -> Step {
        let token = self.connection_token(connection);
        let first = Frame::Commands(vec![json!({"id": self.id(), "connect": {"token": token}})]);
        Step::Connect { connection, protobuf: self.chance.percent(30), first }
    }

    fn step(&mut self) -> Step {
        let connection = self.chance.below(CONNECTIONS);
        let channel = CHANNELS[self.chance.below(CHANNELS.len())];
        let kind = if channel.starts_with("kv") { 1 } else { 0 };
        let command = match self.chance.below(100) {
            0..12 => return self.connect(connection),
            12..50 => {
                let mut request = json!({"channel": channel});
                if kind > 0 {
                    request["type"] = kind.into();
                }
                if channel.starts_with("closed") || self.chance.percent(75) {
                    request["token"] = self.subscription_token(connection, channel);
                }
                json!({"id": self.id(), "subscribe": request})
            }
            50..72 => {
                let token = self.subscription_token(connection, channel);
                json!({"id": self.id(), "sub_refresh": {"channel": channel, "token": token}})
            }
            72..86 => json!({"id": self.id(), "refresh": {"token": self.connection_token(connection)}}),
            86..90 => json!({"id": self.id(), "unsubscribe": {"channel": channel}}),
            90..95 => {
                let end = self.end();
                let user = format!("u{connection}~");
                return if self.chance.percent(50) {
                    Step::Api { method: "refresh", body: json!({"user": user, "expire_at": end}) }
                } else {
                    let channel = "hist:api~";
                    Step::Api { method: "subscribe", body: json!({"user": user, "channel": channel, "expire_at": end}) }
                };
            }
            _ => {
                return Step::Api { method: "publish", body: json!({"channel": channel, "data": {}}) };
            }
        };
        Step::Send { connection, frame: Frame::Commands(vec![command]) }
    }
}
