//! A subscription between the request to the channel's home and its answer.
//!
//! The home registers the shard, adds presence, reads the position and recovers in one step, answers, and then
//! publishes the join. So what is delivered behind the answer is for this subscriber and what comes before it is
//! not, without buffering (upstream buffers: centrifuge client.go `subscribeCmd`, internal/recovery).

use std::sync::Arc;

use bytes::Bytes;

use super::grant::{Grant, Wish};
use super::state::{Refusal, Session};
use super::subscriptions::{Special, Subscription, Traits};
use super::{Cx, Effect};
use crate::base::ids::ConnId;
use crate::channel::delta;
use crate::channel::filter::Filter;
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Op, Recover, Since, SubscribeOp, Subscribed};
use crate::channel::publication::ClientInfo;
use crate::fanout::hub::LocalChannel;
use crate::fanout::member::MemberFlags;
use crate::metrics::labels::Action;
use crate::protocol::Protocol;
use crate::protocol::client::{self, SubscribeResult};
use crate::protocol::disconnect::{Disconnect, Unsubscribe};
use crate::protocol::error::Error;
use crate::protocol::raw::Raw;

/// A presence entry that is not renewed is dropped after so long (upstream: `presence_ttl`).
pub(super) const PRESENCE_TTL_MS: u64 = 60_000;

/// See the module. Holds one interest in the channel.
#[derive(Debug)]
pub(super) struct Subscribing {
    pub(super) channel: LocalChannel,
    pub(super) tag: u32,
    traits: Traits,
    pub(super) is_recovering: bool,
    /// Recovery was tried, or asked for.
    was_recovering: bool,
    /// Publications go as deltas.
    pub(super) delta: bool,
    pub(super) protocol: Protocol,
    pub(super) filter: Option<Arc<Filter>>,
    meta_ttl_s: u32,
    expire_at: i64,
    asked_offset: u64,
    info: Option<Arc<ClientInfo>>,
    data: Bytes,
    /// The server API ended the subscription before it began.
    pub(super) ends: Option<Box<Unsubscribe>>,
    /// Whoever called for it waits.
    pub(super) caller: Option<ConnId>,
}

impl Subscribing {
    /// Asks the home. The client is authenticated.
    pub(super) fn begin(session: &mut Session, cx: &mut Cx<'_>, name: ChannelName, grant: Grant, wish: Wish) -> Self {
        let mut subscribing = Self::hold(session, cx, &name, &grant);
        let is_recovering = grant.traits.has(Traits::RECOVERABLE) && (wish.recover || grant.recovers_by_itself());
        let asked_offset = wish.offset();
        let op = SubscribeOp {
            position: grant.is_positioned(),
            recover: is_recovering.then(|| Recover {
                since: wish.since.unwrap_or_else(|| Since { offset: 0, epoch: "".into() }),
                limit: cx.config.client.recovery_max_publication_limit,
                cache: grant.cache,
                filter: wish.filter.clone(),
                or_fail: wish.reject_unrecovered,
            }),
            meta_ttl_s: grant.meta_ttl_s,
            presence: subscribing.presence(session),
            join: subscribing.join(session),
        };
        subscribing.is_recovering = is_recovering;
        subscribing.was_recovering = wish.recover || is_recovering;
        subscribing.delta = wish.delta && grant.allow_delta;
        subscribing.filter = wish.filter;
        subscribing.asked_offset = asked_offset;
        subscribing.tag = session.ask(cx, name, Op::Subscribe(Box::new(op)));
        subscribing
    }

    /// Takes interest in the channel. What is asked of the home, and under which tag, is the caller's business.
    pub(super) fn hold(session: &Session, cx: &mut Cx<'_>, name: &ChannelName, grant: &Grant) -> Self {
        let channel = cx.hub.retain(name);
        if cx.hub.interest(channel) == 1 {
            let is_map = grant.traits.has(Traits::MAP);
            cx.metrics.action(if is_map { Action::MapBrokerSubscribe } else { Action::BrokerSubscribe });
        }
        let info = (!grant.info.is_empty())
            .then(|| Arc::new(ClientInfo { chan_info: grant.info.clone(), ..(*session.info()).clone() }));
        Self {
            channel,
            tag: 0,
            traits: grant.traits.set(Traits::POSITIONED, grant.is_positioned()),
            is_recovering: false,
            was_recovering: false,
            delta: false,
            protocol: session.protocol,
            filter: None,
            meta_ttl_s: grant.meta_ttl_s,
            expire_at: grant.expire_at,
            asked_offset: 0,
            info,
            data: grant.data.clone(),
            ends: None,
            caller: None,
        }
    }

    /// The entry in the channel's presence, and how long it lasts.
    pub(super) fn presence(&self, session: &Session) -> Option<(Arc<ClientInfo>, u64)> {
        self.traits.has(Traits::PRESENCE).then(|| (self.shown(session), PRESENCE_TTL_MS))
    }

    /// Who joins, where that is told.
    pub(super) fn join(&self, session: &Session) -> Option<Arc<ClientInfo>> {
        self.traits.has(Traits::JOIN_LEAVE).then(|| self.shown(session))
    }

    fn shown(&self, session: &Session) -> Arc<ClientInfo> {
        self.info.clone().unwrap_or_else(|| session.info())
    }

