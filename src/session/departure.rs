//! How subscriptions end, and what remains of a session whose connection is gone: subscriptions that have still to
//! end. A client may have so many that ending them at once would hold up its shard.

use std::sync::Arc;

use super::Cx;
use super::effect::Effect;
use super::state::Session;
use super::subscriptions::{Subscription, Traits};
use crate::base::ids::ClientId;
use crate::channel::name::ChannelName;
use crate::channel::op::Op;
use crate::channel::publication::ClientInfo;
use crate::fanout::hub::{Hub, LocalChannel};

/// Subscriptions that end in the step in which their connection ends.
const AT_ONCE: usize = 16;

/// Subscriptions that outlive their connection for a few turns. They are members in the hub until they end, of a
/// connection that gets nothing any more.
#[derive(Debug)]
pub struct Departure {
    client: ClientId,
    identity: Option<Arc<ClientInfo>>,
    left: Vec<Subscription>,
}

impl Departure {
    /// Takes all subscriptions out of the session and ends the first of them. Nothing when that was all.
    pub(super) fn begin(session: &mut Session, cx: &mut Cx<'_>) -> Option<Self> {
        let left = session.subscriptions.take();
        let mut departure = Self { client: session.client, identity: session.identity.clone(), left };
        for _ in 0..AT_ONCE {
            match departure.end_next(cx.hub) {
                None => return None,
                Some(Some((channel, op))) => cx.effects.push(Effect::Op { channel, op, tag: 0 }),
                Some(None) => {}
            }
        }
        (!departure.is_over()).then_some(departure)
    }

    /// Whether every subscription has ended.
    pub fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Ends one more subscription: what the channel's home must be told, if anything. Nothing when none is left.
    pub fn end_next(&mut self, hub: &mut Hub) -> Option<Option<(ChannelName, Op)>> {
        let subscription = self.left.pop()?;
        Some(end(self.client, self.identity.as_ref(), hub, subscription))
    }
}

/// Ends the membership of a subscription that is out of the session's table, and gives its interest back. What the
/// channel's home must be told, if anything.
pub(super) fn end(
    client: ClientId,
    identity: Option<&Arc<ClientInfo>>,
    hub: &mut Hub,
    subscription: Subscription,
) -> Option<(ChannelName, Op)> {
    let Subscription { channel, member, traits, special, .. } = subscription;
    let info = special.and_then(|special| special.info);
    hub.leave(channel, member);
    release(client, identity, hub, channel, traits, info)
}

/// Gives the interest back. The membership has ended before, or never began.
pub(super) fn release(
    client: ClientId,
    identity: Option<&Arc<ClientInfo>>,
    hub: &mut Hub,
    channel: LocalChannel,
    traits: Traits,
    info: Option<Arc<ClientInfo>>,
) -> Option<(ChannelName, Op)> {
    let presence = traits.has(Traits::PRESENCE).then_some(client);
    let leave = traits.has(Traits::JOIN_LEAVE).then(|| info.or_else(|| identity.cloned())).flatten();
    let is_told = presence.is_some() || leave.is_some();
    let (last, name) = hub.release_named(channel, is_told);
    name.map(|name| (name, Op::Unsubscribe { last, presence, leave }))
}
