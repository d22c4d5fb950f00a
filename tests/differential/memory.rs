//! What a client remembers of a server's answers because later requests need it.

use std::collections::HashMap;

use serde_json::Value;

use crate::step::CONNECTIONS;

/// Where a channel's stream stood when it was last heard of.
#[derive(Clone, Default)]
pub struct Position {
    pub epoch: String,
    pub offset: u64,
}

/// What one server said in one conversation.
pub struct Memory {
    /// What [`RUN`](crate::step::RUN) stands for.
    pub run: String,
    clients: [String; CONNECTIONS],
    positions: HashMap<String, Position>,
    cursors: HashMap<String, String>,
}

impl Memory {
    pub fn new(run: u64) -> Self {
        Self {
            run: format!("r{run:06}"),
            clients: Default::default(),
            positions: HashMap::new(),
            cursors: HashMap::new(),
        }
    }

    pub fn position(&self, channel: &str) -> Option<&Position> {
        self.positions.get(channel)
    }

    pub fn cursor(&self, channel: &str) -> String {
        self.cursors.get(channel).cloned().unwrap_or_default()
    }

    /// The id of a connection's client; empty when it never was connected.
    pub fn client(&self, connection: usize) -> String {
        self.clients[connection].clone()
    }

    /// Takes note of a message on a connection; `channel` is the one that its command was about.
    pub fn note(&mut self, connection: usize, channel: Option<&str>, message: &Value) {
        if let Some(client) = message["connect"]["client"].as_str() {
            self.clients[connection] = client.to_owned();
        }
        if let Some(subs) = message["connect"]["subs"].as_object() {
            for (channel, result) in subs {
                self.note_result(channel, result);
            }
        }
        if let Some(channel) = channel {
            for method in ["subscribe", "history"] {
                self.note_result(channel, &message[method]);
            }
        }
        let push = &message["push"];
        if let Some(channel) = push["channel"].as_str() {
            self.note_result(channel, &push["subscribe"]);
            if let (Some(offset), Some(position)) = (push["pub"]["offset"].as_u64(), self.positions.get_mut(channel)) {
                position.offset = position.offset.max(offset);
            }
        }
    }

    /// Takes note of a result that may hold a position or a cursor.
    pub fn note_result(&mut self, channel: &str, result: &Value) {
        if let Some(epoch) = result["epoch"].as_str().filter(|epoch| !epoch.is_empty()) {
            let publications = result["publications"].as_array().into_iter().flatten();
            let newest = publications.filter_map(|publication| publication["offset"].as_u64()).max();
            let offset = newest.max(result["offset"].as_u64()).unwrap_or(0);
            self.positions.insert(channel.to_owned(), Position { epoch: epoch.to_owned(), offset });
        }
        if let Some(cursor) = result["cursor"].as_str() {
            self.cursors.insert(channel.to_owned(), cursor.to_owned());
        }
    }
}
