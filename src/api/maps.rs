//! `map_*` and `shared_poll_publish` (upstream: internal/api/api.go).

use std::borrow::Cow;

use super::pages::{self, What};
use super::publish::{payload, tags};
use super::request::ApiCx;
use super::step::{Outcome, Step, Wait, ask, options, write};
use crate::channel::map_op::{KeyMode, MapOp, MapOptions, MapPublishOp, MapState, StatePage, Suppression};
use crate::channel::op::{Answer, Op, Since};
use crate::channel::poll::key_name;
use crate::channel::poll::op::PollOp;
use crate::channel::publication::{MapEntry, Position, Publication};
use crate::config::snapshot::{ChannelOptions, SubscriptionType};
use crate::protocol::api::{
    self, MapClearRequest, MapClearResult, MapPublishRequest, MapPublishResult, MapReadStateRequest,
    MapReadStateResult, MapReadStreamRequest, MapRemoveRequest, MapRemoveResult, MapStatsRequest, MapStatsResult,
    SharedPollPublishRequest, SharedPollPublishResult,
};
use crate::protocol::error::Error;

/// What is made of a map's answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum MapWait {
    Publish,
    Remove,
    /// Of one key.
    State,
    Stats,
    Clear,
    KeyPublish,
}

/// Ordering by score and data for the stream alone are accepted and without effect, as upstream.
pub(super) fn publish(cx: &mut ApiCx<'_>, request: &MapPublishRequest<'_>) -> Result<Step, Error> {
    with_key(&request.key)?;
    let (options, map) = in_map(cx, &request.channel)?;
    let data = payload(&request.data, &request.b64data)?;
    let op = MapPublishOp {
        options: map,
        publication: Publication {
            tags: tags(&request.tags),
            entry: MapEntry::set(&request.key),
            ..Publication::bare(data)
        },
        key_mode: KeyMode::by_name(&request.key_mode).ok_or(Error::BAD_REQUEST)?,
        refresh_ttl: false,
        version: request.version,
        version_epoch: Box::from(&*request.version_epoch),
        delta: request.delta || options.delta_publish,
        idempotency_key: given(&request.idempotency_key),
    };
    Ok(ask_map(&request.channel, MapOp::Publish(op), MapWait::Publish))
}

pub(super) fn remove(cx: &mut ApiCx<'_>, request: &MapRemoveRequest<'_>) -> Result<Step, Error> {
    with_key(&request.key)?;
    let (_, options) = in_map(cx, &request.channel)?;
    let idempotency_key = given(&request.idempotency_key);
    let op = MapOp::Remove { options, key: Box::from(&*request.key), idempotency_key };
    Ok(ask_map(&request.channel, op, MapWait::Remove))
}

/// The order of the keys is always that of their bytes: `asc` is without effect, as upstream.
pub(super) fn read_state(cx: &mut ApiCx<'_>, request: &MapReadStateRequest<'_>) -> Result<Step, Error> {
    let (_, options) = in_map(cx, &request.channel)?;
    let cursor = Box::from(&*request.cursor);
    let revision = since(request.revision_offset, &request.revision_epoch);
    let Some(key) = given(&request.key) else {
        return Ok(pages::read(cx, &request.channel, What::State { options, cursor, revision }, request.limit));
    };
    let page = StatePage { cursor, limit: request.limit, revision };
    let op = MapOp::ReadState { options, key: Some(key), page };
    Ok(ask_map(&request.channel, op, MapWait::State))
}

pub(super) fn read_stream(cx: &mut ApiCx<'_>, request: &MapReadStreamRequest<'_>) -> Result<Step, Error> {
    let (_, options) = in_map(cx, &request.channel)?;
    let since = since(request.since_offset, &request.since_epoch);
    let what = What::Changes { options, since, reverse: request.reverse };
    Ok(pages::read(cx, &request.channel, what, request.limit))
}

pub(super) fn stats(cx: &mut ApiCx<'_>, request: &MapStatsRequest<'_>) -> Result<Step, Error> {
    in_map(cx, &request.channel)?;
    Ok(ask_map(&request.channel, MapOp::Stats, MapWait::Stats))
}

