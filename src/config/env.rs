//! The environment over the tree of options, and variables inside values.
//!
//! Mirrors `internal/config/envconfig` and `internal/config/config.go` of the reference: `CENTRIFUGO_` and the path in
//! upper case with underscores; an empty variable counts as not set; named lists as JSON or as names, whose entries
//! then have variables of their own.

use super::decode::{Decoder, map_from_env, not_json};
use super::error::Error;
use super::option::{Kind, Opt};
use super::text;
use super::value::{Entry, Origin, Section, Value};
use super::write;
use regex::Regex;
use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

/// The variables of the environment, by name.
pub type Env = BTreeMap<String, String>;

/// The prefix of all variables that mean options.
pub const PREFIX: &str = "CENTRIFUGO";

/// What reading the environment left behind.
#[derive(Debug, Default)]
pub struct Report {
    /// Every variable that stands for an option.
    known: HashSet<String>,
    /// Keys without an option inside JSON values, such as `CENTRIFUGO_PROXIES.[0].colour`.
    pub unknown_keys: Vec<String>,
}

/// Puts the variables of the environment over the values of a section, except over those that a flag set.
pub fn apply(section: &mut Section, prefix: &str, env: &Env, report: &mut Report) -> Result<(), Error> {
    for entry in &mut section.entries {
        let variable = variable_name(prefix, entry.option);
        if let Value::Section(inner) = &mut entry.value {
            apply(inner, &variable, env, report)?;
            continue;
        }
        if entry.origin != Origin::Flag
            && let Some(text) = env.get(&variable).filter(|text| !text.is_empty())
        {
            set(entry, &variable, text, env, report)?;
        }
        if let (Value::List(items), Kind::List { named: true, .. }) = (&mut entry.value, entry.option.kind) {
            for item in items {
                let prefix = format!("{variable}_{}", item_name(item.text("name")));
                apply(item, &prefix, env, report)?;
            }
        }
        report.known.insert(variable);
    }
    Ok(())
}

/// Calls `each` with the name of every variable that stands for an option of the section, entries of named lists
/// included.
pub fn variables<'s>(section: &'s Section, prefix: &str, each: &mut impl FnMut(String, &'s Entry)) {
    for entry in &section.entries {
        let variable = variable_name(prefix, entry.option);
        match (&entry.value, entry.option.kind) {
            (Value::Section(inner), _) => {
                if !write::is_hidden(entry) {
                    variables(inner, &variable, each);
                }
                continue;
            }
            (Value::List(items), Kind::List { named: true, .. }) => {
                for item in items {
                    variables(item, &format!("{variable}_{}", item_name(item.text("name"))), each);
                }
            }
            _ => {}
        }
        each(variable, entry);
    }
}

/// The variable of an option below a prefix.
pub fn variable_name(prefix: &str, option: &Opt) -> String {
    format!("{prefix}_{}", option.name.to_uppercase())
}

/// The name of a list entry as it stands in variables.
pub fn item_name(name: &str) -> String {
    name.replace(['.', '-'], "_").to_uppercase()
}

fn set(entry: &mut Entry, variable: &str, text: &str, env: &Env, report: &mut Report) -> Result<(), Error> {
    let kind = entry.option.kind;
    match kind {
        Kind::Map => entry.value = map_from_env(text, variable, env)?,
        Kind::List { item, named } => {
            let Value::List(items) = &mut entry.value else { unreachable!("the value follows the kind") };
            if named && !(text.starts_with('[') && text.ends_with(']')) {
                // Names come on top of the entries that the file has.
                for name in text.split(' ') {
                    let mut section = Section::new(item);
                    if let Some(entry) = section.entry_mut("name") {
                        (entry.value, entry.origin) = (Value::Text(name.to_owned()), Origin::Env);
                    }
                    items.push(section);
                }
            } else {
                *items = list_from_json(text, item, variable, env, report)?;
            }
        }
        _ => {
            entry.value = text::parse(kind, text).ok_or_else(|| Error::Value {
                option: variable.to_owned(),
                expected: text::expected(kind),
                found: format!("{text:?}"),
            })?;
        }
    }
    entry.origin = Origin::Env;
    Ok(())
}

fn list_from_json(
    text: &str,
    item: &'static [Opt],
    variable: &str,
    env: &Env,
    report: &mut Report,
) -> Result<Vec<Section>, Error> {
    let json: Option<Vec<serde_json::Value>> =
        serde_json::from_str(text).map_err(|_| not_json(variable, "a JSON list of objects"))?;
    let json = json.unwrap_or_default();
    let mut decoder = Decoder::new(env, Origin::File);
    let mut items = Vec::with_capacity(json.len());
    for (index, json) in json.iter().enumerate() {
        let mut section = Section::new(item);
        decoder.section(&mut section, json, &format!("{variable}.[{index}]"))?;
        items.push(section);
    }
    report.unknown_keys.append(&mut decoder.unknown);
    Ok(items)
}

impl Report {
    /// Variables with our prefix that no option has, except those that Kubernetes adds to every container and those
    /// that are for use inside values.
    pub fn unknown(&self, env: &Env) -> Vec<String> {
        let ours = |name: &&String| name.starts_with(PREFIX) && name[PREFIX.len()..].starts_with('_');
        let wanted = |name: &&String| {
            !KUBERNETES.is_match(name) && !name.starts_with("CENTRIFUGO_VAR_") && !self.known.contains(*name)
        };
        env.keys().filter(ours).filter(wanted).cloned().collect()
    }
}

static KUBERNETES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^CENTRIFUGO(?:_[A-Z0-9_]+)?_(PORT|SERVICE_)").expect("a constant pattern"));

static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{(CENTRIFUGO_VAR_[^}]+)\}").expect("a constant pattern"));

/// Replaces `${CENTRIFUGO_VAR_...}` in a value. `option` is named when a variable is missing.
pub fn expand(value: &str, env: &Env, option: &str) -> Result<String, Error> {
    let mut expanded = String::with_capacity(value.len());
    let mut end = 0;
    for found in VARIABLE.captures_iter(value) {
        let (whole, name) = (found.get_match(), &found[1]);
        let Some(content) = env.get(name) else {
            return Err(Error::MissingVariable { option: option.to_owned(), variable: name.to_owned() });
        };
        expanded.push_str(&value[end..whole.start()]);
        expanded.push_str(content);
        end = whole.end();
    }
    expanded.push_str(&value[end..]);
    Ok(expanded)
}
