//! `sub_refresh`: another token for a subscription (upstream: centrifuge client.go `handleSubRefresh`, centrifugo
//! internal/client/handler.go `OnSubRefresh`).

use std::sync::Arc;

use bytes::Bytes;

use crate::auth::{Obstacle, TokenError};
use crate::channel::publication::ClientInfo;
use crate::channel::rules;
use crate::protocol::client::{Reply, SubRefreshRequest, SubRefreshResult};
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::server_side::MAX_TTL_S;
use crate::session::state::{Outcome, Refusal, Session};
use crate::session::subscriptions::{Special, Traits};

/// `SubRefreshRequest.type`: further keys are wanted.
const TRACK: i32 = 1;

/// `SubRefreshRequest.type`: keys are not wanted any more.
const UNTRACK: i32 = 2;

impl Session {
    pub(super) fn sub_refresh(&mut self, cx: &mut Cx<'_>, id: u32, request: &SubRefreshRequest<'_>) -> Outcome {
        let channel = &*request.channel;
        if channel.is_empty() {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        let local = cx.hub.find(channel);
        let Some(subscription) = local.and_then(|local| self.subscriptions.get(local)) else {
            return Err(Error::PERMISSION_DENIED.into());
        };
        if let (Some(local), true) = (local, subscription.traits.has(Traits::POLL)) {
            match request.r#type {
                TRACK => return self.track_keys(cx, id, request, local),
                UNTRACK => return self.untrack_keys(cx, id, request, local),
                _ => {}
            }
        }
        if subscription.traits.has(Traits::SERVER_SIDE) {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        if request.token.is_empty() {
            return Err(Error::BAD_REQUEST.into());
        }
        let (expire_at, info) = self.sub_refresh_terms(cx, &request.token, channel)?;
        let unix_s = cx.now.unix_s();
        let expire_at = expire_at.min(unix_s + MAX_TTL_S);
        if expire_at > 0 && expire_at < unix_s {
            return Err(Error::EXPIRED.into());
        }
        let identity = self.info();
        if let Some(subscription) = local.and_then(|local| self.subscriptions.get_mut(local)) {
            let info = (!info.is_empty()).then(|| Arc::new(ClientInfo { chan_info: info, ..(*identity).clone() }));
            subscription.special = Special::of(expire_at, info);
        }
        let expires = expire_at > 0;
        let ttl = if expires { (expire_at - unix_s) as u32 } else { 0 };
        let result = SubRefreshResult { expires, ttl, ..SubRefreshResult::default() };
        self.send(cx, &Reply { id, sub_refresh: Some(Box::new(result)), ..Reply::default() });
        Ok(())
    }

    /// Lifetime and `info` of the token. As upstream, an expired token takes both away and succeeds.
    fn sub_refresh_terms(&self, cx: &Cx<'_>, token: &str, channel: &str) -> Result<(i64, Bytes), Refusal> {
        let claims = match cx.subscription_claims(token) {
            Ok(claims) => claims,
            Err(Obstacle::Refused(TokenError::Expired)) => return Ok((0, Bytes::new())),
            Err(obstacle) => return Err(Refusal::of(obstacle, |_| Disconnect::INVALID_TOKEN.into())),
        };
        let meant = claims.subscription;
        rules::options(&cx.config.channel, &meant.channel).ok_or(Error::UNKNOWN_CHANNEL)?;
        let (Ok(info), Ok(_)) = (meant.info, meant.data) else {
            return Err(Disconnect::INVALID_TOKEN.into());
        };
        let is_for_client = claims.client.is_empty() || *claims.client == *self.client.to_string();
        if *meant.channel != *channel || *claims.user != *self.user() || !is_for_client {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        Ok((claims.expire_at, info))
    }
}
