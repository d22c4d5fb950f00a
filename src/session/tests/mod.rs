//! Sessions in conversation: one shard with a real hub and real homes, played from scripts.
//!
//! A script is lines. `a> {..}` is a command of connection `a` (opened when it is first named), `a< {..}` what it
//! must be sent next, `a< !3501` how it must end. `pub> CHANNEL DATA #KEY=VALUE` publishes over the server API (the tag may be left out), `a! ..` is the
//! server API acting on `a`, `+1000` lets a second pass. Everything that comes out must stand in the script, in order.
//! Client ids show as `<a>`, epochs as `<e>`. `$jwt{..}` in a command is a token with these claims, `$e` the epoch
//! that was shown last. `map> set CHANNEL KEY DATA` and its like change a map over the server API,
//! `poll> CHANNEL KEY VERSION DATA EPOCH` tells a version of a key (the epoch may be left out).

mod commands;
mod connect;
mod maps;
mod maps_changes;
mod maps_model;
mod maps_presence;
mod polls;
mod proxied;
mod server_side;
mod subscribe;
mod tailored;
mod time;

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::auth::Need;
use crate::base::ids::ShardId;
use crate::channel::home::Homes;
use crate::channel::name::ChannelName;
use crate::channel::op::{Delivery, Op, PublishOp, ReplyTo};
use crate::channel::publication::{Position, Publication, Tags};
use crate::config::env::Env;
use crate::config::prepare::{Host, prepare};
use crate::config::{load, validate};
use crate::fanout::delta::DeltaVariants;
use crate::fanout::frame::FrameBuilder;
use crate::fanout::hub::Continuity;
use crate::fanout::member::MemberFlags;
use crate::fanout::tailor::Form;
use crate::fanout::variant::Variants;
use crate::protocol::client::{self, Push, Reply};
use crate::protocol::commands::Commands;
use crate::protocol::disconnect::{Disconnect, Unsubscribe};

const START: Now = Now { mono_ms: 1_000_000, mono_us: 1_000_000_000, unix_ms: 1_700_000_000_000 };

/// Plays a script against sessions under a configuration: the members of `client` and the namespaces, as JSON.
fn check(client: &str, namespaces: &str, script: &str) {
    let mut bench = Bench::new(config(client, namespaces));
    bench.play(script);
}

/// As [`check`], after `a` has connected as user `u`.
fn check_connected(client: &str, namespaces: &str, script: &str) {
    let connect = r#"
        a> {"id":1,"connect":{"token":$jwt{"sub":"u"}}}
        a< {"id":1,"connect":{"client":"<a>"}}
    "#;
    check(client, namespaces, &[connect, script].concat());
}

/// Namespaces that many scripts use.
const NAMESPACES: &str = r#"
    {"name": "open", "allow_subscribe_for_client": true, "allow_publish_for_client": true},
    {"name": "closed"},
    {"name": "anon", "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true},
    {"name": "user", "allow_user_limited_channels": true, "allow_subscribe_for_client": true},
    {"name": "pres", "presence": true, "allow_subscribe_for_client": true, "allow_presence_for_client": true},
    {"name": "jl", "join_leave": true, "force_push_join_leave": true, "allow_subscribe_for_client": true},
    {"name": "jlopt", "join_leave": true, "presence": true, "allow_subscribe_for_client": true,
        "allow_presence_for_subscriber": true},
    {"name": "hist", "history_size": 10, "history_ttl": "300s", "allow_subscribe_for_client": true,
        "allow_history_for_client": true, "allow_positioning": true, "allow_recovery": true},
    {"name": "rec", "history_size": 3, "history_ttl": "300s", "force_recovery": true,
        "allow_subscribe_for_client": true, "allow_publish_for_client": true},
    {"name": "cache", "history_size": 1, "history_ttl": "300s", "force_recovery": true,
        "force_recovery_mode": "cache", "allow_subscribe_for_client": true},
    {"name": "acache", "history_size": 1, "history_ttl": "300s", "force_recovery": true,
        "force_recovery_mode": "cache", "auto_cache_recover": true, "allow_subscribe_for_client": true},
    {"name": "tags", "allow_tags_filter": true, "allow_subscribe_for_client": true},
    {"name": "rx", "channel_regex": "^[a-z]+$", "allow_subscribe_for_client": true},
    {"name": "subpub", "presence": true, "history_size": 10, "history_ttl": "300s",
        "allow_subscribe_for_client": true, "allow_publish_for_subscriber": true,
        "allow_history_for_subscriber": true, "allow_presence_for_subscriber": true}
"#;

/// Pings are off unless the script is about them.
fn config(client: &str, namespaces: &str) -> Snapshot {
    let comma = if client.is_empty() { "" } else { "," };
    let text = format!(
        r#"{{"client": {{"token": {{"hmac_secret_key": "secret"}}{comma}{client}}},
            "shared_poll": {{"hmac_secret_key": "poll-secret"}},
            "proxies": [{{"name": "poller", "endpoint": "http://localhost"}}],
            "channel": {{"without_namespace": {{"allow_subscribe_for_client": true}}, "namespaces": [{namespaces}]}}}}"#
    );
    let sources = load::Sources { file: Some(("config.json", &text)), env: &Env::new(), flags: &[] };
    let loaded = load::load(sources).expect("the configuration loads");
    assert_eq!(loaded.unknown_keys, [""; 0], "unknown options");
    validate::validate(&loaded.options).expect("the configuration is valid");
    let host = Host { name: "test", resolve: &|_| None };
    let mut config = prepare(&loaded.options, &host, false).expect("the configuration is complete");
    if !client.contains("ping_interval") {
        config.client.ping_interval_ms = 0;
        config.client.pong_timeout_ms = 0;
    }
    config
}

