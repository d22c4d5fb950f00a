//! `subscribe` to a shared-poll channel: no position, no recovery; what is wanted of it is tracked key by key
//! (upstream: centrifuge client_shared_poll.go `handleSharedPollSubscribe`).

use crate::channel::op::{Answer, Op};
use crate::channel::poll::op::{PollOp, PollSubscribe};
use crate::channel::rules;
use crate::config::snapshot::{ChannelOptions, SubscriptionType};
use crate::protocol::client::{Reply, SubscribeRequest, SubscribeResult};
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::grant::DELTA_FOSSIL;
use crate::session::state::{Outcome, Pending, Session, name_of};
use crate::session::subscribing::{Subscribing, failure};
use crate::session::subscriptions::Traits;

impl Session {
    pub(super) fn subscribe_to_poll(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        request: &SubscribeRequest<'_>,
        options: &ChannelOptions,
    ) -> Outcome {
        let channel = &*request.channel;
        let local = cx.hub.find(channel);
        if self.is_subscribed(local) {
            return Err(Error::ALREADY_SUBSCRIBED.into());
        }
        if self.reaches_channel_limit(cx) {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        if !rules::is_valid_name(&cx.config.channel, options, channel) {
            return Err(Error::BAD_REQUEST.into());
        }
        if !options.poll.is_served() {
            return Err(Error::NOT_AVAILABLE.into());
        }
        let mut grant = self.authorize(cx, request, options)?;
        if grant.expire_at > 0 && grant.expire_at <= cx.now.unix_s() {
            return Err(Error::EXPIRED.into());
        }
        let delta = grant.allow_delta && request.delta == DELTA_FOSSIL;
        grant.traits = grant
            .traits
            .with(Traits::POLL)
            .set(Traits::POSITIONED, false)
            .set(Traits::RECOVERABLE, false)
            .set(Traits::DELTA, delta);
        let name = name_of(cx, local, channel);
        let mut subscribing = Subscribing::hold(self, cx, &name, &grant);
        cx.hub.hide(subscribing.channel);
        let (presence, join) = (subscribing.presence(self), subscribing.join(self));
        subscribing.tag = self.ask(
            cx,
            name,
            Op::Poll(Box::new(PollOp::Subscribe(PollSubscribe { plan: options.poll.plan, presence, join }))),
        );
        self.pending_tag = subscribing.tag;
        self.pending = Pending::Poll { id, subscribing: Box::new(subscribing) };
        Ok(())
    }

    pub(in crate::session) fn on_poll_subscribed(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        subscribing: Subscribing,
        answer: Answer,
    ) -> Outcome {
        let epoch = match answer {
            Answer::PollSubscribed(epoch) => epoch,
            answer => {
                subscribing.refused(self, cx);
                return Err(failure(answer));
            }
        };
        let plain = Default::default();
        subscribing.admit(self, cx, &plain);
        let SubscribeResult { expires, ttl, .. } = subscribing.result(&plain, cx.now.unix_s());
        let delta = self.subscriptions.get(subscribing.channel).is_some_and(|found| found.traits.has(Traits::DELTA));
        let r#type = SubscriptionType::SharedPoll as i32;
        let result =
            SubscribeResult { expires, ttl, delta, r#type, epoch: (&*epoch).into(), ..SubscribeResult::default() };
        self.send(cx, &Reply { id, subscribe: Some(Box::new(result)), ..Reply::default() });
        self.end_if_unwanted(cx, &subscribing);
        Ok(())
    }
}
