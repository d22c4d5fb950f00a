//! What is written wrong about Redis: a start says so in one line, which names the section, the server and what to look
//! at, and never a password.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::driver::{Shards, at, free_port};
use super::options::pem;
use super::redis::Redis;

#[track_caller]
fn refused(options: &str, words: &[&str]) {
    let error = Shards::try_new(1, options).err().expect("refused");
    assert!(error.starts_with("engine.redis") && !error.contains('\n'), "{error}");
    assert!(!error.contains("hush"), "a secret: {error}");
    for words in words {
        assert!(error.contains(words), "{error:?} says {words:?}");
    }
}

#[test]
fn nobody_is_there() {
    let port = free_port();
    let place = format!("cannot connect to 127.0.0.1:{port}: ");
    refused(&format!(r#"{{"address":"redis://ann:hush@127.0.0.1:{port}"}}"#), &[&place, "refused"]);
    refused(r#"{"address":"redis.invalid:6379"}"#, &["redis.invalid:6379", "(no host has this name)"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    refused(&format!(r#"{{"address":"{address}","io_timeout":"50ms"}}"#), &[&format!("{address} does not answer")]);
    refused(&format!(r#"{{"cluster_address":["127.0.0.1:{port}"]}}"#), &[&place]);
}

#[test]
fn we_are_not_let_in() {
    let redis = Redis::with(&["--requirepass", "open"]);
    let look = "(look at user and password)";
    refused(&at(&redis, r#","password":"hush""#), &["unix://", "WRONGPASS", look]);
    refused(&at(&redis, r#","password":"hush","force_resp2":true"#), &["WRONGPASS", look]);
    refused(&at(&redis, r#","user":"ann","password":"hush""#), &["WRONGPASS", look]);
    refused(&at(&redis, ""), &["NOAUTH", look]);
    let open = Redis::start();
    refused(&at(&open, r#","password":"hush","force_resp2":true"#), &["ERR AUTH", look]);
    refused(&at(&open, r#","db":99"#), &["unix://", "DB index is out of range", "(look at db)"]);
    let narrow = Redis::with(&["--user", "ann", "on", ">hush", "~*", "&*", "+@all", "-script"]);
    refused(&at(&narrow, r#","user":"ann","password":"hush""#), &["NOPERM", "look at its rights in Redis"]);
}

/// Servers before Redis 6 know no HELLO, Sentinels of that time no AUTH, and what they do not know they repeat.
#[test]
fn a_server_that_repeats_the_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        for command in ["HELLO", "AUTH"] {
            let mut heard = [0; 512];
            let count = socket.read(&mut heard).unwrap();
            assert!(heard[..count].ends_with(b"hush\r\n"), "{}", heard[..count].escape_ascii());
            let error = format!("-ERR unknown command '{command}', with args beginning with: 'x' 'hush' \r\n");
            socket.write_all(error.as_bytes()).unwrap();
        }
    });
    let words = [&*address.to_string(), "ERR unknown command 'AUTH'"];
    refused(&format!(r#"{{"address":"{address}","password":"hush"}}"#), &words);
    served.join().unwrap();
}

#[test]
fn one_speaks_tls_and_the_other_does_not() {
    let (plain, secure) = (free_port().to_string(), free_port().to_string());
    let (ca, cert, key) = (pem("ca.pem"), pem("server.pem"), pem("server.key"));
    let tls = ["--tls-port", &secure, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let _redis = Redis::with(&[&["--port", &plain], &tls[..]].concat());
    let place = format!("127.0.0.1:{secure}");
    refused(&format!(r#"{{"address":"{place}"}}"#), &[&place, "(it may want TLS: look at tls.enabled)"]);
    let place = format!("127.0.0.1:{plain}");
    // It waits for the end of what it takes for a request.
    let words = "it took too long (look at tls.enabled and connect_timeout)";
    let soon = r#""connect_timeout":"100ms""#;
    refused(&format!(r#"{{"address":"{place}",{soon},"tls":{{"enabled":true}}}}"#), &[&place, words]);
    refused(&format!(r#"{{"address":"rediss://{place}",{soon}}}"#), &[&place, words]);
}

#[test]
fn what_is_there_is_something_else() {
    let (port, sentinel_port) = (free_port(), free_port());
    let _redis = Redis::with(&["--port", &port.to_string()]);
    let place = format!("127.0.0.1:{port}");
    let words = "is no member of a Redis Cluster (look at cluster_address and address)";
    refused(&format!(r#"{{"cluster_address":["{place}"]}}"#), &[&place, words]);
    refused(&format!(r#"{{"address":"redis+cluster://{place}"}}"#), &[&place, words]);
    let sharded = format!(r#"{{"address":"{place}","sharded_pub_sub_partitions":8}}"#);
    refused(&sharded, &["engine.redis.sharded_pub_sub_partitions", &place, "is no Redis Cluster"]);
    let sentinel = format!(r#"{{"sentinel_address":["{place}"],"sentinel_master_name":"main"}}"#);
    refused(&sentinel, &[&place, "it is a Redis and no Sentinel (look at sentinel_address and address)"]);
    let _sentinel = Redis::sentinel_of_nobody(&format!("port {sentinel_port}\n"));
    let place = format!("127.0.0.1:{sentinel_port}");
    let words = "is a Sentinel and keeps nothing (look at address and sentinel_address)";
    refused(&format!(r#"{{"address":"{place}"}}"#), &[&place, words]);
    refused(&format!(r#"{{"cluster_address":["{place}"]}}"#), &[&place, words]);
}
