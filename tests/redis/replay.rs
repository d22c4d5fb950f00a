//! Does in a Redis what was recorded, and compares what is there after every step.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use spindle::base::ids::ClientId;
use spindle::broker::frame::{self, Message};
use spindle::broker::presence::{self, Keeping};
use spindle::broker::{Layout, Names, Value};
use spindle::broker::{history, map};
use spindle::channel::broker_op::Read;
use spindle::channel::op::{HistoryOptions, PublishOp};
use spindle::channel::publication::{ClientInfo, Epoch, Publication};

use super::dump::{age, dump};
use super::maps;
use super::recording::{Deed, Publish, Recording, Step, to_bytes, to_text};
use super::redis::{Connection, Redis};

struct Replay {
    recording: Recording,
    names: Names,
    keeping: Keeping,
    redis: Connection,
    subscriber: Connection,
    /// What is in Redis by the recording.
    expected: BTreeMap<String, Json>,
}

pub fn replay(name: &str) {
    let redis = Redis::start();
    let mut recording = Recording::load(name);
    let mut subscriber = redis.connect();
    subscriber.send(&["PSUBSCRIBE", "*"]);
    let layout = if recording.cluster { Layout::Cluster } else { Layout::Plain };
    let keeping = Keeping {
        ttl_s: recording.keeping.ttl_s,
        fields_expire: recording.keeping.fields_expire,
        users_counted: recording.keeping.users_counted,
    };
    let steps = std::mem::take(&mut recording.steps);
    let names = Names::new("p", layout, recording.lists);
    let expected = BTreeMap::new();
    let mut replay = Replay { recording, names, keeping, redis: redis.connect(), subscriber, expected };
    if keeping.fields_expire && !replay.can_expire_fields() {
        return;
    }
    for (number, step) in steps.iter().enumerate() {
        replay.step(&format!("{name}, step {number}"), step);
    }
}

impl Replay {
    /// Redis before 7.4 refuses what it cannot do.
    fn can_expire_fields(&mut self) -> bool {
        let info = self.client("a");
        let added = self.redis.try_call(&presence::add(&self.names, self.keeping, "a", &info, 1));
        self.redis.send(&["FLUSHALL"]);
        let version = self.redis.send(&["COMMAND", "INFO", "HEXPIRE"]);
        assert_eq!(added.is_ok(), version != Value::List(vec![Value::Nil]), "{added:?}");
        added.is_ok()
    }

