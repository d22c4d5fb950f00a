//! Every option about a Redis does what it says: who we are there, how long we wait, TLS, and what is kept where. How
//! addresses, Sentinels and Clusters are found has tests of its own.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use spindle::broker::Value;
use spindle::channel::broker_op::{BrokerOp, BrokerReply};

use super::driver::{Shards, at, client, everything, free_port, publish};
use super::redis::Redis;

#[test]
fn passwords_and_users() {
    let redis = Redis::with(&["--requirepass", "open", "--user", "ann", "on", ">sesame", "~*", "&*", "+@all"]);
    everything(&mut Shards::new(1, &at(&redis, r#","password":"open""#)));
    everything(&mut Shards::new(1, &at(&redis, r#","user":"ann","password":"sesame","prefix":"ann""#)));
    let old = r#","user":"ann","password":"sesame","force_resp2":true,"prefix":"old""#;
    everything(&mut Shards::new(1, &at(&redis, old)));
}

#[test]
fn the_protocol_and_our_name_in_it() {
    let redis = Redis::start();
    for (options, protocol) in [("", "resp=3"), (r#","force_resp2":true"#, "resp=2")] {
        let mut shards = Shards::new(1, &at(&redis, &format!(r#","client_name":"node","db":3{options}"#)));
        everything(&mut shards);
        let clients = format!("{:?}", redis.connect().send(&["CLIENT", "LIST"]));
        let ours: Vec<&str> = clients.split("\\n").filter(|line| line.contains("name=node")).collect();
        // One for requests, one for messages of channels, one for what nodes tell each other.
        assert!(ours.len() >= 3, "{clients}");
        assert!(ours.iter().all(|line| line.contains("db=3") && line.contains(protocol)), "{ours:?}");
        shards.end();
        redis.connect().send(&["FLUSHALL"]);
    }
}

#[test]
fn the_name_we_give_sentinels() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut heard, mut piece) = (Vec::new(), [0; 512]);
        while !heard.ends_with(b"\r\nhello\r\n") {
            let count = socket.read(&mut piece).unwrap();
            assert!(count > 0, "it ended with {}", heard.escape_ascii());
            heard.extend_from_slice(&piece[..count]);
        }
        String::from_utf8(heard).unwrap()
    });
    let options = format!(
        r#"{{"sentinel_address":["{address}"],"sentinel_master_name":"main","sentinel_user":"guard",
        "sentinel_password":"open","sentinel_client_name":"hello","user":"x","password":"y","client_name":"z"}}"#
    );
    assert!(Shards::try_new(1, &options).is_err());
    let heard = heard.join().unwrap();
    let words: Vec<&str> =
        heard.split("\r\n").filter(|word| !word.starts_with(['*', '$']) && !word.is_empty()).collect();
    assert_eq!(words, ["HELLO", "3", "AUTH", "guard", "open", "SETNAME", "hello"]);
}

/// Nobody says anything there: connecting waits for TLS, and logging in for a reply.
#[test]
fn each_wait_has_its_own_bound() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for (options, words) in [
        (r#""connect_timeout":"50ms","io_timeout":"60s","tls":{"enabled":true}"#, "it took too long"),
        (r#""connect_timeout":"60s","io_timeout":"50ms""#, "does not answer"),
    ] {
        let begin = Instant::now();
        let error = Shards::try_new(1, &format!(r#"{{"address":"{address}",{options}}}"#)).err().expect("refused");
        assert!(error.contains(words) && begin.elapsed() < Duration::from_secs(30), "{error}");
    }
}

/// A file of `tests/redis/tls`: certificates for 127.0.0.1 and redis.test, made for these tests alone.
pub fn pem(name: &str) -> String {
    format!("{}/tests/redis/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn tls() {
    let port = free_port().to_string();
    let (ca, cert, key) = (pem("ca.pem"), pem("server.pem"), pem("server.key"));
    let options = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let _redis = Redis::with(&options);
    let (ca, stranger) = (pem("ca.pem"), pem("stranger.pem"));
    let (cert, key) = (pem("client.pem"), pem("client.key"));
    let try_new = |address: &str, tls: &str| {
        let tls = format!(r#"{{"address":"{address}:{port}","tls":{{"enabled":true{tls}}}}}"#);
        Shards::try_new(1, &tls)
    };
    let own = format!(r#","cert_pem":"{cert}","key_pem":"{key}""#);
    let (trusted, strange) = (format!(r#","server_ca_pem":"{ca}""#), format!(r#","server_ca_pem":"{stranger}""#));
    everything(&mut try_new("127.0.0.1", &format!("{own}{trusted}")).expect("trusted"));
    // TLS of its own accord, by these options.
    assert!(try_new("rediss://127.0.0.1", &format!("{own}{trusted}")).is_ok());
    let named = |name: &str| format!(r#"{own}{trusted},"server_name":"{name}""#);
    assert!(try_new("127.0.0.1", &named("redis.test")).is_ok());
    assert!(try_new("127.0.0.1", &format!(r#"{own},"insecure_skip_verify":true"#)).is_ok());
    for (tls, words) in [
        (format!("{own}{strange}"), "invalid peer certificate"),
        (named("other.test"), "certificate not valid for name"),
        // Whom the system trusts does not know our authority.
        (own.clone(), "(look at tls.server_ca_pem and tls.server_name)"),
        (trusted, "(look at tls.cert_pem and tls.key_pem)"),
    ] {
        let error = try_new("127.0.0.1", &tls).err().expect("refused");
        assert!(error.starts_with("engine.redis: ") && error.contains(words), "{tls}: {error} says {words}");
    }
}

#[test]
fn lists_and_counted_users_and_their_lifetime() {
    let redis = Redis::start();
    let mut shards = Shards::new(
        1,
        &at(
            &redis,
            r#","history_use_lists":true,"presence_user_mapping":true,
        "presence_ttl":"7s","prefix":"x""#,
        ),
    );
    shards.ask("a", publish("x", 5));
    shards.ask("a", BrokerOp::AddPresence(client(1, "ann")));
    let mut connection = redis.connect();
    let mut exists = |key: &str| connection.send(&["PTTL", key]);
    assert!(matches!(exists("x.list.a"), Value::Int(1..)));
    for key in ["data.a", "expire.a", "user.clients.a", "user.expire.a"] {
        let ttl = exists(&format!("x.presence.{key}"));
        assert!(matches!(ttl, Value::Int(1..=7_000)), "{key}: {ttl:?}");
    }
}

#[test]
fn presence_lives_elsewhere() {
    let (one, other) = (Redis::start(), Redis::start());
    let address = |redis: &Redis| format!("unix://{}", redis.socket().display());
    let configuration = format!(
        r#"{{"broker":{{"enabled":true,"type":"redis","redis":{{"address":"{}","prefix":"b"}}}},
        "presence_manager":{{"enabled":true,"type":"redis","redis":{{"address":"{}","prefix":"p"}}}},
        "engine":{{"type":"redis","redis":{{"address":"127.0.0.1:1"}}}}}}"#,
        address(&one),
        address(&other)
    );
    let mut shards = Shards::configured(2, &configuration).expect("both are found");
    everything(&mut shards);
    let keys = |redis: &Redis| format!("{:?}", redis.connect().send(&["KEYS", "*"]));
    assert!(keys(&one).contains("b.stream.meta.a") && !keys(&one).contains("presence"), "{}", keys(&one));
    assert!(keys(&other).contains("p.presence.data.a") && !keys(&other).contains("stream"), "{}", keys(&other));
    assert!(matches!(shards.ask("a", BrokerOp::Presence), BrokerReply::Presence(present) if present.len() == 1));
}
