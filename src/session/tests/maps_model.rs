//! A client that reads a map while it changes, leaves and comes back: once it is live it shows what the map is, no
//! matter what happened between its steps.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::maps::MAPS;
use super::*;

const CHANNEL: &str = "kv:1";

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    Set(u8, u8),
    Remove(u8),
    Clear,
    /// The client asks for what it needs next.
    Step,
    /// The client leaves.
    Leave,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..9u8, any::<u8>()).prop_map(|(key, value)| Event::Set(key, value)),
        2 => (0..9u8).prop_map(Event::Remove),
        1 => Just(Event::Clear),
        5 => Just(Event::Step),
        1 => Just(Event::Leave),
    ]
}

/// What a client does, as the official ones do it.
#[derive(Debug, Default)]
struct Client {
    shown: BTreeMap<String, i64>,
    offset: u64,
    epoch: String,
    wants: Wants,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Wants {
    #[default]
    FirstPage,
    PageBehind(String),
    Changes {
        comes_back: bool,
    },
    Nothing,
}

impl Client {
    fn request(&self) -> Option<String> {
        let step = match &self.wants {
            Wants::FirstPage => r#""phase":2"#.to_owned(),
            Wants::PageBehind(cursor) => {
                format!(r#""phase":2,"cursor":"{cursor}","offset":{},"epoch":"{}""#, self.offset, self.epoch)
            }
            Wants::Changes { comes_back } => {
                let (offset, epoch) = (self.offset, &self.epoch);
                format!(r#""phase":1,"recover":{comes_back},"offset":{offset},"epoch":"{epoch}""#)
            }
            Wants::Nothing => return None,
        };
        Some(format!(r#"{{"id":2,"subscribe":{{"channel":"{CHANNEL}","type":1,{step}}}}}"#))
    }

    fn leave(&mut self) {
        self.wants = match self.wants {
            Wants::Nothing => Wants::Changes { comes_back: true },
            _ => Wants::FirstPage,
        };
    }

    fn handle(&mut self, message: &Value, epoch: &str) {
        let unsubscribed = message["push"]["unsubscribe"]["code"] == 2500;
        if unsubscribed || message["error"]["code"] == 112 {
            self.wants = Wants::FirstPage;
        } else if let Some(reply) = message.get("subscribe") {
            self.handle_reply(reply, epoch);
        } else if let Some(publication) = message["push"].get("pub") {
            assert_eq!(self.wants, Wants::Nothing, "only who is live gets changes");
            assert_eq!(publication["offset"].as_u64(), Some(self.offset + 1), "none is missing, none comes twice");
            self.offset += 1;
            self.apply(publication);
        } else {
            assert!(message.get("unsubscribe").is_some(), "{message}");
        }
    }

    fn handle_reply(&mut self, reply: &Value, epoch: &str) {
        if self.wants == Wants::FirstPage {
            self.shown.clear();
        }
        self.epoch = epoch.to_owned();
        self.offset = reply["offset"].as_u64().unwrap_or(0);
        let comes_back = matches!(self.wants, Wants::Changes { comes_back: true });
        self.wants = match (reply["phase"].as_i64().unwrap_or(0), reply["cursor"].as_str()) {
            (2, Some(cursor)) => Wants::PageBehind(cursor.to_owned()),
            (0, None) => Wants::Nothing,
            _ => Wants::Changes { comes_back },
        };
        for list in ["state", "publications"] {
            let entries = reply[list].as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(entries.len() <= 3, "a page has a bound");
            entries.iter().for_each(|entry| self.apply(entry));
        }
    }

    fn apply(&mut self, publication: &Value) {
        let key = publication["key"].as_str().expect("a key").to_owned();
        match publication["removed"].as_bool() {
            Some(true) => self.shown.remove(&key),
            _ => self.shown.insert(key, publication["data"].as_i64().expect("a value")),
        };
    }
}

fn take_step(bench: &mut Bench, client: &mut Client) {
    if let Some(request) = client.request() {
        bench.send(0, &request);
    }
    take_messages(bench, client);
}

fn take_messages(bench: &mut Bench, client: &mut Client) {
    for message in std::mem::take(&mut bench.came) {
        let message = serde_json::from_str(message.strip_prefix("a< ").expect("for a")).expect("JSON");
        let epoch = bench.epoch.borrow().clone();
        client.handle(&message, &epoch);
    }
}

proptest! {
    #[test]
    fn whoever_is_live_shows_the_map(events in proptest::collection::vec(event(), 0..80)) {
        let (mut bench, mut client) = (Bench::new(config("", MAPS)), Client::default());
        let mut map: BTreeMap<String, i64> = BTreeMap::new();
        bench.play(
            r#"
            a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
            a< {"id":1,"connect":{"client":"<a>"}}
        "#,
        );
        for event in events {
            match event {
                Event::Set(key, value) => {
                    map.insert(format!("k{key}"), i64::from(value));
                    bench.change_map(&format!("set {CHANNEL} k{key} {value}"));
                }
                Event::Remove(key) => {
                    map.remove(&format!("k{key}"));
                    bench.change_map(&format!("remove {CHANNEL} k{key}"));
                }
                Event::Clear => {
                    map.clear();
                    bench.change_map(&format!("clear {CHANNEL}"));
                    // Nobody is told of it before the next change.
                    bench.change_map(&format!("set {CHANNEL} k0 0"));
                    map.insert("k0".to_owned(), 0);
                }
                Event::Step => take_step(&mut bench, &mut client),
                Event::Leave => {
                    bench.send(0, &format!(r#"{{"id":3,"unsubscribe":{{"channel":"{CHANNEL}"}}}}"#));
                    take_messages(&mut bench, &mut client);
                    client.leave();
                }
            }
            take_messages(&mut bench, &mut client);
            if client.wants == Wants::Nothing {
                prop_assert_eq!(&client.shown, &map);
            }
        }
        for _ in 0..40 {
            take_step(&mut bench, &mut client);
        }
        prop_assert_eq!(client.wants, Wants::Nothing);
        prop_assert_eq!(&client.shown, &map);
    }
}
