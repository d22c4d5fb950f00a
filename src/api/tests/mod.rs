//! The server API against scripted homes and shards.

mod calls;
mod maps;
mod methods;
mod surveys;

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::{ApiCx, ApiEffect, Call, Control, ControlAnswer, Node, Request, Response, Started, start};
use crate::base::time::Now;
use crate::channel::op::{Answer, Op};
use crate::channel::publication::{Epoch, Position};
use crate::config::snapshot::{ChannelOptions, PollOptions, PollPlan, Snapshot, SubscriptionType};
use crate::config::{env::Env, load, prepare};
use crate::metrics::{Shard, catalogue, prometheus};

pub(super) const SHARDS: u16 = 3;

/// A node whose homes and shards answer by script. Answers come in the order of the questions, or the newest
/// question first.
pub(super) struct World {
    pub config: Snapshot,
    pub metrics: Shard,
    pub now: Now,
    pub newest_first: bool,
    pub streams_are_far: bool,
    /// What a home answers.
    pub home: fn(&str, &Op) -> Answer,
    /// What the shard with this number answers, piece by piece.
    pub shard: fn(u16, &Control) -> Vec<ControlAnswer>,
    /// Everything that was asked, a line for each turn of the call.
    pub asked: String,
}

impl World {
    pub fn new() -> Self {
        Self {
            config: config(r#"{"http_api": {"key": "k"}}"#),
            metrics: Shard::new(crate::base::ids::ShardId(0)),
            now: Now { mono_ms: 5_000, mono_us: 5_000_000, unix_ms: 1_700_000_000_000 },
            newest_first: false,
            streams_are_far: false,
            home: |_, op| match op {
                Op::Publish(publish) if publish.history.is_on() => Answer::Published(top(7)),
                Op::Publish(_) => Answer::Published(Position::default()),
                Op::Presence => Answer::Presence(Vec::new()),
                Op::PresenceStats => Answer::PresenceStats { clients: 2, users: 1 },
                Op::History { .. } => Answer::History(Vec::new(), top(7)),
                _ => Answer::Done,
            },
            shard: |_, control| match control {
                Control::Sessions(..) => vec![ControlAnswer::Sessions(0)],
                Control::Channels { .. } => vec![ControlAnswer::Listed],
                Control::Info | Control::Metrics => vec![ControlAnswer::Info(Box::default())],
            },
            asked: String::new(),
        }
    }

    pub fn call(&mut self, method: &str, body: &str) -> Response {
        self.call_with(method, None, body)
    }

    pub fn call_with(&mut self, method: &str, error_mode: Option<&str>, body: &str) -> Response {
        self.run(|cx| start(cx, Request { method, error_mode, body: body.as_bytes() }))
    }

    /// Runs a call to its end.
    pub fn run(&mut self, start: impl FnOnce(&mut ApiCx<'_>) -> Started) -> Response {
        let mut effects = Vec::new();
        let mut call = match start(&mut self.cx(&mut effects)) {
            Started::Done(response) => {
                assert!(effects.is_empty(), "an answered call asks nothing: {effects:?}");
                return response;
            }
            Started::Pending(call) => call,
        };
        let mut questions = VecDeque::new();
        loop {
            self.note(&effects);
            questions.extend(effects.drain(..).flat_map(Question::all));
            let question = if self.newest_first { questions.pop_back() } else { questions.pop_front() };
            let question = question.expect("a pending call waits for something");
            if let Some(response) = self.answer(&mut call, question, &mut effects) {
                assert!(effects.is_empty() && questions.is_empty(), "a finished call waits for nothing");
                return response;
            }
        }
    }

    /// This shard's metrics as text.
    pub fn metrics_text(&self) -> String {
        let node =
            catalogue::Node { version: "", clients: 0, subscriptions: 0, users: 0, channels: 0, nodes: 1, mono_ms: 0 };
        let mut text = String::new();
        prometheus::write(&catalogue::families(&self.metrics, &node), &mut text);
        text
    }

    pub(super) fn cx<'a>(&'a mut self, effects: &'a mut Vec<ApiEffect>) -> ApiCx<'a> {
        static NODE: std::sync::LazyLock<Node> =
            std::sync::LazyLock::new(|| Node { uid: "uid-1".into(), version: "1.2.3".into() });
        ApiCx {
            now: self.now,
            config: &self.config,
            node: &NODE,
            shards: SHARDS,
            is_clustered: false,
            streams_are_far: self.streams_are_far,
            maps_are_far: false,
            effects,
            metrics: &mut self.metrics,
        }
    }

    fn answer(&mut self, call: &mut Call, question: Question, effects: &mut Vec<ApiEffect>) -> Option<Response> {
        self.now.mono_us += 1000;
        match question {
            Question::Home(ApiEffect::Op { channel, op, tag }) => {
                let answer = (self.home)(channel.as_str(), &op);
                let response = call.on_answer(&mut self.cx(effects), tag, answer);
                self.write(call, response, effects)
            }
            Question::Shard(shard, ApiEffect::Survey { control, tag, .. }) => {
                let mut response = None;
                for answer in (self.shard)(shard, &control) {
                    assert!(response.is_none(), "an answered call gets no answer");
                    response = call.on_control_answer(&mut self.cx(effects), tag, answer);
                }
                self.write(call, response, effects)
            }
            Question::Home(ApiEffect::Survey { .. }) | Question::Shard(_, ApiEffect::Op { .. }) => None,
        }
    }

    /// Turns in which a call goes on, with a budget of one entry each.
    fn write(
        &mut self,
        call: &mut Call,
        mut response: Option<Response>,
        effects: &mut Vec<ApiEffect>,
    ) -> Option<Response> {
        while response.is_none() && call.is_writing() {
            response = call.write(&mut self.cx(effects), &mut 1);
        }
        response
    }

    fn note(&mut self, effects: &[ApiEffect]) {
        if effects.is_empty() {
            return;
        }
        if !self.asked.is_empty() {
            self.asked.push('\n');
        }
        for (at, effect) in effects.iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            let _ = match effect {
                ApiEffect::Op { channel, op, .. } => write!(self.asked, "{gap}{} {}", name(op), channel.as_str()),
                ApiEffect::Survey { control, .. } => write!(self.asked, "{gap}{control:?}"),
            };
        }
    }
}

/// One answer that is owed.
enum Question {
    Home(ApiEffect),
    Shard(u16, ApiEffect),
}

impl Question {
    fn all(effect: ApiEffect) -> Vec<Question> {
        match effect {
            ApiEffect::Op { .. } => vec![Question::Home(effect)],
            ApiEffect::Survey { control, tag, asks_nodes } => (0..SHARDS)
                .map(|shard| Question::Shard(shard, ApiEffect::Survey { control: control.clone(), tag, asks_nodes }))
                .collect(),
        }
    }
}

fn name(op: &Op) -> &'static str {
    match op {
        Op::Publish(_) => "publish",
        Op::Presence => "presence",
        Op::PresenceStats => "presence_stats",
        Op::History { .. } => "history",
        Op::HistoryRemove => "history_remove",
        _ => "other",
    }
}

