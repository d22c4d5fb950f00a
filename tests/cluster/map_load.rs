//! Keys of maps that are set and removed all the time at one node, and clients of another one that have the maps.
//!
//! What must be true of it whatever happens to Redis meanwhile: each change is acknowledged or refused, a client that is
//! live gets every change once and in its place, until it is told that it cannot; and in the end it has what is in Redis.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::{ALL_PATIENCE, Place, Progress, call, connect, try_until};
use crate::support::http;
use crate::support::server::Server;
use crate::support::ws::{CLOSE, Client, TEXT};

/// Changes of a batch, which run at the same time.
const BATCH: u64 = 100;

/// Keys of a map: more than are read at once.
const KEYS: u64 = 300;

const PAGE: u64 = 100;

/// The key that is set last.
const END: &str = "end";

/// Keys and what they are set to.
type Content = BTreeMap<String, Value>;

/// A key and what it was set to; nothing when it was removed.
type Change = (String, Option<u64>);

/// Changes maps until it is over; gives what was acknowledged and did change something.
pub fn change(server: &Server, maps: &[String], progress: &Progress) -> Vec<(Place, Change)> {
    let mut acknowledged = Vec::new();
    let mut stream = server.dial();
    stream.set_read_timeout(Some(ALL_PATIENCE)).expect("a timeout");
    let map = |number: u64| &maps[number as usize % maps.len()];
    let key = |number: u64| format!("k{}", number * 7 % KEYS);
    let is_removal = |number: u64| number % 10 == 3;
    for first in (0..).step_by(BATCH as usize) {
        if progress.is_over.load(Ordering::SeqCst) {
            break;
        }
        let command = |number| match is_removal(number) {
            true => json!({"map_remove": {"channel": map(number), "key": key(number)}}),
            false => json!({"map_publish": {"channel": map(number), "key": key(number), "data": number}}),
        };
        let commands: Vec<_> = (first..first + BATCH).map(command).collect();
        http::write_call(&mut stream, "batch", &json!({"parallel": true, "commands": commands}));
        let response = http::read(&mut stream).expect("a response");
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        let replies = answer["replies"].as_array().unwrap_or_else(|| panic!("no replies: {answer}"));
        assert_eq!(replies.len() as u64, BATCH, "each is answered");
        for (number, reply) in (first..).zip(replies) {
            let result = &reply[if is_removal(number) { "map_remove" } else { "map_publish" }];
            if result.is_null() {
                assert_eq!(reply["error"]["code"], 100, "{reply}");
            } else if result["suppressed"] != true {
                let change = (key(number), (!is_removal(number)).then_some(number));
                acknowledged.push((Place::of(map(number), result), change));
            }
        }
    }
    acknowledged
}

/// Sets the last key of a map, and gives what it holds.
pub fn end(server: &Server, map: &str) -> Content {
    let mut stream = server.dial();
    let publication = json!({"channel": map, "key": END, "data": 0});
    try_until(|| !call(&mut stream, "map_publish", &publication)["result"].is_null());
    let mut content = Content::new();
    try_until(|| {
        let answer = call(&mut stream, "map_read_state", &json!({"channel": map, "limit": -1}));
        content = answer["result"]["entries"].as_array().into_iter().flatten().map(set).collect();
        !content.is_empty()
    });
    content
}

fn set(entry: &Value) -> (String, Value) {
    (entry["key"].as_str().expect("a key").to_owned(), entry["data"].clone())
}

/// What comes next of a map.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Step {
    /// Keys, from the first one on.
    #[default]
    Begin,
    /// Those behind this.
    Keys(String),
    /// What changed since the first page.
    Changes,
    /// It is live, or was.
    Live,
}

/// A map as a client has it.
#[derive(Default)]
pub struct View {
    step: Step,
    is_out: bool,
    content: Content,
    epoch: String,
    offset: u64,
    /// Changes since it went live, with their offsets.
    got: Vec<(u64, Change)>,
    /// Times that it was live and had to begin anew.
    gaps: usize,
    recoveries: usize,
}

impl View {
    fn request(&self, map: &str) -> Value {
        let (epoch, offset) = (&self.epoch, self.offset);
        match &self.step {
            Step::Begin => json!({"channel": map, "type": 1, "phase": 2, "limit": PAGE}),
            Step::Keys(cursor) => {
                json!({"channel": map, "type": 1, "phase": 2, "limit": PAGE, "cursor": cursor, "offset": offset,
                    "epoch": epoch})
            }
            Step::Changes => {
                json!({"channel": map, "type": 1, "phase": 1, "limit": 10 * PAGE, "offset": offset, "epoch": epoch})
            }
            Step::Live => json!({"channel": map, "type": 1, "recover": true, "offset": offset, "epoch": epoch}),
        }
    }

    /// Keys are read from the first one on.
    fn begin_anew(&mut self) {
        let gaps = self.gaps + usize::from(self.step == Step::Live);
        *self = Self { is_out: true, gaps, recoveries: self.recoveries, ..Self::default() };
    }

    fn subscribed(&mut self, map: &str, result: &Value) {
        let entries = |of: &str| result[of].as_array().cloned().unwrap_or_default();
        let changes = entries("publications");
        if self.step == Step::Begin {
            let first = changes.first().map_or(&result["offset"], |change| &change["offset"]);
            self.offset = first.as_u64().unwrap_or_default() - u64::from(!changes.is_empty());
            self.epoch = result["epoch"].as_str().expect("an epoch").to_owned();
        }
        assert_eq!(result["epoch"], *self.epoch, "{map} goes on in its epoch");
        self.content.extend(entries("state").iter().map(set));
        changes.iter().for_each(|change| self.take(map, change));
        let cursor = result["cursor"].as_str().unwrap_or_default();
        self.step = match result["phase"].as_u64().unwrap_or_default() {
            2 if !cursor.is_empty() => Step::Keys(cursor.to_owned()),
            2 | 1 => Step::Changes,
            _ => {
                self.is_out = false;
                self.recoveries += usize::from(self.step == Step::Live);
                Step::Live
            }
        };
    }