/// A token with these claims, signed with HS256 and `secret`.
fn jwt(claims: &str) -> String {
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(claims));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(b"secret"), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// Who calls for what the server API does.
const CALLER: ConnId = ConnId { slot: 7, generation: 7 };

struct Bench {
    config: Snapshot,
    verifiers: Verifiers,
    hub: Hub,
    tracked: Hub,
    homes: Homes,
    rng: StdRng,
    now: Now,
    /// By name: `a` is the first, `b` the second.
    sessions: Vec<Session>,
    is_open: Vec<bool>,
    users: Vec<Option<Box<str>>>,
    /// What homes sent and nobody has handled yet.
    deliveries: VecDeque<Delivery>,
    /// What came out since it was last looked at.
    came: VecDeque<String>,
    /// The epoch that came last.
    epoch: std::cell::RefCell<String>,
    /// What the command needs that came last.
    needs: Option<Need>,
    /// What came of subscriptions that the server API began.
    begun: Vec<bool>,
    /// What the next connections are opened with.
    setup: (Protocol, bool, Option<&'static str>),
}

impl Bench {
    fn new(config: Snapshot) -> Self {
        Self {
            verifiers: Verifiers::new(&config).expect("keys"),
            config,
            hub: Hub::new(),
            tracked: Hub::new(),
            homes: Homes::new(StdRng::seed_from_u64(7)),
            rng: StdRng::seed_from_u64(8),
            now: START,
            sessions: Vec::new(),
            is_open: Vec::new(),
            users: Vec::new(),
            deliveries: VecDeque::new(),
            came: VecDeque::new(),
            epoch: std::cell::RefCell::default(),
            needs: None,
            begun: Vec::new(),
            setup: (Protocol::Json, false, None),
        }
    }

    fn play(&mut self, script: &str) {
        let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            if line.split_once("< ").is_some_and(|(who, _)| who.len() == 1) {
                let came = self.came.pop_front();
                assert_eq!(came.as_deref(), Some(line), "\nthen: {:#?}", self.came);
                continue;
            }
            assert!(self.came.is_empty(), "before {line}: {:#?}", self.came);
            if let Some(ms) = line.strip_prefix('+') {
                self.pass(ms.parse().expect("milliseconds"));
            } else if let Some(publication) = line.strip_prefix("pub> ") {
                let (channel, data) = publication.split_once(' ').expect("channel and data");
                self.publish(channel, data);
            } else if let Some(change) = line.strip_prefix("map> ") {
                self.change_map(change);
            } else if let Some(publication) = line.strip_prefix("poll> ") {
                self.publish_key(publication);
            } else {
                let (who, rest) = line.split_at(1);
                let who = usize::from(who.as_bytes()[0] - b'a');
                match rest.split_at(2) {
                    ("> ", command) => self.send(who, command),
                    ("! ", control) => self.control(who, control),
                    _ => panic!("not understood: {line}"),
                }
            }
        }
        assert!(self.came.is_empty(), "at the end: {:#?}", self.came);
    }

