//! `subscribe` to a map: who may, and which step of it the home is asked for (upstream: centrifuge client_map.go
//! `handleMapSubscribeCommand`).

use super::subscribe::tags_filter;
use crate::channel::map_op::{MapOp, MapPhase, MapSubscribeOp, StatePage};
use crate::channel::op::{Answer, Op, Since};
use crate::channel::rules;
use crate::config::snapshot::{ChannelOptions, SubscriptionType};
use crate::protocol::client::{Reply, SubscribeRequest};
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;
use crate::protocol::raw::Raw;
use crate::session::grant::DELTA_FOSSIL;
use crate::session::map_steps::{LIVE, Loading, STATE, STREAM, Step};
use crate::session::state::{Outcome, Pending, Refusal, Session, name_of};
use crate::session::subscribing::Subscribing;
use crate::session::subscriptions::Traits;
use crate::session::{Cx, keys};

impl Session {
    pub(super) fn subscribe_to_map(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        request: &SubscribeRequest<'_>,
        wanted: SubscriptionType,
    ) -> Outcome {
        let channel = &*request.channel;
        if rules::is_too_long(&cx.config.channel, channel) {
            return Err(Error::BAD_REQUEST.into());
        }
        let is_begun = self.loading().iter().any(|loading| loading.name.as_str() == channel);
        let goes_on = is_begun && (!request.cursor.is_empty() || request.phase != STATE);
        if !goes_on && (is_begun || self.is_subscribed(cx.hub.find(channel))) {
            return Err(Error::ALREADY_SUBSCRIBED.into());
        }
        if !goes_on && self.reaches_channel_limit(cx) {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        self.forget_late_maps(cx, channel);
        let timeout_ms = rules::map_catch_up_timeout_ms(&cx.config.channel, channel);
        let loading = match self.take_loading(channel) {
            Some(loading) if loading.is_late(cx.now.mono_ms, timeout_ms) => return Err(Disconnect::SLOW.into()),
            Some(loading) => loading,
            // A further page of a map that was never begun.
            None if !request.cursor.is_empty() => return Err(Error::PERMISSION_DENIED.into()),
            None => self.begin_map(cx, request, wanted)?,
        };
        self.take_step(cx, id, request, loading, goes_on)
    }

    /// The client is allowed to read the map.
    fn begin_map(
        &self,
        cx: &Cx<'_>,
        request: &SubscribeRequest<'_>,
        wanted: SubscriptionType,
    ) -> Result<Loading, Refusal> {
        let channel = &*request.channel;
        let options = rules::options(&cx.config.channel, channel).ok_or(Error::UNKNOWN_CHANNEL)?;
        if !rules::is_valid_name(&cx.config.channel, options, channel) {
            return Err(Error::BAD_REQUEST.into());
        }
        if options.subscription_type != wanted {
            return Err(Error::PERMISSION_DENIED.into());
        }
        // What the client asks of a stream means nothing here.
        let asked = SubscribeRequest {
            channel: channel.into(),
            token: (&*request.token).into(),
            data: Raw(request.data.as_bytes().into()),
            ..SubscribeRequest::default()
        };
        let mut grant = self.authorize(cx, &asked, options)?;
        let is_recoverable = options.map.is_some_and(|map| map.stream.is_some());
        grant.traits = grant
            .traits
            .with(Traits::MAP)
            .set(Traits::POSITIONED, is_recoverable)
            .set(Traits::RECOVERABLE, is_recoverable)
            .set(Traits::KEEPS_KEYS, request.token.is_empty() && keys::are_kept(options));
        let name = name_of(cx, cx.hub.find(channel), channel);
        Ok(Loading::new(name, grant, cx.now.mono_ms))
    }

    /// Asks the home for a step. A refused one ends the whole: the client begins anew.
    fn take_step(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        request: &SubscribeRequest<'_>,
        mut loading: Loading,
        goes_on: bool,
    ) -> Outcome {
        let options = rules::options(&cx.config.channel, loading.name.as_str()).ok_or(Error::UNKNOWN_CHANNEL)?;
        let kept = options.map.ok_or(Error::INTERNAL)?;
        let phase = phase(request, &loading, options, goes_on)?;
        if let Some(filter) = tags_filter(cx, request, &loading.grant)? {
            loading.filter = Some(filter);
        }
        let delta = request.delta == DELTA_FOSSIL && loading.grant.allow_delta;
        let subscribing = Subscribing::hold(self, cx, &loading.name, &loading.grant);
        let op = MapSubscribeOp {
            options: kept,
            phase: phase.clone(),
            live_limit: options.map_rules.live_limit,
            presence: subscribing.presence(self),
            join: subscribing.join(self),
        };
        let name = loading.name.clone();
        let step = Box::new(Step { loading, subscribing, phase, recover: request.recover, delta, last_offset: None });
        let op = Op::Map(Box::new(MapOp::Subscribe(op)));
        self.wait_for(cx, name, op, Pending::Map { id, step });
        Ok(())
    }

    pub(in crate::session) fn on_map_step(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        mut step: Box<Step>,
        answer: Answer,
    ) -> Outcome {
        let mut answer = match answer {
            Answer::MapSubscribed(answer) => answer,
            answer => {
                step.subscribing.refused(self, cx);
                return Err(match answer {
                    Answer::Failed(error) => error,
                    _ => Error::INTERNAL,
                }
                .into());
            }
        };
        step.filter(&mut answer);
        if answer.live {
            step.admit(self, cx, &answer);
            step.count(cx);
        }
        let result = if answer.live { step.live(&answer) } else { step.page(&answer) };
        self.send(cx, &Reply { id, subscribe: Some(Box::new(result)), ..Reply::default() });
        let Step { mut loading, mut subscribing, phase, .. } = *step;
        let ends = subscribing.ends.take();
        if answer.live {
            if ends.is_some() {
                self.unsubscribe(cx, subscribing.channel);
            }
        } else {
            subscribing.refused(self, cx);
            match &phase {
                MapPhase::State { begun: Some(_), .. } => {}
                MapPhase::State { .. } => {
                    loading.begun = Some(answer.position);
                    loading.epoch = answer.position.epoch;
                }
                MapPhase::Stream { since, .. } | MapPhase::Live { since } => {
                    loading.aim = Some(answer.aim);
                    if !since.epoch.is_empty() {
                        loading.epoch = answer.position.epoch;
                    }
                }
            }
        }
        match ends {
            Some(unsubscribe) => self.push_unsubscribe(cx, loading.name.as_str(), &unsubscribe),
            None if !answer.live => self.background.get_or_insert_default().loading.push(loading),
            None => {}
        }
        Ok(())
    }
}

/// What the client wants next, as the home understands it.
fn phase(
    request: &SubscribeRequest<'_>,
    loading: &Loading,
    options: &ChannelOptions,
    goes_on: bool,
) -> Result<MapPhase, Error> {
    let limit = options.map_rules.page_size(request.limit);
    let since = Since { offset: request.offset, epoch: (*request.epoch).into() };
    let has_stream = options.map.is_some_and(|map| map.stream.is_some());
    match request.phase {
        STATE => {
            let revision = (request.offset > 0 || !request.epoch.is_empty()).then_some(since);
            let limit = i32::try_from(limit).unwrap_or(i32::MAX);
            let page = StatePage { cursor: (*request.cursor).into(), limit, revision };
            Ok(MapPhase::State { page, begun: loading.begun })
        }
        STREAM if !has_stream => Err(Error::BAD_REQUEST),
        STREAM if !goes_on && !request.recover => Err(Error::PERMISSION_DENIED),
        STREAM | LIVE if loading.contradicts(&request.epoch) => Err(Error::UNRECOVERABLE_POSITION),
        STREAM => Ok(MapPhase::Stream { since, limit, aim: loading.aim }),
        LIVE => Ok(MapPhase::Live { since }),
        _ => Err(Error::BAD_REQUEST),
    }
}
