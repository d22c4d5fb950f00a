//! Loading: file, environment and flags into one tree of options.

use super::decode::{Decoder, prune};
use super::env::{self, Env, Report};
use super::error::Error;
use super::option::Kind;
use super::options::ROOT;
use super::value::{Origin, Section, Value};
use super::{file, text};

/// Where options come from. Reading files and the environment is the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Name and content of the configuration file, when there is one.
    pub file: Option<(&'a str, &'a str)>,
    /// The environment.
    pub env: &'a Env,
    /// Paths of options with their values, from the command line. The last of several counts.
    pub flags: &'a [(String, String)],
}

/// The options as loaded, with defaults, and what there is to say about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// All options.
    pub options: Section,
    /// Keys of the file that no option has.
    pub unknown_keys: Vec<String>,
    /// Variables of the environment, or keys inside them, that no option has.
    pub unknown_env: Vec<String>,
    /// Options that were set to something else than their default and have no effect in this version.
    pub idle: Vec<String>,
}

/// The options as the file alone sets them, without defaults: zero where it says nothing.
pub fn as_written(sources: Sources<'_>) -> Result<Section, Error> {
    decode(sources).map(|(options, _)| options)
}

/// The options of the file, and its keys that no option has.
fn decode(sources: Sources<'_>) -> Result<(Section, Vec<String>), Error> {
    let mut options = Section::new(ROOT);
    let mut decoder = Decoder::new(sources.env, Origin::File);
    if let Some((name, content)) = sources.file {
        let mut content = file::parse(name, content)?;
        prune(&mut content);
        decoder.section(&mut options, &content, "")?;
    }
    Ok((options, decoder.unknown))
}

/// Loads the options. The strongest source wins: flags, then environment, then file, then defaults.
pub fn load(sources: Sources<'_>) -> Result<Loaded, Error> {
    let (mut options, unknown_keys) = decode(sources)?;
    for (path, value) in sources.flags {
        let entry = options.find_mut(path).unwrap_or_else(|| panic!("flags are made from options: {path}"));
        let kind = entry.option.kind;
        entry.value = text::parse(kind, value).ok_or_else(|| Error::Value {
            option: format!("{path} (flag)"),
            expected: text::expected(kind),
            found: format!("{value:?}"),
        })?;
        entry.origin = Origin::Flag;
    }
    let mut report = Report::default();
    env::apply(&mut options, env::PREFIX, sources.env, &mut report)?;
    options.fill_defaults();
    let mut unknown_env = report.unknown(sources.env);
    unknown_env.append(&mut report.unknown_keys);
    let mut idle = Vec::new();
    find_idle(&options, "", true, &mut idle);
    Ok(Loaded { options, unknown_keys, unknown_env, idle })
}

fn find_idle(section: &Section, path: &str, in_force: bool, idle: &mut Vec<String>) {
    for entry in &section.entries {
        let here = if path.is_empty() { entry.option.name.to_owned() } else { format!("{path}.{}", entry.option.name) };
        let in_force = in_force && entry.option.in_force;
        match &entry.value {
            Value::Section(inner) => find_idle(inner, &here, in_force, idle),
            Value::List(items) if in_force => {
                for (index, item) in items.iter().enumerate() {
                    find_idle(item, &format!("{here}.[{index}]"), true, idle);
                }
            }
            value => {
                let changed = match entry.option.kind {
                    Kind::List { .. } => *value != Value::List(Vec::new()),
                    Kind::Texts if entry.option.default.is_empty() => {
                        matches!(value, Value::Texts(Some(texts)) if !texts.is_empty())
                    }
                    _ => entry.origin != Origin::Unset && *value != Value::default_of(entry.option),
                };
                if changed && !in_force {
                    idle.push(here);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
