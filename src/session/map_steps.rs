//! The steps by which a subscription to a map comes to be live: pages of keys, pages of changes, the rest of the
//! changes. Between two steps nothing is held but what the next one needs, and no interest in the channel.
//!
//! The home carries out a step, and goes live with it if it can, between two publications (see
//! [`MapSubscribeOp`](crate::channel::map_op::MapSubscribeOp)); so nothing is buffered or merged here, and two steps
//! never run beside each other (upstream: centrifuge client_map.go, which answers that with error 113).

use std::borrow::Cow;
use std::sync::Arc;

use super::Cx;
use super::grant::Grant;
use super::state::Session;
use super::subscribing::Subscribing;
use super::subscriptions::Traits;
use crate::channel::filter::Filter;
use crate::channel::map_delta;
use crate::channel::map_op::{MapPhase, MapSubscribed};
use crate::channel::name::ChannelName;
use crate::channel::op::Subscribed;
use crate::channel::publication::{Epoch, Position, Publication};
use crate::channel::rules;
use crate::metrics::labels::Action;
use crate::protocol::client::{self, SubscribeResult};

/// `SubscribeRequest.phase` and `SubscribeResult.phase`: keys.
pub(super) const STATE: i32 = 2;
/// Changes.
pub(super) const STREAM: i32 = 1;
/// Live.
pub(super) const LIVE: i32 = 0;

/// `SubscribeResult.type` of all kinds of maps.
const MAP: i32 = 1;

/// A map that is read and not live yet. A session has at most as many as it may have subscriptions.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) name: ChannelName,
    /// What the first step was granted.
    pub(super) grant: Grant,
    /// Where the map stood at the first page of keys.
    pub(super) begun: Option<Position>,
    /// What pages of changes aim at, once there was one.
    pub(super) aim: Option<u64>,
    /// The epoch that the client named, or was given; none when neither.
    pub(super) epoch: Epoch,
    /// Only keys and changes with fitting tags.
    pub(super) filter: Option<Arc<Filter>>,
    /// When the first step was taken, milliseconds of the monotonic clock.
    pub(super) began_ms: u64,
}

impl Loading {
    pub(super) fn new(name: ChannelName, grant: Grant, now_ms: u64) -> Self {
        Self { name, grant, begun: None, aim: None, epoch: Epoch::NONE, filter: None, began_ms: now_ms }
    }

    /// Whether the client takes longer than it may.
    pub(super) fn is_late(&self, now_ms: u64, timeout_ms: Option<u64>) -> bool {
        timeout_ms.is_some_and(|timeout_ms| now_ms.saturating_sub(self.began_ms) > timeout_ms)
    }

    /// Whether a further step names another epoch.
    pub(super) fn contradicts(&self, epoch: &str) -> bool {
        !epoch.is_empty() && !self.epoch.is_none() && self.epoch.as_str() != epoch
    }
}

/// A step that the home was asked for.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) loading: Loading,
    /// The subscription that it is when the home says that it is live.
    pub(super) subscribing: Subscribing,
    /// What the client asked for.
    pub(super) phase: MapPhase,
    /// The client comes back with what it had.
    pub(super) recover: bool,
    /// The client asked for delta, and it may have it.
    pub(super) delta: bool,
    /// Offset of the last change that the home answered with.
    pub(super) last_offset: Option<u64>,
}

