//! Asks backends of the application: `POST` with a JSON body and the headers of the configuration; only the status 200
//! counts as an answer (upstream: centrifugo internal/proxy/http.go).
//!
//! Headers of clients are passed on, and statuses are turned into errors of clients, only where a client's command has
//! the backend asked (upstream: `httpRequestHeaders`, `transformHTTPStatusError`).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::http::Http;
use crate::config::snapshot::{HttpProxy, Snapshot};
use crate::errand::{BackendError, HttpError, HttpRequest, Method};

/// Bytes of an answer at most. Upstream has no bound.
const MAX_ANSWER: usize = 32 << 20;

/// Headers that are ours to set: Go's client leaves them out of a request, too.
const OURS: [&str; 5] = ["content-type", "host", "content-length", "transfer-encoding", "trailer"];

/// How backends with TLS options of their own are reached, by name. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Backends(Arc<HashMap<Box<str>, Result<Http, String>>>);

impl Backends {
    /// Reads what the TLS options of all backends name.
    ///
    /// # Errors
    /// What is wrong with those of a backend that is asked, in a sentence.
    pub fn new(config: &Snapshot) -> Result<Self, String> {
        let of = |proxy: &Arc<HttpProxy>| {
            let tls = proxy.tls.as_ref().filter(|_| proxy.endpoint.starts_with("https://"))?;
            Some((proxy.name.clone(), Http::towards(&proxy.endpoint, tls)))
        };
        let own: HashMap<_, _> = config.proxies.all().filter_map(of).collect();
        for asked in config.polled() {
            if let Some(Err(problem)) = own.get(&asked.name) {
                return Err(problem.clone());
            }
        }
        Ok(Self(Arc::new(own)))
    }

    /// Asks once: whoever asks decides about asking again. `http` is for backends without options of their own.
    ///
    /// # Errors
    /// There is no answer, or its status is not 200.
    pub async fn ask(&self, http: &Http, proxy: &HttpProxy, question: Vec<u8>) -> Result<Bytes, BackendError> {
        let mut headers = proxy.headers.clone();
        headers.retain(|(name, _)| !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)));
        headers.push(("content-type".into(), "application/json".into()));
        let request = HttpRequest {
            method: Method::Post,
            url: proxy.endpoint.clone(),
            headers,
            body: question.into(),
            timeout_ms: proxy.timeout_ms,
            max_response: MAX_ANSWER,
        };
        let http = match self.0.get(&proxy.name) {
            None => http,
            Some(Ok(own)) => own,
            Some(Err(problem)) => return Err(BackendError::Http(HttpError::Unreachable(problem.as_str().into()))),
        };
        match http.send(request).await {
            Ok(response) if response.status == 200 => Ok(response.body),
            Ok(response) => Err(BackendError::Status(response.status)),
            Err(error) => Err(BackendError::Http(error)),
        }
    }
}

#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
