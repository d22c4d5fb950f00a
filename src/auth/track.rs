//! Signatures of lists of tracked keys: `iat:exp:hex(HMAC-SHA256)` over times, user, channel and keys (upstream:
//! centrifugo internal/client/track_signature.go).

use std::fmt::Write;

use aws_lc_rs::{digest, hmac};

use super::TokenError;
use crate::base::time::Now;
use crate::config::snapshot::TrackKeys;

/// Seconds that a signature is taken beyond its time.
const GRACE_S: i64 = 5;

/// What a signature was made for.
#[derive(Clone, Copy, Debug)]
pub struct Tracked<'t> {
    /// The user; empty for an anonymous one.
    pub user: &'t str,
    /// The channel.
    pub channel: &'t str,
    /// The keys in the order of the request, joined by NUL.
    pub keys: &'t str,
}

/// Checks a signature; when it expires, Unix seconds, 0 = never.
///
/// # Errors
/// [`TokenError::Expired`] when it was good more than five seconds ago, else [`TokenError::Invalid`].
pub fn verify(keys: &TrackKeys, signature: &str, tracked: Tracked<'_>, now: Now) -> Result<i64, TokenError> {
    let mut parts = signature.splitn(3, ':');
    let (Some(issued), Some(expires), Some(mac)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(TokenError::Invalid);
    };
    // Times that are no numbers are both 0, as upstream: good for ever, if signed so.
    let (issued_at, expire_at) = match (issued.parse::<i64>(), expires.parse::<i64>()) {
        (Ok(issued_at), Ok(expire_at)) => (issued_at, expire_at),
        _ => (0, 0),
    };
    let is_by = |secret: &str| {
        let made = code(secret, issued, expires, tracked);
        aws_lc_rs::constant_time::verify_slices_are_equal(made.as_bytes(), mac.as_bytes()).is_ok()
    };
    let previous_counts =
        !keys.previous.is_empty() && (keys.previous_valid_until <= 0 || issued_at <= keys.previous_valid_until);
    let is_signed = is_by(&keys.secret) || (previous_counts && is_by(&keys.previous));
    if !is_signed {
        return Err(TokenError::Invalid);
    }
    if expire_at > 0 && expire_at.saturating_add(GRACE_S) < now.unix_s() {
        return Err(TokenError::Expired);
    }
    Ok(expire_at)
}

/// Signs, as backends do: when it is issued and when it expires, Unix seconds.
pub fn sign(secret: &str, (issued_at, expire_at): (i64, i64), tracked: Tracked<'_>) -> String {
    let (issued, expires) = (issued_at.to_string(), expire_at.to_string());
    let code = code(secret, &issued, &expires, tracked);
    format!("{issued}:{expires}:{code}")
}

fn code(secret: &str, issued: &str, expires: &str, tracked: Tracked<'_>) -> String {
    let hash = hex(digest::digest(&digest::SHA256, tracked.keys.as_bytes()).as_ref());
    let message = [issued, expires, tracked.user, tracked.channel, &hash].join("\0");
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono_ms: 0, mono_us: 0, unix_ms: 1_700_000_000_000 };
    const TRACKED: Tracked<'static> = Tracked { user: "u", channel: "poll:a", keys: "a\0b" };
    /// Made with Python's hmac: key `new`, issued at 1699999990, expiring at 1700000300.
    const SIGNED: &str = "1699999990:1700000300:e0e66348e56adac650e9939a822aa495e2ecf220fe3f58a9acf07626cbd6c1d8";
    /// The same with the key `old`.
    const SIGNED_OLD: &str = "1699999990:1700000300:8553d1a41baf780176b1c6696aa0ea92be3829d980dbe646812b2164d3fe49cb";
    /// Key `new`, expired four seconds ago.
    const LATE: &str = "1699999990:1699999996:37b835c360ce5ad8fb529855dd7ccfacc0c6cbbc845550939c72189cde467039";
    /// Key `new`, expired six seconds ago.
    const EXPIRED: &str = "1699999990:1699999994:34fbb165bd0053abb4290cce942c0a73ec65df8deec548dce1490279a8de9d49";

    #[track_caller]
    fn check(previous_valid_until: i64, signature: &str, tracked: Tracked<'_>, expected: Result<i64, TokenError>) {
        let keys = TrackKeys { secret: "new".into(), previous: "old".into(), previous_valid_until };
        assert_eq!(verify(&keys, signature, tracked, NOW), expected, "{signature}");
    }

    #[test]
    fn what_was_signed_counts() {
        check(0, SIGNED, TRACKED, Ok(1_700_000_300));
        for tracked in [
            Tracked { user: "w", ..TRACKED },
            Tracked { channel: "poll:b", ..TRACKED },
            Tracked { keys: "b\0a", ..TRACKED },
            Tracked { keys: "a", ..TRACKED },
        ] {
            check(0, SIGNED, tracked, Err(TokenError::Invalid));
        }
        let longer_lived = SIGNED.replace("1700000300", "1700000301");
        for signature in ["", "x", "::", "1:2:3", &longer_lived, &SIGNED[..SIGNED.len() - 1], &SIGNED.to_uppercase()] {
            check(0, signature, TRACKED, Err(TokenError::Invalid));
        }
    }

    #[test]
    fn what_is_signed_here_is_what_others_sign() {
        assert_eq!(sign("new", (1_699_999_990, 1_700_000_300), TRACKED), SIGNED);
    }

    #[test]
    fn signatures_end_five_seconds_late() {
        check(0, LATE, TRACKED, Ok(1_699_999_996));
        check(0, EXPIRED, TRACKED, Err(TokenError::Expired));
    }

    #[test]
    fn the_former_key_counts_for_what_was_signed_in_its_time() {
        check(0, SIGNED_OLD, TRACKED, Ok(1_700_000_300));
        check(1_699_999_990, SIGNED_OLD, TRACKED, Ok(1_700_000_300));
        check(1_699_999_989, SIGNED_OLD, TRACKED, Err(TokenError::Invalid));
        check(1_699_999_989, SIGNED, TRACKED, Ok(1_700_000_300));
    }

    #[test]
    fn debug_hides_the_keys() {
        let keys = TrackKeys { secret: "new".into(), ..TrackKeys::default() };
        assert!(!format!("{keys:?}").contains("new"));
    }
}
