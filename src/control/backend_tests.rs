//! How backends are reached: headers, timeouts, and TLS of their own.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};

use super::super::http::tests::{read_request, server};
use super::*;
use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

/// A file with a certificate or key made for tests alone: for 127.0.0.1 and redis.test.
fn file(name: &str) -> String {
    format!("{}/tests/redis/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A configuration with one backend, whose options stand behind its endpoint.
fn config(endpoint: &str, more: &str) -> Snapshot {
    let text = format!(
        r#"{{"shared_poll":{{"hmac_secret_key":"x"}},"proxies":[{{"name":"test","endpoint":"{endpoint}"{more}}}],
            "channel":{{"namespaces":[{{"name":"poll","subscription_type":"shared_poll",
                "shared_poll":{{"proxy_name":"test"}}}}]}}}}"#
    );
    let sources = Sources { file: Some(("config.json", &text)), env: &Env::default(), flags: &[] };
    let host = Host { name: "test", resolve: &|_| None };
    prepare(&load(sources).unwrap().options, &host, false).unwrap()
}

fn tls(options: &str) -> String {
    format!(r#","http":{{"tls":{{"enabled":true{options}}}}}"#)
}

fn ask(config: &Snapshot) -> Result<Bytes, BackendError> {
    let backends = Backends::new(config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(backends.ask(&Http::new().unwrap(), config.polled().next().unwrap(), b"{}".to_vec()))
}

/// What a client did: the name that it spoke to the server under, and its request; nothing when the handshake failed.
type Spoken = Option<(Option<String>, String)>;

/// A server that answers one connection, if its client shows a certificate of ours.
fn tls_server() -> (String, JoinHandle<Spoken>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = |name: &str| {
        let pem = std::fs::read(file(name)).unwrap();
        CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect::<Vec<_>>()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca.pem"));
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&std::fs::read(file("server.key")).unwrap()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_client_cert_verifier(verifier);
    let config = Arc::new(builder.with_single_cert(certificates("server.pem"), key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).ok()?;
        }
        let mut stream = Stream::new(&mut connection, &mut socket);
        let request = read_request(&mut stream);
        stream.write_all(ANSWER.as_bytes()).unwrap();
        connection.send_close_notify();
        connection.complete_io(&mut socket).unwrap();
        Some((connection.server_name().map(str::to_owned), request))
    });
    (format!("https://{address}"), thread)
}

#[test]
fn static_headers_are_sent_but_for_those_that_are_ours() {
    let (endpoint, server) = server(&[ANSWER]);
    let headers = r#","http":{"static_headers":{"X-Key":"0","x-key":"1","User-Agent":"mine","Content-Type":"text/plain",
        "host":"elsewhere","Content-Length":"9","Transfer-Encoding":"chunked","Trailer":"x"}},
        "http_headers":["Cookie"],"emulated_headers":["Cookie"]"#;
    assert_eq!(ask(&config(&endpoint, headers)).unwrap(), "{}");
    let request = server.join().unwrap().remove(0).to_lowercase();
    for sent in ["x-key: 1", "user-agent: mine", "content-type: application/json", "content-length: 2"] {
        assert!(request.contains(&format!("\r\n{sent}\r\n")), "{sent} in {request}");
    }
    for kept in ["x-key: 0", "text/plain", "elsewhere", "chunked", "trailer", "cookie"] {
        assert!(!request.contains(kept), "{kept} in {request}");
    }
}

#[test]
fn a_status_is_no_answer_whatever_clients_would_be_told() {
    let (endpoint, server) = server(&["HTTP/1.1 503 Oh\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"]);
    let transforms = r#","http":{"status_to_code_transforms":[{"status_code":503,"to_error":{"code":4503}}]}"#;
    assert_eq!(ask(&config(&endpoint, transforms)).unwrap_err(), BackendError::Status(503));
    server.join().unwrap();
}

#[test]
fn a_question_takes_as_long_as_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let ask = |timeout: &str| ask(&config(&endpoint, &format!(r#","timeout":"{timeout}""#)));
    assert_eq!(ask("10ms").unwrap_err(), BackendError::Http(HttpError::Timeout));
    let proxy = |timeout| config(&endpoint, timeout).polled().next().unwrap().timeout_ms;
    assert_eq!([proxy(""), proxy(r#","timeout":"1us""#)], [1000, 1]);
    assert!(proxy(r#","timeout":"-1s""#) > 1_000_000, "none");
}

#[test]
fn tls_is_spoken_by_the_options_of_the_backend() {
    let client = format!(r#","cert_pem":"{}","key_pem":"{}""#, file("client.pem"), file("client.key"));
    let ca = format!(r#","server_ca_pem":"{}""#, file("ca.pem"));
    let unreachable = |answer| matches!(answer, Err(BackendError::Http(HttpError::Unreachable(_))));

    let (endpoint, server) = tls_server();
    assert_eq!(ask(&config(&endpoint, &tls(&format!("{client}{ca}")))).unwrap(), "{}");
    let (name, request) = server.join().unwrap().unwrap();
    assert!(name.is_none() && request.starts_with("POST / HTTP/1.1\r\n"), "{name:?} {request}");

    // Under another name, which the certificate has, too; the request is for the address all the same.
    let (endpoint, server) = tls_server();
    let named = tls(&format!(r#"{client}{ca},"server_name":"Redis.test""#));
    assert_eq!(ask(&config(&endpoint, &named)).unwrap(), "{}");
    let (name, request) = server.join().unwrap().unwrap();
    assert_eq!(name.as_deref(), Some("redis.test"));
    let host = endpoint.strip_prefix("https://").unwrap();
    assert!(request.contains(&format!("\r\nhost: {host}\r\n")), "{request}");

    let (endpoint, server) = tls_server();
    let named = tls(&format!(r#"{client}{ca},"server_name":"other.test""#));
    assert!(unreachable(ask(&config(&endpoint, &named))) && server.join().unwrap().is_none());

    let (endpoint, server) = tls_server();
    assert!(unreachable(ask(&config(&endpoint, &tls(&client)))) && server.join().unwrap().is_none());

    let (endpoint, server) = tls_server();
    assert_eq!(ask(&config(&endpoint, &tls(&format!(r#"{client},"insecure_skip_verify":true"#)))).unwrap(), "{}");
    server.join().unwrap();

    // Without a certificate of ours the server breaks off.
    let (endpoint, server) = tls_server();
    assert!(unreachable(ask(&config(&endpoint, &tls(&ca)))) && server.join().unwrap().is_none());
}

#[test]
fn what_is_wrong_with_tls_is_said_before_anybody_asks() {
    let problem = |endpoint: &str, options: &str| Backends::new(&config(endpoint, &tls(options))).unwrap_err();
    let secure = "https://backend.example";
    assert!(problem(secure, r#","server_ca_pem":"nope""#).starts_with("proxies.[0].http.tls.server_ca_pem: must be"));
    let name = problem(secure, r#","insecure_skip_verify":true,"server_name":"127.0.0.1""#);
    assert_eq!(name, "proxies.[0].http.tls.server_name: must be the name of a host");
    // Plain HTTP has no use for it.
    assert!(Backends::new(&config("http://backend.example", &tls(r#","server_ca_pem":"nope""#))).is_ok());
}
