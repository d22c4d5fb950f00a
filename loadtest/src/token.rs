//! Connection tokens: the one that was given, or a fresh one for each connection, signed with HS256.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};

/// How connections prove who they are. Never printed.
#[derive(Clone, Default)]
pub enum Tokens {
    /// They do not.
    #[default]
    Anonymous,
    /// All with the same token.
    Given(String),
    /// Each with one of its own.
    Signed(Signer),
}

/// Makes tokens.
#[derive(Clone)]
pub struct Signer {
    key: EncodingKey,
    expires: u64,
}

impl Tokens {
    /// A given token goes before a secret.
    pub fn new(token: Option<&str>, hmac_secret: Option<&str>) -> Tokens {
        match (token, hmac_secret) {
            (Some(token), _) => Tokens::Given(token.to_owned()),
            (None, Some(secret)) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
                Tokens::Signed(Signer { key: EncodingKey::from_secret(secret.as_bytes()), expires: now + 7 * 86_400 })
            }
            (None, None) => Tokens::Anonymous,
        }
    }

    /// The token of connection `number`: its user is its own.
    pub fn of(&self, number: u64) -> String {
        match self {
            Tokens::Anonymous => String::new(),
            Tokens::Given(token) => token.clone(),
            Tokens::Signed(signer) => {
                let claims = serde_json::json!({ "sub": format!("user{number}"), "exp": signer.expires });
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &signer.key).expect("plain claims")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation};

    #[test]
    fn tokens_carry_their_user_and_verify() {
        let tokens = Tokens::new(None, Some("secret"));
        let key = DecodingKey::from_secret(b"secret");
        let claims: serde_json::Value =
            jsonwebtoken::decode(tokens.of(7), &key, &Validation::new(Algorithm::HS256)).expect("a token").claims;
        assert_eq!(claims["sub"], "user7");
        assert_eq!(Tokens::new(Some("x"), Some("secret")).of(1), "x");
        assert_eq!(Tokens::new(None, None).of(1), "");
    }
}
