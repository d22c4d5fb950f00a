//! The documentation of all options, made from their table: Markdown, or a page for the browser.
//!
//! Mirrors what `internal/cli/configdoc.go` shows: type, default, variable and one sentence for each option.

use super::env::{PREFIX, variable_name};
use super::option::{Kind, Opt, asks_the_backend, rows};
use super::options::ROOT;
use super::reload;
use std::fmt::Write;

/// Deepest heading.
const LEVEL_MAX: usize = 6;

/// One option with where it stands.
struct Entry {
    /// Its full name; `[]` behind the name of a list.
    path: String,
    /// Its variable; none for options inside of lists without names.
    variable: Option<String>,
    /// 1 at the top.
    level: usize,
    /// It and all it stands in have an effect.
    in_force: bool,
    option: &'static Opt,
}

/// The documentation as Markdown, of the sections at the top whose name begins with `section`. `base_level` is added
/// to the level of every heading.
pub fn markdown(section: &str, base_level: usize) -> String {
    let mut out = String::new();
    for entry in entries(section) {
        let level = "#".repeat((entry.level + base_level).min(LEVEL_MAX));
        let default = entry.default().map(|default| format!(". Default: `{default}`")).unwrap_or_default();
        let variable = entry.variable().map(|name| format!("Env: `{name}`\n\n")).unwrap_or_default();
        write!(out, "{level} `{}`\n\nType: `{}`{default}\n\n{variable}{}\n\n", entry.path, entry.kind(), entry.text())
            .expect("text takes text");
    }
    out
}

/// The same as a page of HTML that needs nothing else.
pub fn page(section: &str) -> String {
    let mut out = String::from(concat!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Spindle: configuration options</title>\n",
        "<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}",
        "dt{margin-top:1rem;font-weight:600}dd{margin:0 0 0 1.5rem}small{color:#666}</style>\n",
        "<h1>Configuration options</h1>\n<dl>\n",
    ));
    for entry in entries(section) {
        let default = entry.default().map(|text| format!(", default <code>{}</code>", escape(text)));
        let variable = entry.variable().map(|name| format!("<br><small><code>{}</code></small>", escape(name)));
        writeln!(
            out,
            "<dt id=\"{0}\"><a href=\"#{0}\"><code>{0}</code></a>\n<dd>{1}<br><small>{2}{3}</small>{4}",
            escape(&entry.path),
            escape(&entry.text()),
            escape(entry.kind()),
            default.unwrap_or_default(),
            variable.unwrap_or_default(),
        )
        .expect("text takes text");
    }
    out.push_str("</dl>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn entries(section: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for option in rows(ROOT).into_iter().filter(|option| option.name.starts_with(section)) {
        collect(option, "", Some(PREFIX), 1, true, &mut found);
    }
    found
}

fn collect(
    option: &'static Opt,
    parent: &str,
    prefix: Option<&str>,
    level: usize,
    in_force: bool,
    found: &mut Vec<Entry>,
) {
    let in_force = in_force && option.in_force;
    let path = if parent.is_empty() { option.name.to_owned() } else { format!("{parent}.{}", option.name) };
    let variable = prefix.map(|prefix| variable_name(prefix, option));
    let (inner, parent, prefix) = match option.kind {
        Kind::Section(inner) => (rows(inner), path.clone(), variable.clone()),
        Kind::List { item, named } => {
            let entry = variable.as_deref().filter(|_| named).map(|variable| format!("{variable}_<NAME>"));
            (rows(item), format!("{path}[]"), entry)
        }
        _ => (Vec::new(), String::new(), None),
    };
    found.push(Entry { path, variable, level, in_force, option });
    for option in inner {
        collect(option, &parent, prefix.as_deref(), level + 1, in_force, found);
    }
}

impl Entry {
    fn kind(&self) -> &'static str {
        match self.option.kind {
            Kind::Bool => "bool",
            Kind::Int { .. } => "int",
            Kind::Duration => "Duration",
            Kind::Text => "string",
            Kind::Texts => "[]string",
            Kind::Map => "map[string]string",
            Kind::Section(_) | Kind::Inline(_) => "object",
            Kind::List { .. } => "[]object",
        }
    }

    fn default(&self) -> Option<&'static str> {
        Some(self.option.default).filter(|default| !default.is_empty())
    }

    /// The variable that sets the option; a section has none of its own.
    fn variable(&self) -> Option<&str> {
        self.variable.as_deref().filter(|_| !matches!(self.option.kind, Kind::Section(_)))
    }

    fn text(&self) -> String {
        let own = if self.option.own { " An option of Spindle alone." } else { "" };
        let effect = match self.option.kind {
            Kind::Section(_) => "",
            _ if asks_the_backend(&self.path) => {
                " The backend cannot be asked in this version: clients are answered 108."
            }
            _ if !self.in_force => " Has no effect in this version.",
            _ if reload::is_taken_over(&self.path) => " A reload takes it over.",
            _ => "",
        };
        format!("{}{own}{effect}", self.option.doc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_with_type_default_and_variable() {
        let text = markdown("channel", 0);
        for part in [
            "# `channel`\n\nType: `object`\n\nChannels",
            "## `channel.max_length`\n\nType: `int`. Default: `255`\n\nEnv: `CENTRIFUGO_CHANNEL_MAX_LENGTH`\n\nLongest",
            "### `channel.namespaces[].presence`\n\nType: `bool`\n\nEnv: `CENTRIFUGO_CHANNEL_NAMESPACES_<NAME>_PRESENCE`",
            "## `channel.namespaces`\n\nType: `[]object`\n\nEnv: `CENTRIFUGO_CHANNEL_NAMESPACES`",
            "status_to_code_transforms[].status_code`\n\nType: `int`\n\nHTTP status",
        ] {
            assert!(text.contains(part), "{part} stands in {}", &text[..2000]);
        }
        assert!(!text.contains("`client"));
        assert!(markdown("", 0).lines().filter(|line| line.starts_with('#')).count() > 1000);
        assert!(markdown("shards", 5).contains("###### `shards.count`"));
        assert!(markdown("shards", 0).contains("An option of Spindle alone."));
        let about = |path: &str| {
            let text = markdown("", 0);
            let start = text.find(&format!("`{path}`")).expect("an option");
            text[start..].split("\n\n").find(|part| part.ends_with('.')).expect("a sentence").to_owned()
        };
        for path in ["channel.namespaces[].presence", "client.token.issuer_regex"] {
            assert!(about(path).ends_with(" A reload takes it over."), "{path}");
        }
        for path in ["channel.max_length", "http_server.port"] {
            assert!(!about(path).contains("reload") && !about(path).contains("no effect"), "{path}");
        }
        for path in ["channel.namespaces[].map.remove_proxy_enabled", "client.proxy.connect.enabled"] {
            assert!(about(path).ends_with(" clients are answered 108."), "{path}");
        }
        for path in ["consumers[].kafka.brokers", "map_broker.postgres.dsn", "graphite.host"] {
            assert!(about(path).ends_with(" Has no effect in this version."), "{path}");
        }
    }

    #[test]
    fn the_page_escapes_what_it_shows() {
        let page = page("channel");
        assert!(page.contains("<code>CENTRIFUGO_CHANNEL_NAMESPACES_&lt;NAME&gt;_PRESENCE</code>"));
        assert!(!page.contains("<NAME>"));
    }
}
