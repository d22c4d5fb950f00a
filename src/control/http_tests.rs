//! The client against servers that answer from a script.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

/// A server that answers connection after connection with the next text, and gives back what it was sent.
pub(in crate::control) fn server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            requests.push(read_request(&mut socket));
            socket.write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    (url, thread)
}

/// Head and body, as far as `Content-Length` says.
pub(in crate::control) fn read_request(socket: &mut impl Read) -> String {
    let mut request = String::new();
    loop {
        let mut buffer = [0; 4096];
        let length = socket.read(&mut buffer).unwrap();
        request.push_str(str::from_utf8(&buffer[..length]).unwrap());
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= announced.map_or(0, |length| length.parse().unwrap()) {
            return request;
        }
    }
}

fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        url: url.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        timeout_ms: 10_000,
        max_response: 100,
    }
}

fn send(request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Http::new().unwrap().send(request))
}

#[test]
fn a_request_says_what_it_was_told_to() {
    let (url, server) = server(&["HTTP/1.1 418 Tea\r\ncontent-length: 5\r\nconnection: close\r\n\r\nshort"]);
    let headers = vec![("X-One".into(), "1".into()), ("Content-Type".into(), "application/json".into())];
    let request = HttpRequest {
        method: Method::Post,
        url: format!("{url}/path?query=1").into(),
        headers,
        body: Bytes::from_static(b"{\"a\":1}"),
        ..get("")
    };
    assert_eq!(send(request), Ok(HttpResponse { status: 418, body: Bytes::from_static(b"short") }));
    let requests = server.join().unwrap();
    let [sent] = &requests[..] else { panic!("{requests:?}") };
    assert!(sent.starts_with("POST /path?query=1 HTTP/1.1\r\n"), "{sent}");
    for part in ["\r\nx-one: 1\r\n", "\r\ncontent-type: application/json\r\n", "\r\n\r\n{\"a\":1}"] {
        assert!(sent.contains(part), "{part:?} in {sent}");
    }
}

#[test]
fn redirects_are_followed() {
    let (url, server) = server(&[
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ]);
    assert_eq!(send(get(&url)), Ok(HttpResponse { status: 200, body: Bytes::from_static(b"hello") }));
    assert!(server.join().unwrap()[1].starts_with("GET /elsewhere "));
}

#[test]
fn bodies_are_bounded() {
    for answer in [
        ["HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n"],
        [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n65\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789!\r\n0\r\n\r\n",
        ],
    ] {
        let (url, server) = server(Box::leak(Box::new(answer)));
        assert_eq!(send(get(&url)), Err(HttpError::TooLarge));
        server.join().unwrap();
    }
}

#[test]
fn what_cannot_be_sent_or_reached_is_said_without_the_url() {
    let reason = |request| send(request).unwrap_err().to_string();
    let secret = "http://user:secret@";
    assert!(reason(get("nonsense")).starts_with("the request cannot be sent: "));
    let bad_header = HttpRequest { headers: vec![("a b".into(), "".into())], ..get("http://127.0.0.1") };
    assert_eq!(reason(bad_header), r#"the request cannot be sent: the name of the header "a b""#);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = reason(get(&format!("{secret}{closed}/")));
    assert!(refused.starts_with("no response: ") && !refused.contains("secret"), "{refused}");
}

#[test]
fn a_silent_server_is_left_when_the_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    assert_eq!(send(HttpRequest { timeout_ms: 20, ..get(&url) }), Err(HttpError::Timeout));
}
