//! The driver at work: shards ask over their lines, as they do in the server, and Redis is real.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use spindle::base::ids::{ClientId, ConnId};
use spindle::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply, BrokerRequest, Read, Realm, Ticket, Trouble};
use spindle::channel::map_op::{MapOp, MapOptions, MapPublishOp, MapStreamOptions, StatePage};
use spindle::channel::name::ChannelName;
use spindle::channel::op::{HistoryOptions, PublishOp};
use spindle::channel::publication::{ClientInfo, MapEntry, Publication};
use spindle::channel::rules as channel_rules;
use spindle::config::load::{Sources, load};
use spindle::config::prepare::{Host, prepare};
use spindle::control::broker::{Broker, Ending};
use spindle::control::plane::Bell;
use spindle::mesh::{Line, line};

use super::PATIENCE;
use super::redis::Redis;
pub use super::redis::free_port;

/// Shards that ask, and the driver that serves them.
pub struct Shards {
    lines: Vec<Line<BrokerRequest, BrokerEvent>>,
    rung: Receiver<usize>,
    bell: Bell,
    tickets: u32,
    /// What came and was not asked for yet.
    pub events: Vec<BrokerEvent>,
    /// What went wrong so far.
    pub troubles: Vec<Trouble>,
    ending: Ending,
    served: Option<tokio::task::JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

/// The options of `engine.redis` as JSON.
pub fn at(redis: &Redis, more: &str) -> String {
    format!(r#"{{"address":"unix://{}"{more}}}"#, redis.socket().display())
}

impl Shards {
    pub fn new(count: usize, options: &str) -> Self {
        Self::try_new(count, options).expect("Redis is found")
    }

    /// # Errors
    /// What a start says.
    pub fn try_new(count: usize, options: &str) -> Result<Self, String> {
        Self::configured(count, &format!(r#"{{"engine":{{"type":"redis","redis":{options}}}}}"#))
    }

    /// By a whole configuration.
    ///
    /// # Errors
    /// What a start says.
    pub fn configured(count: usize, json: &str) -> Result<Self, String> {
        let loaded = load(Sources { file: Some(("a.json", json)), env: &Default::default(), flags: &[] });
        let loaded = loaded.map_err(|error| error.to_string())?;
        let snapshot = prepare(&loaded.options, &Host { name: "test", resolve: &|_| None }, false);
        let snapshot = snapshot.map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let driver = runtime.block_on(Broker::find(&snapshot, "me"))?.expect("not in memory");
        let (lines, far_ends): (Vec<_>, Vec<_>) = (0..count).map(|_| line()).unzip();
        let (rings, rung) = mpsc::channel();
        let bell = Bell::default();
        let (ending, its_bell) = (driver.ending(), bell.clone());
        let rules = Arc::new(move |map: &str| channel_rules::options(&snapshot.channel, map)?.map);
        let served = runtime.spawn(driver.serve(far_ends, its_bell, rules, move |shard| {
            // A test that is over listens no more.
            let _ = rings.send(shard);
        }));
        let served = Some(served);
        Ok(Self { lines, rung, bell, tickets: 0, events: Vec::new(), troubles: Vec::new(), ending, served, runtime })
    }

    /// Ends the driver, which does first what it was asked.
    pub fn end(&mut self) {
        self.ending.begin();
        self.ring();
        let served = self.served.take().expect("it did not end yet");
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, served).await }).expect("it ends").expect("well");
    }

    /// Asks, without a bell; the ticket is what the reply will come with.
    pub fn place(&mut self, channel: &str, op: BrokerOp) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(ConnId { slot: self.tickets, generation: 0 });
        self.send(channel, op, Some(ticket));
        ticket
    }

    pub fn send(&mut self, channel: &str, op: BrokerOp, ticket: Option<Ticket>) {
        let channel = ChannelName::new(channel);
        let home = channel.home(self.lines.len() as u16).index();
        self.lines[home].send(vec![BrokerRequest::Channel { channel, op, ticket }]);
    }

    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Asks and waits for the reply.
    pub fn ask(&mut self, channel: &str, op: BrokerOp) -> BrokerReply {
        let ticket = self.place(channel, op);
        self.ring();
        self.reply(ticket)
    }

