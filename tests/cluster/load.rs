//! Thousands of publications a second at one node, and subscribers of another one that write down what they get.
//!
//! What must be true of it whatever happens to Redis meanwhile: each publication is acknowledged or refused, and a
//! subscriber gets every acknowledged one, once and in its place, until it is told that it cannot.

use std::collections::{HashMap, HashSet};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::map_load::{self, Keeper};
use crate::support::server::Server;
use crate::support::ws::{CLOSE, Client, TEXT};
use crate::support::{PATIENCE, http};

/// Connections that publish. Each has one batch on its way.
const PUBLISHERS: usize = 4;

/// Publications of a batch, which run at the same time.
const BATCH: u64 = 200;

const SUBSCRIBERS: usize = 2;

const CHANNELS: [&str; 3] = ["kept:one", "kept:two", "kept:three"];

/// Payload of the last publication of a channel.
const END: u64 = u64::MAX;

/// Redis may be away for longer than [`PATIENCE`].
pub const ALL_PATIENCE: Duration = Duration::from_secs(40);

/// Where a publication was acknowledged.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    pub channel: String,
    pub epoch: String,
    pub offset: u64,
}

impl Place {
    /// Where a request was answered to have put something.
    pub fn of(channel: &str, result: &Value) -> Self {
        let epoch = result["epoch"].as_str().expect("an epoch").to_owned();
        Self { channel: channel.to_owned(), epoch, offset: result["offset"].as_u64().expect("an offset") }
    }
}

/// How it goes.
#[derive(Default)]
pub struct Progress {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    pub is_over: AtomicBool,
}

impl Progress {
    /// Waits until so many more publications are acknowledged.
    pub fn wait(&self, more: u64) {
        let wanted = self.acknowledged.load(Ordering::SeqCst) + more;
        let deadline = Instant::now() + ALL_PATIENCE;
        while self.acknowledged.load(Ordering::SeqCst) < wanted {
            assert!(Instant::now() < deadline, "publishing does not work again");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

/// What came of it.
pub struct Outcome {
    /// Publications by place. Where a failover lost one its place was given again: then there are several.
    acknowledged: HashMap<Place, Vec<u64>>,
    subscribers: Vec<Notes>,
    pub refused: u64,
    /// What the channels keep in the end.
    kept: HashSet<u64>,
    pub maps: map_load::Outcome,
}

/// Has publications and changes of these maps go on at `one`, and `trouble` come over Redis, and gives what came of it.
pub fn under(one: &Server, other: &Server, maps: &[String], trouble: impl FnOnce(&Progress)) -> Outcome {
    let progress = Progress::default();
    let numbers = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| Subscriber::new(other)).collect();
        let subscribers: Vec<_> = subscribers.into_iter().map(|one| scope.spawn(|| one.run())).collect();
        let keepers: Vec<_> = (0..SUBSCRIBERS).map(|_| Keeper::new(other, maps)).collect();
        let keepers: Vec<_> = keepers.into_iter().map(|one| scope.spawn(|| one.run())).collect();
        let changer = scope.spawn(|| map_load::change(one, maps, &progress));
        let publishers: Vec<_> = (0..PUBLISHERS).map(|_| scope.spawn(|| publish(one, &numbers, &progress))).collect();
        progress.wait(scale());
        let rate = progress.acknowledged.load(Ordering::SeqCst) as f64 / begun.elapsed().as_secs_f64();
        trouble(&progress);
        progress.wait(scale());
        progress.is_over.store(true, Ordering::SeqCst);
        let mut acknowledged: HashMap<Place, Vec<u64>> = HashMap::new();
        for (place, number) in publishers.into_iter().flat_map(|publisher| publisher.join().expect("a publisher")) {
            acknowledged.entry(place).or_default().push(number);
        }
        let kept = CHANNELS.iter().flat_map(|channel| end(one, channel)).collect();
        let mut changes: HashMap<Place, Vec<_>> = HashMap::new();
        for (place, change) in changer.join().expect("a changer") {
            changes.entry(place).or_default().push(change);
        }
        let maps = map_load::Outcome {
            acknowledged: changes,
            kept: maps.iter().map(|map| (map.clone(), map_load::end(one, map))).collect(),
            keepers: keepers.into_iter().map(|one| one.join().expect("a keeper of maps")).collect(),
        };
        let subscribers = subscribers.into_iter().map(|one| one.join().expect("a subscriber")).collect();
        let refused = progress.refused.load(Ordering::SeqCst);
        let outcome = Outcome { acknowledged, subscribers, refused, kept, maps };
        println!("{rate:.0} publications a second; {}", outcome.summary());
        outcome
    })
}

