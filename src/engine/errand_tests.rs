//! Crowds with tokens at one shard: what a turn does, who comes next, and that everyone comes.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::test_support::{config, frame};
use super::*;
use crate::auth::read_key_set;
use crate::mesh::{Limits, desk, mesh};
use crate::protocol::Protocol;

/// A shard, the other side of its desk, and a key.
struct Bench {
    engine: Engine,
    window: ShardWindow,
    pair: EcdsaKeyPair,
    alg: &'static str,
    now: Now,
}

impl Bench {
    /// `token` makes the options of tokens from the key in PEM.
    fn new(algorithm: &'static EcdsaSigningAlgorithm, errands: usize, token: impl Fn(String) -> Value) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(der.as_ref()));
        let open = json!({"allow_anonymous_connect_without_token": true, "token": token(pem)});
        let config = config(&json!({"client": open}).to_string());
        let now = Now { mono_ms: 1, mono_us: 1000, unix_ms: 1_700_000_000_000 };
        let (desk, window) = desk(errands);
        let engine = Engine::new(Parts {
            id: ShardId(0),
            port: mesh(1, Limits::default()).remove(0),
            desk,
            line: None,
            shards: 1,
            verifiers: Arc::new(Verifiers::new(&config).unwrap()),
            config,
            node: Arc::new(Node { uid: "n".into(), version: "0".into() }),
            seed: [1; 32],
            now,
        });
        let alg = if pair.public_key().as_ref().len() == 65 { "ES256" } else { "ES384" };
        Self { engine, window, pair, alg, now }
    }

    fn token(&self) -> String {
        let header = format!(r#"{{"alg":"{}","kid":"k"}}"#, self.alg);
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(r#"{"sub":"u"}"#));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwk(&self) -> String {
        let point = &self.pair.public_key().as_ref()[1..];
        let [x, y] = [&point[..point.len() / 2], &point[point.len() / 2..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        json!({"keys": [{"kty": "EC", "use": "sig", "kid": "k", "crv": "P-256", "x": x, "y": y}]}).to_string()
    }

    fn open(&mut self) -> ConnId {
        let opening = Opening { socket: 0, protocol: Protocol::Json, native_ping: false, user_header: None };
        self.engine.open(opening).unwrap()
    }

    /// So many connections, in the order in which they ask.
    fn crowd(&mut self, count: usize) -> Vec<ConnId> {
        let frame = connect_frame(&self.token());
        let crowd: Vec<ConnId> = (0..count).map(|_| self.open()).collect();
        for conn in &crowd {
            self.engine.input(*conn, &mut frame.clone());
        }
        crowd
    }

    fn is_connected(&self, conn: ConnId) -> bool {
        self.engine.conns.get(conn).is_some_and(|conn| conn.session.user() == "u")
    }

    fn connected(&self, crowd: &[ConnId]) -> usize {
        crowd.iter().filter(|conn| self.is_connected(**conn)).count()
    }

    /// One turn: the next begins with it.
    fn turn(&mut self) {
        while self.engine.work() {}
        self.engine.set_now(self.now);
    }
}

fn connect_frame(token: &str) -> Vec<u8> {
    frame(&json!({"id": 1, "connect": {"token": token}}).to_string())
}

#[test]
fn a_crowd_is_let_in_by_and_by_in_its_order() {
    let mut bench = Bench::new(&ECDSA_P256_SHA256_FIXED_SIGNING, 1, |pem| json!({"ecdsa_public_key": pem}));
    bench.engine.set_now(bench.now);
    let first = bench.crowd(100);
    let at_once = bench.connected(&first);
    assert!((1..=20).contains(&at_once), "{at_once} checks in one turn");
    // Who needs no check waits for nobody; who does goes behind.
    let plain = bench.open();
    bench.engine.input(plain, &mut connect_frame(""));
    assert!(bench.engine.conns.get(plain).is_some_and(|conn| !conn.session.is_blocked()));
    bench.turn();
    let late = bench.crowd(5);
    let mut before = at_once;
    while bench.connected(&late) < late.len() {
        assert!(!bench.engine.prepare_to_sleep(), "there is more to do");
        bench.turn();
        let now = bench.connected(&first) + bench.connected(&late);
        assert!(now > before && now - before <= 20, "{} checks in one turn", now - before);
        assert!(first[..bench.connected(&first)].iter().all(|conn| bench.is_connected(*conn)), "out of order");
        assert!(bench.connected(&late) == 0 || bench.connected(&first) == 100, "the late ones come last");
        before = now;
    }
    bench.turn();
    assert!(bench.engine.prepare_to_sleep());
}

#[test]
fn slow_checks_stand_in_line_for_the_desk() {
    let mut bench = Bench::new(&ECDSA_P384_SHA384_FIXED_SIGNING, 2, |pem| json!({"ecdsa_public_key": pem}));
    bench.engine.set_now(bench.now);
    let crowd = bench.crowd(7);
    let mut checks = 0;
    while bench.connected(&crowd) < crowd.len() {
        while !bench.engine.flush_errands() {
            assert!(!bench.engine.prepare_to_sleep(), "those in line are forgotten");
            bench.turn();
        }
        let taken: Vec<_> = std::iter::from_fn(|| bench.window.take()).collect();
        assert!((1..=2).contains(&taken.len()), "{} at once", taken.len());
        for (ticket, errand) in taken {
            let Errand::Signature(check) = errand else { panic!("{errand:?}") };
            let is_good = check.run();
            checks += 1;
            assert!(!bench.window.answer(ticket, ErrandAnswer::Signature(check, is_good)), "it is awake");
        }
        // One of those in line leaves, and its place goes to the next.
        if checks == 2 {
            bench.engine.gone(crowd[2]);
            bench.engine.gone(crowd[3]);
        }
        bench.turn();
        if bench.connected(&crowd) == 5 {
            break;
        }
    }
    assert_eq!(checks, 5);
    assert!(bench.engine.prepare_to_sleep());
    assert_eq!(bench.engine.audit().errands, 0);
}

#[test]
fn a_key_is_asked_for_once_and_its_crowd_told_by_and_by() {
    let set = json!({"jwks_public_endpoint": "http://keys/set"});
    let mut bench = Bench::new(&ECDSA_P256_SHA256_FIXED_SIGNING, 1, |_| set.clone());
    bench.engine.set_now(bench.now);
    let crowd = bench.crowd(1000);
    let (ticket, errand) = bench.window.take().unwrap();
    assert!(bench.window.take().is_none(), "once");
    let Errand::Key(query) = errand else { panic!("{errand:?}") };
    assert_eq!(query.url(), "http://keys/set");
    let found = query.keep(read_key_set(bench.jwk().as_bytes()).unwrap(), 0);
    assert!(!bench.window.answer(ticket, ErrandAnswer::Key(query, found)));
    let mut turns = 0;
    while bench.connected(&crowd) < crowd.len() {
        let before = bench.connected(&crowd);
        bench.turn();
        turns += 1;
        assert!(bench.connected(&crowd) - before <= 20);
    }
    assert!((50..=100).contains(&turns), "{turns} turns");
    bench.turn();
    assert!(bench.engine.prepare_to_sleep() && bench.window.take().is_none());
}
