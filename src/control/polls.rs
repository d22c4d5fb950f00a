//! Asks backends for the state of keys of shared-poll channels (upstream: centrifugo internal/proxy/
//! shared_poll_refresh_http.go, shared_poll_refresh_handler.go).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::backend::Backends;
use super::complaints::Complaints;
use super::http::Http;
use crate::channel::name::ChannelName;
use crate::channel::poll::op::{Refreshed, RefreshedKey};
use crate::channel::poll::{key_name, key_of};
use crate::channel::publication::MapEntry;
use crate::errand::{BackendError, HttpError, PollAnswer, PollQuery};
use crate::protocol::json::{self, write::Style};
use crate::protocol::proxy::{SharedPollRefreshItem, SharedPollRefreshRequest, SharedPollRefreshResponse};
use crate::protocol::raw::Raw;

/// Longest time for a question, whatever the timeout of the backend (upstream: `CallTimeout`).
const LONGEST: Duration = Duration::from_secs(30);

/// See the module. Clones are the same.
#[derive(Clone)]
pub struct Polls {
    http: Http,
    backends: Backends,
    /// A place for each question that is asked at once (`shared_poll.concurrency_limit`).
    places: Arc<Semaphore>,
    complaints: Complaints,
}

impl Polls {
    /// Asks so many questions at once.
    pub fn new(http: Http, backends: Backends, at_once: usize) -> Self {
        let places = Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)));
        Self { http, backends, places, complaints: Complaints::default() }
    }

    /// Asks when there is a place.
    pub async fn find(&self, query: PollQuery) -> PollAnswer {
        let began = Instant::now();
        let _place = self.places.acquire().await;
        let asked = Instant::now();
        let answer = tokio::time::timeout(LONGEST, self.backends.ask(&self.http, &query.proxy, question(&query))).await;
        let answer = answer.unwrap_or(Err(BackendError::Http(HttpError::Timeout)));
        let took_us = asked.elapsed().as_micros() as u64;
        let result = answer.and_then(|answer| read(&query.channel, &answer));
        if let Err(problem) = &result
            && self.complaints.are_due()
        {
            let (proxy, channel) = (&*query.proxy.name, query.channel.as_str());
            tracing::warn!(proxy, channel, %problem, "cannot ask the backend for keys of a shared-poll channel");
        }
        PollAnswer { proxy: query.proxy, result, waited_us: (asked - began).as_micros() as u64, took_us }
    }
}

fn question(query: &PollQuery) -> Vec<u8> {
    let channel = query.channel.as_str();
    let item = |(key, version): &'_ (ChannelName, u64)| SharedPollRefreshItem {
        key: key_of(channel, key).to_owned().into(),
        version: *version,
    };
    let request = SharedPollRefreshRequest { channel: channel.into(), items: query.keys.iter().map(item).collect() };
    let mut out = Vec::new();
    // It has no payloads, which alone could be no JSON.
    let _ = json::encode(&request, Style::Api, &mut out);
    out
}

fn read(channel: &ChannelName, answer: &Bytes) -> Result<Refreshed, BackendError> {
    let response: SharedPollRefreshResponse<'_> =
        json::decode_whole(answer).map_err(|malformed| BackendError::Malformed(malformed.0))?;
    if let Some(error) = response.error {
        return Err(BackendError::Refused(error.code));
    }
    let Some(result) = response.result else { return Ok(Refreshed::default()) };
    let keys = result.items.into_iter().map(|item| RefreshedKey {
        name: key_name(channel.as_str(), &item.key),
        entry: MapEntry { key: item.key.into(), removed: item.removed },
        data: shared(answer, &item.data),
        before: shared(answer, &item.prev_data),
        version: item.version,
    });
    Ok(Refreshed { keys: keys.collect(), epoch: result.epoch.into() })
}

/// A payload as a slice of the answer.
fn shared(answer: &Bytes, payload: &Raw<'_>) -> Bytes {
    match &payload.0 {
        std::borrow::Cow::Borrowed(slice) => answer.slice_ref(slice),
        std::borrow::Cow::Owned(copied) => Bytes::copy_from_slice(copied),
    }
}

#[cfg(test)]
#[path = "polls_tests.rs"]
mod tests;