    pub fn reply(&mut self, ticket: Ticket) -> BrokerReply {
        let event = self.wait(|event| matches!(event, BrokerEvent::Reply(found, _) if *found == ticket));
        let BrokerEvent::Reply(_, reply) = event else { unreachable!() };
        reply
    }

    pub fn subscribe(&mut self, channel: &str) {
        let reply = self.ask(channel, BrokerOp::Subscribe(Realm::Streams));
        assert!(matches!(reply, BrokerReply::Done), "{channel}: {reply:?}");
    }

    /// The first event of which this is true; those before it stay.
    pub fn wait(&mut self, is_it: impl Fn(&BrokerEvent) -> bool) -> BrokerEvent {
        loop {
            if let Some(at) = self.events.iter().position(&is_it) {
                return self.events.remove(at);
            }
            self.take();
        }
    }

    /// Waits until something comes.
    pub fn take(&mut self) {
        let before = self.events.len();
        while self.events.len() == before {
            let count = self.lines.len() as u16;
            for (shard, line) in self.lines.iter_mut().enumerate() {
                while let Some(events) = line.take() {
                    for event in &events {
                        let home = channel(event).map(|channel| channel.home(count).index());
                        assert!(home.is_none_or(|home| home == shard), "{event:?} comes to its home");
                    }
                    for event in events {
                        match event {
                            BrokerEvent::Trouble(_, trouble) => self.troubles.push(trouble),
                            BrokerEvent::Expiry(_) => {}
                            event => self.events.push(event),
                        }
                    }
                }
            }
            let sleeps = self.lines.iter_mut().all(|line| line.prepare_to_sleep());
            if self.events.len() == before && sleeps {
                self.rung.recv_timeout(PATIENCE).expect("something comes");
            }
            self.lines.iter_mut().for_each(Line::awake);
        }
    }

    /// The next payload of a channel's publications.
    pub fn heard(&mut self, of: &str) -> String {
        let event = self.wait(|event| matches!(event, BrokerEvent::Publication(name, ..) if name.as_str() == of));
        let BrokerEvent::Publication(_, publication, _) = event else { unreachable!() };
        String::from_utf8_lossy(&publication.data).into_owned()
    }
}

fn channel(event: &BrokerEvent) -> Option<&ChannelName> {
    match event {
        BrokerEvent::Publication(name, ..)
        | BrokerEvent::Join(name, _)
        | BrokerEvent::Leave(name, _)
        | BrokerEvent::Resumed(name) => Some(name),
        BrokerEvent::Key(channel, ..) => Some(channel),
        BrokerEvent::Reply(..)
        | BrokerEvent::Linked(..)
        | BrokerEvent::Told(..)
        | BrokerEvent::Control(_)
        | BrokerEvent::Trouble(..)
        | BrokerEvent::Expiry(_) => None,
    }
}

pub fn publish(data: &str, size: u32) -> BrokerOp {
    BrokerOp::Publish(Box::new(PublishOp {
        publication: Publication::bare(Bytes::copy_from_slice(data.as_bytes())),
        history: HistoryOptions { size, ttl_s: 60, meta_ttl_s: 600 },
        delta: false,
        idempotency_key: None,
        version_epoch: "".into(),
    }))
}

pub const ALL: BrokerOp = BrokerOp::History(Read { since: None, limit: -1, reverse: false, meta_ttl_s: 600 });

pub fn client(number: u8, user: &str) -> Arc<ClientInfo> {
    Arc::new(ClientInfo {
        user: user.into(),
        client: ClientId([number; 16]),
        conn_info: Bytes::new(),
        chan_info: Bytes::new(),
    })
}

