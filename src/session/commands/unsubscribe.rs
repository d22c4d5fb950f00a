//! `unsubscribe`: always succeeds, on server-side subscriptions too.

use crate::channel::op::Op;
use crate::protocol::client::{Reply, UnsubscribeResult};
use crate::protocol::disconnect::Disconnect;
use crate::session::state::{Outcome, Pending, Session};
use crate::session::{Cx, Effect};

impl Session {
    pub(super) fn unsubscribe_by_client(&mut self, cx: &mut Cx<'_>, id: u32, channel: &str) -> Outcome {
        if channel.is_empty() {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        // Upstream waits five seconds for the map to be live and then ends the connection: that helps nobody.
        self.take_loading(channel);
        if let Some(local) = cx.hub.find(channel) {
            let from = cx.effects.len();
            self.unsubscribe(cx, local);
            // A client that watches who is there sees itself leave before the reply.
            let removal = cx.effects[from..].iter_mut().find_map(|effect| match effect {
                Effect::Op { op: Op::Map(_), tag, .. } => Some(tag),
                _ => None,
            });
            if let Some(tag) = removal {
                *tag = self.next_tag();
                self.pending_tag = *tag;
                self.pending = Pending::Unsubscribe { id };
                return Ok(());
            }
        }
        self.on_unsubscribed(cx, id)
    }

    pub(in crate::session) fn on_unsubscribed(&mut self, cx: &mut Cx<'_>, id: u32) -> Outcome {
        self.send(cx, &Reply { id, unsubscribe: Some(UnsubscribeResult {}), ..Reply::default() });
        Ok(())
    }
}
