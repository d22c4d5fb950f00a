//! What a new configuration changes in a running server, and what it does not.

use super::snapshot::{Channels, Client, Snapshot};
use super::value::{Section, Value};

/// The options that a running server takes over, each with all below it (upstream: the signal handler of
/// internal/app/run.go, and what asks `cfgContainer` anew each time it is needed). All others wait for a restart.
const TAKEN_OVER: &[&str] = &[
    "channel",
    "client.allow_anonymous_connect_without_token",
    "client.connection_limit",
    "client.disallow_anonymous_connection_tokens",
    "client.insecure",
    "client.insecure_skip_token_signature_verify",
    "client.subscribe_to_user_personal_channel",
    "client.subscription_token",
    "client.token",
    "shared_poll.hmac_previous_secret_key",
    "shared_poll.hmac_previous_secret_key_valid_until",
    "shared_poll.hmac_secret_key",
];

/// Options below those that wait for a restart all the same, as upstream.
const KEPT: &[&str] = &["channel.max_length", "channel.proxy", "client.subscription_token.enabled"];

/// Whether the reload signal changes an option; entries of lists are part of their list.
pub fn is_taken_over(path: &str) -> bool {
    let stands_in = |known: &&str| {
        path.strip_prefix(*known).is_some_and(|rest| matches!(rest.chars().next(), None | Some('.' | '[')))
    };
    TAKEN_OVER.iter().any(stands_in) && !KEPT.iter().any(stands_in)
}

/// The options in force that differ between two configurations and that the reload signal does not take over, in the
/// order of the table.
pub fn waiting(running: &Section, newer: &Section) -> Vec<String> {
    let mut found = Vec::new();
    compare(running, newer, "", &mut found);
    found
}

fn compare(running: &Section, newer: &Section, path: &str, found: &mut Vec<String>) {
    for (old, new) in running.entries.iter().zip(&newer.entries) {
        let here = format!("{path}{}", old.option.name);
        if !old.option.in_force {
            continue;
        }
        match (&old.value, &new.value) {
            (Value::Section(old), Value::Section(new)) => compare(old, new, &format!("{here}."), found),
            // A list that nobody set is as good as an empty one.
            (Value::Texts(old), Value::Texts(new))
                if old.as_deref().unwrap_or_default() == new.as_deref().unwrap_or_default() => {}
            (old, new) if old != new && !is_taken_over(&here) => found.push(here),
            _ => {}
        }
    }
}

impl Snapshot {
    /// This configuration with what the reload signal takes over from a newer one ([`TAKEN_OVER`]). Everything else
    /// stays until the next start, `channel.max_length` and whether subscription tokens have keys of their own
    /// included.
    pub fn reloaded(&self, newer: Snapshot) -> Snapshot {
        let mut channel = Channels { max_length: self.channel.max_length, ..newer.channel };
        // Backends stay, and so does whether they can be asked.
        for options in channel.namespaces.values_mut().chain([&mut channel.without_namespace]) {
            options.poll.plan.asks_backend = self.proxies.shared_poll(&options.poll.proxy).is_some();
        }
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
        Snapshot { channel, client, track_keys: newer.track_keys, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
