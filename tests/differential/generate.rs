//! Makes conversations from seeds: mostly sensible, some nearly valid, some hostile.

use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::hostile;
use crate::rules::{MAPS, STREAMS};
use crate::step::{CONNECTIONS, Frame, Step};
use crate::{generate_api, generate_map, generate_token};

/// How many steps a conversation has at most.
const MAX_STEPS: usize = 40;

pub const USERS: &[&str] = &["u1~", "u2~", ""];

/// What a conversation is about: few channels, so that its actors meet.
pub struct Topic {
    pub chance: Chance,
    pub channels: Vec<String>,
    next_id: u64,
}

/// The conversation with this number.
pub fn conversation(seed: u64) -> Vec<Step> {
    let mut chance = Chance::new(seed);
    let channels = (0..2 + chance.below(3)).map(|_| channel(&mut chance)).collect();
    let mut topic = Topic { chance, channels, next_id: 1 };
    let mut steps: Vec<Step> = (0..2).map(|connection| topic.connect(connection)).collect();
    for _ in 0..MAX_STEPS / 2 + topic.chance.below(MAX_STEPS / 2) {
        topic.step(&mut steps);
    }
    steps
}

fn channel(chance: &mut Chance) -> String {
    let namespace = if chance.percent(25) { chance.pick(MAPS) } else { chance.pick(STREAMS) };
    let name = chance.pick(&["a~", "b~", "c~"]);
    match namespace {
        // Where clients and users are seen who subscribe to the channel behind the prefix.
        "cl" | "us" => format!("{namespace}:seen:{name}"),
        "user" | "userany" => format!("{namespace}:{name}#{}", chance.pick(&["u1~", "u2~", "u1~,u2~", "", ",u1~"])),
        _ if chance.percent(6) => {
            let odd = [
                "n~",
                "unknown:a~",
                "$open:a~",
                "$rec:~",
                ":e~",
                "open:",
                "",
                "$~",
                "rec:ü~",
                "rx:A!~",
                "open:a~ b\u{1}",
            ];
            chance.pick(&odd).to_owned()
        }
        _ => format!("{namespace}:{name}"),
    }
}

impl Topic {
    fn step(&mut self, steps: &mut Vec<Step>) {
        let connection = self.chance.below(CONNECTIONS);
        match self.chance.below(100) {
            0..8 => steps.push(self.connect(connection)),
            8..10 => steps.push(Step::Leave { connection }),
            10..60 => {
                let count = if self.chance.percent(15) { 2 + self.chance.below(4) } else { 1 };
                let commands = (0..count).map(|number| self.command(number + 1 == count)).collect();
                steps.push(Step::Send { connection, frame: Frame::Commands(commands) });
            }
            60..64 => {
                let frame = hostile::frame(self);
                steps.push(Step::Send { connection, frame });
                steps.push(self.connect(connection));
            }
            64..66 => steps.push(hostile::call(self)),
            _ => steps.push(generate_api::call(self)),
        }
    }

    pub fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn channel(&mut self) -> String {
        if self.chance.percent(3) { channel(&mut self.chance) } else { self.chance.pick_text(&self.channels) }
    }

    /// A connection that begins with `connect`, or rarely with something else.
    fn connect(&mut self, connection: usize) -> Step {
        let mut request = Map::new();
        if !self.chance.percent(3) {
            request.insert("token".to_owned(), generate_token::connection(self));
        }
        self.maybe(&mut request, 10, "name", |_| json!("js"));
        self.maybe(&mut request, 10, "version", |_| json!("1.2.3"));
        self.maybe(&mut request, 5, "data", |topic| payload(&mut topic.chance));
        self.maybe(&mut request, 5, "headers", |_| json!({"X-One": "1", "Cookie": ""}));
        self.maybe(&mut request, 3, "flag", |topic| topic.chance.pick_number(&[1, 2, -1]).into());
        self.maybe(&mut request, 15, "subs", |topic| {
            let channels: Vec<_> = (0..1 + topic.chance.below(2)).map(|_| topic.channel()).collect();
            channels
                .into_iter()
                .map(|channel| (channel.clone(), topic.recovery(&channel).into()))
                .collect::<Map<_, _>>()
                .into()
        });
        let mut command = json!({"id": self.id(), "connect": request});
        self.spoil(&mut command, 2);
        let mut commands = vec![command];
        if self.chance.percent(10) {
            commands.push(self.command(true));
        }
        let first = if self.chance.percent(1) { hostile::frame(self) } else { Frame::Commands(commands) };
        Step::Connect { connection, protobuf: self.chance.percent(30), first }
    }

