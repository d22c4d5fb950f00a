//! Checks tokens: form, audience and issuer, signature, time, in the order of upstream.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::Regex;
use serde::Deserialize;

use super::claims::{BadClaims, Connection, ConnectionClaims, Registered, Subscription, SubscriptionClaims};
use super::keys::Keys;
use super::proof::{Evidence, Need, Obstacle, SignatureCheck};
use super::public_key::Signing;
use crate::base::time::Now;
use crate::config::pattern;
use crate::config::snapshot::{Snapshot, Token};

/// Why a token is refused. The token itself is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    /// It was valid once, or is not valid yet.
    Expired,
    /// It is no token, or is not signed by us, or is meant for others.
    Invalid,
}

/// What is wrong with `client.token` or `client.subscription_token`. Keys are not shown.
#[derive(Clone, PartialEq, Debug)]
pub enum ConfigError {
    /// `rsa_public_key` is no RSA public key in PEM.
    RsaPublicKey,
    /// `ecdsa_public_key` is no ECDSA public key in PEM.
    EcdsaPublicKey,
    /// `ecdsa_public_key` lies on a curve other than P-256 and P-384.
    EcdsaCurve,
    /// `audience` and `audience_regex` are both set.
    TwoAudiences,
    /// `issuer` and `issuer_regex` are both set.
    TwoIssuers,
    /// `audience_regex` or `issuer_regex` is no regular expression.
    Regex {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        error: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPublicKey => f.write_str("error parsing RSA public key: it must be a public key in PEM"),
            Self::EcdsaPublicKey => f.write_str("error parsing ECDSA public key: it must be a public key in PEM"),
            Self::EcdsaCurve => f.write_str("ECDSA public keys must lie on the curve P-256, P-384 or P-521"),
            Self::TwoAudiences => f.write_str("set only one of audience and audience_regex"),
            Self::TwoIssuers => f.write_str("set only one of issuer and issuer_regex"),
            Self::Regex { option, error } => write!(f, "error compiling {option}: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Checks connection and subscription tokens. Made from a configuration, then shared by all shards.
pub struct Verifiers {
    connection: Verifier,
    /// Takes the place of `connection` for subscription tokens.
    subscription: Option<Verifier>,
    /// `client.insecure_skip_token_signature_verify`.
    skips_signature: bool,
}

struct Verifier {
    keys: Keys,
    audience: Option<Expected>,
    issuer: Option<Expected>,
    user_claim: Box<str>,
}

/// What a claim must be like.
enum Expected {
    Text(Box<str>),
    Regex(Regex),
}

/// The header's members that count. The others must be texts where they exist.
#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    alg: String,
    #[serde(default, rename = "typ")]
    _typ: Option<String>,
    #[serde(default, rename = "cty")]
    _cty: Option<String>,
    #[serde(default, rename = "kid")]
    _kid: Option<String>,
}

impl Verifiers {
    /// Prepares keys and expressions.
    pub fn new(config: &Snapshot) -> Result<Self, ConfigError> {
        let client = &config.client;
        Ok(Self {
            connection: Verifier::new(&client.token)?,
            subscription: client.subscription_token.as_ref().map(Verifier::new).transpose()?,
            skips_signature: client.insecure_skip_token_signature_verify,
        })
    }

    /// Whether a check may end in a [`Need`]: then the control plane must run.
    pub fn have_needs(&self) -> bool {
        std::iter::once(&self.connection).chain(&self.subscription).any(|verifier| verifier.keys.are_slow())
    }

    /// Checks a connection token.
    ///
    /// # Errors
    /// What stands against it; see [`Evidence`] for what to do about a [`Need`].
    pub fn verify_connection(&self, token: &str, now: Now, known: &Evidence) -> Result<ConnectionClaims, Obstacle> {
        let verifier = &self.connection;
        let parsed = Parsed::new(token)?;
        let claims = Connection::decode(&parsed.claims)?;
        verifier.check(&parsed, &claims.registered, self.skips_signature, now, known)?;
        if !claims.channel.is_empty() {
            return Err(TokenError::Invalid.into());
        }
        if claims.registered.is_out_of_time(now.unix_ms) {
            return Err(TokenError::Expired.into());
        }
        Ok(claims.into_claims(&parsed.claims, &verifier.user_claim)?)
    }

    /// Checks a subscription token.
    ///
    /// # Errors
    /// As [`Verifiers::verify_connection`].
    pub fn verify_subscription(&self, token: &str, now: Now, known: &Evidence) -> Result<SubscriptionClaims, Obstacle> {
        let verifier = self.subscription.as_ref().unwrap_or(&self.connection);
        let parsed = Parsed::new(token)?;
        let claims = Subscription::decode(&parsed.claims)?;
        verifier.check(&parsed, &claims.registered, self.skips_signature, now, known)?;
        if claims.registered.is_out_of_time(now.unix_ms) {
            return Err(TokenError::Expired.into());
        }
        if claims.channel.is_empty() {
            return Err(TokenError::Invalid.into());
        }
        Ok(claims.into_claims(&parsed.claims, &verifier.user_claim)?)
    }
}

impl Verifier {
    fn new(token: &Token) -> Result<Self, ConfigError> {
        let expected = |text: &str, regex: &str, option, both| match (text, regex) {
            ("", "") => Ok(None),
            (text, "") => Ok(Some(Expected::Text(text.into()))),
            ("", regex) => match pattern::compile(regex) {
                Ok(regex) => Ok(Some(Expected::Regex(regex))),
                Err(error) => Err(ConfigError::Regex { option, error }),
            },
            _ => Err(both),
        };
        Ok(Self {
            audience: expected(&token.audience, &token.audience_regex, "audience_regex", ConfigError::TwoAudiences)?,
            issuer: expected(&token.issuer, &token.issuer_regex, "issuer_regex", ConfigError::TwoIssuers)?,
            keys: Keys::new(token)?,
            user_claim: token.user_id_claim.clone(),
        })
    }

    fn check(
        &self,
        parsed: &Parsed<'_>,
        registered: &Registered,
        skips_signature: bool,
        now: Now,
        known: &Evidence,
    ) -> Result<(), Obstacle> {
        let is_for_us =
            self.audience.as_ref().is_none_or(|expected| registered.audience.iter().any(|aud| expected.fits(aud)))
                && self.issuer.as_ref().is_none_or(|expected| expected.fits(&registered.issuer));
        if !is_for_us || !(skips_signature || self.is_ours(parsed, now, known)?) {
            return Err(TokenError::Invalid.into());
        }
        Ok(())
    }

    /// Whether the token is signed with one of our keys.
    fn is_ours(&self, parsed: &Parsed<'_>, now: Now, known: &Evidence) -> Result<bool, Obstacle> {
        let Parsed { message, signature, .. } = *parsed;
        let Some(algorithm) = Signing::named(&parsed.header.alg) else { return Ok(false) };
        let Some(key) = self.keys.public(algorithm) else {
            return Ok(self.keys.verify_secret(algorithm, message.as_bytes(), signature, now.unix_s()));
        };
        if !key.is_slow() {
            return Ok(key.verify(algorithm, message.as_bytes(), signature));
        }
        let need = || Need::Signature(SignatureCheck::new(key, algorithm, message, signature));
        known.signature(key, algorithm, message, signature).ok_or_else(|| Obstacle::Waits(need()))
    }
}

impl Expected {
    fn fits(&self, claim: &str) -> bool {
        match self {
            Self::Text(text) => **text == *claim,
            Self::Regex(regex) => regex.is_match(claim),
        }
    }
}

/// A token taken apart (upstream: cristalhq/jwt parse.go).
struct Parsed<'t> {
    header: Header,
    claims: Vec<u8>,
    /// What was signed: header and claims as they stand in the token.
    message: &'t str,
    signature: &'t str,
}

impl<'t> Parsed<'t> {
    fn new(token: &'t str) -> Result<Self, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Invalid)?;
        // Upstream refuses a header with a blank in front of its brace, or anything else but `{"`.
        if !header.starts_with("eyJ") {
            return Err(TokenError::Invalid);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Invalid);
        let header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Invalid)?;
        let claims = decode(claims)?;
        decode(signature)?;
        Ok(Self { header, claims, message, signature })
    }
}

impl From<BadClaims> for Obstacle {
    fn from(_: BadClaims) -> Self {
        Self::Refused(TokenError::Invalid)
    }
}

impl fmt::Debug for Verifiers {
    /// Keys are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifiers").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
