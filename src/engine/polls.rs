//! Shared-poll channels: versions of keys go to those who track them, and a new epoch ends their subscriptions.

use super::Engine;
use crate::base::ids::ConnId;
use crate::channel::name::ChannelName;
use crate::channel::poll::op::KeyPublication;
use crate::fanout::hub::LocalChannel;
use crate::fanout::key_variant::KeyVariants;
use crate::fanout::tailor::Form;
use crate::metrics::labels::{Frame, Message, Transport};
use crate::protocol::disconnect::Disconnect;

/// Keys and clients visited in one turn.
pub(super) const RESET_BUDGET: usize = 1024;

/// A channel in which subscriptions have still to end.
pub(super) struct Reset {
    channel: ChannelName,
    /// Members at and above this place were visited, or came later.
    left: usize,
}

impl Engine {
    /// As a publication to a channel, except that a client gets only versions above the one it knows.
    pub(super) fn deliver_key(&mut self, told: &KeyPublication) {
        self.metrics.message_received(Message::Publication);
        let (channel, key) = (self.hub.find_name(&told.channel), self.tracked.find_name(&told.key));
        let (Some(channel), Some(key)) = (channel, key) else { return };
        if told.is_removal() {
            return self.remove_key(told, channel, key);
        }
        let limit = self.config.client.queue_max_size;
        let Self { tracked, conns, pool, builder, dirty, overfull, .. } = self;
        let mut variants = KeyVariants::new(told);
        let mut refused: Vec<ConnId> = Vec::new();
        let (mut delivered, mut bytes) = (0, 0);
        for member in tracked.members(key) {
            // Members of a connection that ended go in their own time.
            let Some(conn) = conns.get_mut(member.conn).filter(|conn| conn.is_open()) else { continue };
            let flags = member.flags();
            let Some(form) = conn.session.takes_version(channel, key, flags, told) else { continue };
            match variants.frame(flags.protocol(), form, builder) {
                Ok(frame) => {
                    delivered += 1;
                    bytes += frame.message_len() as u64;
                    *overfull += Self::push_to(conn, member.conn, frame, pool, dirty, limit);
                }
                Err(_) => refused.push(member.conn),
            }
        }
        self.metrics.sent(Transport::WebSocket, Frame::PushPublication, delivered, bytes);
        for id in refused {
            self.end(id, Disconnect::INAPPROPRIATE_PROTOCOL);
        }
    }

    /// Those who track the key are told that it is gone, and do not track it any more.
    fn remove_key(&mut self, told: &KeyPublication, channel: LocalChannel, key: LocalChannel) {
        let limit = self.config.client.queue_max_size;
        let Self { tracked, conns, pool, builder, dirty, overfull, .. } = self;
        let mut variants = KeyVariants::new(told);
        let members = tracked.members(key).to_vec();
        let (mut delivered, mut bytes) = (0, 0);
        for member in &members {
            let Some(conn) = conns.get_mut(member.conn).filter(|conn| conn.is_open()) else { continue };
            if let Ok(frame) = variants.frame(member.flags().protocol(), Form::Plain, builder) {
                delivered += 1;
                bytes += frame.message_len() as u64;
                *overfull += Self::push_to(conn, member.conn, frame, pool, dirty, limit);
            }
        }
        self.metrics.sent(Transport::WebSocket, Frame::PushPublication, delivered, bytes);
        for member in members {
            self.with_session(member.conn, |session, cx| session.on_key_removed(cx, channel, key));
        }
    }

    /// Ends the subscriptions that track keys of the channel: a small channel at once, the rest in later turns.
    pub(super) fn begin_reset(&mut self, channel: ChannelName) {
        let Some(local) = self.hub.find_name(&channel) else { return };
        let left = self.hub.members(local).len();
        self.resets.push_back(Reset { channel, left });
        self.run_resets();
    }

    /// True when more is left.
    ///
    /// A member that leaves makes the last one move down: one that came later may so be ended too, which costs it
    /// another subscription, and none that came before is passed over.
    pub(super) fn run_resets(&mut self) -> bool {
        while self.resets_left > 0 {
            let Some(reset) = self.resets.front_mut() else { return false };
            let Some(local) = self.hub.find_name(&reset.channel) else {
                self.resets.pop_front();
                continue;
            };
            let members = self.hub.members(local);
            reset.left = reset.left.min(members.len());
            let Some(at) = reset.left.checked_sub(1) else {
                self.resets.pop_front();
                continue;
            };
            reset.left = at;
            let conn = members[at].conn;
            let mut keys = 0;
            self.with_session(conn, |session, cx| keys = session.on_poll_reset(cx, local));
            self.resets_left = self.resets_left.saturating_sub(1 + keys);
        }
        !self.resets.is_empty()
    }
}
