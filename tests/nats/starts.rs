//! How a node gets to NATS: addresses, logins, TLS; and what it says when it does not.

use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};

use crate::config;
use crate::nats::Nats;
use crate::support::server::{Server, free_port};
use crate::talker::Talker;

/// Whether a node works with this.
#[track_caller]
fn works(nats: &Nats, options: Value) {
    let node = Server::start(config(nats, options));
    let mut client = Talker::connect(&node);
    client.subscribe(json!({"channel": "plain:1"}));
    node.api("publish", json!({"channel": "plain:1", "data": 1}));
    assert_eq!(client.payloads(1), [json!(1)]);
}

/// What a node says that does not start.
fn refused(nats: &Nats, options: Value) -> String {
    let mut config = config(nats, options);
    config["http_server"] = json!({"address": "127.0.0.1", "port": free_port().to_string()});
    let path = format!("{}/nats-refused-{}-{}.json", env!("CARGO_TARGET_TMPDIR"), std::process::id(), nats.port);
    std::fs::write(&path, config.to_string()).expect("a configuration file");
    let output = Command::new(env!("CARGO_BIN_EXE_spindle")).args(["-c", &path]).output().expect("it runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn is_refused(nats: &Nats, options: Value, words: &str) {
    let said = refused(nats, options);
    assert!(said.contains(words) && !said.contains("s3cr3t"), "{words}: {said}");
}

fn address(nats: &Nats, account: &str) -> Value {
    json!({"url": format!("nats://{account}127.0.0.1:{}", nats.port)})
}

#[test]
fn users_and_passwords() {
    let nats = Nats::with(&["--user", "ann", "--pass", "p@s3cr3t"]);
    works(&nats, address(&nats, "ann:p%40s3cr3t@"));
    is_refused(&nats, address(&nats, "ann:other-s3cr3t@"), "Authorization Violation");
    is_refused(&nats, address(&nats, ""), "Authorization Violation");
}

#[test]
fn tokens() {
    let nats = Nats::with(&["--auth", "s3cr3t"]);
    works(&nats, address(&nats, "s3cr3t@"));
    is_refused(&nats, address(&nats, "other-s3cr3t@"), "Authorization Violation");
}

#[test]
fn several_addresses() {
    let nats = Nats::start();
    let nobody = free_port();
    works(&nats, json!({"url": format!("127.0.0.1:{nobody}, nats://127.0.0.1:{}/", nats.port)}));
    is_refused(&nats, json!({"url": format!("127.0.0.1:{nobody}")}), &format!("broker.nats: 127.0.0.1:{nobody}: "));
}

/// A file with certificates for 127.0.0.1 and redis.test, made for tests alone.
fn pem(name: &str) -> String {
    format!("{}/tests/redis/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn tls() {
    let (cert, key, ca) = (pem("server.pem"), pem("server.key"), pem("ca.pem"));
    let nats = Nats::with(&["--tls", "--tlscert", &cert, "--tlskey", &key]);
    works(&nats, json!({"tls": {"enabled": true, "server_ca_pem": ca}}));
    works(&nats, json!({"tls": {"enabled": true, "server_ca_pem": ca, "server_name": "redis.test"}}));
    works(&nats, json!({"tls": {"enabled": true, "insecure_skip_verify": true}}));
    is_refused(&nats, json!({"tls": {"enabled": true, "server_ca_pem": pem("stranger.pem")}}), "certificate");
    // The server asks for it; nobody whom the system trusts knows it.
    is_refused(&nats, json!({}), "certificate");
    let with_clients = ["--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
    let nats = Nats::with(&with_clients);
    let (cert, key) = (pem("client.pem"), pem("client.key"));
    works(&nats, json!({"tls": {"enabled": true, "server_ca_pem": ca, "cert_pem": cert, "key_pem": key}}));
    is_refused(&nats, json!({"tls": {"enabled": true, "server_ca_pem": ca}}), "broker.nats");
    let plain = Nats::start();
    is_refused(&plain, json!({"tls": {"enabled": true, "server_ca_pem": ca}}), "it does not speak TLS");
}

#[test]
fn others_are_no_nats() {
    let nats = Nats::start();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = |port| json!({"url": format!("127.0.0.1:{port}"), "dial_timeout": "200ms"});
    let port = silent.local_addr().expect("an address").port();
    is_refused(&nats, at(port), "no answer within dial_timeout");
    let talker = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = talker.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in talker.incoming() {
            // Whoever asked may be gone.
            let _ = stream.expect("a connection").write_all(b"220 mail.example ESMTP\r\n");
        }
    });
    is_refused(&nats, at(port), "not the protocol of NATS");
}
