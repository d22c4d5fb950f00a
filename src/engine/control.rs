//! What every shard is told by calls of the server API: to act on a user's connections, or to report.

use super::{Ask, ControlFrame, Engine, TURN_BUDGET};
use crate::api::control::{Control, ControlAnswer, Target};
use crate::base::ids::{ClientId, ConnId, ShardId};
use crate::metrics::labels::Message;
use crate::protocol::disconnect::Disconnect;
use crate::session::SessionControl;

/// An [`Ask`] about a user's connections, carried out in pieces.
pub(super) struct Job {
    ask: Ask,
    left: Vec<ConnId>,
    matched: u32,
    /// What it began, where that takes its time.
    begun: Option<ConnId>,
}

/// Server-side subscriptions that an [`Ask`] began: it is answered when all are there, as upstream.
pub(super) struct Begun {
    ask: Ask,
    /// Sessions that matched; once all were told.
    matched: Option<u32>,
    /// Subscriptions that are to come.
    left: usize,
    has_failed: bool,
}

/// Calls whose subscriptions are waited for, at most. Further ones are answered at once.
pub(super) const MAX_BEGUN: u32 = 1 << 16;

/// The caller of what nobody waits for.
const NOBODY: ConnId = ConnId { slot: u32::MAX, generation: 0 };

/// A session waits until all shards have said how many connections its user has.
pub(super) struct Counting {
    conn: ConnId,
    left: u16,
    count: usize,
}

impl Engine {
    pub(super) fn on_control_frame(&mut self, frame: ControlFrame) {
        match frame {
            ControlFrame::Ask(ask) => match ask.control.user() {
                Some(user) => {
                    let left = self.connections_of(user);
                    let begun = ask.control.begins().then(|| self.begin_subscriptions(ask.clone())).flatten();
                    self.control_jobs.push_back(Job { ask, left, matched: 0, begun });
                }
                None => self.begin_survey(ask),
            },
            ControlFrame::Nodes(ask) => self.ask_nodes(ask),
            ControlFrame::Answer { call, tag, answer } => self.answer_call_of_shards(call, tag, answer),
            ControlFrame::Count { from, conn, user } => {
                let count = self.count_of(&user);
                self.send_control(from, ControlFrame::Counted { conn, count });
            }
            ControlFrame::Counted { conn, count } => self.counted(conn, count),
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
                let caller = job.begun.unwrap_or(NOBODY);
                job.matched += u32::from(self.control_session(id, &job.ask.control, caller));
            }
            if job.left.is_empty() {
                match job.begun.and_then(|begun| Some((begun, self.begun.get_mut(begun)?))) {
                    Some((id, begun)) => {
                        begun.matched = Some(job.matched);
                        self.finish_subscriptions(id);
                    }
                    None => self.reply(&job.ask, ControlAnswer::Sessions(job.matched)),
                }
            } else {
                self.control_jobs.push_front(job);
            }
        }
        true
    }

    /// Tells the session if it is meant; whether it is.
    fn control_session(&mut self, id: ConnId, control: &Control, caller: ConnId) -> bool {
        let Some(conn) = self.conns.get(id).filter(|conn| conn.is_open()) else { return false };
        if !control.matches(conn.session.client(), conn.session.session_id()) {
            return false;
        }
        if let Some(told) = control.to_session() {
            if let Some(begun) = self.begun.get_mut(caller) {
                begun.left += 1;
            }
            let mut goes_on = false;
            self.with_session(id, |session, cx| goes_on = session.on_control(cx, told, caller));
            if let (Some(begun), false) = (self.begun.get_mut(caller), goes_on) {
                begun.left -= 1;
            }
        }
        true
    }

    fn begin_subscriptions(&mut self, ask: Ask) -> Option<ConnId> {
        self.begun.insert(Begun { ask, matched: None, left: 0, has_failed: false }).ok()
    }

    /// A subscription that a call began is live, or came to nothing.
    pub(super) fn on_subscribed_by_server(&mut self, caller: ConnId, is_live: bool) {
        if let Some(begun) = self.begun.get_mut(caller) {
            begun.left -= 1;
            begun.has_failed |= !is_live;
            self.finish_subscriptions(caller);
        }
    }

    fn finish_subscriptions(&mut self, id: ConnId) {
        if let Some(Begun { matched: Some(matched), left: 0, has_failed, .. }) = self.begun.get(id) {
            let answer = if *has_failed { ControlAnswer::Failed } else { ControlAnswer::Sessions(*matched) };
            if let Some(begun) = self.begun.remove(id) {
                self.reply(&begun.ask, answer);
            }
        }
    }

    /// Asks every shard how many connections the user has, for a session that waits for it.
    pub(super) fn count_connections(&mut self, id: ConnId, user: Box<str>) {
        let here = self.count_of(&user);
        for shard in self.other_shards() {
            let user = user.clone();
            self.send_control(shard, ControlFrame::Count { from: self.id, conn: id, user });
        }
        self.counting.push(Counting { conn: id, left: self.shards - 1, count: here });
        self.finish_counting();
    }

    fn counted(&mut self, conn: ConnId, count: usize) {
        if let Some(counting) = self.counting.iter_mut().find(|counting| counting.conn == conn) {
            counting.left -= 1;
            counting.count += count;
        }
        self.finish_counting();
    }

    fn finish_counting(&mut self) {
        while let Some(done) = self.counting.iter().position(|counting| counting.left == 0) {
            let Counting { conn, count, .. } = self.counting.swap_remove(done);
            self.with_session(conn, |session, cx| session.on_user_connections(cx, count));
        }
    }

    /// Ends all other connections of the user, on every shard.
    pub(super) fn disconnect_others_everywhere(&mut self, id: ConnId, user: Box<str>, disconnect: Disconnect) {
        let Some(except) = self.conns.get(id).map(|conn| conn.session.client()) else { return };
        for shard in self.other_shards() {
            let (user, disconnect) = (user.clone(), disconnect.clone());
            self.send_control(shard, ControlFrame::DisconnectOthers { user, except, disconnect });
        }
        self.disconnect_others(&user, except, &disconnect);
        if self.is_clustered() {
            let target = Target { user, whitelist: [except].into(), ..Target::default() };
            self.ask_nodes(Ask::of_nobody(Control::Sessions(target, Some(SessionControl::Disconnect(disconnect)))));
        }
    }

    fn disconnect_others(&mut self, user: &str, except: ClientId, disconnect: &Disconnect) {
        for id in self.connections_of(user) {
            if self.conns.get(id).is_some_and(|conn| conn.session.client() != except) {
                self.end(id, disconnect.clone());
            }
        }
    }

    pub(super) fn send_control(&mut self, shard: ShardId, frame: ControlFrame) {
        self.metrics.message_sent(Message::Control);
        self.port.stage_control(shard, frame);
    }

    pub(super) fn other_shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        let me = self.id;
        (0..self.shards).map(ShardId).filter(move |shard| *shard != me)
    }

    pub(super) fn reply(&mut self, ask: &Ask, answer: ControlAnswer) {
        if ask.from == self.id {
            self.answer_call_of_shards(ask.call, ask.tag, answer);
        } else {
            self.send_control(ask.from, ControlFrame::Answer { call: ask.call, tag: ask.tag, answer });
        }
    }
}
