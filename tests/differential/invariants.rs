//! What must be true of our server whatever is asked, with or without a reference.

use std::collections::HashMap;

use serde_json::Value;

use crate::step::{CONNECTIONS, Frame, Step, id_of};
use crate::talk::Heard;

/// How a connection must never end: slowness that nobody had.
const NEVER: [&str; 3] = ["closes 3008", "closes 3009", "closes 3012"];

/// A fault of ours, but for the subscription types that there are not.
const FAULT: &str = "closes 3004";

/// What is known of a conversation so far.
#[derive(Default)]
pub struct Invariants {
    /// By connection and channel: the newest offset that was pushed since it subscribed.
    offsets: [HashMap<String, u64>; CONNECTIONS],
}

impl Invariants {
    /// Checks what was heard of a step.
    pub fn check(&mut self, step: &Step, heard: &Heard) -> Result<(), String> {
        for (number, lines) in heard.connections.iter().enumerate() {
            let say = |what: &str| Err(format!("connection {number}: {what}: {}", lines.join("\n          ")));
            if lines.iter().any(|line| NEVER.iter().any(|end| line.starts_with(end))) {
                return say("must not end so");
            }
            if lines.iter().any(|line| line.starts_with(FAULT)) && !step.to_string().contains(r#""type":"#) {
                return say("a fault");
            }
            let values: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if let Step::Send { connection, frame: Frame::Commands(commands) } = step
                && *connection == number
                && values.len() == lines.len()
                && !values.is_empty()
            {
                let ids = |values: &[Value]| values.iter().filter_map(id_of).collect::<Vec<_>>();
                if ids(&values) != ids(commands) {
                    return say("commands are answered once and in order");
                }
            }
            for value in &values {
                if let Err(what) = self.follow(number, value) {
                    return say(what);
                }
            }
        }
        Ok(())
    }

    /// Publications of a subscription come one after the other.
    fn follow(&mut self, number: usize, value: &Value) -> Result<(), &'static str> {
        let push = &value["push"];
        let Some(channel) = push["channel"].as_str() else {
            // A subscription that begins or ends begins anew.
            if ["subscribe", "unsubscribe", "connect"].iter().any(|method| value[*method].is_object()) {
                self.offsets[number].clear();
            }
            return Ok(());
        };
        if push["subscribe"].is_object() || push["unsubscribe"].is_object() {
            self.offsets[number].remove(channel);
        }
        let Some(offset) = push["pub"]["offset"].as_u64() else { return Ok(()) };
        match self.offsets[number].insert(channel.to_owned(), offset) {
            // A stream begins anew.
            _ if offset == 1 => Ok(()),
            Some(before) if offset <= before => Err("offsets go on"),
            Some(before) if offset != before + 1 && !may_filter(channel) => Err("offsets leave nothing out"),
            _ => Ok(()),
        }
    }
}

/// Whether a filter may keep publications of the channel from a client.
fn may_filter(channel: &str) -> bool {
    ["tags:", "full:", "deltaopt:", "kvd:"].iter().any(|namespace| channel.starts_with(namespace))
}
