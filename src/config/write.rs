//! The tree of options as the text of a configuration file, and single values as they stand in the environment.

use super::duration;
use super::file::Format;
use super::option::Kind;
use super::value::{Entry, Origin, Section, Value};
use serde_json::{Map, Value as Json};

/// The whole configuration in a format.
///
/// Options of Spindle alone are left out while nobody set them, so that the result stays a configuration for Centrifugo
/// too; unreleased ones are left out as in the reference (`internal/cli/defaultconfig.go`).
pub fn write(options: &Section, format: Format) -> String {
    let root = object(options, format);
    match format {
        Format::Json => serde_json::to_string_pretty(&root).expect("plain values are JSON"),
        Format::Yaml => serde_norway::to_string(&root).expect("plain values are YAML"),
        Format::Toml => toml::to_string(&root).expect("plain values without nulls are TOML"),
    }
}

fn object(section: &Section, format: Format) -> Json {
    let shown = section.entries.iter().filter(|entry| !is_hidden(entry));
    // TOML takes what follows a table for a part of it: plain values have to come first.
    let (tables, mut plain): (Vec<_>, Vec<_>) = shown.partition(|entry| format == Format::Toml && is_table(entry));
    plain.extend(tables);
    let pairs = plain.into_iter().map(|entry| (entry.option.name.to_owned(), value(entry, format)));
    Json::Object(pairs.collect::<Map<_, _>>())
}

/// Whether an option is left out of what is generated: it is unreleased, or of Spindle alone and not set.
pub fn is_hidden(entry: &Entry) -> bool {
    let unset = |entry: &Entry| match &entry.value {
        Value::Section(section) => section.entries.iter().all(|entry| entry.origin == Origin::Unset),
        _ => entry.origin == Origin::Unset,
    };
    entry.option.name == "redisnats" || entry.option.own && unset(entry)
}

fn is_table(entry: &Entry) -> bool {
    match &entry.value {
        Value::Section(_) | Value::Map(_) => true,
        Value::List(items) => !items.is_empty(),
        _ => false,
    }
}

fn value(entry: &Entry, format: Format) -> Json {
    match &entry.value {
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Duration(ns) => Json::String(duration::format(*ns)),
        Value::Text(text) => Json::String(text.clone()),
        // A list that was never set is null in JSON, as Go writes it.
        Value::Texts(None) if format == Format::Json => Json::Null,
        Value::Texts(texts) => Json::from(texts.clone().unwrap_or_default()),
        Value::Map(pairs) => pairs.iter().map(|(key, value)| (key.clone(), Json::String(value.clone()))).collect(),
        Value::Section(section) => object(section, format),
        Value::List(items) => items.iter().map(|item| object(item, format)).collect(),
    }
}

/// The value of an option as a variable has it, quoted for a shell or a `.env` file.
///
/// Mirrors `internal/cli/defaultenv.go`: named lists by their names, other lists of sections as JSON.
pub fn env_value(entry: &Entry) -> String {
    match &entry.value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Duration(ns) => duration::format(*ns),
        Value::Text(text) => quoted(text),
        Value::Texts(texts) => match texts.as_deref() {
            None | Some([]) => quoted(""),
            Some(texts) => texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(" "),
        },
        Value::List(items) if matches!(entry.option.kind, Kind::List { named: true, .. }) => {
            quoted(&items.iter().map(|item| item.text("name")).collect::<Vec<_>>().join(" "))
        }
        Value::Map(_) | Value::List(_) | Value::Section(_) => quoted(&value(entry, Format::Json).to_string()),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
