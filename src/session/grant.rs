//! What a subscription is granted: the namespace's options, and what a token or the server API makes of them.

use std::sync::Arc;

use bytes::Bytes;

use super::subscriptions::Traits;
use crate::auth::Overrides;
use crate::channel::filter::Filter;
use crate::channel::op::Since;
use crate::config::snapshot::ChannelOptions;
use crate::protocol::client::SubscribeRequest;

/// Options of one subscription (upstream: centrifuge `SubscribeOptions`).
#[derive(Clone, Debug, Default)]
pub(super) struct Grant {
    pub(super) traits: Traits,
    /// Recovery brings the newest publication alone.
    pub(super) cache: bool,
    /// As if the client had asked to recover. Counts in cache mode with recovery alone.
    pub(super) auto_cache_recover: bool,
    pub(super) allow_tags_filter: bool,
    pub(super) allow_delta: bool,
    pub(super) meta_ttl_s: u32,
    /// Unix seconds; 0 = never.
    pub(super) expire_at: i64,
    /// Raw `info` of the subscription.
    pub(super) info: Bytes,
    /// Raw `data` for the client.
    pub(super) data: Bytes,
}

/// What a client wants recovered, and how it wants publications.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) recover: bool,
    pub(super) since: Option<Since>,
    /// A failed recovery is an error.
    pub(super) reject_unrecovered: bool,
    /// Publications as deltas.
    pub(super) delta: bool,
    /// Only publications that fit.
    pub(super) filter: Option<Arc<Filter>>,
}

/// The only delta type there is.
pub(super) const DELTA_FOSSIL: &str = "fossil";

impl Grant {
    /// What the namespace grants by itself.
    pub(super) fn of(options: &ChannelOptions) -> Self {
        let traits = Traits::default()
            .set(Traits::PRESENCE, options.presence)
            .set(Traits::JOIN_LEAVE, options.join_leave)
            .set(Traits::PUSH_JOIN_LEAVE, options.force_push_join_leave)
            .set(Traits::POSITIONED, options.force_positioning)
            .set(Traits::RECOVERABLE, options.force_recovery);
        Self {
            traits,
            cache: options.recovery_mode_cache,
            allow_tags_filter: options.allow_tags_filter,
            allow_delta: options.delta_fossil,
            meta_ttl_s: options.history.meta_ttl_s,
            ..Self::default()
        }
    }

    /// What a token makes of it.
    pub(super) fn overridden(mut self, overrides: &Overrides) -> Self {
        for (traits, value) in [
            (Traits::PRESENCE, overrides.presence),
            (Traits::JOIN_LEAVE, overrides.join_leave),
            (Traits::PUSH_JOIN_LEAVE, overrides.force_push_join_leave),
            (Traits::POSITIONED, overrides.force_positioning),
            (Traits::RECOVERABLE, overrides.force_recovery),
        ] {
            if let Some(on) = value {
                self.traits = self.traits.set(traits, on);
            }
        }
        self
    }

    /// Whether the stream's position is watched.
    pub(super) fn is_positioned(&self) -> bool {
        self.traits.has_any(Traits::POSITIONED.with(Traits::RECOVERABLE))
    }

    /// Recovery without being asked.
    pub(super) fn recovers_by_itself(&self) -> bool {
        self.auto_cache_recover && self.cache && self.traits.has(Traits::RECOVERABLE)
    }
}

/// Bit of `SubscribeRequest.flag`.
const REJECT_UNRECOVERED: i64 = 1 << 1;

impl Wish {
    /// Without the filter, which has yet to be checked.
    pub(super) fn of(request: &SubscribeRequest<'_>) -> Self {
        let since = Since { offset: request.offset, epoch: (*request.epoch).into() };
        Self {
            recover: request.recover,
            since: (request.offset > 0 || !request.epoch.is_empty()).then_some(since),
            reject_unrecovered: request.flag & REJECT_UNRECOVERED != 0,
            delta: request.delta == DELTA_FOSSIL,
            filter: None,
        }
    }

    /// The offset as the client gave it.
    pub(super) fn offset(&self) -> u64 {
        self.since.as_ref().map_or(0, |since| since.offset)
    }
}