    /// What the client is told about the subscription.
    pub(super) fn result<'r>(&'r self, subscribed: &'r Subscribed, unix_s: i64) -> SubscribeResult<'r> {
        let is_positioned = self.traits.has(Traits::POSITIONED);
        // The lifetime of server-side subscriptions is the server's business.
        let expires = self.expire_at > 0 && !self.traits.has(Traits::SERVER_SIDE);
        SubscribeResult {
            expires,
            ttl: if expires { u32::try_from(self.expire_at - unix_s).unwrap_or(u32::MAX) } else { 0 },
            recoverable: self.traits.has(Traits::RECOVERABLE),
            epoch: if is_positioned { subscribed.position.epoch.as_str() } else { "".into() },
            publications: if self.delta {
                delta::recovered(self.protocol, &subscribed.publications)
            } else {
                subscribed.publications.iter().map(|missed| client::Publication::of(missed)).collect()
            },
            recovered: subscribed.recovered,
            // After a recovery the client starts from where it was and follows the publications.
            offset: match (subscribed.recovered, is_positioned) {
                (true, _) => self.asked_offset,
                (false, true) => subscribed.position.offset,
                (false, false) => 0,
            },
            positioned: is_positioned,
            data: Raw::from(&*self.data),
            was_recovering: self.was_recovering,
            delta: self.delta,
            ..SubscribeResult::default()
        }
    }

    /// Makes the subscription live: deliveries handled from now on are for it.
    pub(super) fn admit(&self, session: &mut Session, cx: &mut Cx<'_>, subscribed: &Subscribed) {
        let is_positioned = self.traits.has(Traits::POSITIONED);
        let flags = MemberFlags::NONE
            .with_if(is_positioned, MemberFlags::POSITIONED)
            .with_if(self.traits.has(Traits::PUSH_JOIN_LEAVE), MemberFlags::JOIN_LEAVE)
            .with_if(session.protocol == Protocol::Protobuf, MemberFlags::PROTOBUF)
            .with_if(self.delta, MemberFlags::DELTA)
            .with_if(self.delta && is_positioned && self.has_newest(subscribed), MemberFlags::SEEN);
        // A subscription that is begun anew takes the place of the one before.
        if let Some(old) = session.subscriptions.remove(self.channel) {
            cx.hub.leave(old.channel, old.member);
            cx.hub.release(old.channel);
            cx.metrics.unsubscribed(session.labels);
        }
        cx.metrics.subscribed(session.labels);
        if self.is_recovering {
            cx.metrics.recovery(subscribed.recovered, !subscribed.publications.is_empty());
            if subscribed.recovered && cx.config.recovered_publications_histogram {
                cx.metrics.recovered(subscribed.publications.len() as u64);
            }
        }
        let member = cx.hub.join_with(self.channel, cx.conn, flags, self.filter.clone());
        if is_positioned {
            cx.hub.set_position(self.channel, subscribed.position);
        }
        session.subscriptions.insert(Subscription {
            channel: self.channel,
            member,
            special: Special::of(self.expire_at, self.info.clone()),
            meta_ttl_s: self.meta_ttl_s,
            checked_at_s: (cx.now.mono_ms / 1000) as u32,
            check_tag: 0,
            traits: self.traits,
        });
        if self.traits.has(Traits::KEEPS_KEYS) {
            session.keep_keys(cx, self.channel);
        }
    }

    /// Whether the client has the payload of the newest publication, now that it has recovered. Of a client that
    /// missed nothing it is taken for granted, as upstream does, although it may have got only the position.
    fn has_newest(&self, subscribed: &Subscribed) -> bool {
        match &self.filter {
            // Patches of a map are made against the key's value before, and the client has all keys.
            None => subscribed.recovered || self.traits.has(Traits::MAP),
            // What it did not miss may be what its filter kept from it.
            Some(_) => subscribed.publications.last().is_some_and(|last| last.offset == subscribed.position.offset),
        }
    }

    /// Gives the interest back of a request that the home refused: nothing else came of it.
    pub(super) fn refused(self, session: &Session, cx: &mut Cx<'_>) {
        Self { traits: Traits::default(), ..self }.abandon(session, cx);
    }

    /// Tells whoever called for it what came of it.
    pub(super) fn tell_caller(&mut self, cx: &mut Cx<'_>, is_live: bool) {
        if let Some(caller) = self.caller.take() {
            cx.effects.push(Effect::SubscribedByServer { caller, is_live });
        }
    }

    /// Takes everything back that the request does or did. Who called for it is told that it came to nothing.
    pub(super) fn abandon(mut self, session: &Session, cx: &mut Cx<'_>) {
        self.tell_caller(cx, false);
        let effects = &mut *cx.effects;
        let mut tell = |channel, op| effects.push(Effect::Op { channel, op, tag: 0 });
        session.leaver().release(cx.hub, cx.metrics, self.channel, self.traits, self.info, &mut tell);
    }
}

/// What a subscription that the home refuses comes to (upstream: `handleErr` in `subscribeCmd`).
pub(super) fn failure(answer: Answer) -> Refusal {
    match answer {
        Answer::Failed(error) if error.code != Error::INTERNAL.code => error.into(),
        _ => Disconnect::SERVER_ERROR.into(),
    }
}
