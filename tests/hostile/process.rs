//! What an operator does to the process.

use std::io::Read;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::support::PATIENCE;
use crate::support::http::{self, header, write_call};
use crate::support::server::{Server, free_port};
use crate::support::ws::{CLOSE, Client, frame};

#[test]
fn sigterm_tells_everyone_and_ends_with_success() {
    let mut server = Server::start(json!({}));
    let mut clients: Vec<Client> =
        (0..500).map(|number| Client::subscribe(&server, &format!("c{}", number % 20))).collect();
    // Nobody waits for a connection that asks for nothing.
    let mut idle = server.dial();
    http::call(&mut idle, "info", &json!({}));
    server.signal("TERM");
    // Half of them never answer the close frame.
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.close_code(), Some(3001));
        if number % 2 == 0 {
            client.write(&frame(CLOSE, &3001u16.to_be_bytes()));
        }
    }
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.count_in_log("with clients still connected"), 0);
    for client in &mut clients {
        client.expect_end();
    }
}

#[test]
fn sighup_changes_rules_under_clients_that_stay() {
    let mut server = Server::start(json!({
        "client": {"insecure": false, "allow_anonymous_connect_without_token": true},
        "channel": {"namespaces": [{"name": "chat"}]},
    }));
    // On both shards, most likely.
    let mut clients: Vec<Client> = (0..16).map(|_| Client::connect(&server)).collect();
    let subscribe = |client: &mut Client, channel: &str| {
        client.send(&[json!({"id": 2, "subscribe": {"channel": channel}})]);
        client.reply()["error"]["code"].as_u64()
    };
    for client in &mut clients {
        assert_eq!(subscribe(client, "chat:a"), Some(103));
    }
    let open = json!([{"name": "chat", "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true}]);
    server.rewrite(json!({"channel": {"namespaces": open}, "client": {"ping_interval": "11m"}}));
    server.signal("HUP");
    server.wait_for_log("option client.ping_interval has changed: it takes effect with a restart");
    server.wait_for_log("configuration successfully reloaded");
    for client in &mut clients {
        // The turn that was under way may still end under the old rules.
        let deadline = Instant::now() + PATIENCE;
        while subscribe(client, "chat:a") == Some(103) {
            assert!(Instant::now() < deadline, "the new rules do not arrive");
        }
    }
    // A file that cannot be read and one that makes no sense change nothing; others are heard again afterwards.
    for (number, bad) in [json!([{"name": "a b"}]), json!(5)].into_iter().enumerate() {
        server.rewrite(json!({"channel": {"namespaces": bad}}));
        server.signal("HUP");
        server.wait_for_log_lines("error reloading", number + 1);
        assert_eq!(subscribe(&mut clients[0], &format!("chat:b{number}")), None);
    }
    for client in &mut clients {
        assert_eq!(subscribe(client, "chat:c"), None);
    }
}

#[test]
fn sigterm_in_a_flood() {
    let mut server = Server::start(json!({"websocket": {"write_timeout": "300ms"}}));
    let mut clients: Vec<Client> = (0..20).map(|_| Client::subscribe(&server, "c")).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // A new connection whenever the server has ended one, until it is gone.
                while let Ok(mut stream) = TcpStream::connect(server.address) {
                    let data = "x".repeat(1000);
                    loop {
                        let body = json!({"channel": "c", "data": data}).to_string();
                        let length = body.len();
                        let request =
                            format!("POST /api/publish HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}");
                        let sent = std::io::Write::write_all(&mut stream, request.as_bytes());
                        match sent.ok().and_then(|()| http::read(&mut stream)) {
                            Some(response) if header(&response.head, "connection") != Some("close") => {}
                            _ => break,
                        }
                    }
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for client in &mut clients {
            client.reply();
        }
        server.signal("TERM");
        // Some read and hear of it, some do not.
        for client in &mut clients[..10] {
            assert_eq!(client.close_code(), Some(3001));
        }
        over.store(true, Ordering::Relaxed);
        clients.clear();
    });
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.count_in_log("with clients still connected"), 0);
}

#[test]
fn a_second_sigterm_ends_the_wait() {
    let mut server = Server::start(json!({}));
    let mut client = Client::connect(&server);
    server.signal("TERM");
    assert_eq!(client.close_code(), Some(3001));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.count_in_log("told again"), 1);
}

#[test]
fn the_process_outlives_its_terminal() {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" >&-", env!("CARGO_BIN_EXE_spindle")]);
    let port = free_port();
    command.args(["--dev", "--shards", "2", "--http_server.port", &port.to_string()]);
    let server = Server::run(command, port);
    Client::connect(&server);
}

#[test]
fn dev_listens_on_loopback_only() {
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spindle"));
    command.args(["--dev", "--shards", "2", "--http_server.port", &port.to_string()]);
    command.args(["--http_server.address", "0.0.0.0"]);
    let server = Server::run(command, port);
    Client::connect(&server);
    let listening = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let suffix = format!(":{port:04X}");
    let addresses: Vec<&str> = listening
        .iter()
        .flat_map(|table| table.lines())
        .filter(|line| line.contains(" 0A "))
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|address| address.ends_with(&suffix))
        .collect();
    assert_eq!(addresses, [format!("0100007F{suffix}"), format!("0100007F{suffix}")]);
    // Where this machine has another address, it is refused there.
    let other = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    if let Ok(other) = other
        && !other.ip().is_loopback()
    {
        assert!(TcpStream::connect(SocketAddr::from((other.ip(), port))).is_err());
    }
}

#[test]
fn a_call_that_is_under_way_is_answered_before_the_end() {
    let mut server = Server::start(json!({}));
    let mut stream = server.dial();
    http::call(&mut stream, "info", &json!({}));
    server.signal("TERM");
    write_call(&mut stream, "info", &json!({}));
    // Either the process was gone, or the response is whole and says that it is the last one.
    if let Some(response) = http::read(&mut stream) {
        assert_eq!(response.status, 200);
    }
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(server.wait().code(), Some(0));
}
