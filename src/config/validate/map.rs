//! Rules of map channels.

use super::channel::Checked;
use super::known_choice;
use crate::config::duration;
use crate::config::error::Error;

const CLIENT_KEYS: [&str; 3] = ["", "client_id", "user_id"];
const MODES: [&str; 4] = ["", "ephemeral", "recoverable", "persistent"];
const MAP_TYPES: [&str; 3] = ["map", "map_clients", "map_users"];

/// How long changes are kept when `map.stream_ttl` is 0.
const STREAM_TTL_NS: i64 = 60_000_000_000;

/// Checks the `map` options of a namespace.
pub fn check(checked: &Checked<'_>) -> Result<(), Error> {
    let map = checked.options.section("map");
    let inner = Checked { options: map, path: format!("{}.map", checked.path), ..*checked };
    inner.proxy("publish", "channel.proxy.map_publish")?;
    inner.proxy("remove", "channel.proxy.map_remove")?;
    known_choice(map.text("client_key"), &format!("{}.client_key", inner.path), &CLIENT_KEYS)?;
    for kind in ["publish", "remove"] {
        if !map.text("client_key").is_empty() && map.bool(&format!("{kind}_proxy_enabled")) {
            let problem = format!("cannot be used together with {kind}_proxy_enabled, which decides about keys");
            return inner.refuse("client_key", problem);
        }
    }
    known_choice(map.text("mode"), &format!("{}.mode", inner.path), &MODES)?;
    let kind = checked.options.text("subscription_type");
    if map.bool("remove_client_on_unsubscribe") && !MAP_TYPES.contains(&kind) {
        return inner.refuse("remove_client_on_unsubscribe", "needs a subscription_type of the map kind");
    }
    mode(&inner, kind)?;
    pages(&inner)
}

fn mode(inner: &Checked<'_>, kind: &str) -> Result<(), Error> {
    let map = inner.options;
    let key_ttl = map.duration_ns("key_ttl");
    let mode = map.text("mode");
    match mode {
        "" if MAP_TYPES.contains(&kind) => {
            return inner.refuse("mode", format!("must be set when subscription_type is {kind}"));
        }
        "ephemeral" | "recoverable" if key_ttl <= 0 => {
            return inner.refuse("key_ttl", format!("must be set and positive when mode is {mode}"));
        }
        "persistent" if key_ttl != 0 => {
            return inner.refuse("key_ttl", "must not be set when mode is persistent: keys do not expire");
        }
        "persistent" if matches!(kind, "map_clients" | "map_users") => {
            return inner.refuse("mode", format!("must be ephemeral or recoverable when subscription_type is {kind}"));
        }
        _ => {}
    }
    match mode {
        "ephemeral" => {
            let stream = [map.int("stream_size").max(0), map.duration_ns("stream_ttl"), map.duration_ns("meta_ttl")];
            for (name, value) in ["stream_size", "stream_ttl", "meta_ttl"].into_iter().zip(stream) {
                if value != 0 {
                    return inner.refuse(name, "must not be set when mode is ephemeral: nothing can be recovered");
                }
            }
            Ok(())
        }
        "recoverable" | "persistent" => stream(inner),
        _ => Ok(()),
    }
}

fn stream(inner: &Checked<'_>) -> Result<(), Error> {
    let map = inner.options;
    let (stream_ttl, meta_ttl) = (map.duration_ns("stream_ttl"), map.duration_ns("meta_ttl"));
    let values = [map.int("stream_size"), stream_ttl, meta_ttl];
    for (name, value) in ["stream_size", "stream_ttl", "meta_ttl"].into_iter().zip(values) {
        if value < 0 {
            return inner.refuse(name, "must not be negative");
        }
    }
    let stream_ttl = if stream_ttl == 0 { STREAM_TTL_NS } else { stream_ttl };
    if meta_ttl != 0 && meta_ttl < stream_ttl {
        return inner
            .refuse("meta_ttl", format!("must not be shorter than stream_ttl ({})", duration::format(stream_ttl)));
    }
    Ok(())
}

/// Page sizes of which 0 means the built-in one.
fn pages(inner: &Checked<'_>) -> Result<(), Error> {
    let map = inner.options;
    let [min, default, max] = ["min_page_size", "default_page_size", "max_page_size"].map(|name| map.int(name));
    for (name, value) in [("min_page_size", min), ("max_page_size", max), ("default_page_size", default)] {
        if value < 0 {
            return inner.refuse(name, "must not be negative");
        }
    }
    for (name, small, large, bound) in [
        ("min_page_size", min, max, "max_page_size"),
        ("default_page_size", default, max, "max_page_size"),
        ("min_page_size", min, default, "default_page_size"),
    ] {
        if small > 0 && large > 0 && small > large {
            return inner.refuse(name, format!("must not be above {bound}"));
        }
    }
    Ok(())
}
