//! Checking tokens: what each connect pays that carries one.
//!
//! `cargo bench --bench token`

use divan::{AllocProfiler, Bencher, black_box};
use spindle::auth::{Basis, Evidence, KeyCache, Verifiers, token};
use spindle::base::time::Now;
use spindle::sim::cluster::token_config;

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
    bencher.bench_local(|| check(Basis { now: now(), keys: &keys, evidence: &evidence }));
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
