//! How the outcomes of a call's methods become one HTTP response.

use super::response::Response;
use super::step::Failed;
use crate::metrics::labels::Api;
use crate::protocol::api;
use crate::protocol::error::Error;
use crate::protocol::json::encode;
use crate::protocol::json::write::Style;

/// The form of the response.
#[derive(Debug)]
pub(super) enum Form {
    /// One method: `{"result":…}` or `{"error":…}`.
    Single {
        /// Errors are HTTP statuses with the bare error as body.
        transport_errors: bool,
    },
    /// `{"replies":[…]}`.
    Batch {
        /// The commands need not wait for each other.
        parallel: bool,
    },
    /// The legacy route: one reply a line.
    Legacy {
        /// The id of each command; 0 = none.
        ids: Vec<u32>,
        /// A command could not be decoded: those before it are carried out, the response is 400.
        is_cut: bool,
    },
    /// No method at all: the result as it is.
    Bare {
        /// Its type.
        content_type: &'static str,
    },
}

/// The encoded result of a method, or why there is none.
pub(super) type Finished = Result<Vec<u8>, Failed>;

impl Form {
    /// A buffer for the result of a method. That of a lone method is already the response's.
    pub(super) fn buffer(&self) -> Vec<u8> {
        match self {
            Form::Single { .. } => {
                let mut buffer = Vec::with_capacity(64);
                buffer.extend_from_slice(b"{\"result\":");
                buffer
            }
            _ => Vec::new(),
        }
    }

    /// The response, once every method is finished.
    pub(super) fn respond(&self, finished: impl Iterator<Item = (Api, Finished)>) -> Response {
        match self {
            Form::Single { transport_errors } => single(finished, *transport_errors),
            Form::Batch { .. } => batch(finished),
            Form::Legacy { is_cut: true, .. } => Response::bad_request(),
            Form::Legacy { ids, .. } => legacy(finished, ids),
            Form::Bare { content_type } => bare(finished, content_type),
        }
    }
}

fn single(mut finished: impl Iterator<Item = (Api, Finished)>, transport_errors: bool) -> Response {
    match finished.next() {
        Some((_, Ok(mut body))) => {
            body.push(b'}');
            Response::json(200, body)
        }
        Some((_, Err(Failed::Error(error)))) => {
            let mut body = Vec::with_capacity(64);
            if transport_errors {
                write_error(&error, &mut body);
                return Response::json(http_status(&error), body);
            }
            write_failure(&error, &mut body);
            body.push(b'}');
            Response::json(200, body)
        }
        Some((_, Err(Failed::NotJson))) | None => Response::internal_error(),
    }
}

fn batch(finished: impl Iterator<Item = (Api, Finished)>) -> Response {
    let mut body = Vec::with_capacity(256);
    for (method, finished) in finished {
        body.extend_from_slice(if body.is_empty() { b"{\"replies\":[" } else { b"," });
        match finished {
            Ok(result) => {
                body.extend_from_slice(b"{\"");
                body.extend_from_slice(method.name().as_bytes());
                body.extend_from_slice(b"\":");
                body.extend_from_slice(&result);
            }
            Err(Failed::Error(error)) => write_failure(&error, &mut body),
            Err(Failed::NotJson) => return Response::internal_error(),
        }
        body.push(b'}');
    }
    body.extend_from_slice(if body.is_empty() { b"{}" } else { b"]}" });
    Response::json(200, body)
}

fn legacy(finished: impl Iterator<Item = (Api, Finished)>, ids: &[u32]) -> Response {
    let mut body = Vec::with_capacity(256);
    for ((_, finished), id) in finished.zip(ids) {
        if !body.is_empty() {
            body.push(b'\n');
        }
        let start = body.len();
        match finished {
            Ok(result) => {
                body.extend_from_slice(b"{\"result\":");
                body.extend_from_slice(&result);
            }
            Err(Failed::Error(error)) => write_failure(&error, &mut body),
            Err(Failed::NotJson) => return Response::internal_error(),
        }
        body.push(b'}');
        if *id != 0 {
            let id = format!("\"id\":{id},");
            body.splice(start + 1..start + 1, id.into_bytes());
        }
    }
    Response::json(200, body)
}

fn bare(mut finished: impl Iterator<Item = (Api, Finished)>, content_type: &'static str) -> Response {
    match finished.next() {
        Some((_, Ok(body))) => Response { status: 200, content_type, body },
        _ => Response::internal_error(),
    }
}

/// `{"error":{…}`, the brace left open.
fn write_failure(error: &Error, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":");
    write_error(error, out);
}

fn write_error(error: &Error, out: &mut Vec<u8>) {
    // Holds no payload, so it is always JSON.
    let _ = encode(&api::Error::of(error), Style::Api, out);
}

/// Upstream: internal/apiproto/errors.go.
fn http_status(error: &Error) -> u16 {
    match error.code {
        102 | 104 => 404,
        107 | 108 => 400,
        112 => 416,
        113 => 409,
        _ => 500,
    }
}
