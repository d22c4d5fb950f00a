//! Rules of client connections.

use super::{ms, ms_or};
use crate::config::endpoint::{self, Endpoint};
use crate::config::error::Error;
use crate::config::origin::Origins;
use crate::config::pattern;
use crate::config::snapshot::{Client, PersonalChannel, Token};
use crate::config::value::Section;
use jsonwebtoken::DecodingKey;

/// Makes the client part of the snapshot.
pub fn client(root: &Section) -> Result<Client, Error> {
    let options = root.section("client");
    if options.duration_ns("ping_interval") <= options.duration_ns("pong_timeout") {
        return Err(Error::invalid("client.ping_interval", "must be longer than client.pong_timeout"));
    }
    let allowed_origins: Vec<Box<str>> =
        options.texts("allowed_origins").iter().map(|text| text.as_str().into()).collect();
    Origins::new(&allowed_origins).map_err(|problem| Error::invalid("client.allowed_origins", problem))?;
    let subscription_token = match options.bool("subscription_token.enabled") {
        true => Some(token(options.section("subscription_token"), "client.subscription_token")?),
        false => None,
    };
    Ok(Client {
        allowed_origins,
        token: token(options.section("token"), "client.token")?,
        subscription_token,
        insecure: options.bool("insecure"),
        insecure_skip_token_signature_verify: options.bool("insecure_skip_token_signature_verify"),
        connect_proxied: options.bool("proxy.connect.enabled"),
        allow_anonymous_connect_without_token: options.bool("allow_anonymous_connect_without_token"),
        disallow_anonymous_connection_tokens: options.bool("disallow_anonymous_connection_tokens"),
        user_id_http_header: Some(options.text("user_id_http_header"))
            .filter(|name| !name.is_empty())
            .map(|name| name.to_ascii_lowercase().into()),
        personal_channel: personal_channel(options.section("subscribe_to_user_personal_channel")),
        connect_include_server_time: options.bool("connect_include_server_time"),
        ping_interval_ms: forced_default(options, "ping_interval", 25_000),
        pong_timeout_ms: forced_default(options, "pong_timeout", 10_000),
        stale_close_delay_ms: ms_or(options, "stale_close_delay", 15_000),
        expired_close_delay_ms: ms_or(options, "expired_close_delay", 25_000),
        expired_sub_close_delay_ms: ms_or(options, "expired_sub_close_delay", 25_000),
        presence_update_interval_ms: ms_or(options, "presence_update_interval", 25_000),
        channel_position_check_delay_ms: ms_or(options, "channel_position_check_delay", 40_000),
        channel_position_max_time_lag_ms: ms(options, "channel_position_max_time_lag"),
        queue_max_size: count_or(options, "queue_max_size", 1_048_576),
        channel_limit: count_or(options, "channel_limit", 128),
        user_connection_limit: count_or(options, "user_connection_limit", 0),
        connection_limit: count_or(options, "connection_limit", 0),
        connection_rate_limit: count_or(options, "connection_rate_limit", 0),
        history_max_publication_limit: publications(options, "history_max_publication_limit"),
        recovery_max_publication_limit: publications(options, "recovery_max_publication_limit"),
    })
}

/// Milliseconds where 0 means a default and negative means none.
fn forced_default(options: &Section, path: &str, default: u64) -> u64 {
    if options.duration_ns(path) == 0 { default } else { ms(options, path) }
}

/// A count with a replacement for what is not positive.
fn count_or(options: &Section, path: &str, default: usize) -> usize {
    usize::try_from(options.int(path)).ok().filter(|&count| count > 0).unwrap_or(default)
}

fn publications(options: &Section, path: &str) -> u32 {
    options.int(path).clamp(0, i64::from(u32::MAX)) as u32
}

fn personal_channel(options: &Section) -> Option<PersonalChannel> {
    options.bool("enabled").then(|| PersonalChannel {
        namespace: options.text("personal_channel_namespace").into(),
        single_connection: options.bool("single_connection"),
    })
}

