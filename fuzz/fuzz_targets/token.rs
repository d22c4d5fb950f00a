//! A token as it comes, and a header (first line) and claims (what is behind it) as a token: nothing panics, no token is
//! believed without its signature, and what is believed is what its claims say.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use spindle::auth::{Basis, Budget, ConnectionClaims, Evidence, KeyCache, Obstacle, SubscriptionClaims, Verifiers};
use spindle::base::time::Now;
use spindle::sim::cluster::config;

const SECRET: &str = "a secret of the tests";

/// One that knows the secret, and one that asks for no signature.
static VERIFIERS: LazyLock<[Verifiers; 2]> = LazyLock::new(|| {
    [false, true].map(|skips| {
        let json = format!(
            r#"{{"client": {{"token": {{"hmac_secret_key": "{SECRET}"}}, "insecure_skip_token_signature_verify": {skips}}}}}"#
        );
        Verifiers::new(&config(&json)).expect("the keys are in order")
    })
});

/// What a verifier says to a token for each purpose; nothing when it refuses.
fn verified(verifiers: &Verifiers, token: &str) -> (Option<ConnectionClaims>, Option<SubscriptionClaims>) {
    let (keys, evidence, budget) = (KeyCache::default(), Evidence::default(), Budget::unlimited());
    let now = Now { unix_ms: 1_700_000_000_000, ..Now::default() };
    let basis = Basis { now, keys: &keys, evidence: &evidence, budget: &budget };
    fn decided<C>(result: Result<C, Obstacle>) -> Option<C> {
        match result {
            Ok(claims) => Some(claims),
            Err(Obstacle::Refused(_)) => None,
            Err(Obstacle::Waits(need)) => panic!("a shared secret is at hand, but {need:?}"),
        }
    }
    (decided(verifiers.verify_connection(token, basis)), decided(verifiers.verify_subscription(token, basis)))
}

fuzz_target!(|input: &str| {
    let [with_secret, skipping] = &*VERIFIERS;
    // Nobody guesses a signature.
    assert_eq!(verified(with_secret, input), (None, None));
    let _ = verified(skipping, input);

    let (header, claims) = input.split_once('\n').unwrap_or((r#"{"alg":"HS256"}"#, input));
    let message = [URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)].join(".");
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).expect("HMAC signs anything");
    let (signed, unsigned) = ([&message, ".", &signature].concat(), [&message, "."].concat());

    assert_eq!(verified(with_secret, &unsigned), (None, None));
    let believed = verified(with_secret, &signed);
    let stated = verified(skipping, &unsigned);
    assert_eq!(verified(skipping, &signed), stated, "a signature changes no claim");
    let (connection, subscription) = &stated;
    assert!(connection.is_none() || subscription.is_none(), "a token has one purpose");
    match serde_json::from_str::<Value>(header).ok().as_ref().and_then(|header| header.get("alg")?.as_str()) {
        Some("HS256") if believed != (None, None) => assert_eq!(believed, stated),
        Some("HS256") => assert_eq!(stated, (None, None), "what is signed is believed"),
        _ => assert_eq!(believed, (None, None), "a signature of another algorithm"),
    }
    if stated == (None, None) {
        return;
    }
    let value: Value = serde_json::from_str(claims).expect("claims are JSON");
    assert!(value.is_object() || value.is_null());
    if let Some(claims) = connection {
        assert!(claims.subscriptions.is_sorted_by(|a, b| a.channel < b.channel), "each channel once");
        assert!(claims.meta.is_empty() || serde_json::from_slice::<Value>(&claims.meta).is_ok());
    }
    if let Some(claims) = subscription {
        assert!(!claims.subscription.channel.is_empty());
    }
});
