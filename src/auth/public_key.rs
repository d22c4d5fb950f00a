//! A public key that checks signatures, and the algorithms of signatures.

use std::fmt;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};

/// Algorithms by their names in a token's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signing {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    ES256,
    ES384,
    ES512,
}

impl Signing {
    /// The algorithm of that name. Names are taken as they are.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            _ => return None,
        })
    }
}

/// See the module.
pub struct PublicKey {
    kind: Kind,
    is_slow: bool,
}

enum Kind {
    Rsa(DecodingKey),
    P256(DecodingKey),
    P384(DecodingKey),
    /// The point. `jsonwebtoken` does not know this curve.
    P521(UnparsedPublicKey<Box<[u8]>>),
}

/// Bytes of an RSA modulus up to which a signature is checked in less than 100 microseconds.
const QUICK_MODULUS: usize = 512;

impl PublicKey {
    /// An RSA key.
    pub(super) fn rsa(key: DecodingKey) -> Self {
        let modulus = key.try_get_as_bytes().ok().and_then(|der| rsa::PublicKey::from_der(der).ok());
        let is_slow = modulus.is_some_and(|key| key.modulus_len() > QUICK_MODULUS);
        Self { kind: Kind::Rsa(key), is_slow }
    }

    /// A key on one of the curves that have an algorithm: the length of the point, one byte and then both coordinates,
    /// tells which.
    pub(super) fn on_curve(key: DecodingKey) -> Option<Self> {
        let point = key.try_get_as_bytes().ok()?;
        let kind = match point.len() {
            65 => Kind::P256(key),
            97 => Kind::P384(key),
            133 => Kind::P521(UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, Box::from(point))),
            _ => return None,
        };
        let is_slow = matches!(kind, Kind::P384(_) | Kind::P521(_));
        Some(Self { kind, is_slow })
    }

    /// Whether a check takes so long that a shard must not do it.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Whether the key has to do with the algorithm at all.
    pub(super) fn is_for(&self, algorithm: Signing) -> bool {
        matches!(
            (&self.kind, algorithm),
            (Kind::Rsa(_), Signing::RS256 | Signing::RS384 | Signing::RS512)
                | (Kind::P256(_), Signing::ES256)
                | (Kind::P384(_), Signing::ES384)
                | (Kind::P521(_), Signing::ES512)
        )
    }

    /// Whether the signature, in base64, is right for the message.
    pub(super) fn verify(&self, algorithm: Signing, message: &[u8], signature: &str) -> bool {
        let is_good = |key: &DecodingKey, algorithm| verify(signature, message, key, algorithm).unwrap_or(false);
        match (&self.kind, algorithm) {
            (Kind::Rsa(key), Signing::RS256) => is_good(key, Algorithm::RS256),
            (Kind::Rsa(key), Signing::RS384) => is_good(key, Algorithm::RS384),
            (Kind::Rsa(key), Signing::RS512) => is_good(key, Algorithm::RS512),
            (Kind::P256(key), Signing::ES256) => is_good(key, Algorithm::ES256),
            (Kind::P384(key), Signing::ES384) => is_good(key, Algorithm::ES384),
            (Kind::P521(key), Signing::ES512) => {
                URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            _ => false,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Rsa(_) => "an RSA key",
            Kind::P256(_) => "a P-256 key",
            Kind::P384(_) => "a P-384 key",
            Kind::P521(_) => "a P-521 key",
        })
    }
}
