//! A JSON Web Key Set: whatever is read must be good for checking signatures with, and must refuse one that was made
//! without the key.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use spindle::auth::{Basis, Budget, Evidence, KeyCache, Need, Obstacle, Verifiers, read_key_set};
use spindle::base::time::Now;
use spindle::sim::cluster::config;

static VERIFIERS: LazyLock<Verifiers> = LazyLock::new(|| {
    let json = r#"{"client": {"token": {"jwks_public_endpoint": "https://keys.example/set"}}}"#;
    Verifiers::new(&config(json)).expect("the endpoint is in order")
});

const ALGORITHMS: [&str; 8] = ["HS256", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"];

/// Whether a connection token is believed; its shard and the control plane ask for the set.
fn is_believed(set: &[u8], token: &str) -> bool {
    let (mut evidence, keys, budget) = (Evidence::default(), KeyCache::default(), Budget::unlimited());
    for _ in 0..3 {
        match VERIFIERS
            .verify_connection(token, Basis { now: Now::default(), keys: &keys, evidence: &evidence, budget: &budget })
        {
            Ok(_) => return true,
            Err(Obstacle::Refused(_)) => return false,
            Err(Obstacle::Waits(Need::Time { .. })) => panic!("there is no end of time"),
            Err(Obstacle::Waits(Need::Signature(check))) => {
                let is_good = check.run();
                evidence.add_signature(check, is_good);
            }
            Err(Obstacle::Waits(Need::Key(query))) => {
                let found = query.keep(read_key_set(set).expect("it was read before"), 0);
                evidence.add_key(query, found);
            }
        }
    }
    panic!("it goes round in circles");
}

fuzz_target!(|input: &[u8]| {
    let Ok(keys) = read_key_set(input) else { return };
    assert_eq!(read_key_set(input).map(|keys| keys.len()), Ok(keys.len()));
    for (kid, _) in keys.iter().take(4) {
        assert!(!kid.is_empty());
        for algorithm in ALGORITHMS {
            let header = serde_json::json!({"alg": algorithm, "kid": kid}).to_string();
            let length = match algorithm {
                "ES384" => 96,
                "ES512" => 132,
                "RS256" | "RS384" | "RS512" => 256,
                _ => 64,
            };
            let parts = [header.as_bytes(), b"{}", &[0x5a; 256][..length]];
            let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
            assert!(!is_believed(input, &token), "{algorithm}");
        }
    }
});
