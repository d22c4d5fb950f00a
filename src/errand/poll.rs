//! The state of keys of shared-poll channels, asked of their backend.

use std::fmt;
use std::sync::Arc;

use super::HttpError;
use crate::channel::name::ChannelName;
use crate::channel::poll::op::Refreshed;
use crate::config::snapshot::HttpProxy;

/// A question. It may wait for a place among those that are asked at once, and then for the timeout of the backend.
#[derive(Debug)]
pub struct PollQuery {
    /// Who knows.
    pub proxy: Arc<HttpProxy>,
    /// The channel.
    pub channel: ChannelName,
    /// Names as [`key_name`](crate::channel::poll::key_name) makes them, each with the version that is known.
    pub keys: Vec<(ChannelName, u64)>,
}

/// What came of it.
#[derive(Debug)]
pub struct PollAnswer {
    /// Who was asked.
    pub proxy: Arc<HttpProxy>,
    /// The state of keys, if the backend told.
    pub result: Result<Refreshed, BackendError>,
    /// How long it waited for a place, microseconds.
    pub waited_us: u64,
    /// How long the backend took, microseconds.
    pub took_us: u64,
}

impl PollAnswer {
    /// The backend is not there.
    pub fn timeout(query: PollQuery) -> Self {
        Self { proxy: query.proxy, result: Err(BackendError::Http(HttpError::Timeout)), waited_us: 0, took_us: 0 }
    }
}

/// Why a backend did not answer, or not as it should. For logs; names no address and quotes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BackendError {
    /// No response.
    Http(HttpError),
    /// Another status than 200.
    Status(u16),
    /// The response does not read.
    Malformed(&'static str),
    /// The backend answered with an error of this code.
    Refused(u32),
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the status is {status}"),
            Self::Malformed(problem) => write!(f, "the response does not read: {problem}"),
            Self::Refused(code) => write!(f, "the backend answered with error {code}"),
        }
    }
}

impl std::error::Error for BackendError {}
