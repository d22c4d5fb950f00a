//! What a new configuration changes in a running server, and what it does not.

use super::snapshot::{Channels, Client, Snapshot};

impl Snapshot {
    /// This configuration with what the reload signal takes over from a newer one: the rules of channels, token keys
    /// and claims, and the modes in which clients are let in. Everything else stays until the next start (upstream:
    /// the signal handler of internal/app/run.go, and what asks `cfgContainer` anew each time it is needed).
    ///
    /// Two things stay that one might expect to change, as upstream: `channel.max_length`, and whether subscription
    /// tokens have keys of their own.
    pub fn reloaded(&self, newer: Snapshot) -> Snapshot {
        let channel = Channels { max_length: self.channel.max_length, ..newer.channel };
        let old = self.client.clone();
        let new = newer.client;
        let subscription_token = match (old.subscription_token, new.subscription_token) {
            (Some(_), Some(token)) => Some(token),
            (kept, _) => kept,
        };
        let client = Client {
            token: new.token,
            subscription_token,
            insecure: new.insecure,
            insecure_skip_token_signature_verify: new.insecure_skip_token_signature_verify,
            allow_anonymous_connect_without_token: new.allow_anonymous_connect_without_token,
            disallow_anonymous_connection_tokens: new.disallow_anonymous_connection_tokens,
            personal_channel: new.personal_channel,
            connection_limit: new.connection_limit,
            ..old
        };
        Snapshot { channel, client, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::env::Env;
    use crate::config::load::{Sources, load};
    use crate::config::prepare::{Host, prepare};
    use crate::config::snapshot::Snapshot;

    fn snapshot(text: &str) -> Snapshot {
        let env = Env::default();
        let loaded = load(Sources { file: Some(("config.json", text)), env: &env, flags: &[] }).unwrap();
        prepare(&loaded.options, &Host { name: "host", resolve: &|_| None }, false).unwrap()
    }

    /// `show` of a configuration without options, reloaded with `newer`; and of `newer` itself.
    fn check(newer: &str, show: impl Fn(&Snapshot) -> String, changes: bool) {
        let (old, new) = (snapshot("{}"), snapshot(newer));
        assert_ne!(show(&old), show(&new), "{newer}: the test sees nothing");
        let expected = if changes { show(&new) } else { show(&old) };
        assert_eq!(show(&old.reloaded(new)), expected, "{newer}");
    }

    #[test]
    fn channels_tokens_and_modes_change() {
        let channels = |config: &Snapshot| format!("{:?}", config.channel);
        check(r#"{"channel":{"namespaces":[{"name":"a","presence":true}]}}"#, channels, true);
        check(r#"{"channel":{"without_namespace":{"history_size":5,"history_ttl":"5s"}}}"#, channels, true);
        check(r#"{"channel":{"private_prefix":"!"}}"#, channels, true);
        let client = |config: &Snapshot| format!("{:?}", config.client);
        check(r#"{"client":{"insecure":true}}"#, client, true);
        check(r#"{"client":{"connection_limit":5}}"#, client, true);
        check(r#"{"client":{"allow_anonymous_connect_without_token":true}}"#, client, true);
        check(r#"{"client":{"disallow_anonymous_connection_tokens":true}}"#, client, true);
        check(r#"{"client":{"insecure_skip_token_signature_verify":true}}"#, client, true);
        let secret = |config: &Snapshot| config.client.token.hmac_secret_key.to_string();
        check(r#"{"client":{"token":{"hmac_secret_key":"new"}}}"#, secret, true);
    }

    #[test]
    fn the_rest_stays() {
        let all = |config: &Snapshot| format!("{config:?}");
        for newer in [
            r#"{"channel":{"max_length":5}}"#,
            r#"{"client":{"ping_interval":"99s"}}"#,
            r#"{"client":{"channel_limit":5}}"#,
            r#"{"client":{"user_connection_limit":5}}"#,
            r#"{"client":{"queue_max_size":5}}"#,
            r#"{"client":{"allowed_origins":["https://a"]}}"#,
            r#"{"client":{"history_max_publication_limit":5}}"#,
            r#"{"client":{"subscription_token":{"enabled":true,"hmac_secret_key":"x"}}}"#,
            r#"{"http_api":{"key":"k","insecure":true}}"#,
            r#"{"websocket":{"message_size_limit":5}}"#,
            r#"{"http_server":{"port":5000}}"#,
            r#"{"health":{"enabled":true}}"#,
            r#"{"node":{"name":"other"}}"#,
        ] {
            check(newer, all, false);
        }
    }

    #[test]
    fn separate_keys_change_where_there_were_some() {
        let with = |secret: &str| {
            snapshot(&format!(
                r#"{{"client":{{"subscription_token":{{"enabled":true,"hmac_secret_key":"{secret}"}}}}}}"#
            ))
        };
        let secret = |config: &Snapshot| config.client.subscription_token.clone().map(|token| token.hmac_secret_key);
        assert_eq!(secret(&with("a").reloaded(with("b"))).as_deref(), Some("b"));
        assert_eq!(secret(&with("a").reloaded(snapshot("{}"))).as_deref(), Some("a"));
    }
}
