//! `publish` and `broadcast` (upstream: internal/api/api.go).

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::request::ApiCx;
use super::step::{Ops, Outcome, Step, Wait, ask, options, write};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, HistoryOptions, Op, PublishOp};
use crate::channel::publication::{Position, Publication, Tags};
use crate::channel::rules;
use crate::config::snapshot::{ChannelOptions, SubscriptionType};
use crate::metrics::labels::Api;
use crate::protocol::api::{self, BroadcastRequest, BroadcastResult, PublishRequest, PublishResponse, PublishResult};
use crate::protocol::error::Error;
use crate::protocol::raw::Raw;

/// Base64 as Go's `StdEncoding` takes it: padding required, trailing bits not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The payload: `b64` decoded where it is given, else the raw one.
pub(super) fn payload(raw: &Raw<'_>, b64: &str) -> Result<Bytes, Error> {
    if b64.is_empty() {
        return Ok(Bytes::copy_from_slice(raw.as_bytes()));
    }
    // Go passes over line ends anywhere in the text.
    let text: Cow<'_, str> = if b64.contains(['\r', '\n']) { b64.replace(['\r', '\n'], "").into() } else { b64.into() };
    BASE64.decode(&*text).map(Bytes::from).map_err(|_| Error::BAD_REQUEST)
}

pub(super) fn publish(cx: &mut ApiCx<'_>, request: &PublishRequest<'_>) -> Step {
    check_publish(cx, request).into()
}

fn check_publish(cx: &ApiCx<'_>, request: &PublishRequest<'_>) -> Result<Step, Error> {
    if request.channel.is_empty() {
        return Err(Error::BAD_REQUEST);
    }
    let data = payload(&request.data, &request.b64data)?;
    let options = options(cx, &request.channel)?;
    if options.subscription_type != SubscriptionType::Stream {
        return Err(Error::BAD_REQUEST);
    }
    if !rules::check_data(options.publication_data_format, &data) {
        return Err(Error::BAD_REQUEST);
    }
    let op = op(
        data,
        tags(&request.tags),
        history(options, request.skip_history),
        request.delta || options.delta_publish,
        &request.idempotency_key,
        request.version,
        &request.version_epoch,
    );
    Ok(ask(&request.channel, op, Wait::Publish))
}

pub(super) fn published(answer: Answer, out: &mut Vec<u8>) -> Outcome {
    match answer {
        Answer::Published(position) => write(&result(&position), out),
        _ => Err(Error::INTERNAL.into()),
    }
}

/// A broadcast that waits. Each channel succeeds or fails for itself.
#[derive(Debug)]
pub(super) struct Broadcast {
    /// One for each channel, in order.
    responses: Vec<Result<Position, Error>>,
    /// The channel of each request that was sent.
    sent: Vec<u32>,
    answered: usize,
}

/// Upstream does not look at the type of the namespaces here.
pub(super) fn broadcast(cx: &mut ApiCx<'_>, request: &BroadcastRequest<'_>) -> Step {
    if request.channels.is_empty() {
        return Step::Failed(Error::BAD_REQUEST);
    }
    let data = match payload(&request.data, &request.b64data) {
        Ok(data) => data,
        Err(error) => return Step::Failed(error),
    };
    let tags = tags(&request.tags);
    let mut ops = Ops::with_capacity(request.channels.len());
    let mut waiting = Broadcast {
        responses: Vec::with_capacity(request.channels.len()),
        sent: Vec::with_capacity(request.channels.len()),
        answered: 0,
    };
    for (at, channel) in request.channels.iter().enumerate() {
        let checked = options(cx, channel).and_then(|options| {
            let fits = rules::check_data(options.publication_data_format, &data);
            if fits { Ok(options) } else { Err(Error::BAD_REQUEST) }
        });
        match checked {
            Ok(options) => {
                let op = op(
                    data.clone(),
                    tags.clone(),
                    history(options, request.skip_history),
                    request.delta || options.delta_publish,
                    &request.idempotency_key,
                    request.version,
                    &request.version_epoch,
                );
                ops.push((ChannelName::new(channel), op));
                waiting.sent.push(at as u32);
                waiting.responses.push(Ok(Position::default()));
            }
            Err(error) => {
                cx.metrics.api_error(Api::BroadcastPublish, error.code);
                waiting.responses.push(Err(error));
            }
        }
    }
    if ops.is_empty() {
        return Step::result(|out| waiting.write(out));
    }
    Step::Ops(ops, Wait::Broadcast(waiting))
}

impl Broadcast {
    pub(super) fn on_answer(
        &mut self,
        cx: &mut ApiCx<'_>,
        at: usize,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        let response = self.responses.get_mut(*self.sent.get(at)? as usize)?;
        *response = match answer {
            Answer::Published(position) => Ok(position),
            _ => {
                cx.metrics.api_error(Api::BroadcastPublish, Error::INTERNAL.code);
                Err(Error::INTERNAL)
            }
        };
        self.answered += 1;
        (self.answered == self.sent.len()).then(|| self.write(out))
    }

    fn write(&self, out: &mut Vec<u8>) -> Outcome {
        write(&BroadcastResult { responses: self.responses.iter().map(response).collect() }, out)
    }
}

fn response(response: &Result<Position, Error>) -> PublishResponse<'_> {
    match response {
        Ok(position) => PublishResponse { error: None, result: Some(result(position)) },
        Err(error) => PublishResponse { error: Some(api::Error::of(error)), result: None },
    }
}

fn result(position: &Position) -> PublishResult<'_> {
    PublishResult { offset: position.offset, epoch: position.epoch.as_str() }
}

fn op(
    data: Bytes,
    tags: Option<Arc<Tags>>,
    history: HistoryOptions,
    delta: bool,
    idempotency_key: &str,
    version: u64,
    version_epoch: &str,
) -> Op {
    Op::Publish(Box::new(PublishOp {
        publication: Publication { tags, version, ..Publication::bare(data) },
        history,
        delta,
        idempotency_key: Some(idempotency_key).filter(|key| !key.is_empty()).map(Box::from),
        version_epoch: Box::from(version_epoch),
    }))
}

fn history(options: &ChannelOptions, skip: bool) -> HistoryOptions {
    let meta_ttl_s = options.history.meta_ttl_s;
    if skip { HistoryOptions { meta_ttl_s, ..HistoryOptions::default() } } else { options.history }
}

pub(super) fn tags(tags: &[(Cow<'_, str>, Cow<'_, str>)]) -> Option<Arc<Tags>> {
    let owned = |(key, value): &(Cow<'_, str>, Cow<'_, str>)| (Box::from(&**key), Box::from(&**value));
    (!tags.is_empty()).then(|| Arc::new(tags.iter().map(owned).collect()))
}
