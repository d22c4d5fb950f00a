//! `rpc`: there are no extensions to call (upstream: internal/api/api.go).

use super::method::NOT_FOUND;
use super::step::Step;
use crate::protocol::api::RPCRequest;
use crate::protocol::error::Error;

pub(super) fn rpc(request: &RPCRequest<'_>) -> Step {
    Step::Failed(if request.method.is_empty() { Error::BAD_REQUEST } else { NOT_FOUND })
}
