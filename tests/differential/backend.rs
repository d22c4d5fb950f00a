//! The backend of shared-poll channels, played for one server: what is true of each key is said by the conversation.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rules::is_numbered_by_backend;
use crate::support::http;

/// After so long without a question about a channel nobody tracks its keys. Several rounds.
const SILENCE: Duration = Duration::from_millis(300);

/// Questions about a channel after which what was true before the first of them is told.
const QUESTIONS: u64 = 2;

/// Something that becomes true of a channel.
#[derive(Clone, Debug)]
pub enum Change {
    /// The key is there, in its next version, with this data.
    Set { key: &'static str, data: Value },
    /// The key is gone.
    Remove { key: &'static str },
    /// Versions count in this epoch, from 1 on.
    Epoch(&'static str),
    /// Questions are answered with this status and body. `None`: as they should be.
    Answer(Option<(u16, &'static str)>),
}

/// See the module.
pub struct Backend {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    channels: Mutex<HashMap<String, Channel>>,
    news: Condvar,
}

#[derive(Default)]
struct Channel {
    epoch: &'static str,
    items: BTreeMap<String, Item>,
    answer: Option<(u16, &'static str)>,
    asked: u64,
}

#[derive(Default)]
struct Item {
    version: u64,
    /// Data by version; nothing when the key was gone.
    data: Vec<Option<Value>>,
}

impl Backend {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = of_thread.clone();
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Makes something true.
    pub fn change(&self, channel: &str, change: &Change) {
        let mut channels = self.shared.channels.lock().expect("no poison");
        let channel = channels.entry(channel.to_owned()).or_default();
        match change {
            Change::Set { key, data } => channel.items.entry((*key).to_owned()).or_default().turn(Some(data.clone())),
            Change::Remove { key } => channel.items.entry((*key).to_owned()).or_default().turn(None),
            Change::Epoch(epoch) => {
                channel.epoch = epoch;
                for item in channel.items.values_mut() {
                    let newest = item.data.pop().flatten();
                    *item = Item::default();
                    item.turn(newest);
                }
            }
            Change::Answer(answer) => channel.answer = *answer,
        }
    }

    /// Waits until the server asked often enough to know what is true now, or does not ask.
    pub fn settle(&self, channel: &str) {
        let mut channels = self.shared.channels.lock().expect("no poison");
        let asked = |channels: &HashMap<String, Channel>| channels.get(channel).map_or(0, |channel| channel.asked);
        let enough = asked(&channels) + QUESTIONS;
        let (mut last, mut since) = (asked(&channels), Instant::now());
        while last < enough
            && let Some(left) = SILENCE.checked_sub(since.elapsed())
        {
            channels = self.shared.news.wait_timeout(channels, left).expect("no poison").0;
            if asked(&channels) > last {
                (last, since) = (asked(&channels), Instant::now());
            }
        }
    }
}

/// Reads one request, and gives its body. None when the stream ends, or fails, before there is one.
fn read_request(stream: &mut impl Read) -> Option<Vec<u8>> {
    let head = http::read_head(stream)?;
    let length = http::header(&head, "content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

impl Item {
    fn turn(&mut self, data: Option<Value>) {
        self.version += 1;
        self.data.push(data);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        while let Some(body) = read_request(&mut reader) {
            let question: Value = serde_json::from_slice(&body).expect("a question in JSON");
            let (status, answer) = self.answer(&question);
            let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n", answer.len());
            if stream.write_all((head + &answer).as_bytes()).is_err() {
                return;
            }
            let mut channels = self.channels.lock().expect("no poison");
            if let Some(channel) = question["channel"].as_str() {
                channels.entry(channel.to_owned()).or_default().asked += 1;
            }
            self.news.notify_all();
        }
    }

    fn answer(&self, question: &Value) -> (u16, String) {
        let name = question["channel"].as_str().unwrap_or_default();
        let channels = self.channels.lock().expect("no poison");
        let nothing = Channel::default();
        let channel = channels.get(name).unwrap_or(&nothing);
        if let Some((status, body)) = channel.answer {
            return (status, body.to_owned());
        }
        let mut asked: Vec<_> = question["items"].as_array().into_iter().flatten().collect();
        asked.sort_by_key(|item| item["key"].as_str().unwrap_or_default());
        let items: Vec<Value> = asked
            .into_iter()
            .filter_map(|asked| {
                let key = asked["key"].as_str()?;
                let item = channel.items.get(key)?;
                let Some(data) = item.data.last()? else { return Some(json!({"key": key, "removed": true})) };
                let mut told = json!({"key": key, "data": data});
                if is_numbered_by_backend(name) {
                    told["version"] = item.version.into();
                    // Of the version that was asked with.
                    let known = asked["version"].as_u64().unwrap_or(0);
                    if let Some(Some(before)) = known.checked_sub(1).and_then(|at| item.data.get(at as usize)) {
                        told["prev_data"] = before.clone();
                    }
                }
                Some(told)
            })
            .collect();
        (200, json!({"result": {"items": items, "epoch": channel.epoch}}).to_string())
    }
}
