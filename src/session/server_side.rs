//! Subscriptions and lifetimes that the server API changes (upstream: centrifuge client.go `Subscribe`,
//! `Unsubscribe`, `Refresh`).

use std::sync::Arc;

use bytes::Bytes;

use super::control::ServerSubscribe;
use super::grant::{Grant, Wish};
use super::state::{Background, Pending, Phase, Session};
use super::subscribing::Subscribing;
use super::subscriptions::Traits;
use super::{Cx, state};
use crate::base::ids::ConnId;
use crate::channel::op::{Answer, Subscribed};
use crate::channel::publication::ClientInfo;
use crate::channel::rules;
use crate::fanout::hub::LocalChannel;
use crate::protocol::client::{self, Push};
use crate::protocol::disconnect::{Disconnect, Unsubscribe};
use crate::protocol::raw::Raw;

/// Lifetimes are cut at a year (upstream: `maxTTLSeconds`).
pub(super) const MAX_TTL_S: i64 = 365 * 24 * 3600;

impl Session {
    /// Ends a subscription and says so, even when there was none.
    pub(super) fn unsubscribe_by_server(&mut self, cx: &mut Cx<'_>, channel: &str, unsubscribe: &Unsubscribe) {
        self.take_loading(channel);
        if let Some(local) = cx.hub.find(channel) {
            if let Some(subscribing) = self.subscribing_to(local) {
                // It has to begin before it can end.
                subscribing.ends = Some(Box::new(unsubscribe.clone()));
                return;
            }
            self.unsubscribe(cx, local);
        }
        self.push_unsubscribe(cx, channel, unsubscribe);
    }

    /// Begins a subscription; a push follows when the home has answered, and [`Effect::SubscribedByServer`](super::Effect::SubscribedByServer). False when
    /// neither will.
    pub(super) fn subscribe_by_server(&mut self, cx: &mut Cx<'_>, wanted: &ServerSubscribe, caller: ConnId) -> bool {
        // Without identity there is nobody yet whom the call could have meant.
        if wanted.channel.is_empty() || self.phase != Phase::Authenticated {
            return false;
        }
        if self.reaches_channel_limit(cx) {
            self.end(cx, Disconnect::CHANNEL_LIMIT);
            return false;
        }
        if wanted.expire_at > 0 && wanted.expire_at <= cx.now.unix_s() {
            return false;
        }
        let options = rules::options(&cx.config.channel, &wanted.channel);
        let traits = Traits::SERVER_SIDE
            .set(Traits::PRESENCE, wanted.presence)
            .set(Traits::JOIN_LEAVE, wanted.join_leave)
            .set(Traits::PUSH_JOIN_LEAVE, wanted.push_join_leave)
            .set(Traits::POSITIONED, wanted.positioned)
            .set(Traits::RECOVERABLE, wanted.recoverable);
        let grant = Grant {
            traits,
            meta_ttl_s: options.map_or(cx.config.channel.history_meta_ttl_s, |options| options.history.meta_ttl_s),
            expire_at: wanted.expire_at,
            info: wanted.info.clone(),
            data: wanted.data.clone(),
            ..Grant::default()
        };
        let wish =
            Wish { recover: wanted.recover_since.is_some(), since: wanted.recover_since.clone(), ..Wish::default() };
        let name = state::name_of(cx, cx.hub.find(&wanted.channel), &wanted.channel);
        let mut subscribing = Subscribing::begin(self, cx, name, grant, wish);
        subscribing.caller = Some(caller);
        self.background.get_or_insert_default().subscribing.push(subscribing);
        true
    }

    /// Gives the connection another lifetime and says so.
    pub(super) fn refresh_by_server(&mut self, cx: &mut Cx<'_>, expire_at: i64, info: &Bytes) {
        let expire_at = expire_at.min(cx.now.unix_s() + MAX_TTL_S);
        let ttl = expire_at - cx.now.unix_s();
        if expire_at > 0 {
            if ttl <= 0 {
                return self.end(cx, Disconnect::EXPIRED);
            }
            self.renew(cx, expire_at, info);
        } else {
            self.expire_at = 0;
            self.timers.expire_at = crate::base::time::NEVER;
        }
        let refresh = client::Refresh { expires: expire_at > 0, ttl: u32::try_from(ttl.max(0)).unwrap_or(u32::MAX) };
        self.push(cx, Push { refresh: Some(refresh), ..Push::default() });
    }

