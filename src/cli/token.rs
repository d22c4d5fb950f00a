//! What the commands about tokens share: the keys of the configuration, and words about tokens.

use super::args::{CheckToken, GenToken};
use super::read;
use crate::auth::{Basis, Budget, ConfigError, Evidence, KeyCache, Need, Obstacle, TokenError, Verifiers};
use crate::base::time::Now;
use crate::config::duration;
use crate::config::env::Env;
use crate::config::error::Error;
use crate::config::load::{Loaded, Sources, load};
use crate::config::prepare::client::token_of;
use crate::config::prepare::prepare;
use crate::config::snapshot::Token;
use crate::control::plane;
use crate::errand::{Answer, Errand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints what went wrong, and says so with the exit code.
pub fn finish(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The options of a configuration file.
pub fn options(config: &str) -> Result<Loaded, String> {
    let loaded = read::options(config, &read::environment(), &[]);
    loaded.map(|(loaded, _)| loaded).map_err(|error| format!("error getting config: {error}"))
}

/// The keys of connection tokens, or of subscription tokens where those have their own.
pub fn keys(config: &str, subscription: bool) -> Result<Token, String> {
    token_of(&options(config)?.options, subscription).map_err(|error| format!("error: {error}"))
}

/// What checks tokens of one kind. The rest of the configuration does not matter here, not even when a server could not
/// start with it.
pub fn verifiers(config: &str, subscription: bool) -> Result<Verifiers, String> {
    let token = keys(config, subscription)?;
    let defaults = load(Sources { file: None, env: &Env::new(), flags: &[] });
    let snapshot = defaults.and_then(|loaded| read::with_host(|host| prepare(&loaded.options, host, false)));
    let mut snapshot = snapshot.map_err(|error: Error| format!("error: {error}"))?;
    snapshot.client.token = token;
    Verifiers::new(&snapshot).map_err(|error: ConfigError| format!("error: {error}"))
}

/// The token to check.
pub fn given(args: &CheckToken) -> Result<&str, String> {
    match args.tokens.as_slice() {
        [token] => Ok(token),
        _ => Err("error: provide one token to check".to_owned()),
    }
}

/// Checks a token with everything it needs.
pub fn prove<C>(verify: impl Fn(Basis<'_>) -> Result<C, Obstacle>) -> Result<C, TokenError> {
    let (mut evidence, keys, budget) = (Evidence::default(), KeyCache::default(), Budget::unlimited());
    loop {
        match verify(Basis { now: now(), keys: &keys, evidence: &evidence, budget: &budget }) {
            Ok(claims) => return Ok(claims),
            Err(Obstacle::Refused(error)) => return Err(error),
            Err(Obstacle::Waits(Need::Time { .. })) => unreachable!("the budget never ends"),
            Err(Obstacle::Waits(Need::Signature(check))) => {
                let is_good = check.run();
                evidence.add_signature(check, is_good);
            }
            Err(Obstacle::Waits(Need::Key(query))) => match plane::run_alone(Errand::Key(query)) {
                Ok(Answer::Key(query, found)) => evidence.add_key(query, found),
                _ => return Err(TokenError::Invalid),
            },
        }
    }
}

/// The time.
pub fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { unix_ms: since.as_millis() as u64, ..Now::default() }
}

/// Prints a new token, with a sentence above unless it was asked to be quiet. `for_what` goes on with the sentence
/// behind the user.
pub fn print(args: &GenToken, token: &str, for_what: &str) {
    if args.quiet {
        print!("{token}");
    } else {
        println!("HMAC SHA-256 JWT for {}{for_what} {}:\n{token}", user(&args.user, true), lifetime(args.ttl));
    }
}

fn lifetime(ttl_s: i64) -> String {
    match ttl_s {
        ttl if ttl < 0 => "without expiration".to_owned(),
        ttl => format!("with expiration TTL {}", duration::format(ttl.saturating_mul(1_000_000_000))),
    }
}

/// A user in a sentence. Upstream quotes the name in all commands but `checktoken`.
pub fn user(name: &str, quoted: bool) -> String {
    match (name, quoted) {
        ("", _) => "anonymous user".to_owned(),
        (name, true) => format!("user \"{name}\""),
        (name, false) => format!("user {name}"),
    }
}

/// The claims of a token as they stand in it; `None` when it is no token.
pub fn claims(token: &str) -> Option<String> {
    let claims = token.split('.').nth(1)?;
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// Why a token is refused, with its claims where they can be read.
pub fn refused(token: &str, reason: &str) -> String {
    match claims(token) {
        Some(claims) => format!("error: the token with claims {claims} {reason}"),
        None => "error: this is no token".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_tokens() {
        assert_eq!(
            (user("", true), user("42", true), user("42", false)),
            ("anonymous user".to_owned(), "user \"42\"".to_owned(), "user 42".to_owned())
        );
        assert_eq!(lifetime(-1), "without expiration");
        assert_eq!(lifetime(604_800), "with expiration TTL 168h0m0s");
        assert_eq!(lifetime(i64::MAX), "with expiration TTL 2562047h47m16.854775807s");
    }

    #[test]
    fn claims_are_shown_as_they_stand_in_the_token() {
        assert_eq!(claims("e30.eyJzdWIiOiAiNDIifQ.x").as_deref(), Some("{\"sub\": \"42\"}"));
        assert!(refused("e30.eyJzdWIiOiAiNDIifQ.x", "is expired").contains("{\"sub\": \"42\"} is expired"));
        for token in ["", "a", "a.!.b", "a._w.b"] {
            assert_eq!(refused(token, "is expired"), "error: this is no token", "{token}");
        }
    }
}
