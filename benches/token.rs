//! Checking tokens: what each connect pays that carries one.
//!
//! `cargo bench --bench token`

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use divan::{AllocProfiler, Bencher, black_box};
use spindle::auth::{Basis, Budget, Evidence, KeyCache, Need, Obstacle, Verifiers, token};
use spindle::base::time::Now;
use spindle::sim::cluster::{self, token_config};

#[global_allocator]
static ALLOCATIONS: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

const UNIX_S: i64 = 1_700_000_000;

fn main() {
    divan::main();
}

fn now() -> Now {
    Now { mono_ms: 1, mono_us: 1000, unix_ms: UNIX_S as u64 * 1000 }
}

fn bench<T>(bencher: Bencher<'_, '_>, check: impl Fn(Basis<'_>) -> T) {
    let (keys, evidence) = (KeyCache::default(), Evidence::default());
    bencher.bench_local(|| check(Basis { now: now(), keys: &keys, evidence: &evidence, budget: &Budget::unlimited() }));
}

/// A connection token signed with HMAC SHA-256: signature, claims and lifetime.
#[divan::bench]
fn connection_hs256(bencher: Bencher<'_, '_>) {
    let config = token_config();
    let verifiers = Verifiers::new(&config).expect("keys in order");
    let token = token::connection(&config.client.token, "user42", 3600, UNIX_S).expect("there is a secret");
    bench(bencher, |basis| verifiers.verify_connection(black_box(&token), basis).expect("a good token"));
}

/// The same for a subscription.
#[divan::bench]
fn subscription_hs256(bencher: Bencher<'_, '_>) {
    let config = token_config();
    let verifiers = Verifiers::new(&config).expect("keys in order");
    let token = token::subscription(&config.client.token, "user42", "news", 3600, UNIX_S).expect("there is a secret");
    bench(bencher, |basis| verifiers.verify_subscription(black_box(&token), basis).expect("a good token"));
}

/// A token that somebody else signed: what an attacker can make the server spend.
#[divan::bench]
fn forged_hs256(bencher: Bencher<'_, '_>) {
    let config = token_config();
    let verifiers = Verifiers::new(&config).expect("keys in order");
    let mut token = token::connection(&config.client.token, "user42", 3600, UNIX_S).expect("there is a secret");
    let last = if token.pop() == Some('A') { 'E' } else { 'A' };
    token.push(last);
    bench(bencher, |basis| verifiers.verify_connection(black_box(&token), basis).expect_err("a bad token"));
}

/// What a signature costs, by the kind of key: which of them a shard may check itself follows from this
/// (`auth/public_key.rs`).
#[divan::bench(args = ["RS256 of 2048 bits", "RS256 of 4096 bits", "RS256 of 8192 bits", "ES256", "ES384", "ES512"])]
fn public_key(bencher: Bencher<'_, '_>, kind: &str) {
    let (option, pem, token) = signed(kind);
    let config = cluster::config(&serde_json::json!({"client": {"token": {(option): pem}}}).to_string());
    let verifiers = Verifiers::new(&config).expect("keys in order");
    bench(bencher, |basis| match verifiers.verify_connection(black_box(&token), basis) {
        Ok(_) => true,
        Err(Obstacle::Waits(Need::Signature(check))) => check.run(),
        Err(obstacle) => panic!("{kind}: {obstacle:?}"),
    });
}

/// The option for a new key, the key in PEM, and a token signed with it.
fn signed(kind: &str) -> (&'static str, String, String) {
    let pem = |der: &[u8]| format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    let header = format!(r#"{{"alg":"{}"}}"#, &kind[..5]);
    let claims = format!(r#"{{"sub":"user42","exp":{}}}"#, UNIX_S + 3600);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let random = SystemRandom::new();
    let curve = match kind {
        "ES256" => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        "ES384" => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        "ES512" => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => None,
    };
    let (option, public, signature) = match curve {
        Some(curve) => {
            let pair = EcdsaKeyPair::generate(curve).expect("a key");
            let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("DER");
            let signature = pair.sign(&random, message.as_bytes()).expect("a signature").as_ref().to_vec();
            ("ecdsa_public_key", pem(der.as_ref()), signature)
        }
        None => {
            let size = match kind {
                "RS256 of 2048 bits" => KeySize::Rsa2048,
                "RS256 of 4096 bits" => KeySize::Rsa4096,
                _ => KeySize::Rsa8192,
            };
            let pair = RsaKeyPair::generate(size).expect("a key");
            let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("DER");
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("a signature");
            ("rsa_public_key", pem(der.as_ref()), signature)
        }
    };
    (option, public, format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