/// Everything that a home may ask for, on a Redis with these options.
pub fn everything(shards: &mut Shards) {
    for of in ["a", "b", "c", "d"] {
        shards.subscribe(of);
        for number in 1..=3 {
            let reply = shards.ask(of, publish(&format!("{of}{number}"), 2));
            let BrokerReply::Published(position, None) = reply else { panic!("{reply:?}") };
            assert_eq!((position.offset, position.epoch.is_none()), (number, false));
            assert_eq!(shards.heard(of), format!("{of}{number}"));
        }
        let BrokerReply::History(kept, top) = shards.ask(of, ALL) else { panic!() };
        let kept: Vec<_> = kept.iter().map(|kept| (kept.offset, kept.data.clone())).collect();
        assert_eq!(kept, [(2, Bytes::from(format!("{of}2"))), (3, Bytes::from(format!("{of}3")))]);
        assert_eq!(top.offset, 3);
        assert!(matches!(shards.ask(of, BrokerOp::RemoveHistory), BrokerReply::Done));
        let BrokerReply::History(kept, top) = shards.ask(of, ALL) else { panic!() };
        assert_eq!((kept.len(), top.offset), (0, 3));
    }
    let (ann, ben) = (client(1, "ann"), client(2, "ben"));
    for info in [&ann, &ben] {
        assert!(matches!(shards.ask("a", BrokerOp::AddPresence(info.clone())), BrokerReply::Done));
    }
    let BrokerReply::Presence(present) = shards.ask("a", BrokerOp::Presence) else { panic!() };
    let users: BTreeMap<_, _> = present.iter().map(|info| (info.client.0[0], info.user.to_string())).collect();
    assert_eq!(users, BTreeMap::from([(1, "ann".to_owned()), (2, "ben".to_owned())]));
    assert!(matches!(shards.ask("a", BrokerOp::PresenceStats), BrokerReply::PresenceStats(2, 2)));
    shards.send("a", BrokerOp::RemovePresence(ann.clone()), None);
    assert!(matches!(shards.ask("a", BrokerOp::PresenceStats), BrokerReply::PresenceStats(1, 1)));
    shards.send("a", BrokerOp::Join(ann), None);
    shards.send("a", BrokerOp::Leave(ben), None);
    shards.ring();
    shards.wait(|event| matches!(event, BrokerEvent::Join(_, info) if &*info.user == "ann"));
    shards.wait(|event| matches!(event, BrokerEvent::Leave(_, info) if &*info.user == "ben"));
}

#[test]
fn homes_get_what_they_ask_for() {
    everything(&mut Shards::new(1, &at(&Redis::start(), "")));
}

#[test]
fn by_the_older_protocol_too() {
    let redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, r#","force_resp2":true,"client_name":"spindle","db":3"#));
    everything(&mut shards);
    let clients = redis.connect().send(&["CLIENT", "LIST"]);
    let clients = format!("{clients:?}");
    assert!(clients.contains("name=spindle") && clients.contains("db=3"), "{clients}");
}

#[test]
fn lists_and_counted_users() {
    let options = r#","history_use_lists":true,"presence_user_mapping":true,"prefix":"x""#;
    everything(&mut Shards::new(3, &at(&Redis::start(), options)));
}

#[test]
fn channels_are_spread_over_servers() {
    let (one, two) = (Redis::start(), Redis::start());
    let options = format!(r#"{{"address":["unix://{}","unix://{}"]}}"#, one.socket().display(), two.socket().display());
    let mut shards = Shards::new(2, &options);
    everything(&mut shards);
    for number in 0..40 {
        shards.ask(&format!("spread:{number}"), publish("x", 1));
    }
    let count =
        |redis: &Redis| format!("{:?}", redis.connect().send(&["KEYS", "*.stream.spread:*"])).matches("spread").count();
    let counts = (count(&one), count(&two));
    assert!(counts.0 + counts.1 == 40 && counts.0 > 10 && counts.1 > 10, "{counts:?}");
}

#[test]
fn requests_of_a_channel_keep_their_order() {
    let redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, ""));
    shards.subscribe("a");
    let tickets: Vec<_> = (0..5_000).map(|number| shards.place("a", publish(&number.to_string(), 10))).collect();
    shards.ring();
    for (number, ticket) in tickets.into_iter().enumerate() {
        let reply = shards.reply(ticket);
        assert!(matches!(&reply, BrokerReply::Published(at, None) if at.offset == number as u64 + 1), "{reply:?}");
        assert_eq!(shards.heard("a"), number.to_string());
    }
    assert!(shards.events.is_empty());
}

