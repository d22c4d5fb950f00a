//! Plain values from a file into the tree of options.
//!
//! Mirrors what the reference accepts (viper and mapstructure with weak typing): keys without regard to case, dots in
//! keys as levels, numbers and switches as texts and the other way round, one value where a list is expected, an
//! empty object for something that is not set. It is stricter in two points that are mistakes rather than styles: a
//! fraction is no whole number, and a number beyond what an option takes is none that wraps around.

use super::env::{Env, expand};
use super::error::Error;
use super::option::Kind;
use super::text;
use super::value::{Origin, Section, Value};
use serde_json::Value as Json;

/// Decodes plain values into sections, remembering keys that no option has.
pub struct Decoder<'a> {
    env: &'a Env,
    origin: Origin,
    /// Keys without an option, in the order found, such as `channel.namespaces.[0].colour`.
    pub unknown: Vec<String>,
}

impl<'a> Decoder<'a> {
    /// A decoder for values from `origin`; `env` is for `${CENTRIFUGO_VAR_...}` in maps.
    pub fn new(env: &'a Env, origin: Origin) -> Decoder<'a> {
        Decoder { env, origin, unknown: Vec::new() }
    }

    /// Puts the values of an object into a section. `path` is where the section stands, empty at the top.
    pub fn section(&mut self, section: &mut Section, json: &Json, path: &str) -> Result<(), Error> {
        let object = match json {
            Json::Null => return Ok(()),
            Json::Object(object) => object,
            _ => return Err(wrong(path, "an object with options", json)),
        };
        for (key, value) in object {
            self.key(section, &key.to_lowercase(), value, path)?;
        }
        Ok(())
    }

    fn key(&mut self, section: &mut Section, key: &str, json: &Json, path: &str) -> Result<(), Error> {
        let here = join(path, key);
        if let Some(entry) = section.entry_mut(key) {
            if json.is_null() {
                return Ok(());
            }
            match (&mut entry.value, entry.option.kind) {
                (Value::Section(inner), _) => self.section(inner, json, &here)?,
                (value, Kind::List { item, .. }) => {
                    let mut items = Vec::new();
                    for (index, json) in elements(json, &here)?.into_iter().enumerate() {
                        let mut section = Section::new(item);
                        self.section(&mut section, json, &format!("{here}.[{index}]"))?;
                        items.push(section);
                    }
                    *value = Value::List(items);
                }
                (value, Kind::Map) => *value = Value::Map(pairs(json, &here, self.env)?),
                (value, kind) => {
                    *value = scalar(kind, json).ok_or_else(|| wrong(&here, &text::expected(kind), json))?
                }
            }
            entry.origin = self.origin;
            return Ok(());
        }
        // Viper takes dots for levels, though not inside of lists.
        if let Some((head, rest)) = key.split_once('.').filter(|_| !path.contains(".["))
            && let Some(Value::Section(inner)) = section.entry_mut(head).map(|entry| &mut entry.value)
        {
            return self.key(inner, rest, json, &join(path, head));
        }
        self.unknown.push(here);
        Ok(())
    }
}

/// Takes away what viper does not see: nulls and objects without anything in them, though not those inside of lists.
pub fn prune(json: &mut Json) {
    if let Json::Object(object) = json {
        object.values_mut().for_each(prune);
        object.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|object| !object.is_empty()));
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The entries of a list of sections; a single object stands for a list of one.
fn elements<'j>(json: &'j Json, path: &str) -> Result<Vec<&'j Json>, Error> {
    match json {
        Json::Array(items) => Ok(items.iter().collect()),
        Json::Object(object) if object.is_empty() => Ok(Vec::new()),
        Json::Object(_) => Ok(vec![json]),
        _ => Err(wrong(path, "a list of objects", json)),
    }
}

