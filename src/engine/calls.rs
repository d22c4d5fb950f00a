//! Calls of the server API on their way through homes and shards.

use super::{Ask, ControlFrame, Engine, SURVEY_BUDGET, TURN_BUDGET};
use crate::api::{self, ApiCx, ApiEffect, Call, ControlAnswer, Response, ScrapeForm, Started};
use crate::base::ids::ConnId;
use crate::channel::op::{Answer, ReplyTo};

/// A call of the server API.
pub enum CallState {
    /// Waits for answers.
    Running(Box<Call>),
    /// Done, not yet collected.
    Finished(Response),
    /// Nobody will collect the response.
    Abandoned(Box<Call>),
    /// The slot of a call that is just starting.
    Starting,
}

impl Engine {
    /// Starts a call. Its response is there (see [`Engine::take_response`]) when [`Engine::finished_calls`] names it,
    /// which may be at once. Nothing when too many calls are under way.
    pub fn call(&mut self, request: api::Request<'_>) -> Option<ConnId> {
        self.start_call(|cx| api::start(cx, request))
    }

    /// As [`Engine::call`], for the metrics of all shards.
    pub fn scrape(&mut self, form: ScrapeForm) -> Option<ConnId> {
        self.start_call(|cx| api::scrape(cx, form))
    }

    fn start_call(&mut self, start: impl FnOnce(&mut ApiCx<'_>) -> Started) -> Option<ConnId> {
        let id = self.new_call()?;
        self.begin_call(id, start);
        Some(id)
    }

    pub(super) fn new_call(&mut self) -> Option<ConnId> {
        self.calls.insert(CallState::Starting).ok()
    }

    pub(super) fn begin_call(&mut self, id: ConnId, start: impl FnOnce(&mut ApiCx<'_>) -> Started) {
        let mut effects = Vec::new();
        let started = start(&mut Self::api_cx(self, &mut effects));
        match started {
            Started::Done(response) => self.finish_call(id, response),
            Started::Pending(call) => {
                if let Some(slot) = self.calls.get_mut(id) {
                    *slot = CallState::Running(call);
                }
            }
        }
        self.apply(id, effects);
        // Homes on this shard have answered already: most calls end here.
        self.deliver_local(TURN_BUDGET);
    }

    /// Calls that ended since the last time.
    pub fn finished_calls(&mut self) -> std::vec::Drain<'_, ConnId> {
        self.finished_calls.drain(..)
    }

    /// The response of a finished call; frees the call.
    pub fn take_response(&mut self, id: ConnId) -> Option<Response> {
        match self.calls.get(id)? {
            CallState::Finished(_) => match self.calls.remove(id)? {
                CallState::Finished(response) => Some(response),
                _ => None,
            },
            _ => None,
        }
    }

    /// The caller is gone. What the call asked for still happens.
    pub fn abandon_call(&mut self, id: ConnId) {
        let Some(slot) = self.calls.get_mut(id) else { return };
        match std::mem::replace(slot, CallState::Starting) {
            CallState::Running(call) => *slot = CallState::Abandoned(call),
            _ => {
                self.calls.remove(id);
            }
        }
    }

    fn api_cx<'a>(engine: &'a mut Engine, effects: &'a mut Vec<ApiEffect>) -> ApiCx<'a> {
        ApiCx {
            now: engine.now,
            config: &engine.config,
            shards: engine.shards,
            is_clustered: engine.is_clustered(),
            streams_are_far: engine.broker.as_ref().is_some_and(|broker| broker.at.channels),
            maps_are_far: engine.broker.as_ref().is_some_and(|broker| broker.at.maps),
            effects,
            metrics: &mut engine.metrics,
            node: &engine.node,
        }
    }

    pub(super) fn answer_call(&mut self, id: ConnId, tag: u32, answer: Answer) {
        self.step_call(id, |call, cx| call.on_answer(cx, tag, answer));
    }

    pub(super) fn answer_call_of_shards(&mut self, id: ConnId, tag: u32, answer: ControlAnswer) {
        self.step_call(id, |call, cx| call.on_control_answer(cx, tag, answer));
    }

    /// Goes on with long results. True when more is left for the next turn.
    pub(super) fn run_writers(&mut self) -> bool {
        let mut budget = SURVEY_BUDGET;
        while budget > 0 {
            let Some(id) = self.writers.pop_front() else { return false };
            self.step_call(id, |call, cx| call.write(cx, &mut budget));
        }
        !self.writers.is_empty()
    }

    fn step_call(&mut self, id: ConnId, step: impl FnOnce(&mut Call, &mut ApiCx<'_>) -> Option<Response>) {
        let Some(slot) = self.calls.get_mut(id) else { return };
        let (mut call, is_abandoned) = match std::mem::replace(slot, CallState::Starting) {
            CallState::Running(call) => (call, false),
            CallState::Abandoned(call) => (call, true),
            other => {
                *slot = other;
                return;
            }
        };
        let mut effects = Vec::new();
        let response = step(&mut call, &mut Self::api_cx(self, &mut effects));
        match response {
            Some(_) if is_abandoned => {
                self.calls.remove(id);
            }
            Some(response) => self.finish_call(id, response),
            None => {
                if call.is_writing() && !self.writers.contains(&id) {
                    self.writers.push_back(id);
                }
                if let Some(slot) = self.calls.get_mut(id) {
                    *slot = if is_abandoned { CallState::Abandoned(call) } else { CallState::Running(call) };
                }
            }
        }
        self.apply(id, effects);
    }

    fn finish_call(&mut self, id: ConnId, response: Response) {
        let Some(response) = self.finish_own_call(id, response) else { return };
        if let Some(slot) = self.calls.get_mut(id) {
            *slot = CallState::Finished(response);
            self.finished_calls.push(id);
        }
    }

    fn apply(&mut self, call: ConnId, effects: Vec<ApiEffect>) {
        for effect in effects {
            match effect {
                ApiEffect::Op { channel, op, tag } => self.request(channel, op, ReplyTo::Call { call, tag }),
                ApiEffect::Survey { control, tag, asks_nodes } => {
                    let ask = Ask { from: self.id, call, tag, control };
                    for shard in self.other_shards() {
                        self.send_control(shard, ControlFrame::Ask(ask.clone()));
                    }
                    if asks_nodes {
                        self.ask_nodes(ask.clone());
                    }
                    self.on_control_frame(ControlFrame::Ask(ask));
                }
            }
        }
    }
}
