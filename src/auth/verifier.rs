//! Checks tokens: form, audience and issuer, signature, time, in the order of upstream.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::claims::{BadClaims, Connection, ConnectionClaims, Registered, Subscription, SubscriptionClaims};
use super::key_set::{KeyQuery, KeyStore};
use super::keys::Keys;
use super::proof::{Basis, Need, Obstacle, SignatureCheck};
use super::public_key::{PublicKey, Signing};
use crate::config::endpoint::Endpoint;
use crate::config::pattern::{self, Pattern};
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
    /// Where keys of sets are kept that were read under this configuration.
    store: Arc<KeyStore>,
    /// `client.insecure_skip_token_signature_verify`.
    skips_signature: bool,
}

struct Verifier {
    source: Source,
    audience: Option<Expected>,
    issuer: Option<Expected>,
    user_claim: Box<str>,
}

/// Where keys come from. Static keys do not count where a key set is configured.
enum Source {
    Static(Keys),
    Set(Endpoint, Arc<KeyStore>),
}

/// What a claim must be like.
enum Expected {
    Text(Box<str>),
    Regex(Pattern),
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
    #[serde(default)]
    kid: Option<String>,
}

impl Verifiers {
    /// Prepares keys and expressions.
    pub fn new(config: &Snapshot) -> Result<Self, ConfigError> {
        let (client, store) = (&config.client, Arc::default());
        let verifier = |token| Verifier::new(token, &store);
        Ok(Self {
            connection: verifier(&client.token)?,
            subscription: client.subscription_token.as_ref().map(verifier).transpose()?,
            skips_signature: client.insecure_skip_token_signature_verify,
            store,
        })
    }

    /// Whether a check may end in a [`Need`]: then the control plane must run.
    pub fn have_needs(&self) -> bool {
        std::iter::once(&self.connection).chain(&self.subscription).any(|verifier| verifier.have_needs())
    }

    /// Whether a key was looked for under this configuration.
    pub fn asked(&self, query: &KeyQuery) -> bool {
        query.is_for(&self.store)
    }

    /// Checks a connection token.
    ///
    /// # Errors
    /// What stands against it; see [`Evidence`](super::Evidence) for what to do about a [`Need`].
    pub fn verify_connection(&self, token: &str, basis: Basis<'_>) -> Result<ConnectionClaims, Obstacle> {
        let verifier = &self.connection;
        let parsed = Parsed::new(token)?;
        let claims = Connection::decode(&parsed.claims)?;
        verifier.check(&parsed, &claims.registered, self.skips_signature, basis)?;
        if !claims.channel.is_empty() {
            return Err(TokenError::Invalid.into());
        }
        if claims.registered.is_out_of_time(basis.now.unix_ms) {
            return Err(TokenError::Expired.into());
        }
        Ok(claims.into_claims(&parsed.claims, &verifier.user_claim)?)
    }

    /// Checks a subscription token.
    ///
    /// # Errors
    /// As [`Verifiers::verify_connection`].
    pub fn verify_subscription(&self, token: &str, basis: Basis<'_>) -> Result<SubscriptionClaims, Obstacle> {
        let verifier = self.subscription.as_ref().unwrap_or(&self.connection);
        let parsed = Parsed::new(token)?;
        let claims = Subscription::decode(&parsed.claims)?;
        verifier.check(&parsed, &claims.registered, self.skips_signature, basis)?;
        if claims.registered.is_out_of_time(basis.now.unix_ms) {
            return Err(TokenError::Expired.into());
        }
        if claims.channel.is_empty() {
            return Err(TokenError::Invalid.into());
        }
        Ok(claims.into_claims(&parsed.claims, &verifier.user_claim)?)
    }
}

