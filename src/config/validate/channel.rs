//! Rules of channels and their namespaces.

use super::{NAME_RULE, good_name, known_choice, map, proxy, shared_poll};
use crate::config::error::Error;
use crate::config::pattern;
use crate::config::value::Section;

const DATA_FORMATS: [&str; 4] = ["", "json", "json_object", "binary"];
const RECOVERY_MODES: [&str; 3] = ["", "stream", "cache"];
const DELTA_TYPES: [&str; 1] = ["fossil"];
const SUBSCRIPTION_TYPES: [&str; 6] = ["", "stream", "map", "map_clients", "map_users", "shared_poll"];

const SECOND_NS: i64 = 1_000_000_000;

/// One set of channel options with what is needed to check it.
pub struct Checked<'a> {
    /// All options.
    pub root: &'a Section,
    /// The channel options to check.
    pub options: &'a Section,
    /// Where they stand.
    pub path: String,
    /// Names of proxies that may be referred to.
    pub proxies: &'a [&'a str],
}

impl Checked<'_> {
    /// A problem with one of the options.
    pub fn refuse(&self, name: &str, problem: impl Into<String>) -> Result<(), Error> {
        Err(Error::invalid(format!("{}.{name}", self.path), problem))
    }

    /// A text that must be one of a few.
    pub fn choice(&self, name: &str, known: &[&str]) -> Result<(), Error> {
        known_choice(self.options.text(name), &format!("{}.{name}", self.path), known)
    }

    /// Checks the proxy named by `{kind}_proxy_name`.
    pub fn proxy(&self, kind: &str, default: &str) -> Result<(), Error> {
        let option = format!("{}.{kind}_proxy_name", self.path);
        let name = self.options.text(&format!("{kind}_proxy_name"));
        let enabled = self.options.bool(&format!("{kind}_proxy_enabled"));
        proxy::reference(self.root, self.proxies, name, &option, enabled, default)
    }
}

/// Checks channel options with and without namespace.
pub fn all(root: &Section, proxies: &[&str]) -> Result<(), Error> {
    whole_seconds(root.section("channel"), "history_meta_ttl", "channel.history_meta_ttl")?;
    known_choice(root.text("channel.publication_data_format"), "channel.publication_data_format", &DATA_FORMATS)?;
    let path = "channel.without_namespace";
    check(&Checked { root, options: root.section(path), path: path.to_owned(), proxies })?;
    let mut seen = Vec::new();
    for (index, options) in root.list("channel.namespaces").iter().enumerate() {
        let (name, at) = (options.text("name"), format!("channel.namespaces.[{index}].name"));
        if seen.contains(&name) {
            return Err(Error::invalid(at, format!("the namespace {name:?} stands twice")));
        }
        if !good_name(name) {
            return Err(Error::invalid(at, format!("the namespace name {name:?} {NAME_RULE}")));
        }
        check(&Checked { root, options, path: format!("channel.namespaces.{name}"), proxies })?;
        seen.push(name);
    }
    personal_channel(root)
}

fn check(checked: &Checked<'_>) -> Result<(), Error> {
    history(checked)?;
    recovery(checked)?;
    let options = checked.options;
    if let Err(problem) = pattern::compile(options.text("channel_regex")) {
        return checked.refuse("channel_regex", problem);
    }
    let other = ["subscribe", "publish", "sub_refresh"];
    if options.bool("subscribe_stream_proxy_enabled")
        && let Some(other) = other.iter().find(|kind| options.bool(&format!("{kind}_proxy_enabled")))
    {
        let problem = format!("cannot be used together with {other}_proxy_enabled");
        return checked.refuse("subscribe_stream_proxy_enabled", problem);
    }
    for kind in options.texts("allowed_delta_types") {
        known_choice(kind, &format!("{}.allowed_delta_types", checked.path), &DELTA_TYPES)?;
    }
    checked.choice("publication_data_format", &DATA_FORMATS)?;
    for kind in ["subscribe", "publish", "sub_refresh", "subscribe_stream"] {
        checked.proxy(kind, &format!("channel.proxy.{kind}"))?;
    }
    checked.choice("subscription_type", &SUBSCRIPTION_TYPES)?;
    map::check(checked)?;
    shared_poll::check(checked)?;
    presence_prefix(checked, "map_clients")?;
    presence_prefix(checked, "map_users")
}