    /// Notes a new lifetime, and a new `info` unless it is empty.
    pub(super) fn renew(&mut self, cx: &Cx<'_>, expire_at: i64, info: &Bytes) {
        self.expire_at = expire_at;
        self.arm_lifetime(cx);
        let Some(identity) = self.identity.as_mut().filter(|_| !info.is_empty()) else {
            return;
        };
        *identity = Arc::new(ClientInfo { conn_info: info.clone(), ..(**identity).clone() });
        for subscription in self.subscriptions.iter_mut() {
            if let Some(own) = subscription.special.as_mut().and_then(|special| special.info.as_mut()) {
                *own = Arc::new(ClientInfo { conn_info: info.clone(), ..(**own).clone() });
            }
        }
    }

    /// The answer to something that goes on beside the commands.
    pub(super) fn on_background_answer(&mut self, cx: &mut Cx<'_>, tag: u32, answer: Answer) {
        let Some(background) = &mut self.background else { return };
        let check = background.checks.remove(&tag);
        let begun = background.subscribing.iter().position(|subscribing| subscribing.tag == tag);
        let begun = begun.map(|at| background.subscribing.remove(at));
        self.tidy_background();
        match (check, begun) {
            (Some(channel), _) => self.on_position(cx, tag, channel, &answer),
            (None, Some(subscribing)) => self.on_subscribed_by_server(cx, subscribing, answer),
            (None, None) => {}
        }
    }

    fn on_subscribed_by_server(&mut self, cx: &mut Cx<'_>, mut subscribing: Subscribing, answer: Answer) {
        let subscribed = match answer {
            Answer::Subscribed(subscribed) => subscribed,
            _ => return subscribing.refused(self, cx),
        };
        subscribing.admit(self, cx, &subscribed);
        subscribing.tell_caller(cx, true);
        let name = cx.hub.name(subscribing.channel).clone();
        self.push_subscribe(cx, name.as_str(), &subscribing, &subscribed);
        if let Some(unsubscribe) = &subscribing.ends {
            self.unsubscribe(cx, subscribing.channel);
            self.push_unsubscribe(cx, name.as_str(), unsubscribe);
        }
    }

    fn push_subscribe(&mut self, cx: &mut Cx<'_>, channel: &str, subscribing: &Subscribing, subscribed: &Subscribed) {
        let result = subscribing.result(subscribed, cx.now.unix_s());
        let told = client::Subscribe {
            recoverable: result.recoverable,
            epoch: result.epoch,
            offset: result.offset,
            positioned: result.positioned,
            data: Raw(result.data.0),
        };
        self.push(cx, Push { channel: channel.into(), subscribe: Some(Box::new(told)), ..Push::default() });
    }

    /// Ends a subscription if there is one.
    pub(super) fn unsubscribe(&mut self, cx: &mut Cx<'_>, channel: LocalChannel) {
        if let Some(subscription) = self.subscriptions.remove(channel) {
            self.drop_subscription(cx, subscription);
        }
    }

    /// Whether another subscription would be one too many.
    pub(super) fn reaches_channel_limit(&self, cx: &Cx<'_>) -> bool {
        let limit = cx.config.client.channel_limit;
        let begun = |background: &Background| background.subscribing.len() + background.loading.len();
        let begun = self.background.as_deref().map_or(0, begun);
        limit > 0 && self.subscriptions.len() + begun >= limit
    }

    fn subscribing_to(&mut self, channel: LocalChannel) -> Option<&mut Subscribing> {
        match &mut self.pending {
            Pending::Subscribe { subscribing, .. } | Pending::Poll { subscribing, .. }
                if subscribing.channel == channel =>
            {
                return Some(subscribing);
            }
            Pending::Map { step, .. } if step.subscribing.channel == channel => return Some(&mut step.subscribing),
            _ => {}
        }
        let background = self.background.as_mut()?;
        background.subscribing.iter_mut().find(|found| found.channel == channel)
    }
}
