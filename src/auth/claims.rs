//! The claims of both kinds of tokens, read the way Go's encoding/json reads them upstream: names in any case, the
//! last of equal names counts, `null` leaves a claim as it is.
//!
//! Upstream: centrifugo internal/jwtverify/token_verifier_jwt.go, cristalhq/jwt claims.go.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Where a connection token leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionClaims {
    /// The user; empty for an anonymous one.
    pub user: Box<str>,
    /// Unix seconds when the connection's lifetime ends; 0 = never.
    pub expire_at: i64,
    /// Raw `info`; empty when absent.
    pub info: Result<Bytes, BadBase64>,
    /// Raw `meta`; empty when absent. For backends alone, never sent to clients.
    pub meta: Bytes,
    /// Server-side subscriptions, each channel once: `subs`, or `channels` where there is no `subs`.
    pub subscriptions: Vec<TokenSubscription>,
}

/// Where a subscription token leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionClaims {
    /// The user; empty for an anonymous one.
    pub user: Box<str>,
    /// The client the token is bound to; empty for any.
    pub client: Box<str>,
    /// Unix seconds when the subscription's lifetime ends; 0 = never.
    pub expire_at: i64,
    /// Channel, infos and overrides.
    pub subscription: TokenSubscription,
}

/// What a token says about one subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSubscription {
    /// The channel.
    pub channel: Box<str>,
    /// Raw `info`; empty when absent.
    pub info: Result<Bytes, BadBase64>,
    /// Raw `data`; empty when absent.
    pub data: Result<Bytes, BadBase64>,
    /// Namespace options that the token overrides.
    pub overrides: Overrides,
}

/// Options of a namespace that count differently for one subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    /// `presence`.
    pub presence: Option<bool>,
    /// `join_leave`.
    pub join_leave: Option<bool>,
    /// `force_push_join_leave`.
    pub force_push_join_leave: Option<bool>,
    /// `force_positioning`.
    pub force_positioning: Option<bool>,
    /// `force_recovery`.
    pub force_recovery: Option<bool>,
}

/// A `b64...` claim is not standard base64 with padding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadBase64;

/// A claim has another type than it must have, or the claims are no JSON object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BadClaims;

impl From<serde_json::Error> for BadClaims {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// Claims that both kinds have.
#[derive(Default)]
pub(super) struct Registered {
    pub(super) audience: Vec<String>,
    pub(super) issuer: String,
    subject: String,
    expires_at: Option<Date>,
    not_before: Option<Date>,
}

/// A point in time with fraction, as seconds and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Date(i64, u32);

impl Registered {
    /// Whether `exp` has come or `nbf` has not.
    pub(super) fn is_out_of_time(&self, unix_ms: u64) -> bool {
        let now = Date((unix_ms / 1000) as i64, (unix_ms % 1000) as u32 * 1_000_000);
        self.expires_at.is_some_and(|at| at <= now) || self.not_before.is_some_and(|at| at >= now)
    }

    /// The user, from `sub` or from the claim that takes its place.
    fn user(self, claims: &[u8], user_claim: &str) -> Result<Box<str>, BadClaims> {
        if user_claim.is_empty() { Ok(self.subject.into()) } else { named(claims, user_claim) }
    }

