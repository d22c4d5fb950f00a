//! The nodes of a cluster, and what they tell each other through the broker: who there is, what the server API does to
//! sessions wherever they are, and questions that every node answers.
//!
//! Pure, and the business of a node's first shard. Whoever runs it carries out its [`Effect`]s. Upstream: node.go of
//! centrifuge (`handleControl`, `pubNode`, `Survey`), internal/survey of Centrifugo.

mod answers;
mod commands;
mod registry;
mod surveys;

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::api::{Control, ControlAnswer};
use crate::base::glob::Glob;
use crate::base::time::Now;
use crate::protocol::control::{self, Command};
use crate::protocol::proto;

use answers::{Answers, Piece};
use registry::Registry;
use surveys::Surveys;

/// How often a node says that it is there, milliseconds (upstream: `nodeInfoPublishInterval`).
const REPORT_INTERVAL_MS: u64 = 3_000;

/// What is to be done. `Q` names a question that somebody on this node asked.
#[derive(Debug)]
pub enum Effect<Q> {
    /// Tell other nodes.
    Tell {
        /// The id of the node; none = all.
        to: Option<Box<str>>,
        /// What they are told.
        message: Bytes,
        /// Who waits until they are. Answer: [`ControlAnswer::Sessions`] with none, or [`ControlAnswer::Failed`].
        question: Option<Q>,
    },
    /// Do something to sessions of this node.
    Act(Control),
    /// Find out this node's numbers, for [`Cluster::report`].
    Count {
        /// The id of the node that wants to know; none = all.
        to: Option<Box<str>>,
    },
    /// List channels of this node, for [`Cluster::list`].
    List {
        /// Who asks.
        to: Box<str>,
        /// Its question.
        id: u64,
        /// Only names that fit; all without.
        pattern: Option<Glob>,
    },
    /// Answer a question.
    Answer(Q, ControlAnswer),
}

/// See the module.
#[derive(Debug)]
pub struct Cluster<Q> {
    uid: Box<str>,
    registry: Registry,
    surveys: Surveys<Q>,
    answers: Answers<Q>,
    reports_at: u64,
    has_left: bool,
    effects: VecDeque<Effect<Q>>,
}

