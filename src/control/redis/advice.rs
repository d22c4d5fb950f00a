//! What an operator may have to change when a server cannot be used, by what went wrong.
//!
//! Messages of servers and libraries say what happened, and not which option it has to do with. No message holds a
//! secret: servers do not repeat passwords, and neither do we.

/// Behind an error of connecting, of logging in or of a request; empty where the error speaks for itself. Options have this `prefix`:
/// `sentinel_` or nothing.
pub fn on(error: &str, speaks_tls: bool, prefix: &str) -> String {
    let begins = |codes: &[&str]| codes.iter().any(|code| error.starts_with(code));
    let says = |words: &[&str]| words.iter().any(|words| error.contains(words));
    let look_at = |options: &[&str]| {
        let options: Vec<_> = options.iter().map(|option| format!("{prefix}{option}")).collect();
        format!(" (look at {})", options.join(" and "))
    };
    if begins(&["WRONGPASS", "NOAUTH", "ERR AUTH", "ERR invalid password", "ERR Client sent AUTH"]) {
        look_at(&["user", "password"])
    } else if says(&["NOPERM"]) {
        format!(" (the {prefix}user may not do this: look at its rights in Redis)")
    } else if says(&["DB index is out of range", "SELECT is not allowed in cluster mode"]) {
        look_at(&["db"])
    } else if begins(&["READONLY"]) {
        " (it is a replica: look at address, or have Sentinels name the master)".to_owned()
    } else if says(&["Unknown Redis command", "ERR unknown command"]) {
        " (is it too old? presence_hash_field_ttl needs Redis 7.4, sharded_pub_sub_partitions 7.0)".to_owned()
    } else if says(&["failed to lookup address"]) {
        " (no host has this name)".to_owned()
    } else if says(&["invalid peer certificate"]) {
        look_at(&["tls.server_ca_pem", "tls.server_name"])
    } else if speaks_tls && says(&["fatal alert"]) {
        look_at(&["tls.cert_pem", "tls.key_pem"])
    } else if says(&[TOO_LONG]) {
        // A server that does not speak TLS waits for the rest of a request.
        if speaks_tls {
            format!(" (look at {prefix}tls.enabled and connect_timeout)")
        } else {
            " (look at connect_timeout)".to_owned()
        }
    } else if speaks_tls && says(&["corrupt message", "handshake eof"]) {
        format!(" (it seems not to speak TLS: look at {prefix}tls.enabled)")
    } else if !speaks_tls && says(&[CLOSED, "of an unknown kind", "reset by peer"]) {
        format!(" (it may want TLS: look at {prefix}tls.enabled)")
    } else {
        String::new()
    }
}

/// Connecting took longer than it may.
pub const TOO_LONG: &str = "it took too long";

/// A server ended the connection before it said anything.
pub const CLOSED: &str = "the connection was closed";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &str, speaks_tls: bool, prefix: &str, expected: &str) {
        assert_eq!(on(error, speaks_tls, prefix), expected, "{error}");
    }

    #[test]
    fn errors_name_their_options() {
        check("WRONGPASS invalid username-password pair", false, "", " (look at user and password)");
        check("NOAUTH HELLO must be called", true, "sentinel_", " (look at sentinel_user and sentinel_password)");
        check(
            "NOPERM this user",
            false,
            "sentinel_",
            " (the sentinel_user may not do this: look at its rights in Redis)",
        );
        check("ERR DB index is out of range", false, "", " (look at db)");
        check("invalid peer certificate: UnknownIssuer", true, "", " (look at tls.server_ca_pem and tls.server_name)");
        check(
            "received fatal alert: X",
            true,
            "sentinel_",
            " (look at sentinel_tls.cert_pem and sentinel_tls.key_pem)",
        );
        check(
            "READONLY You can't",
            false,
            "",
            " (it is a replica: look at address, or have Sentinels name the master)",
        );
        let old = " (is it too old? presence_hash_field_ttl needs Redis 7.4, sharded_pub_sub_partitions 7.0)";
        check("ERR Error running script: Unknown Redis command called from script", false, "", old);
        let no_tls = " (it seems not to speak TLS: look at tls.enabled)";
        check("received corrupt message of type InvalidContentType", true, "", no_tls);
        check(TOO_LONG, true, "sentinel_", " (look at sentinel_tls.enabled and connect_timeout)");
        check(TOO_LONG, false, "sentinel_", " (look at connect_timeout)");
        check(CLOSED, false, "", " (it may want TLS: look at tls.enabled)");
        for (error, speaks_tls) in [(CLOSED, true), ("connection refused", false), ("it does not answer", false)] {
            check(error, speaks_tls, "", "");
        }
    }
}
