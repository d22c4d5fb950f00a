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
    let proxy =
        Arc::new(HttpProxy { name: "test".into(), endpoint: endpoint.into(), timeout_ms: 10_000, headers, tls: None });
    let keys = vec![(key_name("poll:x", "a"), 0), (key_name("poll:x", "<b>"), 7)];
    let query = PollQuery { proxy, channel: ChannelName::new("poll:x"), keys };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(Polls::new(Http::new().unwrap(), Backends::default(), 1).find(query));
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

#[test]
fn no_more_questions_are_asked_at_once_than_configured() {
    const AT_ONCE: usize = 2;
    const QUESTIONS: usize = 6;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let polls = Polls::new(Http::new().unwrap(), Backends::default(), AT_ONCE);
        let proxy = HttpProxy {
            name: "test".into(),
            endpoint: endpoint.into(),
            timeout_ms: 10_000,
            headers: Vec::new(),
            tls: None,
        };
        let proxy = Arc::new(proxy);
        let ask = |_| {
            let (polls, proxy) = (polls.clone(), proxy.clone());
            let query = PollQuery { proxy, channel: ChannelName::new("poll:x"), keys: Vec::new() };
            tokio::spawn(async move { polls.find(query).await })
        };
        let asked: Vec<_> = (0..QUESTIONS).map(ask).collect();
        // Each of them waits until as many are asked as may be.
        let mut open = Vec::new();
        for answered in 0..QUESTIONS {
            while open.len() < AT_ONCE.min(QUESTIONS - answered) {
                open.push(listener.accept().await.unwrap().0);
            }
            // Whoever would ask beyond that has had the time for it.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err(), "{answered} were answered");
            let mut socket = open.remove(0);
            socket.readable().await.unwrap();
            let answer = answer!("200 OK", "2", "{}");
            tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await.unwrap();
        }
        let mut waited = 0;
        for asked in asked {
            let answer = asked.await.unwrap();
            assert!(answer.result.is_ok(), "{answer:?}");
            waited += usize::from(answer.waited_us > 0);
        }
        assert!(waited >= QUESTIONS - AT_ONCE, "{waited} waited");
    });
}
