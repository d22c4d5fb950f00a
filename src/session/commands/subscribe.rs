//! `subscribe`: who may, with which options, and the reply (upstream: centrifuge client.go `handleSubscribe`,
//! `validateSubscribeRequest`, `subscribeCmd`; centrifugo internal/client/handler.go `OnSubscribe`).

use std::sync::Arc;

use crate::auth::TokenError;
use crate::channel::filter::{Filter, Invalid};
use crate::channel::op::Answer;
use crate::channel::rules;
use crate::config::snapshot::{ChannelOptions, SubscriptionType};
use crate::protocol::client::{Reply, SubscribeRequest};
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;
use crate::session::grant::{DELTA_FOSSIL, Grant, Wish};
use crate::session::permissions::Claim;
use crate::session::state::{Outcome, Pending, Refusal, Session, name_of};
use crate::session::subscribing::{Subscribing, failure};
use crate::session::subscriptions::Traits;
use crate::session::{Cx, keys};

impl Session {
    pub(super) fn subscribe(&mut self, cx: &mut Cx<'_>, id: u32, request: &SubscribeRequest<'_>) -> Outcome {
        let channel = &*request.channel;
        if channel.is_empty() {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        let options = rules::options(&cx.config.channel, channel);
        let polled = options.filter(|options| options.subscription_type == SubscriptionType::SharedPoll);
        let asks_shared_poll = request.r#type == SubscriptionType::SharedPoll as i32;
        if polled.is_some() && !asks_shared_poll {
            return Err(Error::BAD_REQUEST.into());
        }
        if asks_shared_poll {
            return self.subscribe_to_poll(cx, id, request, polled.ok_or(Error::NOT_AVAILABLE)?);
        }
        if let Some(wanted) = map_type(request.r#type) {
            return self.subscribe_to_map(cx, id, request, wanted);
        }
        if !matches!(&*request.delta, "" | DELTA_FOSSIL) {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        if rules::is_too_long(&cx.config.channel, channel) {
            return Err(Error::BAD_REQUEST.into());
        }
        let local = cx.hub.find(channel);
        if self.is_subscribed(local) {
            return Err(Error::ALREADY_SUBSCRIBED.into());
        }
        if self.reaches_channel_limit(cx) {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        let options = options.ok_or(Error::UNKNOWN_CHANNEL)?;
        if !rules::is_valid_name(&cx.config.channel, options, channel) {
            return Err(Error::BAD_REQUEST.into());
        }
        if options.subscription_type != SubscriptionType::Stream {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let mut grant = self.authorize(cx, request, options)?;
        grant.traits = grant.traits.set(Traits::KEEPS_KEYS, request.token.is_empty() && keys::are_kept(options));
        if grant.expire_at > 0 && grant.expire_at <= cx.now.unix_s() {
            return Err(Error::EXPIRED.into());
        }
        let filter = tags_filter(cx, request, &grant)?;
        if request.r#type > SubscriptionType::SharedPoll as i32 {
            // Upstream takes an unknown type for a map in one place and for a stream in another, and gives up.
            return Err(Disconnect::SERVER_ERROR.into());
        }
        let name = name_of(cx, local, channel);
        let subscribing = Subscribing::begin(self, cx, name, grant, Wish { filter, ..Wish::of(request) });
        self.pending_tag = subscribing.tag;
        self.pending = Pending::Subscribe { id, subscribing: Box::new(subscribing) };
        Ok(())
    }

    pub(in crate::session) fn on_subscribed(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        subscribing: Subscribing,
        answer: Answer,
    ) -> Outcome {
        let subscribed = match answer {
            Answer::Subscribed(subscribed) => subscribed,
            answer => {
                subscribing.refused(self, cx);
                return Err(failure(answer));
            }
        };
        subscribing.admit(self, cx, &subscribed);
        let result = subscribing.result(&subscribed, cx.now.unix_s());
        self.send(cx, &Reply { id, subscribe: Some(Box::new(result)), ..Reply::default() });
        self.end_if_unwanted(cx, &subscribing);
        Ok(())
    }

    /// Ends a subscription that the server API ended before it began.
    pub(super) fn end_if_unwanted(&mut self, cx: &mut Cx<'_>, subscribing: &Subscribing) {
        if let Some(unsubscribe) = &subscribing.ends {
            let name = cx.hub.name(subscribing.channel).clone();
            self.unsubscribe(cx, subscribing.channel);
            self.push_unsubscribe(cx, name.as_str(), unsubscribe);
        }
    }

    /// Whether the client may subscribe, and what it is granted. A token decides alone; then come the list of users
    /// in the name, the backend where the namespace leaves it to that, the flags of the namespace, and insecure mode.
    pub(super) fn authorize(
        &self,
        cx: &Cx<'_>,
        request: &SubscribeRequest<'_>,
        options: &ChannelOptions,
    ) -> Result<Grant, Refusal> {
        let (channels, channel) = (&cx.config.channel, &*request.channel);
        let has_token = !request.token.is_empty();
        if rules::is_private(channels, channel) && !has_token {
            return Err(Error::PERMISSION_DENIED.into());
        }
        // The permission to see history and presence is asked for as if the subscription stood.
        let claim = Claim { is_subscriber: true, ..self.claim(cx, None) };
        let is_user_limited = options.allow_user_limited_channels && rules::is_user_limited(channels, channel);
        let mut grant = if has_token {
            self.token_grant(cx, &request.token, channel)?
        } else {
            let is_listed = is_user_limited && rules::user_allowed(channels, channel, self.user());
            let is_open = options.allow_subscribe_for_client
                && (!claim.is_anonymous || options.allow_subscribe_for_anonymous)
                && !is_user_limited;
            if options.subscribe_proxied && !is_user_limited {
                return Err(Error::NOT_AVAILABLE.into());
            }
            if !is_listed && !is_open && !claim.is_insecure {
                return Err(Error::PERMISSION_DENIED.into());
            }
            Grant::of(options)
        };
        if request.positioned && (options.allow_positioning || claim.may_see_history(options)) {
            grant.traits = grant.traits.with(Traits::POSITIONED);
        }
        if request.recoverable && (options.allow_recovery || claim.may_see_history(options)) {
            grant.traits = grant.traits.with(Traits::RECOVERABLE);
        }
        if request.join_leave && options.join_leave && claim.may_see_presence(options) {
            grant.traits = grant.traits.with(Traits::PUSH_JOIN_LEAVE);
        }
        grant.auto_cache_recover = options.auto_cache_recover;
        Ok(grant)
    }

    fn token_grant(&self, cx: &Cx<'_>, token: &str, channel: &str) -> Result<Grant, Refusal> {
        let claims = cx.subscription_claims(token).map_err(|obstacle| {
            Refusal::of(obstacle, |error| match error {
                TokenError::Expired => Error::TOKEN_EXPIRED.into(),
                TokenError::Invalid => Error::PERMISSION_DENIED.into(),
            })
        })?;
        let meant = claims.subscription;
        let options = rules::options(&cx.config.channel, &meant.channel).ok_or(Error::UNKNOWN_CHANNEL)?;
        let (Ok(info), Ok(data)) = (meant.info, meant.data) else {
            return Err(Error::PERMISSION_DENIED.into());
        };
        let is_for_client = claims.client.is_empty() || *claims.client == *self.client.to_string();
        if *meant.channel != *channel || *claims.user != *self.user() || !is_for_client {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        Ok(Grant {
            expire_at: claims.expire_at,
            info,
            data,
            // Upstream forgets the namespace's own time here.
            meta_ttl_s: cx.config.channel.history_meta_ttl_s,
            ..Grant::of(options).overridden(&meant.overrides)
        })
    }
}

/// Types that nobody knows count as a stream at first, as upstream.
fn map_type(number: i32) -> Option<SubscriptionType> {
    [SubscriptionType::Map, SubscriptionType::MapClients, SubscriptionType::MapUsers]
        .into_iter()
        .find(|kind| *kind as i32 == number)
}

/// A filter must be allowed and make sense, and there must be room for it.
pub(super) fn tags_filter(
    cx: &Cx<'_>,
    request: &SubscribeRequest<'_>,
    grant: &Grant,
) -> Result<Option<Arc<Filter>>, Refusal> {
    let Some(node) = &request.tf else { return Ok(None) };
    if !grant.allow_tags_filter {
        return Err(Error::BAD_REQUEST.into());
    }
    let filter = Filter::compile(node).map_err(|Invalid| Error::BAD_REQUEST)?;
    if !cx.hub.filters().has_room(&filter) {
        return Err(Error::LIMIT_EXCEEDED.into());
    }
    Ok(Some(Arc::new(filter)))
}