impl Step {
    /// A page for the client, which then asks for the next one.
    pub(super) fn page<'r>(&self, answer: &'r MapSubscribed) -> SubscribeResult<'r> {
        let result = SubscribeResult { epoch: answer.position.epoch.as_str(), ..self.kind() };
        match &self.phase {
            MapPhase::State { begun, .. } => SubscribeResult {
                phase: STATE,
                // What changed since the first page comes later, as changes.
                offset: begun.unwrap_or(answer.position).offset,
                cursor: (*answer.cursor).into(),
                state: self.told(&answer.state),
                ..result
            },
            MapPhase::Stream { since, .. } | MapPhase::Live { since } => SubscribeResult {
                phase: STREAM,
                // Filtered ones count as seen.
                offset: self.last_offset.unwrap_or(since.offset),
                publications: self.told(&answer.publications),
                ..result
            },
        }
    }

    /// Counts how the subscription came to be live, and what upstream reads for it.
    pub(super) fn count(&self, cx: &mut Cx<'_>) {
        let (action, has_stream) = (
            match &self.phase {
                MapPhase::State { .. } => Action::MapSubscribeStateToLive,
                MapPhase::Stream { .. } => Action::MapSubscribeStreamToLive,
                MapPhase::Live { .. } => Action::MapSubscribeRecoveryJoin,
            },
            self.loading.grant.traits.has(Traits::RECOVERABLE),
        );
        cx.metrics.action(action);
        if has_stream {
            if matches!(self.phase, MapPhase::State { .. }) {
                cx.metrics.action(Action::MapStreamPosition);
            }
            cx.metrics.action(Action::MapStreamRead);
        }
    }

    /// The last page, or the changes that were missing: the subscription is live.
    pub(super) fn live<'r>(&'r self, answer: &'r MapSubscribed) -> SubscribeResult<'r> {
        let is_recoverable = self.loading.grant.traits.has(Traits::RECOVERABLE);
        let epoch = match &self.phase {
            // Without a stream nobody looks at what the client has.
            MapPhase::Stream { since, .. } | MapPhase::Live { since } if !is_recoverable => {
                Cow::Borrowed(&*since.epoch)
            }
            _ => answer.position.epoch.as_str(),
        };
        SubscribeResult {
            phase: LIVE,
            recoverable: is_recoverable,
            epoch,
            offset: if is_recoverable { answer.position.offset } else { 0 },
            state: self.told(&answer.state),
            publications: match self.delta && is_recoverable {
                true => map_delta::changes(self.subscribing.protocol, &answer.publications),
                false => wire(&answer.publications),
            },
            delta: self.delta,
            was_recovering: self.is_recovery(),
            recovered: self.is_recovery(),
            ..self.kind()
        }
    }

    /// Leaves out what the client does not want. The position is not touched by it.
    pub(super) fn filter(&mut self, answer: &mut MapSubscribed) {
        self.last_offset = answer.publications.last().map(|last| last.offset);
        if let Some(filter) = &self.loading.filter {
            answer.state.retain(|entry| filter.matches(entry.tags()));
            answer.publications.retain(|change| filter.matches(change.tags()));
        }
    }

    /// What makes the subscription live, on this side.
    pub(super) fn admit(&mut self, session: &mut Session, cx: &mut Cx<'_>, answer: &MapSubscribed) {
        self.subscribing.is_recovering = self.is_recovery();
        self.subscribing.delta = self.delta;
        self.subscribing.filter = self.loading.filter.clone();
        let subscribed = Subscribed {
            position: answer.position,
            recovered: self.is_recovery(),
            publications: answer.publications.clone(),
        };
        self.subscribing.admit(session, cx, &subscribed);
    }

    /// Whether the client said that it comes back, and may.
    fn is_recovery(&self) -> bool {
        self.recover && !matches!(self.phase, MapPhase::State { .. })
    }

    fn told<'p>(&self, publications: &'p [Arc<Publication>]) -> Vec<client::Publication<'p>> {
        if self.delta { map_delta::page(self.subscribing.protocol, publications) } else { wire(publications) }
    }

    fn kind(&self) -> SubscribeResult<'static> {
        SubscribeResult { r#type: MAP, ..SubscribeResult::default() }
    }
}

fn wire<'p>(publications: &'p [Arc<Publication>]) -> Vec<client::Publication<'p>> {
    publications.iter().map(|publication| client::Publication::of(publication)).collect()
}

impl Session {
    /// Takes the map out of those that are read.
    pub(super) fn take_loading(&mut self, channel: &str) -> Option<Loading> {
        let background = self.background.as_mut()?;
        let at = background.loading.iter().position(|loading| loading.name.as_str() == channel)?;
        let loading = background.loading.swap_remove(at);
        self.tidy_background();
        Some(loading)
    }

    /// Maps that are read and not live.
    pub(super) fn loading(&self) -> &[Loading] {
        self.background.as_ref().map_or(&[], |background| &background.loading)
    }

    /// Forgets other maps that the client began to read and left (upstream: `sweepExpiredMapSubscribing`).
    pub(super) fn forget_late_maps(&mut self, cx: &Cx<'_>, but: &str) {
        if let Some(background) = &mut self.background {
            background.loading.retain(|loading| {
                let name = loading.name.as_str();
                name == but
                    || !loading.is_late(cx.now.mono_ms, rules::map_catch_up_timeout_ms(&cx.config.channel, name))
            });
            self.tidy_background();
        }
    }
}
