//! `history` and `history_remove` (upstream: internal/api/api.go).

use super::pages::{self, What};
use super::request::ApiCx;
use super::step::{Outcome, Step, Wait, ask, options, write};
use crate::channel::op::{Answer, Op, Since};
use crate::config::snapshot::ChannelOptions;
use crate::protocol::api::{HistoryRemoveRequest, HistoryRemoveResult, HistoryRequest};
use crate::protocol::error::Error;

pub(super) fn history(cx: &mut ApiCx<'_>, request: &HistoryRequest<'_>) -> Step {
    let options = match with_history(cx, &request.channel) {
        Ok(options) => options,
        Err(error) => return Step::Failed(error),
    };
    let since = request.since.as_ref().map(|since| Since { offset: since.offset, epoch: Box::from(&*since.epoch) });
    let what = What::History { meta_ttl_s: options.history.meta_ttl_s, since, reverse: request.reverse };
    // Any negative limit means all.
    pages::read(cx, &request.channel, what, request.limit.max(-1))
}

pub(super) fn history_remove(cx: &mut ApiCx<'_>, request: &HistoryRemoveRequest<'_>) -> Step {
    match with_history(cx, &request.channel) {
        Ok(_) => ask(&request.channel, Op::HistoryRemove, Wait::HistoryRemove),
        Err(error) => Step::Failed(error),
    }
}

pub(super) fn removed(answer: Answer, out: &mut Vec<u8>) -> Outcome {
    match answer {
        Answer::Done => write(&HistoryRemoveResult {}, out),
        _ => Err(Error::INTERNAL.into()),
    }
}

fn with_history<'c>(cx: &ApiCx<'c>, channel: &str) -> Result<&'c ChannelOptions, Error> {
    let options = options(cx, channel)?;
    if options.history.is_on() { Ok(options) } else { Err(Error::NOT_AVAILABLE) }
}
