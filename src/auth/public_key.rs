//! A public key that checks signatures, and the algorithms of signatures.

use std::fmt;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P521_SHA512_FIXED, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::EllipticCurve;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

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
    EdDSA,
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
            "EdDSA" => Self::EdDSA,
            _ => return None,
        })
    }
}

/// See the module.
pub struct PublicKey {
    kind: Kind,
    /// The only algorithm that the key may be used with, where its set names one.
    only: Option<Signing>,
    /// Microseconds that a check takes, about (`cargo bench --bench token`).
    cost_us: u32,
}

enum Kind {
    Rsa(DecodingKey),
    /// An RSA key of less than 2048 bits, which `jsonwebtoken` does not take. Go takes 1024.
    SmallRsa(DecodingKey),
    Ed25519(DecodingKey),
    P256(DecodingKey),
    P384(DecodingKey),
    /// The point. `jsonwebtoken` does not know this curve.
    P521(UnparsedPublicKey<Box<[u8]>>),
}

/// A check that takes longer, in microseconds, is not for a shard.
const SLOW_US: u32 = 100;

/// Bits of an RSA modulus from which `jsonwebtoken` takes the key.
const FULL_MODULUS: usize = 2048;

impl PublicKey {
    /// An RSA key.
    pub(super) fn rsa(key: DecodingKey) -> Self {
        let (key, bits) = match key.kind() {
            DecodingKeyKind::SecretOrDer(der) => {
                let bits = rsa::PublicKey::from_der(der).map_or(0, |key| key.modulus_len() * 8);
                (key, bits)
            }
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let (n, e) = (without_zeros(n), without_zeros(e));
                let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
                (DecodingKey::from_rsa_raw_components(n, e), bits)
            }
        };
        let kind = if bits < FULL_MODULUS { Kind::SmallRsa(key) } else { Kind::Rsa(key) };
        let cost_us = match bits {
            0..=2048 => 27,
            2049..=4096 => 65,
            _ => 240,
        };
        Self { kind, only: None, cost_us }
    }

    /// A key on the curve Ed25519.
    pub(super) fn ed25519(key: DecodingKey) -> Option<Self> {
        let is_point = key.try_get_as_bytes().is_ok_and(|point| point.len() == 32);
        is_point.then_some(Self { kind: Kind::Ed25519(key), only: None, cost_us: 70 })
    }

    /// The key for one algorithm alone, if one is given.
    pub(super) fn only_for(self, only: Option<Signing>) -> Self {
        Self { only, ..self }
    }

    /// The curve, by its name in key sets; RSA keys and those for EdDSA have none that must be named.
    pub(super) fn curve(&self) -> Option<&'static EllipticCurve> {
        match self.kind {
            Kind::P256(_) => Some(&EllipticCurve::P256),
            Kind::P384(_) => Some(&EllipticCurve::P384),
            Kind::P521(_) => Some(&EllipticCurve::P521),
            Kind::Rsa(_) | Kind::SmallRsa(_) | Kind::Ed25519(_) => None,
        }
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
        let cost_us = match kind {
            Kind::P384(_) => 255,
            Kind::P521(_) => 460,
            _ => 70,
        };
        Some(Self { kind, only: None, cost_us })
    }

    /// Whether a check takes so long that a shard must not do it.
    pub(super) fn is_slow(&self) -> bool {
        self.cost_us > SLOW_US
    }

    /// Microseconds that a check takes, about.
    pub(super) fn cost_us(&self) -> u32 {
        self.cost_us
    }

    /// Whether the key has to do with the algorithm at all.
    pub(super) fn is_for(&self, algorithm: Signing) -> bool {
        let is_of_kind = matches!(
            (&self.kind, algorithm),
            (Kind::Rsa(_) | Kind::SmallRsa(_), Signing::RS256 | Signing::RS384 | Signing::RS512)
                | (Kind::P256(_), Signing::ES256)
                | (Kind::P384(_), Signing::ES384)
                | (Kind::P521(_), Signing::ES512)
                | (Kind::Ed25519(_), Signing::EdDSA)
        );
        is_of_kind && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether the signature, in base64, is right for the message.
    pub(super) fn verify(&self, algorithm: Signing, message: &[u8], signature: &str) -> bool {
        let is_good = |key: &DecodingKey, algorithm| verify(signature, message, key, algorithm).unwrap_or(false);
        match (&self.kind, algorithm) {
            (Kind::Rsa(key), Signing::RS256) => is_good(key, Algorithm::RS256),
            (Kind::Rsa(key), Signing::RS384) => is_good(key, Algorithm::RS384),
            (Kind::Rsa(key), Signing::RS512) => is_good(key, Algorithm::RS512),
            (Kind::SmallRsa(key), algorithm) => verify_small(key, algorithm, message, signature),
            (Kind::Ed25519(key), Signing::EdDSA) => is_good(key, Algorithm::EdDSA),
            (Kind::P256(key), Signing::ES256) => is_good(key, Algorithm::ES256),
            (Kind::P384(key), Signing::ES384) => is_good(key, Algorithm::ES384),
            (Kind::P521(key), Signing::ES512) => {
                URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            _ => false,
        }
    }
}

/// Checks with an RSA key of 1024 bits and more. The library has no such thing for RS384.
fn verify_small(key: &DecodingKey, algorithm: Signing, message: &[u8], signature: &str) -> bool {
    let parameters = match algorithm {
        Signing::RS256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        Signing::RS512 => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        _ => return false,
    };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    let checked = match key.kind() {
        DecodingKeyKind::SecretOrDer(der) => UnparsedPublicKey::new(parameters, der).verify(message, &signature),
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            RsaPublicKeyComponents { n, e }.verify(parameters, message, &signature)
        }
    };
    checked.is_ok()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Rsa(_) => "an RSA key",
            Kind::SmallRsa(_) => "a small RSA key",
            Kind::Ed25519(_) => "an Ed25519 key",
            Kind::P256(_) => "a P-256 key",
            Kind::P384(_) => "a P-384 key",
            Kind::P521(_) => "a P-521 key",
        })?;
        self.only.map_or(Ok(()), |only| write!(f, " for {only:?}"))
    }
}
