//! `refresh`: another token for the connection (upstream: centrifuge client.go `handleRefresh`, centrifugo
//! internal/client/handler.go `OnRefresh`).

use bytes::Bytes;

use super::connect_plan::token_grants;
use crate::auth::TokenError;
use crate::protocol::client::{RefreshResult, Reply};
use crate::protocol::disconnect::Disconnect;
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::server_side::MAX_TTL_S;
use crate::session::state::{Outcome, Refusal, Session};
use crate::session::subscriptions::Traits;

impl Session {
    pub(super) fn refresh(&mut self, cx: &mut Cx<'_>, id: u32, token: &str) -> Outcome {
        if token.is_empty() {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        let claims = cx.connection_claims(token).map_err(|obstacle| {
            Refusal::of(obstacle, |error| match error {
                TokenError::Expired => Disconnect::EXPIRED.into(),
                TokenError::Invalid => Disconnect::INVALID_TOKEN.into(),
            })
        })?;
        let grants = token_grants(cx.config, claims.subscriptions)?;
        let info = claims.info.map_err(|_| Refusal::Error(Error::INTERNAL))?;
        if *claims.user != *self.user() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        if self.has_other_channels(cx, |channel| grants.contains_key(channel), grants.keys()) {
            return Err(Disconnect::INSUFFICIENT_STATE.into());
        }
        let result = self.renewed(cx, claims.expire_at, &info)?;
        self.send(cx, &Reply { id, refresh: Some(Box::new(result)), ..Reply::default() });
        Ok(())
    }

    /// Whether the new token names other server-side channels than the one before.
    fn has_other_channels<'g>(
        &self,
        cx: &Cx<'_>,
        is_named: impl Fn(&str) -> bool,
        mut named: impl Iterator<Item = &'g Box<str>>,
    ) -> bool {
        named.any(|channel| !self.is_subscribed(cx.hub.find(channel)))
            || self
                .subscriptions
                .iter()
                .any(|found| found.traits.has(Traits::FROM_TOKEN) && !is_named(cx.hub.name(found.channel).as_str()))
    }

    /// As upstream, a token without lifetime leaves the one before in force.
    fn renewed(&mut self, cx: &Cx<'_>, expire_at: i64, info: &Bytes) -> Result<RefreshResult<'static>, Refusal> {
        let expire_at = expire_at.min(cx.now.unix_s() + MAX_TTL_S);
        if expire_at <= 0 {
            return Ok(RefreshResult::default());
        }
        let ttl = expire_at - cx.now.unix_s();
        if ttl <= 0 {
            return Err(Error::EXPIRED.into());
        }
        self.renew(cx, expire_at, info);
        Ok(RefreshResult { expires: true, ttl: ttl as u32, ..RefreshResult::default() })
    }
}
