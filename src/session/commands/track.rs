//! `sub_refresh` of a shared-poll channel: tracks keys that the backend has signed, or stops to (upstream: centrifuge
//! client_keyed.go `handleTrack`, `handleUntrack`; centrifugo internal/client/handler.go `OnTrack`).

use std::collections::{BTreeMap, BTreeSet};

use crate::auth::TokenError;
use crate::auth::track::{self, Tracked};
use crate::channel::op::{Answer, Op};
use crate::channel::poll::key_name;
use crate::channel::poll::op::PollOp;
use crate::channel::rules;
use crate::config::snapshot::SubscriptionType;
use crate::fanout::hub::LocalChannel;
use crate::protocol::client::{Reply, SubRefreshRequest, SubRefreshResult, TrackBatch};
use crate::protocol::error::Error;
use crate::session::Cx;
use crate::session::polls::{Tracking, Wanted};
use crate::session::state::{Outcome, Pending, Refusal, Session};

impl Session {
    /// One signature that is not good refuses the whole command. Keys that the command also untracks are not tracked.
    pub(super) fn track_keys(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        request: &SubRefreshRequest<'_>,
        local: LocalChannel,
    ) -> Outcome {
        // Of a key that stands in several batches, the last one counts, in the place of the first: keys are asked for,
        // and numbered, in their order.
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut wanted: Vec<(&str, u64, usize)> = Vec::new();
        for (at, batch) in request.track.iter().enumerate() {
            for item in &batch.items {
                let place = *places.entry(&item.key).or_insert(wanted.len());
                match wanted.get_mut(place) {
                    Some(known) => *known = (&item.key, item.version, at),
                    None => wanted.push((&item.key, item.version, at)),
                }
            }
        }
        if wanted.is_empty() {
            return Err(Error::BAD_REQUEST.into());
        }
        let channel = cx.hub.name(local).clone();
        let options = rules::options(&cx.config.channel, channel.as_str()).ok_or(Error::UNKNOWN_CHANNEL)?;
        if options.subscription_type != SubscriptionType::SharedPoll {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let plan = options.poll.plan;
        let untracked: BTreeSet<&str> = request.untrack.iter().map(|key| &**key).collect();
        let is_tracked = |key: &str| self.tracks(local, cx.tracked.find_name(&key_name(channel.as_str(), key)));
        let gone = untracked.iter().filter(|key| is_tracked(key)).count();
        let new = places.keys().filter(|key| !untracked.contains(*key) && !is_tracked(key)).count();
        if self.tracked_keys(local) - gone + new > options.poll.max_keys {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        let ends = request.track.iter().map(|batch| self.verify_batch(cx, channel.as_str(), batch));
        let ends = ends.collect::<Result<Vec<i64>, Refusal>>()?;
        let expire_at = wanted.iter().map(|(_, _, at)| ends[*at]).filter(|end| *end > 0).min().unwrap_or(0);
        let mut names = Vec::with_capacity(wanted.len());
        let mut held = Vec::with_capacity(wanted.len());
        for (key, version, at) in wanted.into_iter().filter(|(key, ..)| !untracked.contains(key)) {
            let name = key_name(channel.as_str(), key);
            held.push(Wanted { key: cx.tracked.retain(&name), version, expire_at: ends[at] });
            names.push((name, version));
        }
        self.untrack(cx, local, untracked);
        let tracking = Tracking { channel: channel.clone(), local, wanted: held, expire_at, is_void: false };
        let op = Op::Poll(Box::new(PollOp::Track { plan, keys: names }));
        self.wait_for(cx, channel, op, Pending::Track { id, tracking: Box::new(tracking) });
        Ok(())
    }

    pub(in crate::session) fn on_tracked(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        mut tracking: Tracking,
        answer: Answer,
    ) -> Outcome {
        if !tracking.is_void && self.names_void_versions(&tracking) {
            self.on_insufficient_state(cx, tracking.local);
            tracking.is_void = true;
        }
        if tracking.is_void || answer != Answer::Done {
            Self::abandon_tracking(cx, tracking);
            return Err(match answer {
                Answer::Done => Error::PERMISSION_DENIED.into(),
                Answer::Failed(error) => error.into(),
                _ => Error::INTERNAL.into(),
            });
        }
        let expires = tracking.expire_at > 0;
        let ttl = (tracking.expire_at - cx.now.unix_s()).clamp(0, i64::from(u32::MAX)) as u32;
        self.begin_tracking(cx, tracking);
        let result = SubRefreshResult { expires, ttl: if expires { ttl } else { 0 }, ..SubRefreshResult::default() };
        self.send(cx, &Reply { id, sub_refresh: Some(Box::new(result)), ..Reply::default() });
        Ok(())
    }

    pub(super) fn untrack_keys(
        &mut self,
        cx: &mut Cx<'_>,
        id: u32,
        request: &SubRefreshRequest<'_>,
        local: LocalChannel,
    ) -> Outcome {
        if request.untrack.is_empty() {
            return Err(Error::BAD_REQUEST.into());
        }
        self.untrack(cx, local, request.untrack.iter().map(|key| &**key));
        self.send(cx, &Reply { id, sub_refresh: Some(Box::default()), ..Reply::default() });
        Ok(())
    }

    /// When the batch expires, Unix seconds.
    fn verify_batch(&self, cx: &Cx<'_>, channel: &str, batch: &TrackBatch<'_>) -> Result<i64, Refusal> {
        let keys: Vec<&str> = batch.items.iter().map(|item| &*item.key).collect();
        let tracked = Tracked { user: self.user(), channel, keys: &keys.join("\0") };
        track::verify(&cx.config.track_keys, &batch.signature, tracked, cx.now).map_err(|error| match error {
            TokenError::Expired => Error::TOKEN_EXPIRED.into(),
            TokenError::Invalid => Error::PERMISSION_DENIED.into(),
        })
    }
}