pub(super) fn clear(cx: &mut ApiCx<'_>, request: &MapClearRequest<'_>) -> Result<Step, Error> {
    in_map(cx, &request.channel)?;
    Ok(ask_map(&request.channel, MapOp::Clear, MapWait::Clear))
}

pub(super) fn shared_poll_publish(cx: &mut ApiCx<'_>, request: &SharedPollPublishRequest<'_>) -> Result<Step, Error> {
    if request.key.is_empty() || request.version == 0 {
        return Err(Error::BAD_REQUEST);
    }
    let options = options(cx, &request.channel)?;
    if options.subscription_type != SubscriptionType::SharedPoll {
        return Err(Error::BAD_REQUEST);
    }
    if !options.poll.plan.is_published {
        return Err(Error::NOT_AVAILABLE);
    }
    let publication = Publication {
        entry: MapEntry::set(&request.key),
        version: request.version,
        ..Publication::bare(payload(&request.data, &request.b64data)?)
    };
    let key = key_name(&request.channel, &request.key);
    let op = PollOp::Publish { publication, key, epoch: Box::from(&*request.epoch) };
    Ok(ask(&request.channel, Op::Poll(Box::new(op)), Wait::Map(MapWait::KeyPublish)))
}

impl MapWait {
    /// Writes the result.
    pub(super) fn answered(self, answer: Answer, out: &mut Vec<u8>) -> Outcome {
        match (self, answer) {
            (Self::Publish, Answer::MapUpdated(position, suppression)) => {
                let (offset, epoch, suppressed, suppress_reason) = updated(&position, suppression);
                write(&MapPublishResult { offset, epoch, suppressed, suppress_reason }, out)
            }
            (Self::Remove, Answer::MapUpdated(position, suppression)) => {
                let (offset, epoch, suppressed, suppress_reason) = updated(&position, suppression);
                write(&MapRemoveResult { offset, epoch, suppressed, suppress_reason }, out)
            }
            (Self::State, Answer::MapState(state)) => {
                let MapState { entries, position, .. } = &*state;
                let entries = entries.iter().map(|publication| api::MapEntry::of(publication)).collect();
                let (offset, epoch) = (position.offset, position.epoch.as_str());
                write(&MapReadStateResult { entries, offset, epoch, cursor: "".into() }, out)
            }
            (Self::Stats, Answer::MapKeys(keys)) => {
                write(&MapStatsResult { num_keys: i32::try_from(keys).unwrap_or(i32::MAX) }, out)
            }
            // Who tells it has no place to name.
            (Self::KeyPublish, Answer::Done | Answer::Published(_)) => write(&SharedPollPublishResult {}, out),
            (Self::Clear, Answer::Done) => write(&MapClearResult {}, out),
            (Self::State, Answer::Failed(error)) if error.code == Error::UNRECOVERABLE_POSITION.code => {
                Err(Error::UNRECOVERABLE_POSITION.into())
            }
            _ => Err(Error::INTERNAL.into()),
        }
    }
}

fn updated(position: &Position, suppression: Option<Suppression>) -> (u64, Cow<'_, str>, bool, Cow<'static, str>) {
    let reason = suppression.map_or("", Suppression::name);
    (position.offset, position.epoch.as_str(), suppression.is_some(), reason.into())
}

fn ask_map(channel: &str, op: MapOp, wait: MapWait) -> Step {
    ask(channel, Op::Map(Box::new(op)), Wait::Map(wait))
}

fn with_key(key: &str) -> Result<(), Error> {
    if key.is_empty() { Err(Error::BAD_REQUEST) } else { Ok(()) }
}

fn in_map<'c>(cx: &ApiCx<'c>, channel: &str) -> Result<(&'c ChannelOptions, MapOptions), Error> {
    let options = options(cx, channel)?;
    options.map.map(|map| (options, map)).ok_or(Error::BAD_REQUEST)
}

/// A position is given when either half of it is.
fn since(offset: u64, epoch: &str) -> Option<Since> {
    (offset > 0 || !epoch.is_empty()).then(|| Since { offset, epoch: Box::from(epoch) })
}

fn given(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| Box::from(text))
}
