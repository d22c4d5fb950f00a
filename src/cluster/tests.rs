//! Nodes before each other: what one tells, the others hear.

use super::*;
use crate::api::Target;
use crate::base::ids::ClientId;
use crate::channel::op::Since;
use crate::protocol::disconnect::{Disconnect, Unsubscribe};
use crate::session::{ServerSubscribe, SessionControl};

/// Nodes, and what they do, in short words.
struct World {
    nodes: Vec<Cluster<u32>>,
    now: Now,
    done: Vec<String>,
}

impl World {
    fn new(nodes: usize) -> Self {
        let nodes = (0..nodes).map(|n| Cluster::new(&n.to_string())).collect();
        Self { nodes, now: Now::default(), done: Vec::new() }
    }

    /// A node among others that know it.
    fn settled(nodes: usize) -> Self {
        let mut world = Self::new(nodes);
        world.tick();
        world.done.clear();
        world
    }

    fn tick(&mut self) -> Vec<String> {
        for node in 0..self.nodes.len() {
            self.nodes[node].tick(self.now);
        }
        self.settle()
    }

    fn wait(&mut self, ms: u64) -> Vec<String> {
        self.now.mono_ms += ms;
        self.tick()
    }

    fn ask(&mut self, node: usize, control: &Control) -> Vec<String> {
        self.nodes[node].ask(control, 7, self.now);
        self.settle()
    }

    /// Messages reach whom they are for, answers are read at once; every node has the channel that is named after it, with one client.
    fn settle(&mut self) -> Vec<String> {
        while let Some((node, effects)) = (0..self.nodes.len())
            .map(|node| (node, effects_of(&mut self.nodes[node])))
            .find(|(_, effects)| !effects.is_empty())
        {
            effects.into_iter().for_each(|effect| self.carry_out(node, effect));
        }
        std::mem::take(&mut self.done)
    }

    fn carry_out(&mut self, node: usize, effect: Effect<u32>) {
        match effect {
            Effect::Tell { to, message, question } => {
                for (n, other) in self.nodes.iter_mut().enumerate() {
                    if to.as_ref().is_none_or(|to| **to == *n.to_string()) {
                        other.receive(&message, self.now).unwrap();
                    }
                }
                self.done.extend(question.map(|question| format!("{node} told for {question}")));
            }
            Effect::Act(control) => self.done.push(format!("{node} acts {control:?}")),
            Effect::Count { to } => {
                let report = control::Node { uid: node.to_string().into(), num_clients: 1, ..Default::default() };
                let mut encoded = Vec::new();
                proto::encode(&report, &mut encoded);
                self.nodes[node].report(to, &encoded);
            }
            Effect::List { to, id, pattern } => {
                let name = format!("ch{node}");
                let fits = pattern.is_none_or(|pattern| pattern.matches(&name));
                let info = crate::protocol::api::ChannelInfo { num_clients: 1 };
                let channels = fits.then(|| (name.into(), info)).into_iter().collect();
                let mut encoded = Vec::new();
                proto::encode(&crate::protocol::api::ChannelsResult { channels }, &mut encoded);
                self.nodes[node].list(to, id, &encoded);
            }
            Effect::Answer(question, answer) => {
                let answer = match answer {
                    ControlAnswer::Nodes(nodes) => {
                        let uids: Vec<_> = nodes.iter().map(|node| format!("{}={}", node.uid, node.clients)).collect();
                        format!("nodes {}", uids.join(" "))
                    }
                    ControlAnswer::Channels(channels) => format!("channels {channels:?}"),
                    other => format!("{other:?}"),
                };
                self.done.push(format!("{node} answers {question}: {answer}"));
            }
        }
    }
}

fn effects_of(node: &mut Cluster<u32>) -> Vec<Effect<u32>> {
    while node.read(1024) {}
    std::iter::from_fn(|| node.next_effect()).collect()
}

fn list(text: &str) -> Control {
    let pattern = (!text.is_empty()).then(|| Glob::new(text).unwrap());
    Control::Channels { pattern, text: text.into() }
}

