//! Reads a key set: which of its keys check signatures of tokens.
//!
//! Only keys with `"use": "sig"` count, as upstream; keys that cannot be used are passed over (RFC 7517, section 5),
//! where upstream gives up the whole set. Upstream: rakutentech/jwk-go, and `jwksManager.verify`.

use std::fmt;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::auth::public_key::{PublicKey, Signing};

/// The text is no key set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadKeySet(String);

impl fmt::Display for BadKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no JSON Web Key Set: {}", self.0)
    }
}

impl std::error::Error for BadKeySet {}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow, default)]
    keys: Option<Vec<&'a RawValue>>,
}

/// Members of a key that [`Jwk`] has not, or not as they stand there.
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    d: Option<IgnoredAny>,
    #[serde(default)]
    p: Option<IgnoredAny>,
    #[serde(default)]
    q: Option<IgnoredAny>,
}

/// The keys of a set that can be used, each with its `kid`, in order.
///
/// # Errors
/// The text is no set.
pub fn read(json: &[u8]) -> Result<Vec<(Box<str>, PublicKey)>, BadKeySet> {
    let set: Set<'_> = serde_json::from_slice(json).map_err(|error| BadKeySet(error.to_string()))?;
    Ok(set.keys.unwrap_or_default().into_iter().filter_map(key).collect())
}