    /// One more change; it must be the next one.
    fn take(&mut self, map: &str, change: &Value) {
        self.offset += 1;
        assert_eq!(change["offset"], self.offset, "{map}: {change}");
        let (key, data) = set(change);
        let number = if change["removed"] == true { None } else { data.as_u64() };
        match number {
            Some(_) => drop(self.content.insert(key.clone(), data)),
            None => drop(self.content.remove(&key)),
        }
        self.got.push((self.offset, (key, number)));
    }
}

/// A client that keeps maps.
pub struct Keeper<'s> {
    server: &'s Server,
    client: Client,
    views: BTreeMap<String, View>,
    /// Maps by the numbers of commands under way.
    asked: HashMap<u64, String>,
    last_id: u64,
    deadline: Instant,
}

impl<'s> Keeper<'s> {
    /// One that is live in all maps.
    pub fn new(server: &'s Server, maps: &[String]) -> Self {
        let views = maps.iter().map(|map| (map.clone(), View { is_out: true, ..View::default() })).collect();
        let (client, deadline) = (connect(server), Instant::now() + ALL_PATIENCE * 4);
        let mut it = Self { server, client, views, asked: HashMap::new(), last_id: 1, deadline };
        it.ask_all();
        while it.views.values().any(|view| view.is_out) {
            it.take_some();
        }
        it
    }

    /// Takes what comes until the last key is set in every map.
    pub fn run(mut self) -> BTreeMap<String, View> {
        while self.views.values().any(|view| view.is_out || !view.content.contains_key(END)) {
            self.take_some();
        }
        self.views
    }

    fn ask_all(&mut self) {
        let out: Vec<_> = self.views.iter().filter(|(_, view)| view.is_out).map(|(map, _)| map.clone()).collect();
        out.iter().for_each(|map| self.ask(map));
    }

    fn ask(&mut self, map: &str) {
        self.last_id += 1;
        self.client.send(&[json!({"id": self.last_id, "subscribe": self.views[map].request(map)})]);
        self.asked.insert(self.last_id, map.to_owned());
    }

    /// Over a new connection, on which nothing is there yet.
    fn come_back(&mut self) {
        // A little later: an error may have ended the old one.
        std::thread::park_timeout(Duration::from_millis(20));
        self.client = connect(self.server);
        self.asked.clear();
        for view in self.views.values_mut() {
            view.is_out = true;
            if view.step != Step::Live {
                view.begin_anew();
            }
        }
        self.ask_all();
    }

    fn take_some(&mut self) {
        assert!(Instant::now() < self.deadline, "the last key did not come");
        match self.client.frame_or_silence() {
            Ok(Some((TEXT, payload))) => {
                let lines = payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                lines.for_each(|line| self.take(&serde_json::from_slice(line).expect("JSON")));
            }
            Ok(Some((CLOSE, _)) | None) => self.come_back(),
            Ok(other) => panic!("no message: {other:?}"),
            // Redis may be away for a while.
            Err(_) => {}
        }
    }

    fn take(&mut self, message: &Value) {
        if *message == json!({}) {
            return self.client.send(&[json!({})]);
        }
        let push = &message["push"];
        if let Some(map) = message["id"].as_u64().and_then(|id| self.asked.remove(&id)) {
            let view = self.views.get_mut(&map).expect("a map");
            match message["error"]["code"].as_u64() {
                None => view.subscribed(&map, &message["subscribe"]),
                // Changes are gone, or reading took too long.
                Some(112 | 103) => view.begin_anew(),
                Some(_) => return self.come_back(),
            }
            if self.views[&map].is_out {
                self.ask(&map);
            }
        } else if let Some(view) = push["channel"].as_str().and_then(|map| self.views.get_mut(map)) {
            let map = push["channel"].as_str().expect("a map").to_owned();
            if push["pub"].is_object() {
                view.take(&map, &push["pub"]);
            } else if push["unsubscribe"]["code"] == 2500 {
                view.is_out = true;
                self.ask(&map);
            }
        }
    }
}

/// What came of it.
pub struct Outcome {
    pub acknowledged: HashMap<Place, Vec<Change>>,
    pub kept: BTreeMap<String, Content>,
    pub keepers: Vec<BTreeMap<String, View>>,
}

impl Outcome {
    fn views(&self) -> impl Iterator<Item = (&String, &View)> {
        self.keepers.iter().flatten()
    }

    /// Times that clients were told that they miss something for good.
    pub fn gaps(&self) -> usize {
        self.views().map(|(_, view)| view.gaps).sum()
    }

    pub fn summary(&self) -> String {
        let recoveries: usize = self.views().map(|(_, view)| view.recoveries).sum();
        format!(
            "{} changes of maps acknowledged; recovered {recoveries} times, {} times not",
            self.acknowledged.values().map(Vec::len).sum::<usize>(),
            self.gaps()
        )
    }

    /// Each client has in the end what is in Redis, and came there by the changes that were acknowledged.
    pub fn check(&self) {
        for (map, view) in self.views() {
            assert_eq!(view.content, self.kept[map], "{map}");
            for (offset, change) in &view.got {
                let place = Place { channel: map.clone(), epoch: view.epoch.clone(), offset: *offset };
                let acknowledged = self.acknowledged.get(&place);
                assert!(
                    acknowledged.is_none_or(|all| all.contains(change)),
                    "{map} at {offset}: {change:?} in place of {acknowledged:?}"
                );
            }
        }
    }
}