    fn step(&mut self, at: &str, step: &Step) {
        for key in &step.gone {
            self.expected.remove(key);
        }
        let changed = step.changed.iter().map(|(name, key)| (name.clone(), key.value.clone()));
        self.expected.extend(changed);
        age(&mut self.redis);
        for deed in &step.r#do {
            let reply = self.carry_out(deed, step);
            // A list cannot be read in reverse there.
            let is_better = self.recording.lists && matches!(deed, Deed::History { reverse: true, .. });
            if !step.reply.is_null() && !is_better {
                assert_eq!(reply, step.reply, "{at}: the reply");
            }
        }
        self.compare_keys(at, step);
        self.compare_messages(at, step);
    }

    fn compare_keys(&mut self, at: &str, step: &Step) {
        let found = dump(&mut self.redis);
        let names = |keys: &BTreeMap<String, _>| keys.keys().cloned().collect::<Vec<_>>();
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), names(&self.expected), "{at}: keys");
        for (name, found) in found {
            assert_eq!(found.value, self.expected[&name], "{at}: {name}");
            let recorded = step.changed.get(&name);
            let ttl_s = match &step.r#do[..] {
                // There the namespace's own lifetime is forgotten when a list is read.
                [Deed::History { meta_ttl_s, .. }] if self.recording.lists => Some((*meta_ttl_s).into()),
                _ => None,
            };
            let ttl_s = recorded.and_then(|key| ttl_s.or(key.ttl_s));
            assert_eq!(found.ttl_s, ttl_s, "{at}: time to live of {name}");
            let fields = recorded.map(|key| key.fields_ttl_s.clone()).unwrap_or_default();
            assert_eq!(found.fields_ttl_s, fields, "{at}: times to live in {name}");
            assert!(recorded.is_none_or(|key| key.r#type == found.r#type), "{at}: {name} is a {}", found.r#type);
        }
    }

    /// Up to a message of our own, which comes behind all others.
    fn compare_messages(&mut self, at: &str, step: &Step) {
        self.redis.send(&["PUBLISH", "fence", ""]);
        let mut found = Vec::new();
        loop {
            let Ok(Value::List(parts)) = self.subscriber.read() else { panic!("{at}: no message") };
            let [_, _, Value::Bytes(channel), Value::Bytes(frame)] = &parts[..] else { panic!("{at}: {parts:?}") };
            if &channel[..] == b"fence" {
                break;
            }
            found.push((to_text(channel), to_text(frame)));
        }
        assert_eq!(found.len(), step.messages.len(), "{at}: messages");
        for (found, recorded) in found.iter().zip(&step.messages) {
            let is_map = matches!(step.r#do[..], [Deed::Map(_)]);
            let read = |text: &str| {
                let frame = to_bytes(text).into();
                if is_map { map::frame::read(&frame) } else { frame::read(&frame) }.expect("a frame")
            };
            let channel = self.names.channel_of(&found.0).expect("a channel");
            assert_eq!(self.names.messages(channel).to_string(), recorded.0, "{at}: a message's channel");
            assert_eq!(read(&found.1), read(&recorded.1), "{at}: a message");
            // There the publication before keeps its frame when it comes from a list, and nobody can read it.
            if !(self.recording.lists && recorded.1.starts_with("__d1:")) {
                assert_eq!(found.1, recorded.1, "{at}: a message, byte for byte");
            }
        }
    }

    /// Gives the reply as it was recorded.
    fn carry_out(&mut self, deed: &Deed, step: &Step) -> Json {
        let (names, keeping) = (self.names.clone(), self.keeping);
        match deed {
            Deed::Publish(publish) => self.publish(publish, step),
            &Deed::History { ref channel, limit, reverse, since, meta_ttl_s } => {
                let read = Read { since, limit, reverse, meta_ttl_s };
                let reply = self.redis.call(&history::read(&names, channel, &read, self.epoch(channel)));
                let (found, top) = history::publications(&names, &read, reply).expect("history");
                let found: Vec<Json> = found.iter().map(|publication| publication_json(publication)).collect();
                json!({"publications": found, "epoch": top.epoch.as_str(), "offset": top.offset})
            }
            Deed::RemoveHistory { channel } => {
                self.redis.call(&history::remove(&names, channel));
                Json::Null
            }
            Deed::AddPresence { channel, client } => {
                let info = self.client(client);
                let now_s = self.second(channel, &info);
                self.redis.call(&presence::add(&names, keeping, channel, &info, now_s));
                Json::Null
            }
            Deed::RemovePresence { channel, client } => {
                let info = self.client(client);
                self.redis.call(&presence::remove(&names, keeping, channel, info.client, &info.user));
                Json::Null
            }
            Deed::Join { channel, client } => {
                let info = self.client(client);
                self.redis.call(&frame::join(&names, channel, &info));
                Json::Null
            }
            Deed::Leave { channel, client } => {
                let info = self.client(client);
                self.redis.call(&frame::leave(&names, channel, &info));
                Json::Null
            }
            Deed::Presence { channel } => {
                let reply = self.redis.call(&presence::read(&names, keeping, channel, 1));
                let infos = presence::entries(reply).expect("entries");
                let mut ids: Vec<String> = infos.iter().map(|info| info.client.to_string()).collect();
                ids.sort();
                json!(ids)
            }
            Deed::PresenceStats { channel } => {
                let reply = self.redis.call(&presence::count(&names, keeping, channel, 1));
                json!(presence::counts(keeping, reply).expect("counts"))
            }
            Deed::Map(deed) => maps::carry_out(&names, &mut self.redis, deed, step),
        }
    }

    fn publish(&mut self, publish: &Publish, step: &Step) -> Json {
        let tags: Vec<_> =
            publish.tags.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
        // What the reference could not be told: the moment.
        let moment = step.messages.first().map(|(_, frame)| match frame::read(&to_bytes(frame).into()) {
            Ok(Message::Publication(publication, _)) => publication.unix_ms,
            other => panic!("no publication: {other:?}"),
        });
        let publication = Publication {
            info: publish.client.as_deref().map(|client| Arc::new(self.client(client))),
            tags: (!tags.is_empty()).then(|| Arc::new(tags.into())),
            version: publish.version,
            unix_ms: moment.unwrap_or(1),
            ..Publication::bare(Bytes::from(publish.data.clone()))
        };
        let (size, ttl_s, meta_ttl_s) = publish.history;
        let op = PublishOp {
            publication,
            history: HistoryOptions { size, ttl_s, meta_ttl_s },
            delta: publish.delta,
            idempotency_key: publish.idempotency_key.as_deref().map(Into::into),
            version_epoch: publish.version_epoch.as_str().into(),
        };
        let fresh = self.epoch(&publish.channel);
        let call = history::publish(&self.names, &publish.channel, &op, fresh, true).expect("a call");
        let (position, suppression) = history::published(self.redis.call(&call)).expect("a position");
        assert_eq!(suppression.is_some(), step.messages.is_empty());
        json!([position.offset, position.epoch.as_str()])
    }

    /// The epoch that the channel has by the recording.
    fn epoch(&self, channel: &str) -> Epoch {
        let meta = self.expected.get(&self.names.history_meta(channel).to_string());
        let epoch = meta.map_or("none", |meta| meta["e"].as_str().expect("an epoch"));
        Epoch::parse(epoch).expect("an epoch")
    }

    /// The second in which the client was added by the recording.
    fn second(&self, channel: &str, info: &ClientInfo) -> u64 {
        let expiry = self.expected.get(&self.names.presence_expire(channel).to_string());
        let expires_at = expiry.map_or("1000", |expiry| expiry[info.client.to_string()].as_str().expect("a score"));
        expires_at.parse::<u64>().expect("a second") - u64::from(self.keeping.ttl_s)
    }

    fn client(&self, name: &str) -> ClientInfo {
        let client = &self.recording.clients[name];
        ClientInfo {
            user: client.user.as_str().into(),
            client: ClientId::parse(&client.id).expect("an id"),
            conn_info: Bytes::from(client.info.clone()),
            chan_info: Bytes::new(),
        }
    }
}

fn publication_json(publication: &Publication) -> Json {
    let data = std::str::from_utf8(&publication.data).expect("text");
    let mut json = json!({"data": data, "offset": publication.offset});
    let tags = publication.tags().iter().map(|(key, value)| (key.to_string(), Json::from(&**value)));
    let tags: serde_json::Map<_, _> = tags.collect();
    if !tags.is_empty() {
        json["tags"] = tags.into();
    }
    json
}