#[test]
fn nodes_come_and_go() {
    let mut world = World::new(3);
    assert_eq!(world.ask(0, &Control::Info), ["0 answers 7: nodes "]);
    world.tick();
    assert_eq!(world.ask(0, &Control::Info), ["0 answers 7: nodes 1=1 2=1"]);
    world.nodes[2].leave();
    world.settle();
    assert_eq!(world.ask(0, &Control::Info), ["0 answers 7: nodes 1=1"]);
    // The other one dies.
    let dead = std::mem::replace(&mut world.nodes[1], Cluster::new("1"));
    world.nodes.truncate(1);
    world.wait(7_000);
    assert_eq!(world.ask(0, &Control::Info), ["0 answers 7: nodes 1=1"]);
    world.wait(3_000);
    assert_eq!(world.ask(0, &Control::Info), ["0 answers 7: nodes "]);
    drop(dead);
}

#[test]
fn a_new_node_is_told_of_the_others_at_once() {
    let mut world = World::settled(2);
    world.nodes.push(Cluster::new("2"));
    world.nodes[2].tick(world.now);
    world.settle();
    assert_eq!(world.ask(2, &Control::Info), ["2 answers 7: nodes 0=1 1=1"]);
}

#[test]
fn every_node_lists_its_channels() {
    let mut world = World::settled(3);
    let piece = |n: u32| format!("0 answers 7: channels [(\"ch{n}\", 1)]");
    let last = "0 answers 7: Listed".to_owned();
    assert_eq!(world.ask(0, &list("")), [piece(1), piece(2), last.clone()]);
    let none = "0 answers 7: channels []".to_owned();
    assert_eq!(world.ask(0, &list("*2")), [none, piece(2), last.clone()]);
    assert_eq!(World::settled(1).ask(0, &list("")), [last], "alone it need not wait");
}

#[test]
fn a_node_that_does_not_answer_is_an_error() {
    let mut world = World::settled(2);
    world.nodes.truncate(1);
    assert_eq!(world.ask(0, &list("")), [""; 0]);
    assert_eq!(world.wait(9_999), [""; 0]);
    assert_eq!(world.wait(1), ["0 answers 7: Failed"]);
    assert_eq!(world.ask(0, &list("")), ["0 answers 7: Listed"], "it is forgotten meanwhile");
}

#[test]
fn unknown_questions_are_answered_and_bad_answers_fail() {
    let mut world = World::settled(2);
    let request = control::SurveyRequest { id: 5, op: "what".into(), ..Default::default() };
    let asked = Command { uid: "1".into(), survey_request: Some(request), ..Command::default() };
    world.nodes[0].receive(&encoded(&asked), world.now).unwrap();
    let effect = world.nodes[0].next_effect();
    let Some(Effect::Tell { to: Some(to), message, .. }) = effect else { panic!("{effect:?}") };
    let answer: Command<'_> = proto::decode(&message).unwrap();
    assert_eq!((&*to, answer.survey_response.map(|response| (response.id, response.code))), ("1", Some((5, 3))));

    world.nodes[0].ask(&list(""), 7, world.now);
    effects_of(&mut world.nodes[0]);
    let answer = encoded(&commands::response("1", 1, 1, &[]));
    world.nodes[0].receive(&answer, world.now).unwrap();
    world.nodes[0].receive(&answer, world.now).unwrap();
    let effects = effects_of(&mut world.nodes[0]);
    assert!(matches!(effects[..], [Effect::Answer(7, ControlAnswer::Failed)]), "{effects:?}");
    assert!(world.nodes[0].receive(&Bytes::from_static(b"\xff"), world.now).is_err());
}

