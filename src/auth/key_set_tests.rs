//! Tokens whose keys stand in a key set, and what the proof of a token may rely on.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use jsonwebtoken::Algorithm;

use super::*;

/// An RSA key of 1024 bits, its modulus, and tokens without claims, made with OpenSSL: our library makes no such keys.
const SMALL_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDKLOLLkmByYBxwFmoef2Bqihsq
RN2YfzgK1XPKJ+qSceYpwska16dJ7pL5MgcbvT6iOz9TEAP3NZ9iFPJ8XcrHOqh5
2u0UHTJeMthxSFqx+XfeuM2A2O74vKETQwh/qPT1B+PXyD2wBhMRJY9OajuuHfx9
vvA8vuPfCT1DHgsaBwIDAQAB
-----END PUBLIC KEY-----";
const SMALL_MODULUS: &str = "yiziy5JgcmAccBZqHn9gaoobKkTdmH84CtVzyifqknHmKcLJGtenSe6S-TIHG70-ojs_UxAD9zWfYhTyfF3KxzqoedrtFB0yXjLY\
    cUhasfl33rjNgNju-LyhE0MIf6j09Qfj18g9sAYTESWPTmo7rh38fb7wPL7j3wk9Qx4LGgc";
const SMALL_RS256: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.jZK9PSOHxnzDOTZmBnD2eqGPRXFvo47uEeEAfYxx8bmje5AOq3sZrqZtAS4IS\
    0uGdyvjSiiyI8hOHVQPF6TdVrUbfm0zFfSMFu5anhbvxS4uHVQJYvVjSfoDcpWBlJN4NS14nRMGRmi7Nwp5YNEXPQvD_ackXZAYy\
    C153tXchF8";
const SMALL_RS384: &str = "eyJhbGciOiJSUzM4NCIsImtpZCI6ImsifQ.e30.thvbNQZzVFtkEFxy2DZNstDJVvv2jtfR0kQp1sHczx0TBJwVLyB-4-dHNjjQ3\
    SWNCKUGjdLrC-ImzeLfpR7Jid6LxRJ0QjGzrm0OkVoPJQVC-th_nLEPgCMd5J5HrktfMzvyqIQsrwjIPvuvoPzIj7lyt3PRmPLlV\
    -03ZSSgEVE";
const SMALL_RS512: &str = "eyJhbGciOiJSUzUxMiIsImtpZCI6ImsifQ.e30.HIo_zZ1D6sZ-JPjS8ao3JCKQz8mDPDx_9SkTnEMxkTpx3lifkNh4D0Xjsg_O-\
    AQJ8DI_RHKqfAnfPoYH4jcFAUQV3JE7KKkt5Btref8Yq59yamWnhc5JV98SlsMQLAuhqmaBM06XBEa5lEZLH6zdhn-Cd-KSRQWhQ\
    2mQ6s0Pl00";

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key pair, the header of its tokens, and its public key as it stands in a set.
struct Pair {
    header: String,
    sign: Sign,
    jwk: String,
}