impl<Q: Clone> Cluster<Q> {
    /// A cluster of which nothing is known but this node.
    pub fn new(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            registry: Registry::default(),
            surveys: Surveys::default(),
            answers: Answers::default(),
            reports_at: 0,
            has_left: false,
            effects: VecDeque::new(),
        }
    }

    /// The next thing to be done.
    pub fn next_effect(&mut self) -> Option<Effect<Q>> {
        self.effects.pop_front()
    }

    /// When [`Cluster::tick`] is due, on the clock of [`Now::mono_ms`].
    pub fn next_ms(&self) -> u64 {
        self.surveys.next_ms().unwrap_or(u64::MAX).min(self.reports_at)
    }

    /// Does what time asks for.
    pub fn tick(&mut self, now: Now) {
        if self.reports_at <= now.mono_ms && !self.has_left {
            self.reports_at = now.mono_ms + REPORT_INTERVAL_MS;
            self.effects.push_back(Effect::Count { to: None });
            self.registry.forget_silent(now);
        }
        let Self { surveys, answers, effects, .. } = self;
        surveys.expire(now, |id, question| {
            answers.forget(id);
            effects.push_back(Effect::Answer(question, ControlAnswer::Failed));
        });
    }

    /// This node ends.
    pub fn leave(&mut self) {
        if !std::mem::replace(&mut self.has_left, true) {
            let command = Command { shutdown: Some(control::Shutdown {}), ..self.command() };
            let message = encoded(&command);
            self.tell(None, message, None);
        }
    }

    /// Somebody on this node tells or asks all nodes.
    pub fn ask(&mut self, control: &Control, question: Q, now: Now) {
        match control {
            Control::Sessions(target, told) => match told.as_ref().map(|told| commands::of_sessions(target, told)) {
                Some(command) => {
                    let message = encoded(&Command { uid: (&*self.uid).into(), ..command });
                    self.tell(None, message, Some(question));
                }
                None => self.answer(question, ControlAnswer::Sessions(0)),
            },
            Control::Channels { text, .. } => {
                let others = self.registry.len();
                if others == 0 {
                    return self.answer(question, ControlAnswer::Listed);
                }
                match self.surveys.begin(question, others, now) {
                    Ok(id) => {
                        let message = encoded(&commands::channels_request(&self.uid, id, text));
                        self.tell(None, message, None);
                    }
                    Err(question) => self.answer(question, ControlAnswer::Failed),
                }
            }
            Control::Info | Control::Metrics => {
                let nodes = self.registry.list();
                self.answer(question, ControlAnswer::Nodes(nodes));
            }
        }
    }

    /// This node's numbers: an encoded [`control::Node`].
    pub fn report(&mut self, to: Option<Box<str>>, node: &[u8]) {
        if let Ok(node) = proto::decode(node) {
            let message = encoded(&Command { node: Some(Box::new(node)), ..self.command() });
            self.tell(to, message, None);
        }
    }

    /// This node's channels: an encoded [`crate::protocol::api::ChannelsResult`].
    pub fn list(&mut self, to: Box<str>, id: u64, channels: &[u8]) {
        let message = encoded(&commands::response(&self.uid, id, 0, channels));
        self.tell(Some(to), message, None);
    }

    /// A message came. What cannot be read is a sentence for the log.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receive(&mut self, message: &Bytes, now: Now) -> Result<(), &'static str> {
        let command: Command<'_> = proto::decode(message).map_err(|malformed| malformed.0)?;
        if *command.uid == *self.uid || self.has_left {
            return Ok(());
        }
        if let Some(node) = &command.node {
            let is_new = self.registry.heard_of(node, now);
            if is_new {
                self.effects.push_back(Effect::Count { to: Some((*node.uid).into()) });
            }
        } else if command.shutdown.is_some() {
            self.registry.forget(&command.uid);
        } else if let Some(request) = &command.survey_request {
            self.asked(&command.uid, request);
        } else if let Some(response) = &command.survey_response {
            self.answered(&command.uid, message, response);
        } else if let Some(control) = commands::to_sessions(&command) {
            self.effects.push_back(Effect::Act(control));
        }
        // Notifications are for editions that have handlers for them.
        Ok(())
    }

    fn asked(&mut self, from: &str, request: &control::SurveyRequest<'_>) {
        match commands::pattern_of(request) {
            Ok(pattern) => self.effects.push_back(Effect::List { to: from.into(), id: request.id, pattern }),
            Err(code) => {
                let message = encoded(&commands::response(&self.uid, request.id, code, &[]));
                self.tell(Some(from.into()), message, None);
            }
        }
    }

    fn answered(&mut self, from: &str, message: &Bytes, response: &control::SurveyResponse<'_>) {
        let Some((question, is_last)) = self.surveys.answer(response.id, from) else { return };
        let answer = match &response.data.0 {
            Cow::Borrowed(part) => message.slice_ref(part),
            Cow::Owned(part) => Bytes::copy_from_slice(part),
        };
        if response.code > 0 || !self.answers.put(response.id, question.clone(), is_last, answer) {
            self.fail(response.id, question);
        }
    }

    /// Goes on with answers that came: so many channels are read. True when more is left.
    pub fn read(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0
            && let Some(Piece { id, question, channels, is_last }) = self.answers.next(left)
        {
            let Some(channels) = channels else {
                self.fail(id, question);
                continue;
            };
            left = left.saturating_sub(channels.len().max(1));
            self.answer(question.clone(), ControlAnswer::Channels(channels));
            if is_last {
                self.answer(question, ControlAnswer::Listed);
            }
        }
        !self.answers.is_empty()
    }

    /// One answer is missing, so there is none.
    fn fail(&mut self, id: u64, question: Q) {
        self.surveys.end(id);
        self.answers.forget(id);
        self.answer(question, ControlAnswer::Failed);
    }

    fn command(&self) -> Command<'static> {
        Command { uid: self.uid.to_string().into(), ..Command::default() }
    }

    fn tell(&mut self, to: Option<Box<str>>, message: Bytes, question: Option<Q>) {
        self.effects.push_back(Effect::Tell { to, message, question });
    }

    fn answer(&mut self, question: Q, answer: ControlAnswer) {
        self.effects.push_back(Effect::Answer(question, answer));
    }
}

fn encoded(command: &Command<'_>) -> Bytes {
    let mut message = Vec::new();
    proto::encode(command, &mut message);
    message.into()
}

#[cfg(test)]
mod tests;