fn key(json: &RawValue) -> Option<(Box<str>, PublicKey)> {
    let jwk: Jwk = serde_json::from_str(json.get()).ok()?;
    let beside: Beside = serde_json::from_str(json.get()).ok()?;
    if jwk.common.public_key_use != Some(PublicKeyUse::Signature) {
        return None;
    }
    let kid = jwk.common.key_id.clone().filter(|kid| !kid.is_empty())?;
    let only = match beside.alg.as_deref() {
        None | Some("") => None,
        // A key of a Curve25519 has one algorithm, whatever is written there.
        Some(_) if matches!(jwk.algorithm, AlgorithmParameters::OctetKeyPair(_)) => None,
        Some(name) => Some(Signing::named(name)?),
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let key = match &jwk.algorithm {
        // Private keys are no keys to check with.
        AlgorithmParameters::RSA(_) if beside.d.is_none() || beside.p.is_none() || beside.q.is_none() => {
            PublicKey::rsa(key)
        }
        AlgorithmParameters::EllipticCurve(parameters) if beside.d.is_none() => {
            PublicKey::on_curve(key).filter(|key| key.curve() == Some(&parameters.curve))?
        }
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => {
            PublicKey::ed25519(key)?
        }
        _ => return None,
    };
    Some((kid.into(), key.only_for(only)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A modulus of 2048 bits, and coordinates, in base64.
    fn filler(bytes: usize) -> String {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(vec![0x81; bytes])
    }

    #[track_caller]
    fn check(key: &str, expected: Option<&str>) {
        let [n, x32, x48, x66] = [256, 32, 48, 66].map(filler);
        let key = key.replace("$n", &n).replace("$32", &x32).replace("$48", &x48).replace("$66", &x66);
        let keys = read(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap();
        let shown: Vec<String> = keys.iter().map(|(kid, key)| format!("{kid}: {key:?}")).collect();
        assert_eq!(shown.first().map(String::as_str), expected, "{key}");
    }

    #[test]
    fn kinds_of_keys() {
        check(r#"{"kty":"RSA","use":"sig","kid":"k","n":"$n","e":"AQAB"}"#, Some("k: an RSA key"));
        check(r#"{"kty":"RSA","use":"sig","kid":"k","n":"$n","e":"AQAB","alg":""}"#, Some("k: an RSA key"));
        check(
            r#"{"kty":"RSA","use":"sig","kid":"k","n":"$n","e":"AQAB","alg":"RS384"}"#,
            Some("k: an RSA key for RS384"),
        );
        check(r#"{"kty":"EC","use":"sig","kid":"k","crv":"P-256","x":"$32","y":"$32"}"#, Some("k: a P-256 key"));
        check(r#"{"kty":"EC","use":"sig","kid":"k","crv":"P-384","x":"$48","y":"$48"}"#, Some("k: a P-384 key"));
        check(
            r#"{"kty":"EC","use":"sig","kid":"k","crv":"P-521","x":"$66","y":"$66","alg":"ES512"}"#,
            Some("k: a P-521 key for ES512"),
        );
        check(r#"{"kty":"OKP","use":"sig","kid":"k","crv":"Ed25519","x":"$32"}"#, Some("k: an Ed25519 key"));
        check(
            r#"{"kty":"OKP","use":"sig","kid":"k","crv":"Ed25519","x":"$32","alg":"x","d":"$32"}"#,
            Some("k: an Ed25519 key"),
        );
    }

    #[test]
    fn keys_that_are_passed_over() {
        for key in [
            r#"{"kty":"RSA","kid":"k","n":"$n","e":"AQAB"}"#,
            r#"{"kty":"RSA","use":"enc","kid":"k","n":"$n","e":"AQAB"}"#,
            r#"{"kty":"RSA","use":"Sig","kid":"k","n":"$n","e":"AQAB"}"#,
            r#"{"kty":"RSA","use":"sig","n":"$n","e":"AQAB"}"#,
            r#"{"kty":"RSA","use":"sig","kid":"","n":"$n","e":"AQAB"}"#,
            r#"{"kty":"RSA","use":"sig","kid":5,"n":"$n","e":"AQAB"}"#,
            r#"{"kty":"RSA","use":"sig","kid":"k","n":"$n"}"#,
            r#"{"kty":"RSA","use":"sig","kid":"k","n":"&","e":"AQAB"}"#,
            r#"{"kty":"RSA","use":"sig","kid":"k","n":"$n","e":"AQAB","alg":"PS256"}"#,
            r#"{"kty":"RSA","use":"sig","kid":"k","n":"$n","e":"AQAB","d":"AQ","p":"AQ","q":"AQ"}"#,
            r#"{"kty":"EC","use":"sig","kid":"k","crv":"P-256","x":"$32","y":"$32","d":"$32"}"#,
            r#"{"kty":"EC","use":"sig","kid":"k","crv":"P-256","x":"$48","y":"$48"}"#,
            r#"{"kty":"EC","use":"sig","kid":"k","crv":"P-384","x":"$32","y":"$32"}"#,
            r#"{"kty":"EC","use":"sig","kid":"k","crv":"secp256k1","x":"$32","y":"$32"}"#,
            r#"{"kty":"OKP","use":"sig","kid":"k","crv":"Ed448","x":"$32"}"#,
            r#"{"kty":"OKP","use":"sig","kid":"k","crv":"Ed25519","x":"$48"}"#,
            r#"{"kty":"oct","use":"sig","kid":"k","k":"$32"}"#,
            r#"{"kty":"AKP","use":"sig","kid":"k"}"#,
            r#"{}"#,
            "5",
        ] {
            check(key, None);
        }
    }

    #[test]
    fn sets() {
        let names = |json: &str| {
            let keys = read(json.as_bytes()).map_err(|error| error.to_string());
            keys.map(|keys| keys.into_iter().map(|(kid, _)| String::from(kid)).collect::<Vec<_>>())
        };
        let key =
            |kid: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"{kid}","x":"{}"}}"#, filler(32));
        let set = format!(r#"{{"keys":[{},null,{{"kty":"new"}},{}],"more":1}}"#, key("a"), key("b"));
        assert_eq!(names(&set), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for empty in ["{}", r#"{"keys":null}"#, r#"{"keys":[]}"#] {
            assert_eq!(names(empty), Ok(Vec::new()), "{empty}");
        }
        for bad in ["", "5", r#"{"keys":{}}"#, r#"{"keys":[]} x"#, "<html>"] {
            assert!(names(bad).is_err_and(|error| error.starts_with("no JSON Web Key Set: ")), "{bad}");
        }
    }
}
