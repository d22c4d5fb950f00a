//! Deliveries from homes: publications and events fan out to this shard's subscribers, answers find who waits.

use super::{Engine, TURN_BUDGET};
use crate::base::ids::ConnId;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, ReplyTo};
use crate::channel::publication::{Position, Publication};
use crate::fanout::hub::{Continuity, LocalChannel};
use crate::fanout::member::MemberFlags;
use crate::fanout::variant::Variants;
use crate::metrics::labels::{Frame, Message, Transport};
use crate::protocol::NotJson;
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
            Delivery::Publication(channel, publication) => self.deliver_publication(&channel, &publication, None),
            Delivery::PublicationBehind(channel, publication, previous) => {
                self.deliver_publication(&channel, &publication, Some(&previous));
            }
            Delivery::Join(channel, info) => {
                self.metrics.message_received(Message::Join);
                let Some(local) = self.hub.find_name(&channel) else { return };
                self.fan_out(local, &mut Variants::join(&channel, &info), Wanted::Join);
            }
            Delivery::Leave(channel, info) => {
                self.metrics.message_received(Message::Leave);
                let Some(local) = self.hub.find_name(&channel) else { return };
                self.fan_out(local, &mut Variants::leave(&channel, &info), Wanted::Leave);
            }
            Delivery::Key(told) => self.deliver_key(&told),
            Delivery::PollReset(channel) => self.begin_reset(channel),
            Delivery::PositionLost(channel) => {
                if let Some(local) = self.hub.find_name(&channel) {
                    self.lose_state(local);
                }
            }
            Delivery::Answer(to, answer) => self.answer(to, answer),
        }
    }

    fn deliver_publication(
        &mut self,
        channel: &ChannelName,
        publication: &Publication,
        previous: Option<&Publication>,
    ) {
        self.metrics.message_received(Message::Publication);
        let Some(local) = self.hub.find_name(channel) else { return };
        let position = Position { offset: publication.offset, epoch: publication.epoch };
        let lag_ms = self.now.unix_ms.saturating_sub(publication.unix_ms);
        let max_lag_ms = self.config.client.channel_position_max_time_lag_ms;
        let is_late = max_lag_ms > 0 && lag_ms > max_lag_ms;
        let wanted = match self.hub.advance(local, position) {
            Continuity::Untracked => Wanted::Publication,
            Continuity::Next if !is_late => Wanted::Publication,
            Continuity::Old if !is_late => Wanted::PublicationUnpositioned,
            // Late ones too: positioned members recover what they need when they subscribe again.
            Continuity::Next | Continuity::Old | Continuity::Gap | Continuity::EpochChanged => {
                self.lose_state(local);
                // The last subscriber may have been among those that lost it.
                let Some(_) = self.hub.find_name(channel) else { return };
                Wanted::PublicationUnpositioned
            }
        };
        let delivered = if self.hub.is_tailored(local) {
            self.fan_out_tailored(local, channel, publication, previous, wanted)
        } else {
            self.fan_out(local, &mut Variants::publication(channel, publication), wanted)
        };
        self.metrics.broadcast(delivered, lag_ms);
        if delivered > 0 && self.unflushed.len() < TURN_BUDGET {
            self.unflushed.push(publication.taken_us);
        }
    }

    /// One reference to the encoded push for each subscriber; the encoding happens once per protocol in use.
    fn fan_out(&mut self, local: LocalChannel, variants: &mut Variants<'_>, wanted: Wanted) -> u64 {
        let Self { hub, conns, pool, builder, dirty, overfull, .. } = self;
        let limit = self.config.client.queue_max_size;
        let mut refused: Vec<ConnId> = Vec::new();
        let (mut delivered, mut bytes) = (0, 0);
        for member in hub.members(local) {
            if !wanted.by(member.flags()) {
                continue;
            }
            // Members of a connection that ended go in their own time.
            let Some(conn) = conns.get_mut(member.conn).filter(|conn| conn.is_open()) else { continue };
            match variants.frame(member.flags(), builder) {
                Ok(frame) => {
                    delivered += 1;
                    bytes += frame.message_len() as u64;
                    *overfull += Self::push_to(conn, member.conn, frame, pool, dirty, limit);
                }
                Err(NotJson) => refused.push(member.conn),
            }
        }
        self.metrics.sent(Transport::WebSocket, wanted.frame(), delivered, bytes);
        for id in refused {
            self.end(id, Disconnect::INAPPROPRIATE_PROTOCOL);
        }
        delivered
    }

    /// Everything delivered so far was offered to the sockets at this time.
    pub fn note_flushed(&mut self, mono_us: u64) {
        for taken_us in self.unflushed.drain(..) {
            self.metrics.delivery(self.now, mono_us.saturating_sub(taken_us));
        }
    }

    /// The stream is not what this shard's positioned subscribers know any more.
    fn lose_state(&mut self, local: LocalChannel) {
        let members: Vec<ConnId> = self
            .hub
            .members(local)
            .iter()
            .filter(|member| member.flags().contains(MemberFlags::POSITIONED))
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

/// Which members a delivery is for.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Publication,
    /// Positioned members have it already, or lost their state.
    PublicationUnpositioned,
    Join,
    Leave,
}

impl Wanted {
    pub(super) fn by(self, flags: MemberFlags) -> bool {
        match self {
            Self::Publication => true,
            Self::PublicationUnpositioned => !flags.contains(MemberFlags::POSITIONED),
            Self::Join | Self::Leave => flags.contains(MemberFlags::JOIN_LEAVE),
        }
    }

    pub(super) fn frame(self) -> Frame {
        match self {
            Self::Publication | Self::PublicationUnpositioned => Frame::PushPublication,
            Self::Join => Frame::PushJoin,
            Self::Leave => Frame::PushLeave,
        }
    }
}
