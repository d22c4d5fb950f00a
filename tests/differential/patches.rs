//! Delta subscriptions: any correct patch is as good as another, so publications are compared as the whole that a
//! client makes of them.

use std::collections::HashMap;

use serde_json::Value;
use spindle::protocol::fossil;

/// Bytes that are no JSON stand in messages as this and their hexadecimal digits.
pub const BYTES: &str = "bytes ";

/// No payload of a conversation is as long.
const MAX_WHOLE: usize = 1 << 20;

/// What a connection's delta subscriptions have seen: the newest whole by channel, and by key in maps.
#[derive(Default)]
pub struct Patches(HashMap<String, HashMap<String, Vec<u8>>>);

impl Patches {
    /// Puts wholes in the place of patches. True when something was changed.
    pub fn resolve(&mut self, channel: Option<&str>, message: &mut Value) -> bool {
        let mut is_changed = false;
        if let Some(subs) = message.get_mut("connect").and_then(|result| result.get_mut("subs")?.as_object_mut()) {
            for (channel, result) in subs {
                is_changed |= self.begin(channel, result);
            }
        }
        if let (Some(channel), Some(result)) = (channel, message.get_mut("subscribe")) {
            is_changed |= self.begin(channel, result);
        }
        if let Some(push) = message.get_mut("push")
            && let Some(channel) = push["channel"].as_str().map(str::to_owned)
        {
            if push.get("unsubscribe").is_some() {
                self.0.remove(&channel);
            }
            if let (Some(seen), Some(publication)) = (self.0.get_mut(&channel), push.get_mut("pub")) {
                whole(seen, publication);
                is_changed = true;
            }
        }
        is_changed
    }

    fn begin(&mut self, channel: &str, result: &mut Value) -> bool {
        if !result.is_object() {
            return false;
        }
        if result["delta"] != true {
            // The page of a map that goes live tells of the delta; what came before does not.
            self.0.remove(channel);
            return false;
        }
        let seen = self.0.entry(channel.to_owned()).or_default();
        seen.clear();
        for list in ["state", "publications"] {
            for publication in result.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                whole(seen, publication);
            }
        }
        true
    }
}

fn whole(seen: &mut HashMap<String, Vec<u8>>, publication: &mut Value) {
    let key = publication["key"].as_str().unwrap_or_default().to_owned();
    let data = match &publication["data"] {
        Value::String(text) => match text.strip_prefix(BYTES) {
            Some(digits) => bytes_of(digits),
            None => text.clone().into_bytes(),
        },
        other => other.to_string().into_bytes(),
    };
    let data = if publication["delta"] == true {
        let base = seen.get(&key).map_or(&[][..], |base| base);
        match fossil::apply(base, &data, MAX_WHOLE) {
            Ok(whole) => whole,
            Err(error) => format!("a patch that does not fit: {error:?}").into_bytes(),
        }
    } else {
        data
    };
    publication["data"] = String::from_utf8_lossy(&data).into();
    if let Some(publication) = publication.as_object_mut() {
        publication.shift_remove("delta");
        // Where a patch is no shorter than the whole, the reference forgets the version in Protobuf too.
        publication.shift_remove("version");
    }
    seen.insert(key, data);
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits")).collect()
}