    pub fn maybe(
        &mut self,
        request: &mut Map<String, Value>,
        percent: usize,
        key: &str,
        value: impl FnOnce(&mut Self) -> Value,
    ) {
        if self.chance.percent(percent) {
            let value = value(self);
            request.insert(key.to_owned(), value);
        }
    }

    /// Only the last command of a frame may end the connection: the reference goes on with what is behind for a while.
    fn command(&mut self, is_last: bool) -> Value {
        let channel = self.channel();
        let (method, mut request) = match self.chance.below(if is_last { 100 } else { 93 }) {
            0..36 => ("subscribe", self.subscribe(channel)),
            36..46 => ("unsubscribe", json!({"channel": channel})),
            46..70 => ("publish", self.publish(channel)),
            70..76 => ("presence", json!({"channel": channel})),
            76..80 => ("presence_stats", json!({"channel": channel})),
            80..91 => ("history", self.history(channel)),
            91..93 => {
                ("rpc", json!({"method": self.chance.pick(&["", "ping", "ns:m"]), "data": payload(&mut self.chance)}))
            }
            93..95 => ("refresh", json!({"token": generate_token::connection(self)})),
            95..97 => ("sub_refresh", self.sub_refresh(channel)),
            97 => ("send", json!({"data": payload(&mut self.chance)})),
            98 => ("ping", json!({})),
            _ => ("connect", json!({})),
        };
        if !is_last {
            request.as_object_mut().map(|request| request.remove("token"));
        }
        let mut command = json!({"id": self.id(), method: request});
        if method == "send" && self.chance.percent(50) {
            command = json!({method: request});
        }
        self.spoil(&mut command, if is_last { 4 } else { 0 });
        command
    }

    /// Makes something of a command wrong, in so many of a hundred cases.
    pub fn spoil(&mut self, command: &mut Value, percent: usize) {
        if self.chance.percent(percent) {
            hostile::spoil(&mut self.chance, command);
        }
    }

    fn subscribe(&mut self, channel: String) -> Value {
        if generate_map::is_map(&channel) && self.chance.percent(95) {
            return generate_map::subscribe(self, channel);
        }
        let mut request = Map::from_iter([("channel".to_owned(), Value::from(channel.clone()))]);
        let wants_token = channel.starts_with('$') || channel.starts_with("closed");
        self.maybe(&mut request, if wants_token { 80 } else { 6 }, "token", |topic| {
            generate_token::subscription(topic, &channel)
        });
        if self.chance.percent(35) {
            request.extend(self.recovery(&channel));
        }
        self.maybe(&mut request, 15, "positioned", |_| true.into());
        self.maybe(&mut request, 15, "recoverable", |_| true.into());
        self.maybe(&mut request, 25, "join_leave", |_| true.into());
        self.maybe(&mut request, 4, "data", |topic| payload(&mut topic.chance));
        self.maybe(&mut request, 4, "flag", |topic| topic.chance.pick_number(&[1, 2, 3]).into());
        self.maybe(
            &mut request,
            if channel.starts_with("tags") || channel.starts_with("full") { 50 } else { 2 },
            "tf",
            |topic| filter(&mut topic.chance, 2),
        );
        self.maybe(&mut request, if channel.starts_with("delta") { 70 } else { 1 }, "delta", |topic| {
            topic.chance.pick(&["fossil", "fossil", "fossil", "fossil", "fossil", "fossil", "other", ""]).into()
        });
        self.maybe(&mut request, 1, "type", |topic| topic.chance.pick_number(&[1, 2, 3, 4, 5, -1]).into());
        request.into()
    }

