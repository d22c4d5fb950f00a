//! Tokens by the dozen: claims first, then signatures.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair,
};
use bytes::Bytes;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};

use super::*;
use crate::auth::claims::{BadBase64, Overrides};
use crate::auth::{Budget, Evidence, KeyCache};
use crate::base::time::Now;
use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};

#[path = "key_set_tests.rs"]
mod key_sets;

const NOW: Now = Now { mono_ms: 0, mono_us: 0, unix_ms: 1_700_000_000_500 };

fn encode(part: &str) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn signed(header: &str, claims: &str, secret: &str, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), algorithm).unwrap();
    format!("{message}.{signature}")
}

fn token(claims: &str) -> String {
    signed(r#"{"alg":"HS256"}"#, claims, "secret", Algorithm::HS256)
}

fn verifiers(token: Token, skips_signature: bool) -> Verifiers {
    let store = Arc::default();
    Verifiers { connection: Verifier::new(&token, &store).unwrap(), subscription: None, store, skips_signature }
}

fn with_secret() -> Token {
    Token { hmac_secret_key: "secret".into(), ..Token::default() }
}

fn connection(claims: &str) -> Result<ConnectionClaims, TokenError> {
    verified(&verifiers(with_secret(), false), &token(claims))
}

/// As a shard and the control plane check a connection token together.
fn verified(verifiers: &Verifiers, token: &str) -> Result<ConnectionClaims, TokenError> {
    proven(|known| verifiers.verify_connection(token, known))
}

fn proven<C>(verify: impl Fn(Basis<'_>) -> Result<C, Obstacle>) -> Result<C, TokenError> {
    proven_with(|_| panic!("no key set"), verify)
}

/// The same, with key sets by their URL; none where the endpoint does not answer.
fn proven_with<C>(
    set: impl Fn(&str) -> Option<String>,
    verify: impl Fn(Basis<'_>) -> Result<C, Obstacle>,
) -> Result<C, TokenError> {
    let (mut evidence, keys, budget) = (Evidence::default(), KeyCache::default(), Budget::unlimited());
    for _ in 0..3 {
        match verify(Basis { now: NOW, keys: &keys, evidence: &evidence, budget: &budget }) {
            Ok(claims) => return Ok(claims),
            Err(Obstacle::Refused(error)) => return Err(error),
            Err(Obstacle::Waits(Need::Time { .. })) => panic!("there is no end of time"),
            Err(Obstacle::Waits(Need::Signature(check))) => {
                let is_good = check.run();
                evidence.add_signature(check, is_good);
            }
            Err(Obstacle::Waits(Need::Key(query))) => {
                let keys = set(query.url()).map(|set| crate::auth::read_key_set(set.as_bytes()).unwrap());
                let found = query.keep(keys.unwrap_or_default(), 0);
                evidence.add_key(query, found);
            }
        }
    }
    panic!("it goes round in circles");
}

/// Whether claims are accepted (`ok`), `expired` or `invalid`.
fn outcome<T>(result: Result<T, TokenError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(TokenError::Expired) => "expired",
        Err(TokenError::Invalid) => "invalid",
    }
}

#[test]
fn claims_have_their_types() {
    for (claims, expected) in [
        ("{}", "ok"),
        ("null", "ok"),
        ("[]", "invalid"),
        ("{", "invalid"),
        ("{} x", "invalid"),
        (r#"{"sub":5}"#, "invalid"),
        (r#"{"sub":null,"unknown":[5]}"#, "ok"),
        (r#"{"aud":null}"#, "invalid"),
        (r#"{"aud":["a",1]}"#, "invalid"),
        (r#"{"aud":5}"#, "invalid"),
        (r#"{"iss":5}"#, "invalid"),
        (r#"{"jti":5}"#, "invalid"),
        (r#"{"iat":"x"}"#, "invalid"),
        (r#"{"channel":5}"#, "invalid"),
        (r#"{"channel":"x"}"#, "invalid"),
        (r#"{"channel":null,"subs":null,"channels":null}"#, "ok"),
        (r#"{"channels":"a"}"#, "invalid"),
        (r#"{"expire_at":1.5}"#, "invalid"),
        (r#"{"expire_at":"5"}"#, "invalid"),
        (r#"{"subs":{"a":{"override":{"presence":true}}}}"#, "invalid"),
        (r#"{"subs":{"a":null}}"#, "ok"),
        (r#"{"meta":"text"}"#, "ok"),
    ] {
        assert_eq!(outcome(connection(claims)), expected, "{claims}");
    }
}

#[test]
fn times() {
    for (claims, expected) in [
        (r#"{"exp":1700000001}"#, "ok"),
        (r#"{"exp":1700000000}"#, "expired"),
        (r#"{"exp":1700000000.6}"#, "ok"),
        (r#"{"exp":1700000000.5}"#, "expired"),
        (r#"{"exp":"1700000001"}"#, "ok"),
        (r#"{"exp":0}"#, "expired"),
        (r#"{"exp":-5}"#, "expired"),
        (r#"{"exp":1e300}"#, "expired"),
        (r#"{"exp":1e400}"#, "invalid"),
        (r#"{"exp":null}"#, "ok"),
        (r#"{"exp":""}"#, "invalid"),
        (r#"{"exp":" 1700000001"}"#, "invalid"),
        (r#"{"exp":true}"#, "invalid"),
        (r#"{"nbf":1700000000}"#, "ok"),
        (r#"{"nbf":1700000000.5}"#, "expired"),
        (r#"{"nbf":1700000001}"#, "expired"),
    ] {
        assert_eq!(outcome(connection(claims)), expected, "{claims}");
    }
}

#[test]
fn lifetimes() {
    for (claims, expected) in [
        ("{}", 0),
        (r#"{"exp":4000000000.5}"#, 4_000_000_000),
        (r#"{"exp":4000000000,"expire_at":0}"#, 0),
        (r#"{"exp":4000000000,"expire_at":-7}"#, 0),
        (r#"{"expire_at":5}"#, 5),
        (r#"{"exp":4000000000,"expire_at":null}"#, 4_000_000_000),
    ] {
        assert_eq!(connection(claims).unwrap().expire_at, expected, "{claims}");
    }
}

#[test]
fn infos() {
    for (claims, expected) in [
        ("{}", Ok("")),
        (r#"{"info":{"a": 1}}"#, Ok(r#"{"a": 1}"#)),
        (r#"{"info":null}"#, Ok("null")),
        (r#"{"info":1,"INFO":2}"#, Ok("2")),
        (r#"{"info":1,"b64info":"eyJiIjogMn0="}"#, Ok(r#"{"b": 2}"#)),
        (r#"{"b64info":"eyJiIjogMn0"}"#, Err(BadBase64)),
        (r#"{"b64info":"%"}"#, Err(BadBase64)),
    ] {
        let expected = expected.map(|info| Bytes::from_static(info.as_bytes()));
        assert_eq!(connection(claims).unwrap().info, expected, "{claims}");
    }
    assert_eq!(connection(r#"{"meta":{"a": 1}}"#).unwrap().meta, r#"{"a": 1}"#);
}

#[test]
fn subscriptions_of_a_connection() {
    let names = |claims: &str| -> Vec<String> {
        let claims = connection(claims).unwrap();
        claims.subscriptions.into_iter().map(|subscription| subscription.channel.into()).collect()
    };
    assert_eq!(names(r#"{"channels":["b","a","b",null]}"#), ["", "a", "b"]);
    assert_eq!(names(r#"{"channels":["b"],"subs":{"c":{},"a":{}}}"#), ["a", "c"]);
    assert_eq!(names(r#"{"channels":["b"],"subs":{}}"#), ["b"]);

    let claims = r#"{"subs":{"a":{"data":1},"a":{"b64data":"Mg==","override":
        {"presence":{"value":true},"join_leave":{"value":false},"force_recovery":null,"force_positioning":{}}}}}"#;
    let subscriptions = connection(claims).unwrap().subscriptions;
    let [subscription] = &subscriptions[..] else { panic!("{subscriptions:?}") };
    assert_eq!(subscription.data, Ok(Bytes::from_static(b"2")));
    let overrides = Overrides {
        presence: Some(true),
        join_leave: Some(false),
        force_positioning: Some(false),
        ..Overrides::default()
    };
    assert_eq!(subscription.overrides, overrides);
}

#[test]
fn users() {
    let user = |claim: &str, claims: &str| {
        let keys = Token { user_id_claim: claim.into(), ..with_secret() };
        verified(&verifiers(keys, false), &token(claims)).unwrap().user
    };
    assert_eq!(&*user("", r#"{"SUB":"u","uid":"v"}"#), "u");
    for (claims, expected) in [
        (r#"{"sub":"u"}"#, ""),
        (r#"{"sub":"u","uid":"v\u0041"}"#, "vA"),
        (r#"{"uid":"first","uid":"second"}"#, "first"),
        (r#"{"UID":"v"}"#, ""),
        (r#"{"uid":5}"#, "5"),
        (r#"{"uid":-5}"#, "-5"),
        (r#"{"uid":1.50}"#, "1.5"),
        (r#"{"uid":true}"#, "true"),
        (r#"{"uid":null}"#, ""),
        (r#"{"uid":{"a": [1, 2]}}"#, r#"{"a": [1, 2]}"#),
    ] {
        assert_eq!(&*user("uid", claims), expected, "{claims}");
    }
}

#[test]
fn subscription_tokens() {
    let verifiers = verifiers(with_secret(), false);
    let verify = |claims: &str| proven(|known| verifiers.verify_subscription(&token(claims), known));
    for (claims, expected) in [
        (r#"{"channel":"x"}"#, "ok"),
        ("{}", "invalid"),
        (r#"{"channel":"x","exp":5}"#, "expired"),
        (r#"{"exp":5}"#, "expired"),
        (r#"{"channel":"x","client":5}"#, "invalid"),
        (r#"{"channel":"x","channels":5}"#, "ok"),
    ] {
        assert_eq!(outcome(verify(claims)), expected, "{claims}");
    }
    let claims = verify(r#"{"sub":"u","channel":"x","client":"c","expire_at":7,"info":1,"data":2}"#).unwrap();
    assert_eq!((&*claims.user, &*claims.client, claims.expire_at), ("u", "c", 7));
    assert_eq!(claims.subscription.info, Ok(Bytes::from_static(b"1")));
    assert_eq!(claims.subscription.data, Ok(Bytes::from_static(b"2")));
}

#[test]
fn audience_and_issuer() {
    let text = Token { audience: "app".into(), issuer: "maker".into(), ..with_secret() };
    let regex =
        Token { audience_regex: "^app-(one|two)$".into(), issuer_regex: r"example\d?$".into(), ..with_secret() };
    for (keys, claims, expected) in [
        (&text, r#"{"aud":"app","iss":"maker"}"#, "ok"),
        (&text, r#"{"aud":["x","app"],"iss":"maker"}"#, "ok"),
        (&text, r#"{"aud":"apps","iss":"maker"}"#, "invalid"),
        (&text, r#"{"aud":"app"}"#, "invalid"),
        (&text, r#"{"iss":"maker"}"#, "invalid"),
        (&text, r#"{"aud":"app","iss":"maker","exp":5}"#, "expired"),
        (&text, r#"{"aud":"other","iss":"maker","exp":5}"#, "invalid"),
        (&regex, r#"{"aud":["x","app-two"],"iss":"https://an.example"}"#, "ok"),
        (&regex, r#"{"aud":"app-one","iss":"https://an.example7"}"#, "ok"),
        // In Go \d is ASCII.
        (&regex, r#"{"aud":"app-one","iss":"https://an.example\u0663"}"#, "invalid"),
        (&regex, r#"{"aud":"app-three","iss":"https://an.example"}"#, "invalid"),
        (&regex, r#"{"aud":"app-one","iss":"other"}"#, "invalid"),
    ] {
        let result = verified(&verifiers(keys.clone(), false), &token(claims));
        assert_eq!(outcome(result), expected, "{claims}");
    }
}

#[test]
fn secrets() {
    let rotated = |until| Token {
        hmac_previous_secret_key: "old".into(),
        hmac_previous_secret_key_valid_until: until,
        ..with_secret()
    };
    for (keys, secret, expected) in [
        (with_secret(), "secret", "ok"),
        (with_secret(), "old", "invalid"),
        (rotated(0), "old", "ok"),
        (rotated(0), "secret", "ok"),
        (rotated(1_700_000_000), "old", "ok"),
        (rotated(1_699_999_999), "old", "invalid"),
        (Token::default(), "", "invalid"),
    ] {
        let token = signed(r#"{"alg":"HS256"}"#, "{}", secret, Algorithm::HS256);
        assert_eq!(outcome(verified(&verifiers(keys, false), &token)), expected, "{secret}");
    }
    for (header, algorithm, expected) in [
        (r#"{"alg":"HS384"}"#, Algorithm::HS384, "ok"),
        (r#"{"alg":"HS512","typ":"at+jwt","kid":"1"}"#, Algorithm::HS512, "ok"),
        (r#"{"alg":"HS256"}"#, Algorithm::HS512, "invalid"),
        (r#"{"alg":"hs256"}"#, Algorithm::HS256, "invalid"),
        (r#"{"alg":"none"}"#, Algorithm::HS256, "invalid"),
        (r#"{"alg":"RS256"}"#, Algorithm::HS256, "invalid"),
        (r#"{"alg":"HS256","kid":1}"#, Algorithm::HS256, "invalid"),
    ] {
        let token = signed(header, "{}", "secret", algorithm);
        assert_eq!(outcome(verified(&verifiers(with_secret(), false), &token)), expected, "{header}");
    }
}

/// A key pair on a curve, and its public key as PEM.
fn on_curve(algorithm: &'static EcdsaSigningAlgorithm) -> (EcdsaKeyPair, Token) {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    (pair, Token { ecdsa_public_key: pem.into(), ..Token::default() })
}

#[test]
fn each_curve_has_its_algorithm() {
    let curves = [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256"),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384"),
        (&ECDSA_P521_SHA512_FIXED_SIGNING, "ES512"),
    ];
    for (curve, name) in curves {
        let (pair, keys) = on_curve(curve);
        let (_, other) = on_curve(curve);
        for (_, claimed) in curves {
            let message = format!("{}.{}", encode(&format!(r#"{{"alg":"{claimed}"}}"#)), encode("{}"));
            let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            let good = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
            let short = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature.as_ref()[1..]));
            let expected = if claimed == name { "ok" } else { "invalid" };
            for (keys, token, expected) in
                [(&keys, &good, expected), (&keys, &short, "invalid"), (&other, &good, "invalid")]
            {
                let outcome = outcome(verified(&verifiers(keys.clone(), false), token));
                assert_eq!(outcome, expected, "{claimed} on the curve of {name}");
            }
        }
    }
}

#[test]
fn rsa_keys_take_each_of_their_algorithms_and_no_other() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let keys = Token { rsa_public_key: pem.clone().into(), ..with_secret() };
    let paddings = [(&RSA_PKCS1_SHA256, "RS256"), (&RSA_PKCS1_SHA384, "RS384"), (&RSA_PKCS1_SHA512, "RS512")];
    for (padding, name) in paddings {
        for claimed in ["RS256", "RS384", "RS512", "PS256", "HS256", "ES256", "EdDSA", "none"] {
            let message = format!("{}.{}", encode(&format!(r#"{{"alg":"{claimed}"}}"#)), encode("{}"));
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
            let expected = if claimed == name { "ok" } else { "invalid" };
            assert_eq!(outcome(verified(&verifiers(keys.clone(), false), &token)), expected, "{claimed} {name}");
        }
    }
    // The public key is no secret of ours.
    let forged = signed(r#"{"alg":"HS256"}"#, "{}", &pem, Algorithm::HS256);
    let without_secret = Token { rsa_public_key: pem.into(), ..Token::default() };
    assert_eq!(outcome(verified(&verifiers(without_secret, false), &forged)), "invalid");
}

#[test]
fn subscription_tokens_may_have_keys_of_their_own() {
    let of_its_own = |subscription: &str| {
        let text = format!(
            r#"{{"client":{{"token":{{"hmac_secret_key":"secret"}},"subscription_token":{{{subscription}}}}}}}"#
        );
        let env = Env::default();
        let loaded = load(Sources { file: Some(("config.json", &text)), env: &env, flags: &[] }).unwrap();
        let config = prepare(&loaded.options, &Host { name: "n", resolve: &|_| None }, false).unwrap();
        Verifiers::new(&config).unwrap()
    };
    let claims = r#"{"channel":"x","aud":"subs"}"#;
    let by = |secret| signed(r#"{"alg":"HS256"}"#, claims, secret, Algorithm::HS256);
    for (subscription, secret, expected) in [
        ("", "secret", "ok"),
        (r#""enabled":false,"hmac_secret_key":"own""#, "secret", "ok"),
        (r#""enabled":false,"hmac_secret_key":"own""#, "own", "invalid"),
        (r#""enabled":true,"hmac_secret_key":"own""#, "own", "ok"),
        (r#""enabled":true,"hmac_secret_key":"own""#, "secret", "invalid"),
        (r#""enabled":true,"hmac_secret_key":"own","audience":"subs""#, "own", "ok"),
        (r#""enabled":true,"hmac_secret_key":"own","audience":"other""#, "own", "invalid"),
        (r#""enabled":true"#, "secret", "invalid"),
    ] {
        let verifiers = of_its_own(subscription);
        let token = by(secret);
        let result = proven(|basis| verifiers.verify_subscription(&token, basis));
        assert_eq!(outcome(result), expected, "{subscription} {secret}");
        // Connections keep theirs.
        assert_eq!(
            outcome(verified(&verifiers, &signed(r#"{"alg":"HS256"}"#, "{}", "secret", Algorithm::HS256))),
            "ok",
            "{subscription}"
        );
    }
}

#[test]
fn forms() {
    let good = token("{}");
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode("{}"));
    for (token, skips, expected) in [
        (good.clone(), false, "ok"),
        (format!("{good}x"), false, "invalid"),
        (format!(" {good}"), false, "invalid"),
        (good.replacen('.', "", 1), false, "invalid"),
        (format!("{good}."), false, "invalid"),
        (String::new(), false, "invalid"),
        ("e30.e30".to_owned(), false, "invalid"),
        (unsigned.clone(), false, "invalid"),
        (unsigned, true, "ok"),
        (signed(r#"{"alg":"HS256"}"#, "{}", "other", Algorithm::HS256), true, "ok"),
        (signed(r#"{"alg":"HS256"}"#, r#"{"exp":5}"#, "other", Algorithm::HS256), true, "expired"),
        (signed(r#" {"alg":"HS256"}"#, "{}", "secret", Algorithm::HS256), false, "invalid"),
    ] {
        assert_eq!(outcome(verified(&verifiers(with_secret(), skips), &token)), expected, "{token}");
    }
}

#[test]
fn configurations_that_cannot_be() {
    let check = |keys: Token, expected: &str| {
        let problem = Verifier::new(&keys, &Arc::default()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(problem.contains(expected), "{problem:?} {expected:?}");
    };
    check(Token { rsa_public_key: "MIIB".into(), ..Token::default() }, "RSA public key");
    check(Token { ecdsa_public_key: "MIIB".into(), ..Token::default() }, "ECDSA public key");
    check(Token { audience: "a".into(), audience_regex: "b".into(), ..Token::default() }, "audience_regex");
    check(Token { issuer: "a".into(), issuer_regex: "b".into(), ..Token::default() }, "issuer_regex");
    check(Token { issuer_regex: "(".into(), ..Token::default() }, "error compiling issuer_regex");
}