/// Publications before the trouble, and after it: `SPINDLE_LOAD`, or few enough for every day.
fn scale() -> u64 {
    std::env::var("SPINDLE_LOAD").map_or(4_000, |value| value.parse().expect("SPINDLE_LOAD is a number"))
}

/// Publishes until it is over; gives what was acknowledged.
fn publish(server: &Server, numbers: &AtomicU64, progress: &Progress) -> Vec<(Place, u64)> {
    let mut acknowledged = Vec::new();
    let mut stream = server.dial();
    stream.set_read_timeout(Some(ALL_PATIENCE)).expect("a timeout");
    while !progress.is_over.load(Ordering::SeqCst) {
        let first = numbers.fetch_add(BATCH, Ordering::SeqCst);
        let channel = |number: u64| CHANNELS[(number / 7) as usize % CHANNELS.len()];
        let command = |number| json!({"publish": {"channel": channel(number), "data": number}});
        let commands: Vec<_> = (first..first + BATCH).map(command).collect();
        http::write_call(&mut stream, "batch", &json!({"parallel": true, "commands": commands}));
        let response = http::read(&mut stream).expect("a response");
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        let replies = answer["replies"].as_array().unwrap_or_else(|| panic!("no replies: {answer}"));
        assert_eq!(replies.len() as u64, BATCH, "each is answered");
        let before = acknowledged.len();
        for (number, reply) in (first..).zip(replies) {
            match &reply["publish"] {
                Value::Null => assert_eq!(reply["error"]["code"], 100, "{reply}"),
                result => acknowledged.push((Place::of(channel(number), result), number)),
            }
        }
        let done = (acknowledged.len() - before) as u64;
        progress.acknowledged.fetch_add(done, Ordering::SeqCst);
        progress.refused.fetch_add(BATCH - done, Ordering::SeqCst);
    }
    acknowledged
}

/// Publishes the last word into a channel, and gives what it keeps.
fn end(server: &Server, channel: &str) -> Vec<u64> {
    let mut stream = server.dial();
    let publication = json!({"channel": channel, "data": END});
    try_until(|| !call(&mut stream, "publish", &publication)["result"].is_null());
    let mut kept = Vec::new();
    let request = json!({"channel": channel, "limit": -1});
    try_until(|| {
        let answer = call(&mut stream, "history", &request);
        let Some(publications) = answer["result"]["publications"].as_array() else { return false };
        kept = publications.iter().filter_map(|publication| publication["data"].as_u64()).collect();
        true
    });
    kept
}

pub fn call(stream: &mut TcpStream, method: &str, request: &Value) -> Value {
    http::write_call(stream, method, request);
    let response = http::read(stream).expect("a response");
    serde_json::from_slice(&response.body).expect("JSON")
}

