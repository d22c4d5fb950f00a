//! `unsubscribe`: always succeeds, on server-side subscriptions too.

use crate::protocol::client::{Reply, UnsubscribeResult};
use crate::protocol::disconnect::Disconnect;
use crate::session::Cx;
use crate::session::state::{Outcome, Session};

impl Session {
    pub(super) fn unsubscribe_by_client(&mut self, cx: &mut Cx<'_>, id: u32, channel: &str) -> Outcome {
        if channel.is_empty() {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        // Upstream waits five seconds for the map to be live and then ends the connection: that helps nobody.
        self.take_loading(channel);
        if let Some(local) = cx.hub.find(channel) {
            self.unsubscribe(cx, local);
        }
        self.send(cx, &Reply { id, unsubscribe: Some(UnsubscribeResult {}), ..Reply::default() });
        Ok(())
    }
}