#[test]
fn whoever_leaves_and_comes_back_at_once_is_subscribed() {
    let redis = Redis::start();
    let mut shards = Shards::new(1, &at(&redis, ""));
    for round in 0..50 {
        let mut last = shards.place("a", BrokerOp::Subscribe(Realm::Streams));
        for _ in 0..round % 4 {
            shards.send("a", BrokerOp::Unsubscribe(Realm::Streams), None);
            last = shards.place("a", BrokerOp::Subscribe(Realm::Streams));
        }
        shards.ring();
        assert!(matches!(shards.reply(last), BrokerReply::Done));
        shards.ask("a", publish("x", 0));
        assert_eq!(shards.heard("a"), "x");
        shards.send("a", BrokerOp::Unsubscribe(Realm::Streams), None);
        // What is published now is nobody's: the next round hears its own alone.
        shards.ask("a", publish("y", 0));
    }
    assert!(!shards.events.iter().any(|event| matches!(event, BrokerEvent::Publication(..))));
}

#[test]
fn scripts_that_were_flushed_are_loaded_again() {
    let redis = Redis::start();
    let mut shards = Shards::new(1, &at(&redis, ""));
    for round in 0..3 {
        redis.connect().send(&["SCRIPT", "FLUSH"]);
        let tickets: Vec<_> = (0..100).map(|_| shards.place("a", publish("x", 10))).collect();
        shards.ring();
        for (number, ticket) in tickets.into_iter().enumerate() {
            let reply = shards.reply(ticket);
            let expected = round * 100 + number as u64 + 1;
            assert!(matches!(&reply, BrokerReply::Published(at, None) if at.offset == expected), "{reply:?}");
        }
    }
}

#[test]
fn what_was_asked_last_is_done_before_the_end() {
    let redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, ""));
    let info = client(1, "ann");
    shards.ask("a", BrokerOp::AddPresence(info.clone()));
    for number in 0..500 {
        shards.send("b", publish(&number.to_string(), 1000), None);
    }
    shards.send("a", BrokerOp::RemovePresence(info), None);
    shards.end();
    let count = |request: &[&str]| redis.connect().send(request);
    assert_eq!(count(&["EXISTS", "centrifugo.presence.data.a"]), spindle::broker::Value::Int(0));
    assert_eq!(count(&["XLEN", "centrifugo.stream.b"]), spindle::broker::Value::Int(500));
}

#[test]
fn nodes_tell_each_other() {
    let redis = Redis::start();
    let mut shards = Shards::new(2, &at(&redis, ""));
    // Whether the node listens already is not told to anyone: it is told again until it does.
    let mut connection = redis.connect();
    let mut tell =
        |to: &str, message: &str| while connection.send(&["PUBLISH", to, message]) == spindle::broker::Value::Int(0) {};
    tell("centrifugo.control", "one");
    tell("centrifugo.node.me", "two");
    for expected in ["one", "two"] {
        shards.wait(|event| matches!(event, BrokerEvent::Control(message) if &**message == expected.as_bytes()));
    }
    let ticket = Ticket(ConnId { slot: 7, generation: 7 });
    let message = Bytes::from_static(b"three");
    shards.lines[1].send(vec![BrokerRequest::Tell { to: Some("me".into()), message, ticket: Some(ticket) }]);
    shards.ring();
    shards.wait(|event| matches!(event, BrokerEvent::Told(told, true) if *told == ticket));
    shards.wait(|event| matches!(event, BrokerEvent::Control(message) if &**message == b"three"));
}

/// Keys of a map.
fn keys(reply: BrokerReply) -> Vec<String> {
    let BrokerReply::MapState(state) = reply else { panic!("{reply:?}") };
    let mut keys: Vec<_> = state.entries.iter().map(|it| it.entry.as_ref().expect("a key").key.to_string()).collect();
    keys.sort_unstable();
    keys
}

