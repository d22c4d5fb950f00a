//! `batch`: several commands in one body (upstream: internal/api/api.go).

use super::method::prepare_command;
use super::request::ApiCx;
use super::step::Step;
use crate::metrics::labels::Api;
use crate::protocol::Malformed;
use crate::protocol::api::BatchRequest;
use crate::protocol::error::Error;
use crate::protocol::json::decode_whole;
use crate::protocol::message::message;

message! {
    /// A batch with its commands undecoded.
    RawBatch<'a> {
        /// Each a JSON value.
        commands: [bytes] = 1,
    }
}

/// Decodes and checks all commands; tells whether they may run at the same time.
pub(super) fn prepare(cx: &mut ApiCx<'_>, body: &[u8]) -> Result<(bool, Vec<(Api, Step)>), Malformed> {
    let batch: BatchRequest<'_> = decode_whole(body)?;
    let mut steps: Vec<_> = batch.commands.iter().map(|command| prepare_command(cx, command)).collect();
    if steps.iter().any(|(method, _)| *method == Api::Unknown) {
        // A command that is null is refused in another way than an empty one. Rare enough to look again.
        let raw: RawBatch<'_> = decode_whole(body)?;
        for ((_, step), _) in steps.iter_mut().zip(&raw.commands).filter(|(_, raw)| raw.as_bytes() == b"null") {
            *step = Step::Failed(Error::BAD_REQUEST);
        }
    }
    Ok((batch.parallel, steps))
}
