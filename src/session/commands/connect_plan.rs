//! Who connects, and which server-side subscriptions the connection begins with (upstream: centrifugo
//! internal/client/handler.go `OnClientConnecting`).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::auth::{TokenError, TokenSubscription};
use crate::base::mutation::{Mutation, is_on};
use crate::channel::rules;
use crate::config::snapshot::{ChannelOptions, Snapshot};
use crate::protocol::client::ConnectRequest;
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::grant::{Grant, Wish};
use crate::session::state::Refusal;
use crate::session::subscriptions::Traits;

/// What connect leads to, as long as nothing else stands against it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) credentials: Credentials,
    pub(super) subscriptions: Vec<Planned>,
}

/// Who connects.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    pub(super) user: Box<str>,
    pub(super) info: Bytes,
    /// Unix seconds; 0 = never.
    pub(super) expire_at: i64,
}

/// A server-side subscription to begin with.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) channel: Box<str>,
    pub(super) grant: Grant,
    pub(super) wish: Wish,
}

/// Server-side subscriptions by channel.
type Grants = BTreeMap<Box<str>, Grant>;

/// Who the token, anonymous connections or insecure mode let in; nothing when they let nobody in.
pub(super) fn authenticate(cx: &Cx<'_>, token: &str) -> Result<(Option<Credentials>, Grants), Refusal> {
    let client = &cx.config.client;
    if token.is_empty() && client.connect_proxied {
        return Err(Error::NOT_AVAILABLE.into());
    }
    if token.is_empty() {
        let is_open = client.allow_anonymous_connect_without_token || client.insecure;
        return Ok((is_open.then(Credentials::default), Grants::new()));
    }
    let claims = cx.connection_claims(token).map_err(|obstacle| {
        Refusal::of(obstacle, |error| match error {
            TokenError::Expired => Error::TOKEN_EXPIRED.into(),
            TokenError::Invalid => Disconnect::INVALID_TOKEN.into(),
        })
    })?;
    let grants = token_grants(cx.config, claims.subscriptions)?;
    let info = claims.info.map_err(|_| Error::INTERNAL)?;
    if claims.user.is_empty() && client.disallow_anonymous_connection_tokens {
        return Err(Disconnect::PERMISSION_DENIED.into());
    }
    let expire_at = if client.insecure { 0 } else { claims.expire_at };
    Ok((Some(Credentials { user: claims.user, info, expire_at }), grants))
}

/// The subscriptions of a connection token. Their names are not checked, but their namespaces must exist.
pub(super) fn token_grants(config: &Snapshot, subscriptions: Vec<TokenSubscription>) -> Result<Grants, Refusal> {
    let mut grants = Grants::new();
    for subscription in subscriptions {
        let options = rules::options(&config.channel, &subscription.channel).ok_or(Error::UNKNOWN_CHANNEL)?;
        let (Ok(info), Ok(data)) = (subscription.info, subscription.data) else {
            return Err(Disconnect::INVALID_TOKEN.into());
        };
        let mut grant = Grant { info, data, ..Grant::of(options).overridden(&subscription.overrides) };
        grant.traits = grant.traits.with(Traits::FROM_TOKEN);
        grants.insert(subscription.channel, grant);
    }
    Ok(grants)
}

/// Adds the personal channel and those that the client names, and settles who connects: without credentials it is
/// the user that a request header names.
pub(super) fn complete(
    cx: &Cx<'_>,
    credentials: Option<Credentials>,
    mut grants: Grants,
    user_header: Option<Box<str>>,
    request: &ConnectRequest<'_>,
) -> Result<Plan, Refusal> {
    if let Some(credentials) = &credentials {
        if let Some(channel) = personal_channel(cx.config, &credentials.user) {
            let options = rules::options(&cx.config.channel, &channel).ok_or(Error::UNKNOWN_CHANNEL)?;
            grants.insert(channel, Grant::of(options));
        }
        for (channel, _) in &request.subs {
            let options = rules::options(&cx.config.channel, channel).ok_or(Disconnect::BAD_REQUEST)?;
            if may_begin_with(cx.config, options, channel, &credentials.user) && !grants.contains_key(&**channel) {
                grants.insert((&**channel).into(), Grant::of(options));
            }
        }
    }
    grants.remove("");
    let limit = cx.config.client.channel_limit;
    if limit > 0 && grants.len() > limit {
        return Err(Disconnect::CHANNEL_LIMIT.into());
    }
    let credentials = credentials
        .or_else(|| Some(Credentials { user: user_header?, ..Credentials::default() }))
        .ok_or(Disconnect::BAD_REQUEST)?;
    let planned = grants.into_iter().map(|(channel, mut grant)| {
        let options = rules::options(&cx.config.channel, &channel);
        grant.auto_cache_recover = options.is_some_and(|options| options.auto_cache_recover);
        grant.traits = grant.traits.with(Traits::SERVER_SIDE);
        // Decoded maps are sorted.
        let asked = request.subs.binary_search_by(|(name, _)| (**name).cmp(&*channel)).ok();
        let asked = asked.and_then(|at| request.subs.get(at));
        let asked = asked.filter(|_| !is_on(Mutation::ForgetServerSideRecovery));
        let wish = asked.map(|(_, asked)| Wish { reject_unrecovered: false, ..Wish::of(asked) });
        Planned { channel, grant, wish: wish.unwrap_or_default() }
    });
    Ok(Plan { subscriptions: planned.collect(), credentials })
}

/// The personal channel of a user, where they are on; anonymous users have none.
pub(super) fn personal_channel(config: &Snapshot, user: &str) -> Option<Box<str>> {
    let personal = config.client.personal_channel.as_ref().filter(|_| !user.is_empty())?;
    let boundary = if personal.namespace.is_empty() { "" } else { &*config.channel.namespace_boundary };
    Some(format!("{}{boundary}{}{user}", personal.namespace, config.channel.user_boundary).into())
}

/// Whether the client could subscribe to the channel by itself, without a token.
fn may_begin_with(config: &Snapshot, options: &ChannelOptions, channel: &str, user: &str) -> bool {
    let channels = &config.channel;
    let is_settled = rules::is_private(channels, channel) || options.subscribe_proxied;
    if is_settled || !rules::is_valid_name(channels, options, channel) {
        return false;
    }
    let is_user_limited = options.allow_user_limited_channels && rules::is_user_limited(channels, channel);
    let is_listed = is_user_limited && !user.is_empty() && rules::user_allowed(channels, channel, user);
    let is_open = !is_user_limited
        && options.allow_subscribe_for_client
        && (!user.is_empty() || options.allow_subscribe_for_anonymous);
    is_listed || is_open || config.client.insecure
}
