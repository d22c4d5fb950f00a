//! How subscriptions end, and what remains of a session whose connection is gone: subscriptions that have still to
//! end. A client may have so many that ending them at once would hold up its shard.

use std::sync::Arc;

use super::effect::Effect;
use super::polls::{Leftover, Polls};
use super::state::Session;
use super::subscriptions::{Subscription, Traits};
use super::{Cx, keys};
use crate::base::ids::ClientId;
use crate::channel::name::ChannelName;
use crate::channel::op::Op;
use crate::channel::publication::ClientInfo;
use crate::config::snapshot::Snapshot;
use crate::fanout::hub::{Hub, LocalChannel};
use crate::metrics::ClientLabels;
use crate::metrics::Shard as Metrics;
use crate::metrics::labels::Action;

/// Subscriptions that end in the step in which their connection ends.
const AT_ONCE: usize = 16;

/// Subscriptions that outlive their connection for a few turns. They are members in the hub until they end, of a
/// connection that gets nothing any more.
#[derive(Debug)]
pub struct Departure {
    client: ClientId,
    identity: Option<Arc<ClientInfo>>,
    labels: ClientLabels,
    left: Vec<Subscription>,
    /// Tracked keys; they end first.
    keys: Vec<Leftover>,
}

impl Departure {
    /// Takes all subscriptions out of the session and ends the first of them. Nothing when that was all.
    pub(super) fn begin(session: &mut Session, cx: &mut Cx<'_>, polls: Polls) -> Option<Self> {
        let keys = Self::leftovers(cx, polls);
        let left = session.subscriptions.take();
        if left.is_empty() {
            return None;
        }
        let identity = session.identity.clone();
        let mut departure = Self { client: session.client, identity, labels: session.labels, left, keys };
        let effects = &mut *cx.effects;
        let mut tell = |channel, op| effects.push(Effect::Op { channel, op, tag: 0 });
        for _ in 0..AT_ONCE {
            if !departure.end_next(cx.hub, cx.tracked, cx.metrics, cx.config, &mut tell) {
                return None;
            }
        }
        (!departure.is_over()).then_some(departure)
    }

    /// Whether every subscription has ended.
    pub fn is_over(&self) -> bool {
        self.left.is_empty() && self.keys.is_empty()
    }

    /// Ends one more subscription, or tracked key, and tells homes what they must know. False when none is left.
    pub fn end_next(
        &mut self,
        hub: &mut Hub,
        tracked: &mut Hub,
        metrics: &mut Metrics,
        config: &Snapshot,
        tell: &mut dyn FnMut(ChannelName, Op),
    ) -> bool {
        while let Some(keys) = self.keys.last_mut() {
            if keys.end_next(tracked, tell) {
                return true;
            }
            self.keys.pop();
        }
        let Some(subscription) = self.left.pop() else { return false };
        let leaver = Leaver { client: self.client, identity: self.identity.as_ref(), labels: self.labels };
        leaver.end(hub, metrics, config, subscription, tell);
        true
    }
}

/// Whose subscription ends.
pub(super) struct Leaver<'s> {
    client: ClientId,
    identity: Option<&'s Arc<ClientInfo>>,
    labels: ClientLabels,
}

impl Session {
    pub(super) fn leaver(&self) -> Leaver<'_> {
        Leaver { client: self.client, identity: self.identity.as_ref(), labels: self.labels }
    }
}

impl Leaver<'_> {
    /// Ends a subscription that is out of the session's table: its membership, its keys, and its interest in the
    /// channel. Homes are told of it.
    pub(super) fn end(
        &self,
        hub: &mut Hub,
        metrics: &mut Metrics,
        config: &Snapshot,
        subscription: Subscription,
        tell: &mut dyn FnMut(ChannelName, Op),
    ) {
        let Subscription { channel, member, traits, special, .. } = subscription;
        metrics.unsubscribed(self.labels);
        hub.leave(channel, member);
        if traits.has(Traits::KEEPS_KEYS) {
            keys::remove(config, hub.name(channel), self.client, tell);
        }
        self.release(hub, metrics, channel, traits, special.and_then(|special| special.info), tell);
    }

    /// Gives the interest back and tells the home. The membership has ended before, or never began.
    pub(super) fn release(
        &self,
        hub: &mut Hub,
        metrics: &mut Metrics,
        channel: LocalChannel,
        traits: Traits,
        info: Option<Arc<ClientInfo>>,
        tell: &mut dyn FnMut(ChannelName, Op),
    ) {
        let presence = traits.has(Traits::PRESENCE).then(|| self.identity.cloned()).flatten();
        let leave = traits.has(Traits::JOIN_LEAVE).then(|| info.or_else(|| self.identity.cloned())).flatten();
        let is_told = presence.is_some() || leave.is_some();
        let (last, name) = hub.release_named(channel, is_told);
        if last {
            let is_map = traits.has(Traits::MAP);
            metrics.action(if is_map { Action::MapBrokerUnsubscribe } else { Action::BrokerUnsubscribe });
        }
        if let Some(name) = name {
            tell(name, Op::Unsubscribe { last, presence, leave });
        }
    }
}