/// Sets a key of a map, in which keys live for a second.
pub fn set_key(options: MapOptions, key: &str) -> BrokerOp {
    let unix_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis() as u64;
    let entry = MapEntry::set(key);
    let publication = Publication { entry, unix_ms, ..Publication::bare(Bytes::from_static(b"1")) };
    BrokerOp::Map(Box::new(MapOp::Publish(MapPublishOp::plain(options, publication))))
}

/// The options of maps that [`map_node`] has.
pub const BRIEF: MapOptions = MapOptions {
    key_ttl_ms: 1_000,
    stream: Some(MapStreamOptions { size: 100, ttl_ms: 60_000, meta_ttl_ms: 600_000 }),
};

/// A node with maps of which keys live for a second, where these options of `map_broker.redis` say.
///
/// # Errors
/// What a start says.
pub fn map_node(place: &str) -> Result<Shards, String> {
    Shards::configured(
        2,
        &format!(
            r#"{{"map_broker":{{"type":"redis","redis":{{{place},"prefix":"m",
            "cleanup_interval":"20ms","cleanup_batch_size":1}}}},
            "channel":{{"namespaces":[{{"name":"map","subscription_type":"map",
                "map":{{"mode":"recoverable","key_ttl":"1s"}}}}]}}}}"#
        ),
    )
}

/// Maps at these servers, of which each gets some: keys are set and read, they expire, and then nothing is left.
pub fn maps_come_and_go(place: &str, servers: &[&Redis]) {
    let mut shards = map_node(place).expect("Redis is found");
    assert!(matches!(shards.ask("a", publish("x", 0)), BrokerReply::Failed), "channels live elsewhere");
    let maps: Vec<String> = (0..8).map(|number| format!("map:{number}")).collect();
    for map in &maps {
        assert!(matches!(shards.ask(map, BrokerOp::Subscribe(Realm::Maps)), BrokerReply::Done));
        for key in ["k1", "k2"] {
            let reply = shards.ask(map, set_key(BRIEF, key));
            assert!(matches!(reply, BrokerReply::MapUpdated(position, None) if position.offset > 0), "{reply:?}");
            assert_eq!(shards.heard(map), "1");
        }
        let page = StatePage { cursor: "".into(), limit: -1, revision: None };
        let read = MapOp::ReadState { options: BRIEF, key: None, page };
        assert_eq!(keys(shards.ask(map, BrokerOp::Map(Box::new(read)))), ["k1", "k2"]);
    }
    let each: Vec<_> =
        servers.iter().map(|redis| format!("{:?}", redis.connect().send(&["KEYS", "m:state:*"]))).collect();
    assert!(each.iter().all(|keys| keys.contains("map:")), "{each:?}");
    for map in &maps {
        for offset in [3, 4] {
            let event =
                shards.wait(|event| matches!(event, BrokerEvent::Publication(name, ..) if name.as_str() == map));
            let BrokerEvent::Publication(_, removal, _) = event else { unreachable!() };
            assert!(removal.entry.as_ref().is_some_and(|entry| entry.removed) && removal.offset == offset);
        }
        let reply = shards.ask(map, BrokerOp::Map(Box::new(MapOp::Stats)));
        assert!(matches!(reply, BrokerReply::MapKeys(0)), "{reply:?}");
        assert!(matches!(shards.ask(map, BrokerOp::Map(Box::new(MapOp::Clear))), BrokerReply::Done));
    }
    shards.end();
    for redis in servers {
        assert_eq!(redis.connect().send(&["DBSIZE"]), spindle::broker::Value::Int(0));
    }
}

#[test]
fn maps_are_spread_over_servers_and_their_keys_expire_at_each() {
    let (one, two) = (Redis::start(), Redis::start());
    let place = format!(r#""address":["unix://{}","unix://{}"]"#, one.socket().display(), two.socket().display());
    maps_come_and_go(&place, &[&one, &two]);
}
