//! `map_*` and `shared_poll_publish`: the checks of upstream (internal/api/api.go). Channels of these kinds do not
//! exist on this server yet, so what passes the checks is answered with 108.

use super::publish::payload;
use super::request::ApiCx;
use super::step::{Step, options};
use crate::config::snapshot::SubscriptionType;
use crate::protocol::api::{
    MapClearRequest, MapPublishRequest, MapReadStateRequest, MapReadStreamRequest, MapRemoveRequest, MapStatsRequest,
    SharedPollPublishRequest,
};
use crate::protocol::error::Error;

pub(super) fn publish(cx: &mut ApiCx<'_>, request: &MapPublishRequest<'_>) -> Step {
    let checked = with_key(&request.key)
        .and_then(|()| in_map(cx, &request.channel))
        .and_then(|()| payload(&request.data, &request.b64data))
        .and_then(|_| match &*request.key_mode {
            "" | "if_new" | "if_exists" => Ok(()),
            _ => Err(Error::BAD_REQUEST),
        });
    unavailable(checked)
}

pub(super) fn remove(cx: &mut ApiCx<'_>, request: &MapRemoveRequest<'_>) -> Step {
    unavailable(with_key(&request.key).and_then(|()| in_map(cx, &request.channel)))
}

pub(super) fn read_state(cx: &mut ApiCx<'_>, request: &MapReadStateRequest<'_>) -> Step {
    unavailable(in_map(cx, &request.channel))
}

pub(super) fn read_stream(cx: &mut ApiCx<'_>, request: &MapReadStreamRequest<'_>) -> Step {
    unavailable(in_map(cx, &request.channel))
}

pub(super) fn stats(cx: &mut ApiCx<'_>, request: &MapStatsRequest<'_>) -> Step {
    unavailable(in_map(cx, &request.channel))
}

pub(super) fn clear(cx: &mut ApiCx<'_>, request: &MapClearRequest<'_>) -> Step {
    unavailable(in_map(cx, &request.channel))
}

pub(super) fn shared_poll_publish(cx: &mut ApiCx<'_>, request: &SharedPollPublishRequest<'_>) -> Step {
    if request.key.is_empty() || request.version == 0 {
        return Step::Failed(Error::BAD_REQUEST);
    }
    unavailable(in_namespace(cx, &request.channel, |kind| kind == SubscriptionType::SharedPoll))
}

fn with_key(key: &str) -> Result<(), Error> {
    if key.is_empty() { Err(Error::BAD_REQUEST) } else { Ok(()) }
}

fn in_map(cx: &ApiCx<'_>, channel: &str) -> Result<(), Error> {
    use SubscriptionType::{Map, MapClients, MapUsers};
    in_namespace(cx, channel, |kind| matches!(kind, Map | MapClients | MapUsers))
}

fn in_namespace(cx: &ApiCx<'_>, channel: &str, fits: impl FnOnce(SubscriptionType) -> bool) -> Result<(), Error> {
    if fits(options(cx, channel)?.subscription_type) { Ok(()) } else { Err(Error::BAD_REQUEST) }
}

fn unavailable(checked: Result<(), Error>) -> Step {
    Step::Failed(checked.err().unwrap_or(Error::NOT_AVAILABLE))
}