fn scalar(kind: Kind, json: &Json) -> Option<Value> {
    match (kind, json) {
        (Kind::Bool, Json::Bool(value)) => Some(Value::Bool(*value)),
        (Kind::Bool, Json::Number(number)) => Some(Value::Bool(number.as_f64()? != 0.0)),
        (Kind::Bool, Json::String(text)) if text.is_empty() => Some(Value::Bool(false)),
        (Kind::Int { min, max }, Json::Number(number)) => {
            whole(number).filter(|value| (min..=max).contains(value)).map(Value::Int)
        }
        (Kind::Int { min, max }, Json::Bool(value)) => {
            Some(i64::from(*value)).filter(|value| (min..=max).contains(value)).map(Value::Int)
        }
        (Kind::Duration, Json::Bool(value)) => Some(Value::Duration(i64::from(*value))),
        (Kind::Int { .. }, Json::String(text)) if text.is_empty() => Some(Value::Int(0)),
        (Kind::Duration, Json::Number(number)) => whole(number).map(Value::Duration),
        (Kind::Bool | Kind::Int { .. } | Kind::Duration, Json::String(text)) => text::parse(kind, text),
        (Kind::Text, _) => as_text(json).map(Value::Text),
        (Kind::Texts, Json::Array(items)) => {
            let texts = items.iter().map(|item| if item.is_null() { Some(String::new()) } else { as_text(item) });
            texts.collect::<Option<Vec<_>>>().map(|texts| Value::Texts(Some(texts)))
        }
        (Kind::Texts, Json::Object(object)) if object.is_empty() => Some(Value::Texts(Some(Vec::new()))),
        (Kind::Texts, _) => as_text(json).map(|text| Value::Texts(Some(vec![text]))),
        _ => None,
    }
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let value = number.as_f64()?;
        // Up to 2^53 a float holds every whole number exactly.
        (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
    })
}

fn as_text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Bool(value) => Some(u8::from(*value).to_string()),
        Json::Number(number) => Some(match number.as_f64() {
            Some(value) if number.is_f64() => value.to_string(),
            _ => number.to_string(),
        }),
        _ => None,
    }
}

/// A map: an object, whose keys are lower-cased like all keys, or a list of objects with `key` and `value`, which
/// keeps keys as they are. Mirrors `internal/configtypes/stringmap.go`.
fn pairs(json: &Json, path: &str, env: &Env) -> Result<Vec<(String, String)>, Error> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let expected = || text::expected(Kind::Map);
    match json {
        Json::Object(object) => {
            for (key, value) in object {
                if value.is_null() {
                    continue;
                }
                let value = value.as_str().ok_or_else(|| wrong(&join(path, key), "a text", value))?;
                pairs.push((key.to_lowercase(), value.to_owned()));
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let here = format!("{path}.[{index}]");
                let field = |name: &str| {
                    let found = item.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1;
                    found.as_str().map(str::to_owned)
                };
                let (Some(key), Some(value)) = (field("key"), field("value")) else {
                    return Err(wrong(&here, "an object with the texts key and value", item));
                };
                if pairs.iter().any(|(known, _)| *known == key) {
                    return Err(Error::invalid(here, format!("the key {key:?} stands twice in the list")));
                }
                pairs.push((key, value));
            }
        }
        _ => return Err(wrong(path, &expected(), json)),
    }
    for (_, value) in &mut pairs {
        *value = expand(value, env, path)?;
    }
    Ok(pairs)
}

/// The error of a value that does not fit. Texts are repeated only where they cannot be secrets.
fn wrong(path: &str, expected: &str, json: &Json) -> Error {
    let found = match json {
        Json::Null => "nothing".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) if text.len() <= 64 => format!("{text:?}"),
        Json::String(_) => "a long text".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
    };
    let option = if path.is_empty() { "the configuration" } else { path };
    Error::Value { option: option.to_owned(), expected: expected.to_owned(), found }
}

/// Decodes a map that stands as JSON in the environment.
pub fn map_from_env(text: &str, variable: &str, env: &Env) -> Result<Value, Error> {
    let json: Json = serde_json::from_str(text).map_err(|_| not_json(variable, "a JSON object of texts"))?;
    // Unlike in a file, keys keep their case here.
    match &json {
        Json::Null => Ok(Value::Map(Vec::new())),
        Json::Object(object) => {
            let list = object
                .iter()
                .map(|(key, value)| {
                    let value = if value.is_null() { "".into() } else { value.clone() };
                    serde_json::json!({ "key": key, "value": value })
                })
                .collect();
            pairs(&Json::Array(list), variable, env).map(Value::Map)
        }
        _ => Err(not_json(variable, "a JSON object of texts")),
    }
}

/// The error of a variable whose JSON does not parse; its text is not repeated.
pub fn not_json(variable: &str, expected: &str) -> Error {
    Error::Value { option: variable.to_owned(), expected: expected.to_owned(), found: "something else".to_owned() }
}