impl Pair {
    fn token(&self, claims: &str) -> String {
        let message = format!("{}.{}", encode(&self.header), encode(claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode((self.sign)(message.as_bytes())))
    }
}

fn ed25519(kid: &str) -> Pair {
    let seed: [u8; 32] = rand::random();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    Pair {
        header: format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
        sign: Box::new(move |message| pair.sign(message).as_ref().to_vec()),
        jwk: format!(r#"{{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"{kid}","x":"{x}"}}"#),
    }
}

fn ec(kid: &str, alg: &str, algorithm: &'static EcdsaSigningAlgorithm, crv: &str, more: &str) -> Pair {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let [x, y] = [&point[..point.len() / 2], &point[point.len() / 2..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let jwk = format!(r#"{{"kty":"EC","crv":"{crv}","use":"sig","kid":"{kid}","x":"{x}","y":"{y}"{more}}}"#);
    Pair {
        header: format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#),
        sign: Box::new(move |message| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()),
        jwk,
    }
}

/// A configuration with this endpoint, and these patterns for issuer and audience.
fn with_set(endpoint: &str, issuer: &str, audience: &str) -> Token {
    Token {
        jwks_public_endpoint: Some(Endpoint::new(endpoint).unwrap()),
        issuer_regex: issuer.into(),
        audience_regex: audience.into(),
        ..with_secret()
    }
}

#[test]
fn keys_of_a_set() {
    let (es256, es384, es512) =
        (&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P521_SHA512_FIXED_SIGNING);
    let pairs = [
        (ed25519("a"), "ok"),
        (ec("b", "ES256", es256, "P-256", ""), "ok"),
        (ec("c", "ES384", es384, "P-384", r#","alg":"ES384""#), "ok"),
        (ec("d", "ES512", es512, "P-521", r#","alg":"ES512""#), "ok"),
        (ec("e", "ES256", es256, "P-256", r#","alg":"ES384""#), "invalid"),
        (ec("f", "ES384", es256, "P-256", ""), "invalid"),
        (ec("g", "EdDSA", es256, "P-256", ""), "invalid"),
    ];
    let set = format!(r#"{{"keys":[{}]}}"#, pairs.iter().map(|(pair, _)| &*pair.jwk).collect::<Vec<_>>().join(","));
    let verifiers = verifiers(with_set("http://keys/set", "", ""), false);
    let check = |token: &str, expected: &str| {
        let serve = |url: &str| (url == "http://keys/set").then(|| set.clone());
        let result = proven_with(serve, |basis| verifiers.verify_connection(token, basis));
        assert_eq!(outcome(result), expected, "{token}");
    };
    for (pair, expected) in &pairs {
        check(&pair.token("{}"), expected);
    }
    check(&pairs[0].0.token(r#"{"exp":5}"#), "expired");
    check(&pairs[0].0.token(r#"{"channel":"x"}"#), "invalid");
    check(&format!("{}A", pairs[0].0.token("{}")), "invalid");
    // Signed with another key than it says, with one that is not in the set, with none, and with the static secret.
    check(&Pair { header: r#"{"alg":"EdDSA","kid":"b"}"#.into(), ..ed25519("") }.token("{}"), "invalid");
    check(&ed25519("z").token("{}"), "invalid");
    check(&ed25519("").token("{}"), "invalid");
    check(&Pair { header: r#"{"alg":"EdDSA"}"#.into(), ..ed25519("a") }.token("{}"), "invalid");
    check(&token("{}"), "invalid");
    check(&signed(r#"{"alg":"HS256","kid":"a"}"#, "{}", "secret", Algorithm::HS256), "invalid");
    let result = proven_with(|_| None, |basis| verifiers.verify_connection(&pairs[0].0.token("{}"), basis));
    assert_eq!(outcome(result), "invalid", "the endpoint does not answer");
}

#[test]
fn small_rsa_keys() {
    let jwk = format!(r#"{{"kty":"RSA","use":"sig","kid":"k","e":"AQAB","n":"{SMALL_MODULUS}"}}"#);
    let pem = Token { rsa_public_key: SMALL_PEM.into(), ..Token::default() };
    let set = with_set("http://keys/set", "", "");
    for (token, expected) in [(SMALL_RS256, "ok"), (SMALL_RS512, "ok"), (SMALL_RS384, "invalid")] {
        assert_eq!(outcome(verified(&verifiers(pem.clone(), false), token)), expected);
        let verifiers = verifiers(set.clone(), false);
        let serve = |_: &str| Some(format!(r#"{{"keys":[{jwk}]}}"#));
        assert_eq!(outcome(proven_with(serve, |basis| verifiers.verify_connection(token, basis))), expected);
    }
}

#[test]
fn sets_by_issuer_and_audience() {
    let pair = ed25519("k");
    let asked = |keys: &Token, claims: &str| {
        let (verifiers, asked) = (verifiers(keys.clone(), false), std::cell::RefCell::default());
        let serve = |url: &str| {
            *asked.borrow_mut() = url.to_owned();
            Some(format!(r#"{{"keys":[{}]}}"#, pair.jwk))
        };
        let result = proven_with(serve, |basis| verifiers.verify_connection(&pair.token(claims), basis));
        (asked.into_inner(), outcome(result))
    };
    let check = |keys: &Token, claims: &str, url: &str, expected: &str| {
        assert_eq!(asked(keys, claims), (url.to_owned(), expected), "{claims}");
    };
    let by_issuer = with_set("http://keys/{{t}}/set", "^(?P<t>a|b)$", "");
    check(&by_issuer, r#"{"iss":"a"}"#, "http://keys/a/set", "ok");
    check(&by_issuer, r#"{"iss":"b"}"#, "http://keys/b/set", "ok");
    check(&by_issuer, r#"{"iss":"c"}"#, "", "invalid");
    check(&by_issuer, "{}", "", "invalid");
    // The first audience that fits counts, and audiences before issuers.
    let by_both = with_set("http://keys/{{t}}/{{u}}", "^(?P<t>a|b)(?P<u>c)?$", "^(?P<t>x|y)");
    check(&by_both, r#"{"iss":"ac","aud":["z","y","x"]}"#, "http://keys/y/c", "ok");
    check(&by_both, r#"{"iss":"a","aud":["x"]}"#, "", "invalid");
    check(&by_both, r#"{"iss":"ac","aud":[]}"#, "", "invalid");
    let loose = with_set("http://keys/{{t}}/set", "^(?P<t>.*)$", "");
    check(&loose, r#"{"iss":"x/../y"}"#, "", "invalid");
    check(&loose, r#"{"iss":"%2e%2e"}"#, "", "invalid");
    check(&loose, r#"{"iss":"x"}"#, "http://keys/x/set", "ok");
}

#[test]
fn evidence_counts_only_for_what_it_was_gathered_for() {
    let (one, other) = (ed25519("k"), ed25519("k"));
    let keys = KeyCache::default();
    let verifiers = verifiers(with_set("http://keys/set", "", ""), false);
    let need = |evidence: &Evidence, verifiers: &Verifiers, token: &str| match verifiers
        .verify_connection(token, Basis { now: NOW, keys: &keys, evidence, budget: &Budget::unlimited() })
    {
        Err(Obstacle::Waits(Need::Key(query))) => Ok(query),
        result => Err(outcome(result.map_err(|_| TokenError::Invalid))),
    };
    let set = |pair: &Pair| crate::auth::read_key_set(format!(r#"{{"keys":[{}]}}"#, pair.jwk).as_bytes()).unwrap();
    let mut evidence = Evidence::default();
    let query = need(&evidence, &verifiers, &one.token("{}")).unwrap();
    evidence.add_key(query.clone(), query.keep(set(&one), 0));
    assert_eq!(need(&evidence, &verifiers, &one.token("{}")).unwrap_err(), "ok");
    assert_eq!(need(&evidence, &verifiers, &other.token("{}")).unwrap_err(), "invalid");
    // Another kid, and another configuration with the same endpoint.
    let renamed = Pair { header: r#"{"alg":"EdDSA","kid":"l"}"#.into(), ..ed25519("") };
    assert!(need(&evidence, &verifiers, &renamed.token("{}")).is_ok());
    let reloaded = super::verifiers(with_set("http://keys/set", "", ""), false);
    assert!(need(&evidence, &reloaded, &one.token("{}")).is_ok());
    assert!(reloaded.asked(&need(&evidence, &reloaded, &one.token("{}")).unwrap()) && !reloaded.asked(&query));

    // The same with a signature: neither another token nor another key may use it.
    let (pair, config) = on_curve(&ECDSA_P384_SHA384_FIXED_SIGNING);
    let signed = |claims: &str| {
        let message = format!("{}.{}", encode(r#"{"alg":"ES384"}"#), encode(claims));
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    };
    let slow = super::verifiers(config.clone(), false);
    let check = |evidence: &Evidence, verifiers: &Verifiers, token: &str| match verifiers
        .verify_connection(token, Basis { now: NOW, keys: &keys, evidence, budget: &Budget::unlimited() })
    {
        Err(Obstacle::Waits(Need::Signature(check))) => Ok(check),
        result => Err(outcome(result.map_err(|_| TokenError::Invalid))),
    };
    let (good, bad) = (signed("{}"), signed(r#"{"sub":"someone else"}"#));
    let mut evidence = Evidence::default();
    evidence.add_signature(check(&evidence, &slow, &good).unwrap(), true);
    assert_eq!(check(&evidence, &slow, &good).unwrap_err(), "ok");
    assert!(check(&evidence, &slow, &bad).is_ok(), "another token is asked about anew");
    assert!(check(&evidence, &super::verifiers(config, false), &good).is_ok(), "and so is the same after a reload");
}
