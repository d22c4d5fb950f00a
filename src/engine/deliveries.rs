//! Deliveries from homes: publications and events fan out to this shard's subscribers, answers find who waits.

use super::Engine;
use crate::base::ids::ConnId;
use crate::channel::op::{Answer, Delivery, ReplyTo};
use crate::fanout::hub::{Continuity, LocalChannel};
use crate::fanout::variant::Variants;
use crate::protocol::disconnect::Disconnect;

impl Engine {
    /// Delivers what this shard's own homes produced. True when more is left.
    pub(super) fn deliver_local(&mut self, mut budget: usize) -> bool {
        while budget > 0 && self.overfull == 0 {
            let Some(delivery) = self.local.pop_front() else { return false };
            budget -= 1;
            self.deliver(delivery);
        }
        !self.local.is_empty()
    }

    pub(super) fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Publication(channel, publication) => {
                let Some(local) = self.hub.find(&channel) else { return };
                match self.hub.advance(local, publication.offset, publication.epoch) {
                    Continuity::Next => {}
                    Continuity::Old => return,
                    Continuity::Broken => self.lose_state(local),
                }
                self.fan_out(local, Variants::publication(&channel, &publication), false);
            }
            Delivery::Join(channel, info) => {
                let Some(local) = self.hub.find(&channel) else { return };
                self.fan_out(local, Variants::join(&channel, &info), true);
            }
            Delivery::Leave(channel, info) => {
                let Some(local) = self.hub.find(&channel) else { return };
                self.fan_out(local, Variants::leave(&channel, &info), true);
            }
            Delivery::Answer(to, answer) => self.answer(to, answer),
        }
    }

    /// One reference to the encoded push for each subscriber; the encoding happens once per protocol in use.
    fn fan_out(&mut self, local: LocalChannel, mut variants: Variants<'_>, join_leave_only: bool) {
        let Self { hub, conns, pool, dirty, overfull, metrics, .. } = self;
        let limit = self.config.client.queue_max_size;
        let mut refused: Vec<ConnId> = Vec::new();
        let mut delivered = 0;
        for member in hub.members(local) {
            if join_leave_only && !member.flags.join_leave() {
                continue;
            }
            let Some(conn) = conns.get_mut(member.conn) else { continue };
            match variants.frame(conn.protocol) {
                Ok(frame) => {
                    delivered += 1;
                    *overfull += Self::push_to(conn, member.conn, frame, pool, dirty, limit);
                }
                Err(_) => refused.push(member.conn),
            }
        }
        metrics.delivered(delivered);
        for id in refused {
            self.end(id, Disconnect::INAPPROPRIATE_PROTOCOL);
        }
    }

    /// The stream is not what this shard's positioned subscribers know any more.
    fn lose_state(&mut self, local: LocalChannel) {
        let members: Vec<ConnId> = self
            .hub
            .members(local)
            .iter()
            .filter(|member| member.flags.positioned())
            .map(|member| member.conn)
            .collect();
        for id in members {
            self.with_session(id, |session, cx| session.on_insufficient_state(cx, local));
        }
    }

    fn answer(&mut self, to: ReplyTo, answer: Answer) {
        match to {
            ReplyTo::None => {}
            ReplyTo::Conn { conn, tag } => self.with_session(conn, |session, cx| session.on_answer(cx, tag, answer)),
            ReplyTo::Call { call, tag } => self.answer_call(call, tag, answer),
        }
    }
}
