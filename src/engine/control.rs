//! What every shard is told by calls of the server API: to act on a user's connections, or to report.

use super::{Ask, ControlFrame, Engine, TURN_BUDGET};
use crate::api::{Control, ControlAnswer};
use crate::base::ids::ConnId;

/// An [`Ask`] about a user's connections, carried out piece by piece.
pub(super) struct Job {
    ask: Ask,
    left: Vec<ConnId>,
}

impl Engine {
    pub(super) fn on_control_frame(&mut self, frame: ControlFrame) {
        match frame {
            ControlFrame::Ask(ask) => match ask.control.user() {
                Some(user) => {
                    let left = self.connections_of(user);
                    self.control_jobs.push_back(Job { ask, left });
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
                self.control_session(id, &job.ask.control);
            }
            if job.left.is_empty() {
                self.reply(&job.ask, ControlAnswer::Done);
            } else {
                self.control_jobs.push_front(job);
            }
        }
        true
    }

    fn control_session(&mut self, id: ConnId, control: &Control) {
        let Some(conn) = self.conns.get(id).filter(|conn| conn.is_open()) else { return };
        let told = control.for_session(conn.session.client(), conn.session.session_id());
        if let Some(told) = told {
            self.with_session(id, |session, cx| session.on_control(cx, &told));
        }
    }

    fn report(&mut self, control: &Control) -> ControlAnswer {
        match control {
            Control::Channels { pattern } => ControlAnswer::Channels(
                self.hub
                    .channels()
                    .filter(|(name, _)| pattern.as_ref().is_none_or(|pattern| pattern.matches(name.as_str())))
                    .map(|(name, count)| (name.clone(), count as u32))
                    .collect(),
            ),
            Control::Metrics => {
                self.refresh_gauges();
                ControlAnswer::Metrics(Box::new(self.metrics.clone()))
            }
            _ => ControlAnswer::Done,
        }
    }

    fn refresh_gauges(&mut self) {
        self.metrics.set_gauges(self.conns.len(), self.users.len(), self.hub.len(), self.hub.members_total());
    }

    fn reply(&mut self, ask: &Ask, answer: ControlAnswer) {
        if ask.from == self.id {
            self.answer_call_of_shards(ask.call, ask.tag, answer);
        } else {
            self.port.stage_control(ask.from, ControlFrame::Answer { call: ask.call, tag: ask.tag, answer });
        }
    }
}