    fn open(&mut self, who: usize) {
        while self.sessions.len() <= who {
            let (protocol, native_ping, user_header) = self.setup;
            let client = ClientId([self.sessions.len() as u8 + 1; 16]);
            let user_header = user_header.map(Box::from);
            let setup = Setup { client, protocol, native_ping, user_header, transport: TransportKind::WebSocket };
            self.sessions.push(Session::new(setup, &self.config, self.now, &mut self.rng));
            self.is_open.push(true);
            self.users.push(None);
        }
    }

    fn send(&mut self, who: usize, command: &str) {
        self.open(who);
        let mut command = command.replace("$e", &self.epoch.borrow());
        while let Some(at) = command.find("$jwt{") {
            let mut depth = 0;
            let end = command[at..].char_indices().find_map(|(end, char)| {
                depth += i32::from(char == '{') - i32::from(char == '}');
                (char == '}' && depth == 0).then_some(at + end + 1)
            });
            let end = end.expect("claims end");
            let token = jwt(&command[at + 4..end]);
            command.replace_range(at..end, &format!("\"{token}\""));
        }
        let mut comes_again = true;
        while comes_again {
            let mut commands = Commands::new(Protocol::Json, command.as_bytes());
            match commands.next() {
                Some(Ok(command)) => self.step(who, |session, cx| session.on_command(cx, command, 1)),
                _ => self.step(who, |session, cx| session.on_malformed(cx)),
            }
            comes_again = self.sessions[who].wants_command_again();
            if let Some(need) = self.needs.take() {
                let Need::Signature(check) = need else { panic!("{need:?}") };
                let is_good = check.run();
                self.step(who, |session, _| session.on_found(|known| known.add_signature(check, is_good)));
            }
        }
        self.settle();
    }

