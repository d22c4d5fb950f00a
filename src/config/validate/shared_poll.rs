//! Rules of shared-poll channels.

use super::channel::Checked;
use super::{known_choice, proxy};
use crate::config::error::Error;

const MODES: [&str; 3] = ["", "versionless", "versioned"];

/// Checks the `shared_poll` options of a namespace that uses them.
pub fn check(checked: &Checked<'_>) -> Result<(), Error> {
    if checked.options.text("subscription_type") != "shared_poll" {
        return Ok(());
    }
    if checked.root.text("shared_poll.hmac_secret_key").is_empty() {
        return checked.refuse("subscription_type", "shared_poll needs the option shared_poll.hmac_secret_key");
    }
    let poll = checked.options.section("shared_poll");
    let inner = Checked { options: poll, path: format!("{}.shared_poll", checked.path), ..*checked };
    let name = match poll.text("proxy_name") {
        "" => proxy::DEFAULT,
        name => name,
    };
    let option = format!("{}.proxy_name", inner.path);
    proxy::reference(checked.root, checked.proxies, name, &option, true, "channel.proxy.shared_poll_refresh")?;
    known_choice(poll.text("mode"), &format!("{}.mode", inner.path), &MODES)?;
    if poll.bool("publish_enabled") && poll.text("mode") != "versioned" {
        return inner.refuse("publish_enabled", "needs mode set to versioned");
    }
    Ok(())
}
