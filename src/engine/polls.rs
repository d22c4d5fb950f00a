//! Shared-poll channels: versions of keys go to those who track them, and a new epoch ends their subscriptions.

use super::Engine;
use crate::base::ids::ConnId;
use crate::channel::name::ChannelName;
use crate::channel::poll::op::KeyPublication;
use crate::fanout::variant::Variants;
use crate::metrics::labels::{Frame, Message, Transport};
use crate::protocol::disconnect::Disconnect;

/// Keys and clients visited in one round of work.
const RESET_BUDGET: usize = 1024;

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
        let Self { hub, tracked, conns, pool, builder, dirty, overfull, .. } = self;
        let (Some(channel), Some(key)) = (hub.find_name(&told.channel), tracked.find_name(&told.key)) else { return };
        let limit = self.config.client.queue_max_size;
        let mut variants = Variants::key(told);
        let mut refused: Vec<ConnId> = Vec::new();
        let (mut delivered, mut bytes) = (0, 0);
        for member in tracked.members(key) {
            // Members of a connection that ended go in their own time.
            let Some(conn) = conns.get_mut(member.conn).filter(|conn| conn.is_open()) else { continue };
            if !conn.session.takes_version(channel, key, told.publication.version) {
                continue;
            }
            match variants.frame(member.flags(), builder) {
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

    /// Ends the subscriptions that track keys of the channel: a small channel at once, the rest in later rounds.
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
        let mut budget = RESET_BUDGET;
        while budget > 0 {
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
            budget = budget.saturating_sub(1 + keys);
        }
        !self.resets.is_empty()
    }
}