pub(super) fn top(offset: u64) -> Position {
    Position { offset, epoch: Epoch::from_random([0; 8]) }
}

/// The namespaces of the tests, with more options of the whole configuration.
pub(super) fn config(more: &str) -> Snapshot {
    let mut all: serde_json::Value = serde_json::from_str(
        r#"{"node": {"name": "n1"}, "channel": {"namespaces": [
            {"name": "open"},
            {"name": "hist", "history_size": 10, "history_ttl": "300s", "history_meta_ttl": "600s"},
            {"name": "pres", "presence": true, "join_leave": true, "force_recovery": true},
            {"name": "fobj", "publication_data_format": "json_object"},
            {"name": "fbin", "publication_data_format": "binary"},
            {"name": "kv", "subscription_type": "map", "map": {"mode": "recoverable", "key_ttl": "60s"}},
            {"name": "eph", "subscription_type": "map", "map": {"mode": "ephemeral", "key_ttl": "60s"}}
        ]}}"#,
    )
    .unwrap();
    let more: serde_json::Value = serde_json::from_str(more).unwrap();
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (text, env) = (all.to_string(), Env::default());
    let sources = load::Sources { file: Some(("config.json", &text)), env: &env, flags: &[] };
    let loaded = load::load(sources).unwrap();
    let host = prepare::Host { name: "host", resolve: &|_| None };
    let mut config = prepare::prepare(&loaded.options, &host, false).unwrap();
    // Their proxy is of no interest here.
    for (name, is_published) in [("poll", false), ("pollp", true)] {
        let subscription_type = SubscriptionType::SharedPoll;
        let plan = PollPlan { is_versioned: true, is_published, ..PollPlan::default() };
        let poll = PollOptions { plan, ..PollOptions::default() };
        let options = ChannelOptions { subscription_type, poll, ..ChannelOptions::default() };
        config.channel.namespaces.insert(name.into(), options);
    }
    config
}
