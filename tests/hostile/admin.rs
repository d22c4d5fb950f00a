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
