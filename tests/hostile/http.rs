//! HTTP that is broken, unusual or cut off.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use serde_json::{Value, json};

use crate::support::http::{self, header, read, write_call};
use crate::support::server::Server;
use crate::support::ws::{Client, HANDSHAKE};

/// Writes, and gives the status of each response up to the end of the stream.
fn statuses(server: &Server, request: &[u8]) -> Vec<u16> {
    let mut stream = server.dial();
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    std::iter::from_fn(|| read(&mut stream)).map(|response| response.status).collect()
}

#[test]
fn requests_in_every_shape() {
    let server = Server::start(json!({}));
    let files = server.files();
    #[track_caller]
    fn check(server: &Server, request: &str, expected: &[u16]) {
        assert_eq!(statuses(server, request.as_bytes()), expected, "{:.200}", request.escape_debug().to_string());
    }
    let check = |request: &str, expected: &[u16]| check(&server, request, expected);
    check("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", &[200]);
    check("GET /health HTTP/1.0\r\n\r\n", &[200]);
    check("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /health HTTP/1.1\r\n\r\n", &[200]);
    check("GET http://elsewhere/health HTTP/1.1\r\nHost: x\r\n\r\n", &[200]);
    check("GET /health?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n", &[200]);
    check(&"GET /health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100), &[200; 100]);
    check("\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", &[200]);
    check("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", &[200]);
    check("GET * HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", &[400]);
    check("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", &[404]);
    for (status, paths) in [
        (404, &["/%2e%2e/health", "/health/", "/", "/%00", "/etc/passwd"][..]),
        (307, &["/../../etc/passwd", "/api/../health", "//health", "//evil.example/health"]),
        (400, &["/%zz", "/%", "health"]),
    ] {
        for path in paths {
            check(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"), &[status]);
        }
    }
    check("nonsense\r\n\r\n", &[400]);
    check("GET /health HTTP/9.9\r\n\r\n", &[400]);
    check("GET /he\0alth HTTP/1.1\r\n\r\n", &[400]);
    check("GET /health HTTP/1.1\r\nbad header\r\n\r\n", &[400]);
    check("GET /health HTTP/1.1\r\nContent-Length: -1\r\n\r\n", &[400]);
    check("POST /api/info HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", &[400]);
    check(&format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)), &[431]);
    check(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)), &[431]);
    check(&format!("GET /health HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000)), &[431]);
    check("POST /api/info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", &[200]);
    check("POST /api/info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", &[400]);
    check("POST /api/info HTTP/1.1\r\nContent-Length: 10\r\n\r\n{}", &[400]);
    check("POST /api/publish HTTP/1.1\r\nContent-Length: 3\r\n\r\n\x7f\x01\x02", &[400]);
    check("POST /nowhere HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /health HTTP/1.1\r\n\r\n", &[404, 200]);
    check("HEAD /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n", &[]);
    server.wait_until_empty(files);
}

#[test]
fn a_head_is_answered_without_a_body() {
    let server = Server::start(json!({}));
    let mut stream = server.dial();
    stream.write_all(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let head = http::read_head(&mut stream).expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(read(&mut stream).expect("a response").body, b"{}");
}

#[test]
fn a_client_that_waits_to_send_its_body_is_told_to() {
    let server = Server::start(json!({}));
    let mut stream = server.dial();
    let head = "POST /api/info HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let told = http::read_head(&mut stream).expect("an answer");
    assert!(told.starts_with("HTTP/1.1 100"), "{told}");
    stream.write_all(b"{}").expect("sent");
    assert_eq!(read(&mut stream).expect("a response").status, 200);
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_the_refusal_arrives() {
    const LIMIT: usize = 64 << 20;
    let server = Server::start(json!({}));
    let files = server.files();
    let piece = vec![b' '; 1 << 20];
    for head in [
        format!("POST /api/info HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", LIMIT + 1),
        "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n".to_owned(),
    ] {
        let mut stream = server.dial();
        stream.write_all(head.as_bytes()).expect("sent");
        for _ in 0..=LIMIT / piece.len() {
            if stream.write_all(&piece).is_err() {
                break;
            }
        }
        let status = read(&mut stream).expect("a response").status;
        assert_eq!(status, if head.contains("nowhere") { 404 } else { 413 });
    }
    server.wait_until_empty(files);
}

#[test]
fn a_client_may_finish_sending_what_nobody_wants_before_it_reads_the_refusal() {
    let server = Server::start(json!({}));
    for _ in 0..10 {
        let mut stream = server.dial();
        let head = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        for _ in 0..128 {
            stream.write_all(&[b' '; 16 << 10]).expect("the server takes it");
        }
        assert_eq!(read(&mut stream).expect("a response").status, 404);
    }
}

#[test]
fn every_call_is_answered_when_the_caller_ends_its_side_after_asking() {
    let server = Server::start(json!({}));
    for run in 0..50 {
        let mut stream = server.dial();
        // Some of these channels live on the other shard, and the answer takes a hop.
        write_call(&mut stream, "publish", &json!({"channel": format!("c{run}"), "data": 1}));
        stream.shutdown(Shutdown::Write).expect("open");
        assert_eq!(read(&mut stream).expect("a response").status, 200);
        assert!(read(&mut stream).is_none());
    }
}

#[test]
fn a_connection_may_be_kept_and_upgraded_later() {
    let server = Server::start(json!({}));
    let mut client = Client::on(server.dial());
    for _ in 0..3 {
        assert!(http::call(&mut client.stream, "info", &json!({})).is_object());
    }
    client.write(format!("GET /health HTTP/1.1\r\nHost: x\r\n\r\n{HANDSHAKE}").as_bytes());
    assert_eq!(read(&mut client.stream).expect("a response").status, 200);
    client.expect_upgrade();
    client.send(&[json!({"id": 1, "connect": {}})]);
    assert_eq!(client.reply()["id"], 1);
}

/// Some proxies speak HTTP/1.0 to the servers behind them, and the reference takes it.
#[test]
fn an_upgrade_may_come_over_http_1_0() {
    let server = Server::start(json!({}));
    let mut client = Client::on(server.dial());
    client.write(HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    let head = http::read_head(&mut client.stream).expect("an answer");
    assert_eq!(head.split(' ').nth(1), Some("101"), "{head}");
    client.send(&[json!({"id": 1, "connect": {}})]);
    assert_eq!(client.reply()["id"], 1);
}

#[test]
fn upgrades_that_are_not_quite_right_are_refused() {
    let server = Server::start(json!({}));
    let check = |from: &str, to: &str, expected: &[u16]| {
        let request = HANDSHAKE.replacen(from, to, 1);
        assert_eq!(statuses(&server, request.as_bytes()), expected, "{request}");
    };
    check("\r\n\r\n", "\r\nContent-Length: 4\r\n\r\n\x01\x02\x03\x04", &[400]);
    check("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]);
    check("GET", "POST", &[405]);
    check("Upgrade: websocket", "Upgrade: h2c", &[400]);
    check("13", "8", &[400]);
    check("dGhlIHNhbXBsZSBub25jZQ==", "short", &[400]);
    check("Host: test", "Origin: http://evil.example\r\nHost: test", &[403]);
}

#[test]
fn whoever_never_reads_responses_is_not_served_without_end() {
    let server = Server::start(json!({}));
    let stream = server.dial();
    stream.set_nonblocking(true).expect("a socket");
    let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
    // Until the server has stopped to read for want of room to write.
    let (mut blocked, mut written) = (0, 0);
    while blocked < 100 {
        match (&stream).write(&requests.as_bytes()[written..]) {
            Ok(count) => (blocked, written) = (0, (written + count) % requests.len()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                blocked += 1;
                // A round trip on both shards, so that this does not spin.
                server.api("info", json!({}));
            }
        }
    }
    drop(stream);
    let mut stream = server.dial();
    assert!(http::call(&mut stream, "info", &json!({})).is_object());
}

#[test]
fn the_response_says_when_the_connection_ends() {
    let server = Server::start(json!({}));
    let mut stream = server.dial();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let response = read(&mut stream).expect("a response");
    assert_eq!(header(&response.head, "connection"), Some("close"));
    // The server ends its side at once and does not wait for ours.
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn calls_with_broken_requests_change_nothing() {
    let server = Server::start(json!({}));
    let mut stream = server.dial();
    for body in ["", "{", "[]", "null", "{\"channel\":", "{\"channel\":\"a\",\"data\":}", "\u{0}", "{\"channel\":1}"] {
        let length = body.len();
        let request = format!("POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).expect("sent");
        let response = read(&mut stream).expect("a response");
        let answer: Option<Value> = serde_json::from_slice(&response.body).ok();
        let is_error = answer.is_some_and(|answer| !answer["error"].is_null());
        assert!(response.status == 400 || is_error, "{body}: {response:?}");
    }
    let info = server.api("info", json!({}));
    assert_eq!(info["nodes"][0]["num_channels"], 0);
}

#[test]
fn the_init_endpoint_tells_pages_of_allowed_origins() {
    let server = Server::start(json!({
        "client": {"allowed_origins": ["http://good.example"]},
        "init": {"enabled": true},
    }));
    let check = |method: &str, headers: &str, status: u16, origin: Option<&str>| {
        let mut stream = server.dial();
        let request = format!("{method} /connection/init HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("the server reads");
        let response = read(&mut stream).expect("a response");
        assert_eq!(response.status, status, "{method} {headers}");
        assert_eq!(header(&response.head, "access-control-allow-origin"), origin, "{method} {headers}");
        let credentials = origin.map(|_| "true");
        assert_eq!(header(&response.head, "access-control-allow-credentials"), credentials, "{method} {headers}");
    };
    check("GET", "", 200, Some(""));
    check("GET", "Origin: http://good.example\r\n", 200, Some("http://good.example"));
    check("GET", "Origin: http://GOOD.example\r\n", 200, Some("http://GOOD.example"));
    check("GET", "Origin: http://bad.example\r\n", 200, None);
    check("POST", "", 405, None);
    check("OPTIONS", "Origin: http://good.example\r\n", 405, None);
}

#[test]
fn what_the_process_says_of_itself() {
    let server = Server::start(json!({"debug": {"enabled": true}, "swagger": {"enabled": true}}));
    server.wait_for_log("DEBUG mode enabled, see on /debug/pprof");
    let get = |path: &str| {
        let mut stream = server.dial();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
        read(&mut stream).expect("a response")
    };
    for (path, status) in [
        ("/debug/pprof", 307),
        ("/debug/pprof/", 200),
        ("/debug/pprof/heap", 200),
        ("/debug/pprof/profile?seconds=30", 501),
        ("/debug/pprof/nothing", 404),
        ("/swagger", 307),
        ("/swagger/", 200),
        ("/swagger/index.html", 301),
    ] {
        assert_eq!(get(path).status, status, "{path}");
    }
    let heap = String::from_utf8(get("/debug/pprof/heap").body).expect("text");
    assert!(heap.contains("resident bytes: ") && heap.contains("arenas"), "{heap}");
    let document: Value = serde_json::from_slice(&get("/swagger/openapi.json").body).expect("JSON");
    assert_eq!(document["servers"][0]["url"], "/api");
}
