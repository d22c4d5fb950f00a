//! Questions to backends that answer from a script.

use super::super::http::tests::server;
use super::*;
use crate::config::snapshot::HttpProxy;

/// A response with this status and body.
macro_rules! answer {
    ($status:literal, $length:literal, $body:literal) => {
        concat!("HTTP/1.1 ", $status, "\r\ncontent-length: ", $length, "\r\nconnection: close\r\n\r\n", $body)
    };
}

/// What comes of asking for `a` and `b`, and the request.
fn ask(answer: &'static [&'static str]) -> (PollAnswer, String) {
    let (endpoint, server) = server(answer);
    let headers = vec![("X-Key".into(), "1".into()), ("content-type".into(), "text/plain".into())];
    let proxy = Arc::new(HttpProxy { name: "test".into(), endpoint: endpoint.into(), timeout_ms: 10_000, headers });
    let keys = vec![(key_name("poll:x", "a"), 0), (key_name("poll:x", "<b>"), 7)];
    let query = PollQuery { proxy, channel: ChannelName::new("poll:x"), keys };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(Polls::new(Http::new().unwrap(), 1).find(query));
    (answer, server.join().unwrap().remove(0))
}

#[test]
fn the_question_reads_as_that_of_the_reference() {
    let (answer, request) = ask(&[answer!("200 OK", "2", "{}")]);
    assert!(answer.result.unwrap().keys.is_empty());
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-key: 1\r\n") && head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    assert!(!head.contains("text/plain"), "{head}");
    assert_eq!(body, r#"{"channel":"poll:x","items":[{"key":"a"},{"key":"\u003cb\u003e","version":7}]}"#);
}

#[test]
fn the_answer_is_read_without_copying() {
    const BODY: &str = answer!(
        "200 OK",
        "123",
        r#"{"result":{"items":[{"key":"a","data":{"n": 1},"version":3,"prev_data":"x"},{"key":"b","removed":true}],"epoch":"one"}}    "#
    );
    let (answer, _) = ask(&[BODY]);
    let refreshed = answer.result.unwrap();
    assert_eq!(&*refreshed.epoch, "one");
    let [a, b] = &*refreshed.keys else { panic!("{refreshed:?}") };
    assert_eq!((&*a.entry.key, a.entry.removed, a.version), ("a", false, 3));
    assert_eq!((&*a.data, &*a.before), (br#"{"n": 1}"#.as_slice(), br#""x""#.as_slice()));
    assert_eq!((&*b.entry.key, b.entry.removed, b.name.clone()), ("b", true, key_name("poll:x", "b")));
}

#[track_caller]
fn check_failure(answer: &'static [&'static str], expected: BackendError) {
    assert_eq!(ask(answer).0.result.unwrap_err(), expected);
}

#[test]
fn whatever_is_no_answer_is_told_apart() {
    check_failure(&[answer!("500 Oh", "2", "{}")], BackendError::Status(500));
    check_failure(&[answer!("204 No Content", "0", "")], BackendError::Status(204));
    check_failure(&[answer!("200 OK", "26", r#"{"error":{"code":4000 }  }"#)], BackendError::Refused(4000));
    let malformed = |answer: &PollAnswer| matches!(answer.result, Err(BackendError::Malformed(_)));
    assert!(malformed(&ask(&[answer!("200 OK", "3", "nil")]).0));
    assert!(malformed(&ask(&[answer!("200 OK", "0", "")]).0));
    assert!(malformed(&ask(&[answer!("200 OK", "13", r#"{"result":[]}"#)]).0));
}
