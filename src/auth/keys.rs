//! The keys that tokens are checked with, prepared once.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::verifier::ConfigError;
use crate::config::snapshot::Token;

/// Keys by family. A token is good for the family that its `alg` names, and for no other.
pub(super) struct Keys {
    hmac: Option<DecodingKey>,
    /// The secret before the last change, and until when it counts (Unix seconds; 0 = no end).
    previous_hmac: Option<(DecodingKey, i64)>,
    rsa: Option<DecodingKey>,
    ecdsa: Option<Ecdsa>,
}

/// A key on an elliptic curve. Each curve fits one algorithm.
enum Ecdsa {
    P256(DecodingKey),
    P384(DecodingKey),
    /// The point. `jsonwebtoken` does not know this curve.
    P521(UnparsedPublicKey<Box<[u8]>>),
}

impl Keys {
    /// Static keys do not count where a key set is configured: then no token is good.
    pub(super) fn new(token: &Token) -> Result<Self, ConfigError> {
        let hmac = |secret: &str| (!secret.is_empty()).then(|| DecodingKey::from_secret(secret.as_bytes()));
        let rsa = match &*token.rsa_public_key {
            "" => None,
            pem => Some(DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| ConfigError::RsaPublicKey)?),
        };
        let ecdsa = match &*token.ecdsa_public_key {
            "" => None,
            pem => Some(ecdsa(pem)?),
        };
        if !token.jwks_public_endpoint.is_empty() {
            return Ok(Self { hmac: None, previous_hmac: None, rsa: None, ecdsa: None });
        }
        Ok(Self {
            hmac: hmac(&token.hmac_secret_key),
            previous_hmac: hmac(&token.hmac_previous_secret_key)
                .map(|key| (key, token.hmac_previous_secret_key_valid_until)),
            rsa,
            ecdsa,
        })
    }

    /// Whether the signature, in base64, is right for the message under the algorithm of that name.
    pub(super) fn verify(&self, algorithm: &str, message: &[u8], signature: &str, unix_s: i64) -> bool {
        let is_good = |key: &DecodingKey, algorithm| verify(signature, message, key, algorithm).unwrap_or(false);
        match algorithm {
            "HS256" | "HS384" | "HS512" => {
                let algorithm = match algorithm {
                    "HS256" => Algorithm::HS256,
                    "HS384" => Algorithm::HS384,
                    _ => Algorithm::HS512,
                };
                self.hmac.as_ref().is_some_and(|key| is_good(key, algorithm))
                    || self
                        .previous_hmac
                        .as_ref()
                        .is_some_and(|(key, until)| (*until <= 0 || unix_s <= *until) && is_good(key, algorithm))
            }
            "RS256" => self.rsa.as_ref().is_some_and(|key| is_good(key, Algorithm::RS256)),
            "RS384" => self.rsa.as_ref().is_some_and(|key| is_good(key, Algorithm::RS384)),
            "RS512" => self.rsa.as_ref().is_some_and(|key| is_good(key, Algorithm::RS512)),
            "ES256" | "ES384" | "ES512" => match (algorithm, &self.ecdsa) {
                ("ES256", Some(Ecdsa::P256(key))) => is_good(key, Algorithm::ES256),
                ("ES384", Some(Ecdsa::P384(key))) => is_good(key, Algorithm::ES384),
                ("ES512", Some(Ecdsa::P521(key))) => {
                    URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// The curve shows in the length of the point: one byte, then both coordinates.
fn ecdsa(pem: &str) -> Result<Ecdsa, ConfigError> {
    let key = DecodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| ConfigError::EcdsaPublicKey)?;
    match key.try_get_as_bytes() {
        Ok(point) if point.len() == 65 => Ok(Ecdsa::P256(key)),
        Ok(point) if point.len() == 97 => Ok(Ecdsa::P384(key)),
        Ok(point) if point.len() == 133 => {
            Ok(Ecdsa::P521(UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, Box::from(point))))
        }
        _ => Err(ConfigError::EcdsaCurve),
    }
}