pub fn try_until(mut it_works: impl FnMut() -> bool) {
    let deadline = Instant::now() + ALL_PATIENCE;
    while !it_works() {
        assert!(Instant::now() < deadline, "it does not work again");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A subscriber's channel from when it got a position until it was told that it is lost.
#[derive(Debug)]
struct Span {
    epoch: String,
    /// Everything behind this offset was to come.
    since: u64,
    got: Vec<u64>,
}

/// What a subscriber wrote down, by channel.
#[derive(Default)]
struct Notes {
    spans: HashMap<String, Vec<Span>>,
    /// Times it was told that its position is lost. It then asks to recover.
    losses: usize,
    recoveries: usize,
}

impl Notes {
    fn position(&self, channel: &str) -> Option<(&str, u64)> {
        let span = self.spans.get(channel)?.last()?;
        Some((&span.epoch, span.since + span.got.len() as u64))
    }

    /// One more publication; it must be the next one.
    fn take(&mut self, channel: &str, publication: &Value) {
        let expected = self.position(channel).map(|(_, offset)| offset + 1);
        assert_eq!(publication["offset"].as_u64(), expected, "{channel}: {publication}");
        let span = self.spans.get_mut(channel).and_then(|spans| spans.last_mut()).expect("subscribed");
        span.got.push(publication["data"].as_u64().expect("a number"));
    }
}

struct Subscriber<'s> {
    server: &'s Server,
    client: Client,
    notes: Notes,
    /// Channels that it is not subscribed to right now.
    out: HashSet<&'static str>,
    /// And those in which the last word came.
    ended: HashSet<&'static str>,
    deadline: Instant,
}

impl<'s> Subscriber<'s> {
    /// One that is subscribed to all channels.
    fn new(server: &'s Server) -> Self {
        let (client, deadline) = (connect(server), Instant::now() + ALL_PATIENCE * 4);
        let out = CHANNELS.into_iter().collect();
        let mut it = Self { server, client, notes: Notes::default(), out, ended: HashSet::new(), deadline };
        it.ask();
        while !it.out.is_empty() {
            it.take_some();
        }
        it
    }

    /// Takes what comes until the last word came in every channel.
    fn run(mut self) -> Notes {
        while self.ended.len() < CHANNELS.len() {
            self.take_some();
        }
        self.notes
    }

    /// Subscribes to what it is not subscribed to.
    fn ask(&mut self) {
        let channels: Vec<_> = self.out.iter().copied().collect();
        self.ask_for(&channels);
    }

    /// Subscribes to these channels; from where it was, if it was.
    fn ask_for(&mut self, channels: &[&'static str]) {
        let command = |channel: &&str| {
            let id = 2 + CHANNELS.iter().position(|one| one == channel).expect("a channel");
            let mut request = json!({"channel": channel});
            if let Some((epoch, offset)) = self.notes.position(channel) {
                request = json!({"channel": channel, "recover": true, "epoch": epoch, "offset": offset});
            }
            json!({"id": id, "subscribe": request})
        };
        let commands: Vec<_> = channels.iter().map(command).collect();
        self.client.send(&commands);
    }

    fn take_some(&mut self) {
        assert!(Instant::now() < self.deadline, "the last word did not come: {:?}", self.ended);
        match self.client.frame_or_silence() {
            Ok(Some((TEXT, payload))) => {
                for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    self.take(&serde_json::from_slice(line).expect("JSON"));
                }
            }
            Ok(Some((CLOSE, _)) | None) => {
                self.client = connect(self.server);
                self.out = CHANNELS.into_iter().collect();
                self.ask();
            }
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
        let channel = message["id"].as_u64().map_or_else(
            || CHANNELS.into_iter().find(|channel| push["channel"] == **channel),
            |id| CHANNELS.get(id as usize - 2).copied(),
        );
        let Some(channel) = channel else { panic!("unexpected: {message}") };
        if push["unsubscribe"]["code"] == 2500 {
            self.notes.losses += 1;
            self.ask_again(channel);
        } else if push["pub"].is_object() {
            self.notes.take(channel, &push["pub"]);
            self.look_for_end(channel);
        } else if message["subscribe"].is_object() {
            self.subscribed(channel, &message["subscribe"]);
        } else if message["error"].is_object() {
            self.ask_again(channel);
        }
    }

    /// A little later, and as clients do: the other channels are not left for it.
    fn ask_again(&mut self, channel: &'static str) {
        std::thread::park_timeout(Duration::from_millis(20));
        self.out.insert(channel);
        self.ask_for(&[channel]);
    }

    fn subscribed(&mut self, channel: &'static str, result: &Value) {
        if !self.out.remove(channel) {
            return;
        }
        let offset = result["offset"].as_u64().unwrap_or_default();
        let epoch = result["epoch"].as_str().expect("an epoch").to_owned();
        let publications = result["publications"].as_array().map_or(&[][..], Vec::as_slice);
        if result["recovered"] == true {
            self.notes.recoveries += 1;
            assert_eq!(self.notes.position(channel).map(|(epoch, _)| epoch), Some(&*epoch), "{channel}");
            for publication in publications {
                self.notes.take(channel, publication);
            }
        } else {
            let spans = self.notes.spans.entry(channel.to_owned()).or_default();
            spans.push(Span { epoch, since: offset, got: Vec::new() });
        }
        self.look_for_end(channel);
    }

    fn look_for_end(&mut self, channel: &'static str) {
        let span = self.notes.spans[channel].last().expect("subscribed");
        let is_there = match span.got.last() {
            Some(last) => *last == END,
            // It was told; what is newest is the last word, once publishing is over.
            None => {
                let request = json!({"channel": channel, "limit": 1, "reverse": true});
                let newest = call(&mut self.server.dial(), "history", &request)["result"].clone();
                newest["publications"][0]["data"] == END && newest["offset"] == span.since
            }
        };
        if is_there {
            self.ended.insert(channel);
        }
    }
}

pub fn connect(server: &Server) -> Client {
    let client = Client::connect(server);
    client.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client
}

impl Outcome {
    fn summary(&self) -> String {
        let losses: usize = self.subscribers.iter().map(|notes| notes.losses).sum();
        let recoveries: usize = self.subscribers.iter().map(|notes| notes.recoveries).sum();
        let (count, refused) = (self.acknowledged.values().map(Vec::len).sum::<usize>(), self.refused);
        format!(
            "{count} acknowledged, {} of them lost by Redis, {refused} refused; positions lost {losses} times, recovered \
            {recoveries} times, {} times not; {}",
            self.lost(),
            self.gaps(),
            self.maps.summary()
        )
    }

    /// Times that subscribers were told that they miss something for good.
    pub fn gaps(&self) -> usize {
        self.subscribers.iter().flat_map(|notes| notes.spans.values()).map(|spans| spans.len() - 1).sum()
    }

    /// Publications that were acknowledged and that Redis does not have.
    pub fn lost(&self) -> usize {
        self.acknowledged.values().flatten().filter(|number| !self.kept.contains(number)).count()
    }

    /// Every publication that was acknowledged came in its place, or the subscriber was told. What Redis lost may
    /// have come as well; who got it was told, too.
    pub fn check(&self) {
        self.maps.check();
        for notes in &self.subscribers {
            let mut seen = HashSet::new();
            for (channel, spans) in &notes.spans {
                for (number, span) in spans.iter().enumerate() {
                    let is_last = number + 1 == spans.len();
                    for (offset, got) in (span.since + 1..).zip(&span.got) {
                        assert!(*got == END || seen.insert(*got), "{channel}: {got} came twice");
                        let place = Place { channel: channel.clone(), epoch: span.epoch.clone(), offset };
                        for acknowledged in self.acknowledged.get(&place).into_iter().flatten() {
                            let is_other = acknowledged != got && self.kept.contains(acknowledged);
                            assert!(!(is_other && is_last), "{channel} at {offset}: {got} in place of {acknowledged}");
                        }
                        let is_there = self.kept.contains(got);
                        assert!(is_there || !is_last, "{channel} at {offset}: {got} is lost and nobody was told");
                    }
                }
            }
        }
    }
}
