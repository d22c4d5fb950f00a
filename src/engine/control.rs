//! What every shard is told by calls of the server API: to act on a user's connections, or to report.

use super::{Ask, ControlFrame, Engine, TURN_BUDGET};
use crate::api::control::{Control, ControlAnswer, ShardInfo};
use crate::base::ids::ConnId;

/// An [`Ask`] about a user's connections, carried out piece by piece.
pub(super) struct Job {
    ask: Ask,
    left: Vec<ConnId>,
    matched: u32,
}

impl Engine {
    pub(super) fn on_control_frame(&mut self, frame: ControlFrame) {
        match frame {
            ControlFrame::Ask(ask) => match ask.control.user() {
                Some(user) => {
                    let left = self.connections_of(user);
                    self.control_jobs.push_back(Job { ask, left, matched: 0 });
                }
                None => {
                    let answer = self.report(&ask.control);
                    self.reply(&ask, answer);
                }
            },
            ControlFrame::Answer { call, tag, answer } => self.answer_call_of_shards(call, tag, answer),
            ControlFrame::DisconnectOthers { user, except, disconnect } => {
                self.disconnect_others(&user, except, &disconnect);
            }
        }
    }

    /// True when more is left for the next turn.
    pub(super) fn run_control_jobs(&mut self) -> bool {
        let mut budget = TURN_BUDGET;
        while budget > 0 {
            let Some(mut job) = self.control_jobs.pop_front() else { return false };
            while budget > 0 {
                let Some(id) = job.left.pop() else { break };
                budget -= 1;
                job.matched += u32::from(self.control_session(id, &job.ask.control));
            }
            if job.left.is_empty() {
                self.reply(&job.ask, ControlAnswer::Sessions(job.matched));
            } else {
                self.control_jobs.push_front(job);
            }
        }
        true
    }

    /// Tells the session if it is meant; whether it is.
    fn control_session(&mut self, id: ConnId, control: &Control) -> bool {
        let Some(conn) = self.conns.get(id).filter(|conn| conn.is_open()) else { return false };
        if !control.matches(conn.session.client(), conn.session.session_id()) {
            return false;
        }
        true
    }

    fn report(&mut self, control: &Control) -> ControlAnswer {
        match control {
            Control::Channels { pattern } => ControlAnswer::Channels(
                self.hub
                    .channels()
                    .filter(|(name, count)| {
                        *count > 0 && pattern.as_ref().is_none_or(|pattern| pattern.matches(name.as_str()))
                    })
                    .map(|(name, count)| (name.clone(), count as u32))
                    .collect(),
            ),
            Control::Info => {
                let interval = self.interval.ends().cloned();
                ControlAnswer::Info(Box::new(ShardInfo { interval, ..self.info() }))
            }
            Control::Metrics => {
                let metrics = Some(Box::new(self.metrics.clone()));
                ControlAnswer::Info(Box::new(ShardInfo { metrics, ..self.info() }))
            }
            Control::Sessions(..) => ControlAnswer::Sessions(0),
        }
    }

    fn info(&self) -> ShardInfo {
        ShardInfo {
            clients: self.users.connections() as u32,
            subscriptions: self.hub.member_count() as u32,
            users: self.users.hashes().collect(),
            channels: self.homes.with_subscribers() as u32,
            ..ShardInfo::default()
        }
    }

    fn reply(&mut self, ask: &Ask, answer: ControlAnswer) {
        if ask.from == self.id {
            self.answer_call_of_shards(ask.call, ask.tag, answer);
        } else {
            self.port.stage_control(ask.from, ControlFrame::Answer { call: ask.call, tag: ask.tag, answer });
        }
    }
}
