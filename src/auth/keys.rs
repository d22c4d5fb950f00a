//! The keys of a configuration that tokens are checked with, prepared once.

use std::sync::Arc;

use jsonwebtoken::crypto::verify;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::public_key::{PublicKey, Signing};
use super::verifier::ConfigError;
use crate::config::snapshot::Token;

/// Keys by family. A token is good for the family that its `alg` names, and for no other.
pub(super) struct Keys {
    hmac: Option<DecodingKey>,
    /// The secret before the last change, and until when it counts (Unix seconds; 0 = no end).
    previous_hmac: Option<(DecodingKey, i64)>,
    rsa: Option<Arc<PublicKey>>,
    ecdsa: Option<Arc<PublicKey>>,
}

impl Keys {
    /// Reads the keys.
    pub(super) fn new(token: &Token) -> Result<Self, ConfigError> {
        let hmac = |secret: &str| (!secret.is_empty()).then(|| DecodingKey::from_secret(secret.as_bytes()));
        let rsa = match &*token.rsa_public_key {
            "" => None,
            pem => {
                let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| ConfigError::RsaPublicKey)?;
                Some(Arc::new(PublicKey::rsa(key)))
            }
        };
        let ecdsa = match &*token.ecdsa_public_key {
            "" => None,
            pem => {
                let key = DecodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| ConfigError::EcdsaPublicKey)?;
                Some(Arc::new(PublicKey::on_curve(key).ok_or(ConfigError::EcdsaCurve)?))
            }
        };
        Ok(Self {
            hmac: hmac(&token.hmac_secret_key),
            previous_hmac: hmac(&token.hmac_previous_secret_key)
                .map(|key| (key, token.hmac_previous_secret_key_valid_until)),
            rsa,
            ecdsa,
        })
    }

    /// The public key for an algorithm; none for an algorithm with a shared secret.
    pub(super) fn public(&self, algorithm: Signing) -> Option<&Arc<PublicKey>> {
        [&self.rsa, &self.ecdsa].into_iter().flatten().find(|key| key.is_for(algorithm))
    }

    /// Whether the signature, in base64, is right for the message under a shared secret.
    pub(super) fn verify_secret(&self, algorithm: Signing, message: &[u8], signature: &str, unix_s: i64) -> bool {
        let algorithm = match algorithm {
            Signing::HS256 => Algorithm::HS256,
            Signing::HS384 => Algorithm::HS384,
            Signing::HS512 => Algorithm::HS512,
            _ => return false,
        };
        let is_good = |key: &DecodingKey| verify(signature, message, key, algorithm).unwrap_or(false);
        let previous = self.previous_hmac.as_ref().filter(|(_, until)| *until <= 0 || unix_s <= *until);
        self.hmac.as_ref().is_some_and(is_good) || previous.is_some_and(|(key, _)| is_good(key))
    }

    /// Whether some key is so slow that the control plane must check with it.
    pub(super) fn are_slow(&self) -> bool {
        [&self.rsa, &self.ecdsa].into_iter().flatten().any(|key| key.is_slow())
    }
}
