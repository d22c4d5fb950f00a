//! Asks backends of the application: `POST` with a JSON body and the headers of the configuration; only the status 200
//! counts as an answer (upstream: centrifugo internal/proxy/http.go).

use bytes::Bytes;

use super::http::Http;
use crate::config::snapshot::HttpProxy;
use crate::errand::{BackendError, HttpRequest, Method};

/// Bytes of an answer at most. Upstream has no bound.
const MAX_ANSWER: usize = 32 << 20;

/// Asks once: whoever asks decides about asking again.
///
/// # Errors
/// There is no answer, or its status is not 200.
pub async fn ask(http: &Http, proxy: &HttpProxy, question: Vec<u8>) -> Result<Bytes, BackendError> {
    let kind = "content-type";
    let mut headers = proxy.headers.clone();
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case(kind));
    headers.push((kind.into(), "application/json".into()));
    let request = HttpRequest {
        method: Method::Post,
        url: proxy.endpoint.clone(),
        headers,
        body: question.into(),
        timeout_ms: proxy.timeout_ms,
        max_response: MAX_ANSWER,
    };
    match http.send(request).await {
        Ok(response) if response.status == 200 => Ok(response.body),
        Ok(response) => Err(BackendError::Status(response.status)),
        Err(error) => Err(BackendError::Http(error)),
    }
}