fn history(checked: &Checked<'_>) -> Result<(), Error> {
    let options = checked.options;
    for name in ["history_ttl", "history_meta_ttl"] {
        whole_seconds(options, name, &format!("{}.{name}", checked.path))?;
    }
    let (size, ttl) = (options.int("history_size"), options.duration_ns("history_ttl"));
    if (size == 0) != (ttl == 0) {
        return checked.refuse("history_size", "history needs both history_size and history_ttl");
    }
    let meta_ttl = match options.duration_ns("history_meta_ttl") {
        0 => checked.root.duration_ns("channel.history_meta_ttl"),
        own => own,
    };
    if meta_ttl < ttl {
        return checked.refuse("history_ttl", "must not be longer than history_meta_ttl");
    }
    Ok(())
}

fn recovery(checked: &Checked<'_>) -> Result<(), Error> {
    let options = checked.options;
    let forced = options.bool("force_recovery");
    if forced && options.int("history_size") == 0 {
        return checked.refuse("force_recovery", "recovery needs history_size and history_ttl");
    }
    if options.bool("auto_cache_recover") && (!forced || options.text("force_recovery_mode") != "cache") {
        return checked.refuse("auto_cache_recover", "needs force_recovery, and force_recovery_mode set to cache");
    }
    checked.choice("force_recovery_mode", &RECOVERY_MODES)
}

fn whole_seconds(options: &Section, name: &str, path: &str) -> Result<(), Error> {
    let ns = options.duration_ns(name);
    if ns > 0 && ns % SECOND_NS != 0 {
        return Err(Error::invalid(path, "must be whole seconds"));
    }
    Ok(())
}

/// A prefix for mirrored presence must lead to a namespace that holds such a map.
fn presence_prefix(checked: &Checked<'_>, kind: &str) -> Result<(), Error> {
    let name = format!("{kind}_presence_channel_prefix");
    let prefix = checked.options.text(&name);
    if prefix.is_empty() {
        return Ok(());
    }
    let boundary = checked.root.text("channel.namespace_boundary");
    let namespace = match boundary {
        "" => "",
        boundary => prefix.split_once(boundary).map_or("", |(namespace, _)| namespace),
    };
    let of_namespace = checked.path != "channel.without_namespace";
    if namespace.is_empty() && of_namespace {
        return checked.refuse(&name, "must begin with the name of a namespace");
    }
    let target = match namespace {
        "" => Some(checked.root.section("channel.without_namespace")),
        name => checked.root.list("channel.namespaces").iter().find(|options| options.text("name") == name),
    };
    match target {
        None => checked.refuse(&name, format!("leads to the namespace {namespace:?}, which does not exist")),
        Some(target) if target.text("subscription_type") != kind => checked
            .refuse(&name, format!("leads to the namespace {namespace:?}, whose subscription_type is not {kind}")),
        Some(_) => Ok(()),
    }
}

fn personal_channel(root: &Section) -> Result<(), Error> {
    let personal = root.section("client.subscribe_to_user_personal_channel");
    let single = personal.bool("single_connection");
    let name = personal.text("personal_channel_namespace");
    let path = "client.subscribe_to_user_personal_channel";
    let without_presence = |place: &str| {
        let problem = format!("needs presence in {place}");
        Err(Error::invalid(format!("{path}.single_connection"), problem))
    };
    // The reference looks at a named namespace even while the feature is off, and at the options without namespace
    // whenever none is named or the feature is off.
    let namespace =
        root.list("channel.namespaces").iter().find(|options| !name.is_empty() && options.text("name") == name);
    if (!personal.bool("enabled") || name.is_empty()) && single && !root.bool("channel.without_namespace.presence") {
        return without_presence("channel.without_namespace");
    }
    match namespace {
        Some(options) if single && !options.bool("presence") => without_presence(&format!("the namespace {name:?}")),
        None if personal.bool("enabled") && !name.is_empty() => {
            Err(Error::invalid(format!("{path}.personal_channel_namespace"), format!("there is no namespace {name:?}")))
        }
        _ => Ok(()),
    }
}