    fn control(&mut self, who: usize, control: &str) {
        self.open(who);
        let mut words = control.split(' ');
        let (verb, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = || first.parse().expect("a number");
        let control = match verb {
            "close" => {
                self.close(who);
                return self.settle();
            }
            "pong" => {
                self.step(who, |session, cx| session.on_native_pong(cx));
                return;
            }
            "disconnect" => SessionControl::Disconnect(Disconnect::FORCE_NO_RECONNECT),
            "unsubscribe" => SessionControl::Unsubscribe { channel: first.into(), unsubscribe: Unsubscribe::SERVER },
            "expire" => SessionControl::Refresh { expired: true, expire_at: 0, info: Bytes::new() },
            "refresh" => SessionControl::Refresh { expired: false, expire_at: number(), info: Bytes::new() },
            "subscribe" => {
                let mut wanted = ServerSubscribe { channel: first.into(), ..ServerSubscribe::default() };
                for word in words {
                    match word.split_once('=') {
                        Some(("expire_at", at)) => wanted.expire_at = at.parse().expect("a number"),
                        Some(("data", data)) => wanted.data = Bytes::copy_from_slice(data.as_bytes()),
                        _ if word == "recoverable" => wanted.recoverable = true,
                        _ if word == "presence" => wanted.presence = true,
                        _ if word == "join_leave" => (wanted.join_leave, wanted.push_join_leave) = (true, true),
                        _ => panic!("not understood: {word}"),
                    }
                }
                SessionControl::Subscribe(Box::new(wanted))
            }
            _ => panic!("not understood: {verb}"),
        };
        self.step(who, |session, cx| {
            let _ = session.on_control(cx, &control, CALLER);
        });
        self.settle();
    }

    /// The payload may be followed by one tag, `#key=value`.
    fn publish(&mut self, channel: &str, text: &str) {
        let (data, tag) = text.rsplit_once(" #").map_or((text, None), |(data, tag)| (data, tag.split_once('=')));
        let tags: Option<Tags> = tag.map(|(key, value)| Box::from([(Box::from(key), Box::from(value))]));
        let publication =
            Publication { tags: tags.map(Arc::new), ..Publication::bare(Bytes::copy_from_slice(data.as_bytes())) };
        let options = crate::channel::rules::options(&self.config.channel, channel).expect("a namespace");
        let op = PublishOp {
            publication,
            history: options.history,
            delta: options.delta_publish,
            idempotency_key: None,
            version_epoch: "".into(),
        };
        self.ask_home(&ChannelName::new(channel), Op::Publish(Box::new(op)), ReplyTo::None);
        self.settle();
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        loop {
            let due = (0..self.sessions.len()).filter(|who| self.is_open[*who]);
            let due = due.min_by_key(|who| self.sessions[*who].next_deadline());
            let at = due.map_or(end, |who| self.sessions[who].next_deadline()).clamp(self.now.mono_ms, end);
            self.now.unix_ms += at - self.now.mono_ms;
            self.now.mono_ms = at;
            let Self { homes, deliveries, now, .. } = &mut *self;
            let waiting = deliveries.len();
            homes.expire(*now, 1000, &mut |_, delivery| deliveries.push_back(delivery));
            if deliveries.len() > waiting {
                self.settle();
            }
            match due.filter(|who| self.sessions[*who].next_deadline() <= at) {
                Some(who) => self.step(who, |session, cx| session.on_timer(cx)),
                None => return,
            }
            self.settle();
        }
    }

    /// One step of a session, with what it leads to.
    fn step(&mut self, who: usize, step: impl FnOnce(&mut Session, &mut Cx<'_>)) {
        let mut step = Some(step);
        self.run(who, &mut |session, cx| step.take().into_iter().for_each(|step| step(session, cx)));
    }

    fn run(&mut self, who: usize, step: &mut dyn FnMut(&mut Session, &mut Cx<'_>)) {
        let (mut out, mut effects) = (Output::new(), Vec::new());
        let mut metrics = crate::metrics::Shard::new(ShardId(0));
        let mut cx = Cx {
            now: self.now,
            config: &self.config,
            verifiers: &self.verifiers,
            keys: &KeyCache::default(),
            budget: &Budget::unlimited(),
            evidence: Evidence::default(),
            rng: &mut self.rng,
            conn: ConnId { slot: who as u32, generation: 0 },
            hub: &mut self.hub,
            tracked: &mut self.tracked,
            out: &mut out,
            effects: &mut effects,
            metrics: &mut metrics,
        };
        step(&mut self.sessions[who], &mut cx);
        let messages: Vec<String> = out.messages().map(|message| self.shown(message)).collect();
        for message in messages {
            self.came.push_back(format!("{}< {message}", name(who)));
        }
        for effect in effects {
            match effect {
                Effect::Op { channel, op, tag } => {
                    let conn = ConnId { slot: who as u32, generation: 0 };
                    let reply = if tag == 0 { ReplyTo::None } else { ReplyTo::Conn { conn, tag } };
                    self.ask_home(&channel, op, reply);
                }
                Effect::Find(need) => self.needs = Some(need),
                Effect::SubscribedByServer { is_live, .. } => self.begun.push(is_live),
                Effect::CountConnections { user } => {
                    let count =
                        (0..self.users.len()).filter(|at| self.is_open[*at] && self.users[*at] == Some(user.clone()));
                    let count = count.count();
                    self.run(who, &mut |session, cx| session.on_user_connections(cx, count));
                }
                Effect::Connected { user } => self.users[who] = Some(user),
                Effect::DisconnectOthers { user, disconnect } => {
                    for other in (0..self.users.len()).filter(|other| *other != who) {
                        if self.is_open[other] && self.users[other] == Some(user.clone()) {
                            self.came.push_back(format!("{}< !{}", name(other), disconnect.code));
                            self.close(other);
                        }
                    }
                }
                Effect::Ping => self.came.push_back(format!("{}< ping frame", name(who))),
                Effect::Disconnect(disconnect) => {
                    self.came.push_back(format!("{}< !{}", name(who), disconnect.code));
                    self.close(who);
                }
                Effect::Drain => {
                    self.came.push_back(format!("{}< drain", name(who)));
                    self.close(who);
                }
            }
        }
    }

    fn close(&mut self, who: usize) {
        if std::mem::replace(&mut self.is_open[who], false) {
            let mut metrics = crate::metrics::Shard::new(ShardId(0));
            let mut departure = None;
            self.step(who, |session, cx| departure = session.on_close(cx));
            let mut told = Vec::new();
            while let Some(left) = &mut departure
                && left.end_next(&mut self.hub, &mut self.tracked, &mut metrics, &self.config, &mut |channel, op| {
                    told.push((channel, op))
                })
            {}
            for (channel, op) in told {
                self.ask_home(&channel, op, ReplyTo::None);
            }
        }
    }

    fn ask_home(&mut self, channel: &ChannelName, op: Op, reply: ReplyTo) {
        let Self { homes, deliveries, now, .. } = self;
        homes.handle(ShardId(0), channel, op, reply, *now, &mut |_, delivery| deliveries.push_back(delivery));
    }

    /// Handles what homes sent, in order.
    fn settle(&mut self) {
        while let Some(delivery) = self.deliveries.pop_front() {
            match delivery {
                Delivery::Answer(ReplyTo::Conn { conn, tag }, answer) => {
                    self.step(conn.slot as usize, |session, cx| session.on_answer(cx, tag, answer));
                }
                Delivery::Answer(..) => {}
                Delivery::Key(told) => self.deliver_key(&told),
                Delivery::PollReset(channel) => self.reset(&channel),
                Delivery::PositionLost(_) => unreachable!("homes in memory keep every position"),
                Delivery::Publication(channel, publication) => self.deliver_publication(&channel, &publication, None),
                Delivery::PublicationBehind(channel, publication, previous) => {
                    self.deliver_publication(&channel, &publication, Some(&previous));
                }
                Delivery::Join(channel, info) => {
                    let join = client::Join { info: Some(client::ClientInfo::of(&info)) };
                    self.deliver(&channel, Push { join: Some(join), ..Push::default() }, MemberFlags::JOIN_LEAVE, true);
                }
                Delivery::Leave(channel, info) => {
                    let leave = client::Leave { info: Some(client::ClientInfo::of(&info)) };
                    self.deliver(
                        &channel,
                        Push { leave: Some(leave), ..Push::default() },
                        MemberFlags::JOIN_LEAVE,
                        true,
                    );
                }
            }
        }
    }

    fn deliver_publication(
        &mut self,
        channel: &ChannelName,
        publication: &Publication,
        previous: Option<&Publication>,
    ) {
        let Some(local) = self.hub.find_name(channel) else { return };
        let position = Position { offset: publication.offset, epoch: publication.epoch };
        let for_positioned = match self.hub.advance(local, position) {
            Continuity::Untracked | Continuity::Next => true,
            Continuity::Old => false,
            Continuity::Gap | Continuity::EpochChanged => {
                let members: Vec<_> = self.hub.members(local).to_vec();
                for member in members.iter().filter(|member| member.flags().contains(MemberFlags::POSITIONED)) {
                    self.step(member.conn.slot as usize, |session, cx| session.on_insufficient_state(cx, local));
                }
                false
            }
        };
        let Some(local) = self.hub.find_name(channel) else { return };
        let is_for = |flags: MemberFlags| for_positioned || !flags.contains(MemberFlags::POSITIONED);
        let mut builder = FrameBuilder::new();
        let mut variants = Variants::publication(channel, publication);
        let mut deltas = DeltaVariants::new(channel, publication, previous);
        let mut came = Vec::new();
        self.hub.tailor(local, publication, is_for, |member, form| {
            let frame = match form {
                Form::Plain => variants.frame(MemberFlags::NONE, &mut builder),
                Form::Whole | Form::Patch => deltas.frame(Protocol::Json, form, &mut builder),
            };
            let frame = frame.expect("JSON");
            let message = &frame.as_bytes()[frame.len() - frame.message_len()..];
            came.push((member.conn.slot as usize, message.to_vec()));
        });
        for (who, message) in came {
            self.came.push_back(format!("{}< {}", name(who), self.shown(&message)));
        }
    }

    fn deliver(&mut self, channel: &ChannelName, push: Push<'_>, wanted: MemberFlags, for_positioned: bool) {
        let Some(local) = self.hub.find_name(channel) else { return };
        let reply = Reply { push: Some(Push { channel: channel.as_str().into(), ..push }), ..Reply::default() };
        let mut out = Output::new();
        out.reply(Protocol::Json, &reply).expect("JSON");
        let text = self.shown(out.messages().next().expect("a push"));
        for member in self.hub.members(local) {
            if member.flags().contains(wanted) && (for_positioned || !member.flags().contains(MemberFlags::POSITIONED))
            {
                self.came.push_back(format!("{}< {text}", name(member.conn.slot as usize)));
            }
        }
    }

    /// A message without what changes from run to run.
    fn shown(&self, message: &[u8]) -> String {
        let mut text = str::from_utf8(message).map_or_else(|_| format!("{message:?}"), str::to_owned);
        for (who, session) in self.sessions.iter().enumerate() {
            text = text.replace(&session.client().to_string(), &format!("<{}>", name(who)));
        }
        let mut from = 0;
        while let Some(at) = text[from..].find(r#""epoch":""#) {
            from += at + 9;
            self.epoch.replace(text[from..from + 8].to_owned());
            text.replace_range(from..from + 8, "<e>");
        }
        text.replace(concat!(r#","version":""#, env!("CARGO_PKG_VERSION"), r#" OSS""#), "")
    }
}

fn name(who: usize) -> char {
    char::from(b'a' + who as u8)
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 200, "{}", size_of::<Session>());
}