/// Checks as `VerifierConfig.Validate` and `MakeVerifierConfig` of the reference do.
fn token(options: &Section, path: &str) -> Result<Token, Error> {
    for name in ["audience", "issuer"] {
        let regex = format!("{name}_regex");
        if !options.text(name).is_empty() && !options.text(&regex).is_empty() {
            let problem = format!("cannot be used together with {path}.{regex}");
            return Err(Error::invalid(format!("{path}.{name}"), problem));
        }
        if let Err(problem) = pattern::compile(options.text(&regex)) {
            return Err(Error::invalid(format!("{path}.{regex}"), problem));
        }
    }
    let (rsa, ecdsa) = (options.text("rsa_public_key"), options.text("ecdsa_public_key"));
    if !rsa.is_empty() && DecodingKey::from_rsa_pem(rsa.as_bytes()).is_err() {
        return Err(Error::invalid(format!("{path}.rsa_public_key"), "is not the PEM text of an RSA public key"));
    }
    if !ecdsa.is_empty() && DecodingKey::from_ec_pem(ecdsa.as_bytes()).is_err() {
        return Err(Error::invalid(format!("{path}.ecdsa_public_key"), "is not the PEM text of an ECDSA public key"));
    }
    let jwks_public_endpoint = match options.text("jwks_public_endpoint") {
        "" => None,
        text => {
            let refused = |problem| Error::invalid(format!("{path}.jwks_public_endpoint"), problem);
            Some(Endpoint::new(text).map_err(refused)?)
        }
    };
    let is_checked = !options.bool(SKIPS_SAFETY);
    if let Some((option, problem)) = unsafe_groups(options).filter(|_| is_checked) {
        return Err(Error::invalid(format!("{path}.{option}"), problem));
    }
    Ok(Token {
        hmac_secret_key: options.text("hmac_secret_key").into(),
        hmac_previous_secret_key: options.text("hmac_previous_secret_key").into(),
        hmac_previous_secret_key_valid_until: options.int("hmac_previous_secret_key_valid_until"),
        rsa_public_key: rsa.into(),
        ecdsa_public_key: ecdsa.into(),
        jwks_public_endpoint,
        audience: options.text("audience").into(),
        audience_regex: options.text("audience_regex").into(),
        issuer: options.text("issuer").into(),
        issuer_regex: options.text("issuer_regex").into(),
        user_id_claim: options.text("user_id_claim").into(),
    })
}

const SKIPS_SAFETY: &str = "insecure_skip_jwks_endpoint_safety_check";

/// A pattern whose groups may fill places of the key set's address with anything, and what is wrong with it.
fn unsafe_groups(options: &Section) -> Option<(&'static str, String)> {
    let endpoint = Endpoint::new(options.text("jwks_public_endpoint")).ok()?;
    ["issuer_regex", "audience_regex"].into_iter().find_map(|option| {
        let problem = endpoint::check_groups(&endpoint, options.text(option)).err()?;
        Some((option, problem))
    })
}

/// Patterns that are unsafe and yet let through, by option, each with what is wrong with it.
pub fn skipped_safety(root: &Section) -> Vec<(String, String)> {
    let client = root.section("client");
    let used = [("token", true), ("subscription_token", client.bool("subscription_token.enabled"))];
    let found = used.into_iter().filter(|(_, is_used)| *is_used).filter_map(|(name, _)| {
        let (option, problem) = unsafe_groups(client.section(name))?;
        Some((format!("client.{name}.{option}"), problem))
    });
    found.collect()
}

/// The token options alone, for commands that make and check tokens without starting a server.
pub fn token_of(root: &Section, subscription: bool) -> Result<Token, Error> {
    let path = match subscription && root.bool("client.subscription_token.enabled") {
        true => "client.subscription_token",
        false => "client.token",
    };
    token(root.section(path), path)
}