    /// Where a client says that it was.
    pub fn recovery(&mut self, channel: &str) -> Map<String, Value> {
        let mut request = Map::new();
        self.maybe(&mut request, 90, "recover", |_| true.into());
        self.maybe(&mut request, 90, "epoch", |topic| {
            if topic.chance.percent(90) { format!("$epoch:{channel}").into() } else { "other".into() }
        });
        self.maybe(&mut request, 90, "offset", |topic| {
            json!({"$offset": channel, "add": topic.chance.pick_number(&[0, 0, -1, -1, -2, -3, -5, -20, 1, 7])})
        });
        request
    }

    fn publish(&mut self, channel: String) -> Value {
        if generate_map::is_map(&channel) && self.chance.percent(95) {
            return generate_map::publish(self, channel);
        }
        let mut request = Map::from_iter([("channel".to_owned(), Value::from(channel))]);
        self.maybe(&mut request, 97, "data", |topic| payload(&mut topic.chance));
        self.maybe(&mut request, 1, "type", |topic| topic.chance.pick_number(&[1, 2]).into());
        self.maybe(&mut request, 1, "key", |_| "k".into());
        request.into()
    }

    pub fn history(&mut self, channel: String) -> Value {
        let mut request = Map::from_iter([("channel".to_owned(), Value::from(channel.clone()))]);
        self.maybe(&mut request, 80, "limit", |topic| {
            topic.chance.pick_number(&[-1, 0, 1, 2, 5, 300, 301, i64::from(i32::MAX)]).into()
        });
        self.maybe(&mut request, 30, "reverse", |_| true.into());
        self.maybe(&mut request, 40, "since", |topic| {
            let mut since = topic.recovery(&channel);
            since.remove("recover");
            since.into()
        });
        request.into()
    }

    fn sub_refresh(&mut self, channel: String) -> Value {
        let mut request = Map::from_iter([("channel".to_owned(), Value::from(channel.clone()))]);
        self.maybe(&mut request, 90, "token", |topic| generate_token::subscription(topic, &channel));
        self.maybe(&mut request, 10, "type", |topic| topic.chance.pick_number(&[1, 2, 3]).into());
        request.into()
    }
}

/// What somebody publishes.
pub fn payload(chance: &mut Chance) -> Value {
    match chance.below(16) {
        0 => Value::Null,
        1 => json!({"text": "<b>&\u{2028}\"'\\/é\u{1f600}", "n": 1.5, "list": [1, [], {}]}),
        2 => json!(""),
        3 => json!([]),
        4 => json!({}),
        5 => json!("x".repeat(200)),
        6 => json!(true),
        7 => json!({"from": "$client:0", "in": "~"}),
        8 => json!(18_446_744_073_709_551_615_u64),
        // Alike, so that patches are short.
        9..13 => json!({"long": "the same in all of these, but for a number ".repeat(3), "n": chance.below(100)}),
        _ => json!({"n": chance.below(100)}),
    }
}

/// A filter on tags, sensible or not quite.
pub fn filter(chance: &mut Chance, depth: usize) -> Value {
    if depth > 0 && chance.percent(30) {
        let op = chance.pick(&["and", "or", "not", "and", "or", "xor"]);
        let nodes: Vec<Value> = (0..chance.below(3)).map(|_| filter(chance, depth - 1)).collect();
        return json!({"op": op, "nodes": nodes});
    }
    let cmp =
        chance.pick(&["eq", "neq", "in", "nin", "ex", "nex", "sw", "ew", "ct", "gt", "gte", "lt", "lte", "is", ""]);
    let mut node = json!({"key": chance.pick(&["a", "n", ""]), "cmp": cmp});
    match cmp {
        "in" | "nin" => node["vals"] = json!((0..chance.below(3)).map(|_| value(chance)).collect::<Vec<_>>()),
        "ex" | "nex" => {}
        _ => node["val"] = value(chance).into(),
    }
    if chance.percent(5) {
        node["vals"] = json!(["x"]);
    }
    node
}

/// A value of a tag.
pub fn value(chance: &mut Chance) -> &'static str {
    chance.pick(&["x", "xy", "yx", "", "1", "10", "1.50", "-3", "1e1", "NaN"])
}