#[test]
fn what_is_done_to_sessions_is_done_on_every_node() {
    let target =
        Target { user: "ann".into(), client: Some(ClientId([1; 16])), session: "s".into(), whitelist: Box::default() };
    let subscribe = ServerSubscribe {
        channel: "news".into(),
        presence: true,
        recoverable: true,
        recover_since: Some(Since { offset: 3, epoch: "e".into() }),
        expire_at: 9,
        info: Bytes::from_static(b"{}"),
        data: Bytes::from_static(b"1"),
        ..ServerSubscribe::default()
    };
    let spared = Target { whitelist: [ClientId([2; 16])].into(), ..target.clone() };
    for (target, told) in [
        (target.clone(), SessionControl::Subscribe(Box::new(subscribe))),
        (target.clone(), SessionControl::Unsubscribe { channel: "news".into(), unsubscribe: Unsubscribe::SERVER }),
        (spared, SessionControl::Disconnect(Disconnect { code: 4000, reason: "enough".into() })),
        (target.clone(), SessionControl::Refresh { expired: true, expire_at: 5, info: Bytes::from_static(b"{}") }),
        (Target::default(), SessionControl::Disconnect(Disconnect::FORCE_NO_RECONNECT)),
    ] {
        let control = Control::Sessions(target, Some(told));
        let acts = |n| format!("{n} acts {control:?}");
        let mut world = World::settled(3);
        assert_eq!(world.ask(0, &control), ["0 told for 7".to_owned(), acts(1), acts(2)]);
    }
    let counted = Control::Sessions(target, None);
    assert_eq!(World::settled(2).ask(0, &counted), ["0 answers 7: Sessions(0)"]);
}

#[test]
fn sessions_of_all_users_are_not_those_of_nobody() {
    let told = control::Disconnect { all_users: true, ..Default::default() };
    let command = Command { uid: "x".into(), disconnect: Some(Box::new(told)), ..Command::default() };
    let mut node = Cluster::<u32>::new("0");
    node.receive(&encoded(&command), Now::default()).unwrap();
    assert_eq!(effects_of(&mut node).len(), 0);
}

/// A node asks another one, which answers with this.
fn asked(answer: impl Into<Bytes>) -> World {
    let mut world = World::settled(2);
    world.nodes[0].ask(&list(""), 7, world.now);
    let Some(Effect::Tell { message, .. }) = world.nodes[0].next_effect() else { panic!("nothing was asked") };
    let command: Command<'_> = proto::decode(&message).unwrap();
    let id = command.survey_request.expect("a question").id;
    let answer: Bytes = answer.into();
    world.nodes[0].receive(&encoded(&commands::response("1", id, 0, &answer)), world.now).unwrap();
    world
}

fn channels(count: usize) -> Vec<u8> {
    let info = crate::protocol::api::ChannelInfo { num_clients: 1 };
    let channels = (0..count).map(|n| (format!("ch{n}").into(), info.clone())).collect();
    let mut encoded = Vec::new();
    proto::encode(&crate::protocol::api::ChannelsResult { channels }, &mut encoded);
    encoded
}

#[test]
fn long_answers_are_read_in_pieces() {
    let mut world = asked(channels(2_500));
    let node = &mut world.nodes[0];
    let mut pieces = Vec::new();
    for more in [true, true, false] {
        assert!(node.next_effect().is_none(), "nothing without a budget");
        assert_eq!(node.read(1_000), more);
        let Some(Effect::Answer(7, ControlAnswer::Channels(piece))) = node.next_effect() else { panic!("no piece") };
        pieces.push(piece.len());
        if !more {
            assert!(matches!(node.next_effect(), Some(Effect::Answer(7, ControlAnswer::Listed))));
        }
    }
    assert_eq!(pieces, [1_000, 1_000, 500]);
}

#[test]
fn answers_that_cannot_be_read_are_none() {
    let failed = ["0 answers 7: Failed"];
    assert_eq!(asked(vec![0; answers::MAX_ANSWER + 1]).settle(), failed, "too long");
    // The first piece is good, the rest is not.
    let mut world = asked([channels(1_500), b"\x0a\xff".to_vec()].concat());
    assert!(world.nodes[0].read(1_000));
    assert!(matches!(world.nodes[0].next_effect(), Some(Effect::Answer(7, ControlAnswer::Channels(_)))));
    assert_eq!(world.settle(), failed);
    // Whoever asked does not wait any more.
    let mut world = asked(channels(1_500));
    world.nodes.push(Cluster::new("2"));
    world.nodes[0].read(1_000);
    while world.nodes[0].next_effect().is_some() {}
    world.nodes[0].fail(1, 7);
    assert_eq!(world.settle(), failed);
}
