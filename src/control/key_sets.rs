//! Reads key sets for shards: what is known already is answered at once, and whoever looks for the same key at the same
//! time waits for one reading. Upstream: centrifugo internal/jwks/manager.go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};

use super::complaints::Complaints;
use super::http::Http;
use crate::auth::{Found, KeyQuery, read_key_set};
use crate::errand::{HttpRequest, Method};

/// Upstream: `_defaultRetries`. Only no answer, and another status than 200, are tried again.
const ATTEMPTS: usize = 2;

/// For each attempt (upstream: `_defaultTimeout`).
const TIMEOUT_MS: u64 = 1_000;

/// Bytes of a key set at most. Upstream has no bound.
const MAX_SET: usize = 1 << 20;

/// Sets that are read at once. Tokens may name any `kid`, and each unknown one is a reading, as upstream.
const READINGS: usize = 64;

/// See the module. Clones are the same reader.
#[derive(Clone)]
pub struct KeySets(Arc<Inner>);

struct Inner {
    http: Http,
    start: Instant,
    /// Who waits for which reading, beside the one who reads.
    waiting: Mutex<HashMap<KeyQuery, Vec<oneshot::Sender<Found>>>>,
    readings: Semaphore,
    complaints: Complaints,
}

impl KeySets {
    /// Nothing is read yet.
    pub fn new(http: Http) -> Self {
        Self(Arc::new(Inner {
            http,
            start: Instant::now(),
            waiting: Mutex::default(),
            readings: Semaphore::new(READINGS),
            complaints: Complaints::default(),
        }))
    }

    /// The key, if its set can be read and has it.
    pub async fn find(&self, query: &KeyQuery) -> Found {
        if let Some(key) = query.look_up(self.now_ms()) {
            return Some(key);
        }
        if let Some(answer) = self.join(query) {
            return answer.await.unwrap_or_default();
        }
        let _place = self.0.readings.acquire().await;
        let found = self.read(query).await;
        let waiting = self.waiting().remove(query).unwrap_or_default();
        for other in waiting {
            // Who does not wait any more is at the end of the process.
            let _ = other.send(found.clone());
        }
        found
    }

    /// Waits for a reading that is under way; nothing when there is none, and now there is.
    fn join(&self, query: &KeyQuery) -> Option<oneshot::Receiver<Found>> {
        let mut waiting = self.waiting();
        match waiting.get_mut(query) {
            Some(others) => {
                let (sender, answer) = oneshot::channel();
                others.push(sender);
                Some(answer)
            }
            None => {
                waiting.insert(query.clone(), Vec::new());
                None
            }
        }
    }

    async fn read(&self, query: &KeyQuery) -> Found {
        match self.fetch(query.url()).await.and_then(|set| read_key_set(&set).map_err(|error| error.to_string())) {
            Ok(keys) => query.keep(keys, self.now_ms()),
            Err(problem) => {
                self.complain(query.url(), &problem);
                None
            }
        }
    }

    async fn fetch(&self, url: &str) -> Result<Bytes, String> {
        let mut problem = String::new();
        for _ in 0..ATTEMPTS {
            let request = HttpRequest {
                method: Method::Get,
                url: url.into(),
                headers: Vec::new(),
                body: Bytes::new(),
                timeout_ms: TIMEOUT_MS,
                max_response: MAX_SET,
            };
            match self.0.http.send(request).await {
                Ok(response) if response.status == 200 => return Ok(response.body),
                Ok(response) => problem = format!("the status is {}", response.status),
                Err(error) => problem = error.to_string(),
            }
        }
        Err(problem)
    }

    fn complain(&self, url: &str, problem: &str) {
        if self.0.complaints.are_due() {
            let endpoint = without_secrets(url);
            tracing::warn!(endpoint, problem, "cannot read a key set: tokens that need it are refused");
        }
    }

    fn now_ms(&self) -> u64 {
        self.0.start.elapsed().as_millis() as u64
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<KeyQuery, Vec<oneshot::Sender<Found>>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scheme, host and path.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (url, shown) in [
            ("https://a.example/keys", "https://a.example/keys"),
            ("https://user:secret@a.example:8443/keys?key=secret#secret", "https://a.example:8443/keys"),
            ("http://a.example?key=secret", "http://a.example"),
            ("http://user:sec@ret@a.example/x@y", "http://a.example/x@y"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
