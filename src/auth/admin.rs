//! Session tokens of the admin pages, as the reference makes them (upstream: internal/admin, with gorilla/securecookie
//! and no block key): a token of one server is good for the other where both have the same `admin.secret`.
//!
//! A token is Base64 of `time|value|mac`: seconds since 1970, Base64 of the constant text `authorized` in Go's gob
//! encoding, and HMAC SHA-256 over `token|time|value`.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::base::time::Now;

/// The text `authorized` as gob: length, type, and the text.
const VALUE: &[u8] = b"\x0d\x0c\x00\x0aauthorized";

/// Seconds for which a token is good: 30 days.
const MAX_AGE_S: i64 = 30 * 86_400;

/// Longer tokens are not looked at.
const MAX_LEN: usize = 4096;

/// A token that is good from now on.
pub fn issue(secret: &str, now: Now) -> String {
    let signed = format!("{}|{}", now.unix_s(), URL_SAFE.encode(VALUE));
    let tag = hmac::sign(&key(secret), named(signed.as_bytes()).as_slice());
    URL_SAFE.encode([signed.as_bytes(), b"|", tag.as_ref()].concat())
}

/// Whether the token was issued with this secret and is not too old. A secret that is empty makes no token good.
pub fn is_valid(secret: &str, token: &str, now: Now) -> bool {
    if secret.is_empty() || token.len() > MAX_LEN {
        return false;
    }
    let Ok(bytes) = URL_SAFE.decode(token) else { return false };
    let mut parts = bytes.splitn(3, |byte| *byte == b'|');
    let (Some(time), Some(value), Some(tag)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let signed = &bytes[..time.len() + 1 + value.len()];
    if hmac::verify(&key(secret), &named(signed), tag).is_err() {
        return false;
    }
    let time = std::str::from_utf8(time).ok().and_then(|text| text.parse::<i64>().ok());
    time.is_some_and(|time| time >= now.unix_s() - MAX_AGE_S)
        && URL_SAFE.decode(value).is_ok_and(|value| value == VALUE)
}

/// What is signed: the name of the cookie comes first.
fn named(signed: &[u8]) -> Vec<u8> {
    [b"token|", signed].concat()
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: i64) -> Now {
        Now { unix_ms: unix_s as u64 * 1000, ..Now::default() }
    }

    /// Issued by the reference with this secret.
    const THEIRS: &str = "MTc5NTg0NTgzMHxEUXdBQ21GMWRHaHZjbWw2WldRPXxlOi5DiymIp_Zy87Tg3E7SvVia3EHzjkFRbISWIFiAzA==";
    const THEIR_TIME: i64 = 1_795_845_830;

    #[test]
    fn tokens_of_the_reference_are_good_and_the_same_as_ours() {
        assert!(is_valid("s3cret", THEIRS, at(THEIR_TIME)));
        assert_eq!(issue("s3cret", at(THEIR_TIME)), THEIRS);
    }

    #[test]
    fn tokens_have_their_time() {
        let token = issue("s", at(1_000_000_000));
        for (age_s, good) in [(-5, true), (0, true), (MAX_AGE_S, true), (MAX_AGE_S + 1, false)] {
            assert_eq!(is_valid("s", &token, at(1_000_000_000 + age_s)), good, "{age_s}");
        }
    }

    #[test]
    fn other_secrets_and_changed_tokens_are_refused() {
        let now = at(1_000_000_000);
        let token = issue("s", now);
        assert!(!is_valid("S", &token, now) && !is_valid("", &token, now) && !is_valid("", &issue("", now), now));
        for at in 0..token.len() {
            for replacement in ["", "A", "-"] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, replacement);
                assert_eq!(is_valid("s", &changed, now), changed == token, "{changed}");
            }
        }
        let long = "A".repeat(MAX_LEN + 4);
        for token in ["", "|||", "x", "Mg==", &URL_SAFE.encode("1|2"), &URL_SAFE.encode("1|2|3"), &long] {
            assert!(!is_valid("s", token, now), "{token}");
        }
    }
}