    fn set(&mut self, name: &str, value: &RawValue) -> Result<bool, BadClaims> {
        match name {
            "aud" => self.audience = audience(value)?,
            "iss" => text(value, &mut self.issuer)?,
            "sub" => text(value, &mut self.subject)?,
            "exp" => self.expires_at = date(value)?,
            "nbf" => self.not_before = date(value)?,
            // Not used, but they must be what they are said to be.
            "iat" => drop(date(value)?),
            "jti" => text(value, &mut String::new())?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The lifetime that counts: `expire_at` when it is there (0 and below: never ends), else `exp`.
fn lifetime(expire_at: Option<i64>, registered: &Registered) -> i64 {
    match expire_at {
        Some(at) => at.max(0),
        None => registered.expires_at.map_or(0, |Date(seconds, _)| seconds),
    }
}

/// A connection token's claims before they are believed.
#[derive(Default)]
pub(super) struct Connection<'a> {
    pub(super) registered: Registered,
    /// Makes the token no connection token.
    pub(super) channel: String,
    expire_at: Option<i64>,
    info: Payload<'a>,
    meta: Option<&'a RawValue>,
    channels: Vec<String>,
    subs: Vec<(String, Terms<'a>)>,
}

impl<'a> Connection<'a> {
    pub(super) fn decode(claims: &'a [u8]) -> Result<Self, BadClaims> {
        let mut decoded = Self::default();
        members(claims, |name, value| {
            if decoded.registered.set(name, value)? {
                return Ok(());
            }
            match name {
                "expire_at" => decoded.expire_at = integer(value)?,
                "info" => decoded.info.raw = Some(value),
                "b64info" => text(value, &mut decoded.info.base64)?,
                "meta" => decoded.meta = Some(value),
                "channel" => text(value, &mut decoded.channel)?,
                "channels" => decoded.channels = channels(value)?,
                "subs" => decoded.subs = subs(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(decoded)
    }

    pub(super) fn into_claims(self, claims: &[u8], user_claim: &str) -> Result<ConnectionClaims, BadClaims> {
        let subscriptions = if self.subs.is_empty() {
            self.channels.into_iter().map(|channel| Terms::default().into_subscription(channel)).collect()
        } else {
            self.subs.into_iter().map(|(channel, terms)| terms.into_subscription(channel)).collect()
        };
        Ok(ConnectionClaims {
            expire_at: lifetime(self.expire_at, &self.registered),
            info: self.info.decode(),
            meta: self.meta.map_or_else(Bytes::new, |meta| Bytes::copy_from_slice(meta.get().as_bytes())),
            subscriptions,
            user: self.registered.user(claims, user_claim)?,
        })
    }
}

/// A subscription token's claims before they are believed.
#[derive(Default)]
pub(super) struct Subscription<'a> {
    pub(super) registered: Registered,
    pub(super) channel: String,
    client: String,
    expire_at: Option<i64>,
    terms: Terms<'a>,
}

impl<'a> Subscription<'a> {
    pub(super) fn decode(claims: &'a [u8]) -> Result<Self, BadClaims> {
        let mut decoded = Self::default();
        members(claims, |name, value| {
            if decoded.registered.set(name, value)? || decoded.terms.set(name, value)? {
                return Ok(());
            }
            match name {
                "channel" => text(value, &mut decoded.channel)?,
                "client" => text(value, &mut decoded.client)?,
                "expire_at" => decoded.expire_at = integer(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(decoded)
    }

    pub(super) fn into_claims(self, claims: &[u8], user_claim: &str) -> Result<SubscriptionClaims, BadClaims> {
        Ok(SubscriptionClaims {
            client: self.client.into(),
            expire_at: lifetime(self.expire_at, &self.registered),
            subscription: self.terms.into_subscription(self.channel),
            user: self.registered.user(claims, user_claim)?,
        })
    }
}

/// A payload, as JSON or in base64; base64 wins.
#[derive(Default)]
struct Payload<'a> {
    raw: Option<&'a RawValue>,
    base64: String,
}

impl Payload<'_> {
    fn decode(&self) -> Result<Bytes, BadBase64> {
        if self.base64.is_empty() {
            return Ok(self.raw.map_or_else(Bytes::new, |raw| Bytes::copy_from_slice(raw.get().as_bytes())));
        }
        STANDARD.decode(&self.base64).map(Bytes::from).map_err(|_| BadBase64)
    }
}

/// What stands in a subscription token, or behind a channel in `subs`.
#[derive(Default)]
struct Terms<'a> {
    info: Payload<'a>,
    data: Payload<'a>,
    overrides: Overrides,
}

impl<'a> Terms<'a> {
    fn set(&mut self, name: &str, value: &'a RawValue) -> Result<bool, BadClaims> {
        match name {
            "info" => self.info.raw = Some(value),
            "b64info" => text(value, &mut self.info.base64)?,
            "data" => self.data.raw = Some(value),
            "b64data" => text(value, &mut self.data.base64)?,
            "override" => self.overrides = overrides(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn into_subscription(self, channel: String) -> TokenSubscription {
        TokenSubscription {
            channel: channel.into(),
            info: self.info.decode(),
            data: self.data.decode(),
            overrides: self.overrides,
        }
    }
}

/// Calls back for each member of an object, the name in lower case; `null` has none.
fn members<'a>(
    json: &'a [u8],
    mut on: impl FnMut(&str, &'a RawValue) -> Result<(), BadClaims>,
) -> Result<(), BadClaims> {
    each(json, |name, value| on(&name.to_ascii_lowercase(), value))
}

/// As [`members`], with the names as they are.
fn each<'a>(json: &'a [u8], mut on: impl FnMut(&str, &'a RawValue) -> Result<(), BadClaims>) -> Result<(), BadClaims> {
    let Members(members) = serde_json::from_slice(json)?;
    members.into_iter().try_for_each(|(name, value)| on(&name, value))
}

/// The members of an object in their order, equal names included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Members(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

fn text(value: &RawValue, into: &mut String) -> Result<(), BadClaims> {
    if !is_null(value) {
        *into = serde_json::from_str(value.get())?;
    }
    Ok(())
}

fn integer(value: &RawValue) -> Result<Option<i64>, BadClaims> {
    if is_null(value) {
        return Ok(None);
    }
    value.get().parse().map(Some).map_err(|_| BadClaims)
}

/// A number, or a text that holds one. What lies beyond 64 bits is as good as long ago (upstream converts a float
/// that does not fit).
fn date(value: &RawValue) -> Result<Option<Date>, BadClaims> {
    if is_null(value) {
        return Ok(None);
    }
    let mut number = value.get();
    let unquoted: String;
    if number.starts_with('"') {
        unquoted = serde_json::from_str(number)?;
        number = &unquoted;
    }
    let is_number = number.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && number.ends_with(|last: char| last.is_ascii_digit());
    if !is_number {
        return Err(BadClaims);
    }
    let seconds: f64 = serde_json::from_str(number)?;
    if seconds.abs() >= i64::MAX as f64 {
        return Ok(Some(Date(i64::MIN, 0)));
    }
    Ok(Some(Date(seconds.floor() as i64, ((seconds - seconds.floor()) * 1e9) as u32)))
}

/// One text, or a list of texts.
fn audience(value: &RawValue) -> Result<Vec<String>, BadClaims> {
    if value.get().starts_with('[') {
        return Ok(serde_json::from_str(value.get())?);
    }
    Ok(vec![serde_json::from_str(value.get())?])
}

fn channels(value: &RawValue) -> Result<Vec<String>, BadClaims> {
    let channels: Option<Vec<Option<String>>> = serde_json::from_str(value.get())?;
    let mut channels: Vec<String> = channels.into_iter().flatten().map(Option::unwrap_or_default).collect();
    channels.sort_unstable();
    channels.dedup();
    Ok(channels)
}

fn subs(value: &RawValue) -> Result<Vec<(String, Terms<'_>)>, BadClaims> {
    let mut subs = Vec::new();
    each(value.get().as_bytes(), |channel, value| {
        let mut terms = Terms::default();
        members(value.get().as_bytes(), |name, value| terms.set(name, value).map(|_| ()))?;
        subs.push((channel.to_owned(), terms));
        Ok(())
    })?;
    // The last of equal names counts: the sort keeps their order, and the first of the reversed list stays.
    subs.reverse();
    subs.sort_by(|(a, _), (b, _)| a.cmp(b));
    subs.dedup_by(|(next, _), (kept, _)| next == kept);
    Ok(subs)
}

fn overrides(value: &RawValue) -> Result<Overrides, BadClaims> {
    let mut overrides = Overrides::default();
    members(value.get().as_bytes(), |name, value| {
        let slot = match name {
            "presence" => &mut overrides.presence,
            "join_leave" => &mut overrides.join_leave,
            "force_push_join_leave" => &mut overrides.force_push_join_leave,
            "force_positioning" => &mut overrides.force_positioning,
            "force_recovery" => &mut overrides.force_recovery,
            _ => return Ok(()),
        };
        if is_null(value) {
            *slot = None;
            return Ok(());
        }
        let mut on = false;
        members(value.get().as_bytes(), |name, value| {
            if name == "value" && !is_null(value) {
                on = serde_json::from_str(value.get())?;
            }
            Ok(())
        })?;
        *slot = Some(on);
        Ok(())
    })?;
    Ok(overrides)
}

/// The claim of this very name as text, the first one if there are several; whatever is no text is taken as it is
/// written (upstream: gjson, `Result.String`).
fn named(claims: &[u8], wanted: &str) -> Result<Box<str>, BadClaims> {
    let mut found = None;
    each(claims, |name, value| {
        if name == wanted && found.is_none() {
            found = Some(value);
        }
        Ok(())
    })?;
    let Some(raw) = found.map(RawValue::get) else {
        return Ok("".into());
    };
    Ok(match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw)?.into(),
        Some(b'n') => "".into(),
        Some(b'-' | b'0'..=b'9') if !raw.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) => {
            serde_json::from_str::<f64>(raw)?.to_string().into()
        }
        _ => raw.into(),
    })
}
