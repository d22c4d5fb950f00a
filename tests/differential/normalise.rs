//! Takes out of an answer what differs from server to server and from run to run, and nothing else: everything that
//! is not named here must be the same to the byte.

use std::collections::HashMap;

use serde_json::Value;

use crate::patches::Patches;
use crate::step::RUN;
use crate::wire::Message;

/// Payloads: whatever the publisher wrote.
const PAYLOADS: [&str; 4] = ["data", "conn_info", "chan_info", "meta"];
/// Objects whose members have no order.
const UNORDERED: [&str; 4] = ["presence", "channels", "subs", "tags"];
/// Texts that a server makes up; equal ones get equal names.
const MADE_UP: [&str; 3] = ["epoch", "uid", "cursor"];
/// Numbers that tell the time or the load.
const MEASURED: [&str; 4] = ["time", "uptime", "cpu", "rss"];
/// Lifetimes are asked for in multiples of this many seconds; one may have passed.
const LIFETIME_STEP_S: u64 = 10;

/// Names for what one server made up in one conversation, by first appearance.
pub struct Names {
    run: String,
    made_up: HashMap<String, String>,
}

impl Names {
    pub fn new(run: &str) -> Self {
        Self { run: run.to_owned(), made_up: HashMap::new() }
    }

    /// A message on a connection.
    pub fn message(&mut self, patches: &mut Patches, message: &Message) -> String {
        let mut value = message.value.clone();
        if patches.resolve(message.channel.as_deref(), &mut value) {
            return self.text(&value.to_string());
        }
        self.text(&message.text)
    }

    /// The body of an answer of the server API.
    pub fn api(&mut self, text: &str) -> String {
        match serde_json::from_str::<Value>(text) {
            Ok(_) => self.text(text),
            Err(_) => text.replace(&self.run, RUN),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut walk = Walk { text: text.as_bytes(), at: 0, names: self };
        let mut out = String::with_capacity(text.len());
        walk.value("", &mut out);
        out.push_str(&text[walk.at..]);
        for (made_up, name) in &self.made_up {
            out = out.replace(made_up, name);
        }
        out.replace(&self.run, RUN)
    }

    fn name(&mut self, kind: &str, made_up: &str) -> String {
        let number = self.made_up.values().filter(|name| name.starts_with(kind)).count();
        self.made_up.entry(made_up.to_owned()).or_insert_with(|| format!("{kind}-{number}")).clone()
    }
}

/// Walks over JSON that is known to be sound.
struct Walk<'t, 'n> {
    text: &'t [u8],
    at: usize,
    names: &'n mut Names,
}

impl Walk<'_, '_> {
    fn value(&mut self, key: &str, out: &mut String) {
        let start = self.at;
        match self.text[self.at] {
            _ if PAYLOADS.contains(&key) => {
                self.skip();
                out.push_str(self.since(start));
            }
            // Their numbers are some seconds old, and count what the conversation before left.
            _ if key == "nodes" => {
                self.skip();
                out.push_str(&members_of_first(self.since(start)));
            }
            b'{' => self.object(key, out),
            b'[' => {
                let mut elements = Vec::new();
                self.at += 1;
                while self.text[self.at] != b']' {
                    if self.text[self.at] == b',' {
                        self.at += 1;
                    }
                    let mut element = String::new();
                    self.value(key, &mut element);
                    elements.push(element);
                }
                self.at += 1;
                // A map is read in the order of its keys, and these are made up.
                if ["state", "entries"].contains(&key)
                    && elements.iter().any(|element| element.contains(r#""key":"id-"#))
                {
                    elements.sort();
                }
                out.push_str(&format!("[{}]", elements.join(",")));
            }
            b'"' => {
                self.skip();
                let text = self.since(start).to_owned();
                let inner = &text[1..text.len() - 1];
                if !inner.is_empty() && MADE_UP.contains(&key) {
                    out.push_str(&format!("\"{}\"", self.names.name(key, inner)));
                } else if is_uuid(inner) {
                    out.push_str(&format!("\"{}\"", self.names.name("id", inner)));
                } else if key == "version" {
                    out.push_str("\"version\"");
                } else {
                    out.push_str(&text);
                }
            }
            _ => {
                self.skip();
                let number = self.since(start).to_owned();
                match (key, number.parse::<u64>()) {
                    ("ttl", Ok(ttl)) => out.push_str(&ttl.next_multiple_of(LIFETIME_STEP_S).to_string()),
                    _ if MEASURED.contains(&key) => out.push('0'),
                    _ => out.push_str(&number),
                }
            }
        }
    }

    fn object(&mut self, key: &str, out: &mut String) {
        let mut members = Vec::new();
        self.at += 1;
        while self.text[self.at] != b'}' {
            if self.text[self.at] == b',' {
                self.at += 1;
            }
            let start = self.at;
            self.skip();
            let name = self.since(start).trim_matches('"').to_owned();
            let name = self.names.made_up.get(&name).cloned().unwrap_or(name);
            self.at += 1;
            let value = self.at;
            self.skip();
            members.push((name, value));
        }
        self.at += 1;
        let end = self.at;
        // A result has the name of the map in it.
        let is_map = UNORDERED.contains(&key) && members.first().is_none_or(|(name, _)| name != "presence");
        if is_map {
            // Connections of earlier conversations may be about to leave.
            let run = &self.names.run;
            members.retain(|(name, _)| key != "channels" || name.contains(run));
            members.sort();
        }
        out.push('{');
        for (number, (name, value)) in members.into_iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            out.push_str(&format!("\"{name}\":"));
            self.at = value;
            // In a map the names of members are no names of fields.
            let inner = if is_map { "" } else { name.as_str() };
            self.value(inner, out);
        }
        out.push('}');
        self.at = end;
    }

    fn since(&self, start: usize) -> &str {
        std::str::from_utf8(&self.text[start..self.at]).expect("cut at tokens")
    }

    /// Goes behind the value or key that begins here.
    fn skip(&mut self) {
        let (mut depth, mut in_text) = (0, false);
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'\\' if in_text => self.at += 1,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' | b':' if depth == 0 => return,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// The members that the first of a list of nodes always has.
fn members_of_first(nodes: &str) -> String {
    let nodes: Value = serde_json::from_str(nodes).expect("JSON");
    let first = nodes[0].as_object().into_iter().flat_map(|node| node.keys());
    format!("{:?}", first.filter(|key| !["uptime", "metrics", "process"].contains(&key.as_str())).collect::<Vec<_>>())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
