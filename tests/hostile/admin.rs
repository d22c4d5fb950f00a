//! The admin pages: who is let in, and what the log says of it.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::http::{Response, read};
use crate::support::server::Server;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn ask(server: &Server, line: &str, headers: &str, body: &str) -> Response {
    let mut stream = server.dial();
    let length = body.len();
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    // A body may be refused before it is read.
    let _ = stream.write_all(request.as_bytes());
    read(&mut stream).expect("a response")
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn only_the_password_lets_in() {
    let server = Server::start(json!({"admin": {"enabled": true, "password": "pass word", "secret": "the secret"}}));
    let log_in = |body: &str| ask(&server, "POST /admin/auth", FORM, body);
    for wrong in ["", "password=", "password=pass", "password=pass+word+", "password=PASS+WORD", "passwor=pass+word"] {
        assert_eq!(log_in(wrong).status, 400, "{wrong}");
    }
    let big = format!("a={}&password=pass+word", "x".repeat(1 << 20));
    assert_eq!(log_in(&big).status, 400, "a form has a bound");
    assert_eq!(ask(&server, "GET /admin/auth?password=pass+word", "", "").status, 405);
    let token = body(&log_in("password=pass%20word"))["token"].as_str().expect("a token").to_owned();

    let call = |headers: &str| ask(&server, "POST /admin/api", headers, r#"{"method":"info"}"#);
    for wrong in [
        String::new(),
        "Authorization: token x\r\n".to_owned(),
        format!("Authorization: Bearer {token}\r\n"),
        format!("Authorization: token {token}x\r\n"),
        format!("Authorization: token {}\r\n", "A".repeat(60_000)),
    ] {
        assert_eq!(call(&wrong).status, 401, "{wrong:.60}");
    }
    let good = format!("Authorization: token {token}\r\n");
    assert_eq!(body(&call(&good))["result"]["nodes"][0]["num_clients"], 0);
    let init = |headers: &str| body(&ask(&server, "GET /admin/init", headers, ""));
    assert_eq!(init(&good), json!({"authenticated": true, "edition": "oss", "insecure": false}));
    assert_eq!(init(""), json!({"authenticated": false, "edition": "oss", "insecure": false}));
    assert_eq!(ask(&server, "GET /admin/api", &good, "").status, 405);
    for secret in ["pass word", "the secret", &token] {
        assert_eq!(server.count_in_log(secret), 0, "the log tells {secret}");
    }
}

#[test]
fn nobody_is_let_in_where_something_is_not_configured() {
    for admin in
        [json!({"enabled": true}), json!({"enabled": true, "password": "p"}), json!({"enabled": true, "secret": "s"})]
    {
        let server = Server::start(json!({"admin": admin}));
        server.wait_for_log("nobody can log in to the admin pages");
        for password in ["", "p"] {
            assert_eq!(ask(&server, "POST /admin/auth", FORM, &format!("password={password}")).status, 400);
        }
        assert_eq!(ask(&server, "POST /admin/api", "Authorization: token \r\n", "{}").status, 401);
    }
}

#[test]
fn the_page_is_there_and_other_pages_can_take_its_place() {
    let server = Server::start(json!({"admin": {"enabled": true, "handler_prefix": "/ops"}}));
    let page = ask(&server, "GET /ops/", "", "");
    assert!(page.status == 200 && page.head.to_lowercase().contains("content-security-policy"), "{page:?}");
    assert_eq!(ask(&server, "GET /ops", "", "").status, 307);
    assert_eq!(ask(&server, "GET /ops/x", "", "").status, 404);

    let folder = format!("{}/admin-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::create_dir_all(format!("{folder}/js")).expect("a folder");
    std::fs::write(format!("{folder}/index.html"), "ours").expect("a file");
    std::fs::write(format!("{folder}/js/a b.js"), "code").expect("a file");
    let server = Server::start(json!({"admin": {"enabled": true, "web_path": folder}}));
    assert_eq!(ask(&server, "GET /", "", "").body, b"ours");
    assert_eq!(ask(&server, "GET /js/a%20b.js", "", "").body, b"code");
    assert_eq!(ask(&server, "GET /js/%2e%2e/%2e%2e/admin.html", "", "").status, 404);
    assert_eq!(ask(&server, "GET /health", "", "").body, b"{}", "other endpoints stay where they are");
}

/// Serves one connection: gives back what was asked, with this answer.
fn backend(listener: &std::net::TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().expect("the server connects");
    let head = crate::support::http::read_head(&mut stream).expect("a request");
    let length =
        crate::support::http::header(&head, "content-length").map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut stream, &mut body).expect("the body");
    stream.write_all(answer.as_bytes()).expect("the server reads");
    head + &String::from_utf8_lossy(&body)
}

#[test]
fn pages_under_development_come_from_their_own_server() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let proxy = format!("http://{address}/dev");
    let server =
        Server::start(json!({"admin": {"enabled": true, "handler_prefix": "/ops", "web_proxy_address": proxy}}));
    let files = server.files();
    let pass = |line: &str, body: &str, answer: &str| {
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| backend(&listener, answer));
            let response = ask(&server, line, "X-Own: 1\r\nConnection: keep-alive\r\n", body);
            (asked.join().expect("an exchange"), response)
        })
    };
    let (asked, response) = pass("GET /ops/a%20b?c=d", "", "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n\r\npage");
    assert!(asked.starts_with("GET /dev/ops/a%20b?c=d HTTP/1.0\r\n"), "{asked}");
    assert!(asked.contains("x-own: 1\r\n") && !asked.contains("keep-alive"), "{asked}");
    assert_eq!((response.status, &*response.body), (200, &b"page"[..]));
    assert!(response.head.to_lowercase().contains("content-type: text/x"), "{response:?}");
    let (asked, response) = pass("POST /ops/x", "form", "HTTP/1.0 302 Found\r\nLocation: /y\r\n\r\n");
    assert!(asked.ends_with("\r\n\r\nform") && response.status == 302, "{asked} {response:?}");
    for broken in ["", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"] {
        assert_eq!(pass("GET /ops/", "", broken).1.status, 502, "{broken}");
    }
    // What is behind the pages is this server's.
    assert_eq!(body(&ask(&server, "GET /ops/admin/init", "", ""))["edition"], "oss");

    // Somebody who leaves before the answer takes the connection along.
    let mut gone = server.dial();
    gone.write_all(b"GET /ops/slow HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let (mut held, _) = listener.accept().expect("the server connects");
    crate::support::http::read_head(&mut held).expect("a request");
    drop(gone);
    drop(held);
    drop(listener);
    assert_eq!(ask(&server, "GET /ops/", "", "").status, 502, "nobody listens any more");
    server.wait_until_empty(files);
}