impl Verifier {
    fn new(token: &Token, store: &Arc<KeyStore>) -> Result<Self, ConfigError> {
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
            source: match &token.jwks_public_endpoint {
                Some(endpoint) => Source::Set(endpoint.clone(), store.clone()),
                None => Source::Static(Keys::new(token)?),
            },
            user_claim: token.user_id_claim.clone(),
        })
    }

    fn have_needs(&self) -> bool {
        match &self.source {
            Source::Static(keys) => keys.are_slow(),
            Source::Set(..) => true,
        }
    }

    fn check(
        &self,
        parsed: &Parsed<'_>,
        registered: &Registered,
        skips_signature: bool,
        basis: Basis<'_>,
    ) -> Result<(), Obstacle> {
        let is_for_us = self.audience.as_ref().is_none_or(|expected| expected.fitting(&registered.audience).is_some())
            && self.issuer.as_ref().is_none_or(|expected| expected.fits(&registered.issuer));
        if !is_for_us || !(skips_signature || self.is_ours(parsed, registered, basis)?) {
            return Err(TokenError::Invalid.into());
        }
        Ok(())
    }

    /// Whether the token is signed with one of our keys.
    fn is_ours(&self, parsed: &Parsed<'_>, registered: &Registered, basis: Basis<'_>) -> Result<bool, Obstacle> {
        let Parsed { message, signature, .. } = *parsed;
        let Some(algorithm) = Signing::named(&parsed.header.alg) else { return Ok(false) };
        let found;
        let key = match &self.source {
            Source::Static(keys) => match keys.public(algorithm) {
                Some(key) => key,
                None => {
                    return Ok(keys.verify_secret(algorithm, message.as_bytes(), signature, basis.now.unix_s()));
                }
            },
            Source::Set(endpoint, store) => match self.find(endpoint, store, parsed, registered, basis)? {
                Some(key) if key.is_for(algorithm) => {
                    found = key;
                    &found
                }
                _ => return Ok(false),
            },
        };
        if !key.is_slow() {
            if !basis.budget.spend(key.cost_us()) {
                return Err(Obstacle::Waits(Need::Time { cost_us: key.cost_us() }));
            }
            return Ok(key.verify(algorithm, message.as_bytes(), signature));
        }
        let need = || Need::Signature(SignatureCheck::new(key, algorithm, message, signature));
        basis.evidence.signature(key, algorithm, message, signature).ok_or_else(|| Obstacle::Waits(need()))
    }

    /// The key of a set that the token names; nothing when there is no such key.
    fn find(
        &self,
        endpoint: &Endpoint,
        store: &Arc<KeyStore>,
        parsed: &Parsed<'_>,
        registered: &Registered,
        basis: Basis<'_>,
    ) -> Result<Option<Arc<PublicKey>>, Obstacle> {
        let kid = parsed.header.kid.as_deref().unwrap_or_default();
        let value = |name: &str| {
            // Where both patterns have such a group, that of the audience counts, as upstream.
            let audience =
                || self.audience.as_ref()?.group(name, self.audience.as_ref()?.fitting(&registered.audience)?);
            audience().or_else(|| self.issuer.as_ref()?.group(name, &registered.issuer))
        };
        let Some(url) = endpoint.fill(value).filter(|_| !kid.is_empty()) else { return Ok(None) };
        if let Some(key) = basis.keys.get(&url, kid, basis.now.mono_ms) {
            return Ok(Some(key));
        }
        let query = KeyQuery::new(store, url, kid);
        basis.evidence.key(&query).cloned().ok_or_else(|| Obstacle::Waits(Need::Key(query)))
    }
}

impl Expected {
    fn fits(&self, claim: &str) -> bool {
        match self {
            Self::Text(text) => **text == *claim,
            Self::Regex(regex) => regex.is_match(claim),
        }
    }

    /// The first of several claims that fits.
    fn fitting<'c>(&self, claims: &'c [String]) -> Option<&'c str> {
        claims.iter().map(String::as_str).find(|claim| self.fits(claim))
    }

    /// What a named group of the pattern matches; empty where the group takes no part.
    fn group<'c>(&self, name: &str, claim: &'c str) -> Option<&'c str> {
        let Self::Regex(regex) = self else { return None };
        regex.group(claim, name)
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
