//! What the commands about tokens share: the keys of the configuration, and making a token.

use super::args::GenToken;
use super::read;
use crate::config::duration;
use crate::config::prepare::client::token_of;
use crate::config::snapshot::Token;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value as Json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The keys of connection tokens, or of subscription tokens where those have their own.
pub fn keys(config: &str, subscription: bool) -> Result<Token, String> {
    let (loaded, _) =
        read::options(config, &read::environment(), &[]).map_err(|error| format!("error getting config: {error}"))?;
    token_of(&loaded.options, subscription).map_err(|error| format!("error: {error}"))
}

/// Makes a token signed with HMAC SHA-256 and prints it, with a sentence above unless it was asked to be quiet.
///
/// `for_what` goes on with the sentence behind the user.
pub fn print(args: &GenToken, keys: &Token, channel: Option<&str>, for_what: &str) -> Result<(), String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let token = sign(keys, &claims(args, keys, channel, now))?;
    if args.quiet {
        print!("{token}");
        return Ok(());
    }
    let user = match args.user.as_str() {
        "" => "anonymous user".to_owned(),
        user => format!("user \"{user}\""),
    };
    let lifetime = match args.ttl {
        ttl if ttl < 0 => "without expiration".to_owned(),
        ttl => format!(
            "with expiration TTL {}",
            duration::format(ttl.saturating_mul(1_000_000_000))
        ),
    };
    println!("HMAC SHA-256 JWT for {user}{for_what} {lifetime}:\n{token}");
    Ok(())
}

/// The claims in the order of the reference.
fn claims(args: &GenToken, keys: &Token, channel: Option<&str>, now: u64) -> Map<String, Json> {
    let mut claims = Map::new();
    if !args.user.is_empty() {
        claims.insert("sub".to_owned(), Json::from(args.user.as_str()));
    }
    if args.ttl > 0 {
        claims.insert(
            "exp".to_owned(),
            Json::from(now.saturating_add(args.ttl.unsigned_abs())),
        );
    }
    claims.insert("iat".to_owned(), Json::from(now));
    if let Some(channel) = channel {
        claims.insert("channel".to_owned(), Json::from(channel));
    }
    if !keys.user_id_claim.is_empty() {
        claims.insert(keys.user_id_claim.to_string(), Json::from(args.user.as_str()));
    }
    claims
}

fn sign(keys: &Token, claims: &Map<String, Json>) -> Result<String, String> {
    if keys.hmac_secret_key.is_empty() {
        let problem = "error: only tokens with an HMAC signature can be made here, and the configuration has no \
                       hmac_secret_key; for RSA, ECDSA or a key set make tokens with your own tools";
        return Err(problem.to_owned());
    }
    let key = EncodingKey::from_secret(keys.hmac_secret_key.as_bytes());
    encode(&Header::default(), claims, &key).map_err(|error| format!("error: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::ConfigFile;

    fn check(user: &str, ttl: i64, claim: &str, channel: Option<&str>, expected: &str) {
        let file = ConfigFile { config: String::new() };
        let args = GenToken {
            file,
            user: user.to_owned(),
            ttl,
            quiet: true,
        };
        let keys = Token {
            user_id_claim: claim.into(),
            ..Token::default()
        };
        let claims = claims(&args, &keys, channel, 1_000);
        assert_eq!(serde_json::to_string(&claims).unwrap(), expected);
    }

    #[test]
    fn claims_stand_in_the_order_of_the_reference() {
        check("42", 60, "", None, r#"{"sub":"42","exp":1060,"iat":1000}"#);
        check("42", -1, "", None, r#"{"sub":"42","iat":1000}"#);
        check("", 0, "", None, r#"{"iat":1000}"#);
        check("42", -1, "uid", None, r#"{"sub":"42","iat":1000,"uid":"42"}"#);
        check(
            "42",
            60,
            "",
            Some("news"),
            r#"{"sub":"42","exp":1060,"iat":1000,"channel":"news"}"#,
        );
        check(
            "42",
            i64::MAX,
            "",
            None,
            r#"{"sub":"42","exp":9223372036854776807,"iat":1000}"#,
        );
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        assert!(
            sign(&Token::default(), &Map::new())
                .unwrap_err()
                .contains("hmac_secret_key")
        );
    }
}
