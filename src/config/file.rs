//! A configuration file as a tree of plain values, whatever its format.

use super::error::Error;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_norway::Value as Yaml;

/// The formats of configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.json`
    Json,
    /// `.toml`
    Toml,
    /// `.yaml`, `.yml`
    Yaml,
}

impl Format {
    /// The format of a file by the extension of its name, which must be in lower case as in the reference.
    pub fn of(name: &str) -> Result<Format, Error> {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("json") => Ok(Format::Json),
            Some("toml") => Ok(Format::Toml),
            Some("yaml" | "yml") => Ok(Format::Yaml),
            _ => Err(Error::UnknownFormat { file: name.to_owned() }),
        }
    }
}

/// Reads the text of a file. An empty YAML or TOML file is an empty configuration, an empty JSON file an error.
pub fn parse(name: &str, text: &str) -> Result<Json, Error> {
    let syntax = |detail: String| Error::Syntax { file: name.to_owned(), detail };
    let root: Json = match Format::of(name)? {
        Format::Json => serde_json::from_str(text).map_err(|error| syntax(error.to_string()))?,
        Format::Toml => toml::from_str(text).map_err(|error| syntax(error.to_string()))?,
        Format::Yaml => yaml(text).map_err(|error| syntax(error.to_string()))?,
    };
    match root {
        Json::Object(_) => Ok(root),
        Json::Null => Ok(Json::Object(serde_json::Map::new())),
        _ => Err(syntax("expected an object with options at the top".to_owned())),
    }
}

/// The first document of a YAML text. Anchors and merge keys (`<<`) are resolved, a key that stands twice is refused.
fn yaml(text: &str) -> Result<Json, serde_norway::Error> {
    let Some(first) = serde_norway::Deserializer::from_str(text).next() else {
        return Ok(Json::Null);
    };
    plain(Yaml::deserialize(first)?)
}

/// YAML without what JSON does not have: tags are dropped, keys are texts, a number that is none is nothing.
fn plain(yaml: Yaml) -> Result<Json, serde_norway::Error> {
    Ok(match yaml {
        Yaml::Null => Json::Null,
        Yaml::Bool(value) => Json::Bool(value),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => value.into(),
            (None, Some(value)) => value.into(),
            (None, None) => number.as_f64().into(),
        },
        Yaml::String(text) => Json::String(text),
        Yaml::Sequence(items) => Json::Array(items.into_iter().map(plain).collect::<Result<_, _>>()?),
        Yaml::Mapping(pairs) => {
            let mut object = serde_json::Map::with_capacity(pairs.len());
            let mut merged = Vec::new();
            for (key, value) in pairs {
                match value {
                    Yaml::Mapping(_) if is_merge(&key) => merged.push(value),
                    Yaml::Sequence(items) if is_merge(&key) && items.iter().all(Yaml::is_mapping) => {
                        merged.extend(items)
                    }
                    value => _ = object.insert(key_of(key)?, plain(value)?),
                }
            }
            // What stands in the mapping itself wins, then what was merged first.
            for mapping in merged {
                let Json::Object(pairs) = plain(mapping)? else { continue };
                for (key, value) in pairs {
                    object.entry(key).or_insert(value);
                }
            }
            Json::Object(object)
        }
        Yaml::Tagged(tagged) => plain(tagged.value)?,
    })
}

/// Whether a key merges mappings; one that does not lead to mappings is a key like others.
fn is_merge(key: &Yaml) -> bool {
    key.as_str() == Some("<<")
}

fn key_of(yaml: Yaml) -> Result<String, serde_norway::Error> {
    match yaml {
        Yaml::String(text) => Ok(text),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Number(number) => Ok(number.to_string()),
        _ => Err(serde::de::Error::custom("a key is neither a text nor a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, expected: Result<Json, &str>) {
        let found = parse("a.yaml", text).map_err(|error| error.to_string());
        match (&found, &expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(error), Err(words)) => assert!(error.contains(words), "{text}: {error}"),
            _ => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn yaml_as_plain_values() {
        check("", Ok(json!({})));
        check("---\n", Ok(json!({})));
        check("a: 1\n---\na: 2\n", Ok(json!({"a": 1})));
        check("x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\nz: *x\n", {
            Ok(json!({"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 2}, "z": {"a": 1, "b": 2}}))
        });
        check("x: &x {a: 1}\ny: [{<<: *x}]\n", Ok(json!({"x": {"a": 1}, "y": [{"a": 1}]})));
        check("x: {<<: [{a: 1, b: 1}, {b: 2, c: 2}], c: 3}\n", Ok(json!({"x": {"c": 3, "a": 1, "b": 1}})));
        check("x: {\"<<\": a, y: 1}\n", Ok(json!({"x": {"<<": "a", "y": 1}})));
        check("a: !any {b: !other c}\n1: ~\ntrue: 1.5\n", Ok(json!({"a": {"b": "c"}, "1": null, "true": 1.5})));
        check("a: [0x10, 010, -1, 18446744073709551615, .inf]\n", {
            Ok(json!({"a": [16, "010", -1, 18_446_744_073_709_551_615_u64, null]}))
        });
    }

    #[test]
    fn yaml_that_is_refused() {
        check("a: {b: 1}\na: {b: 2}\n", Err("duplicate entry with key \"a\""));
        check("a:\n  b: 1\n  b: 2\n", Err("duplicate entry with key \"b\""));
        check("[a]: b\n", Err("a key is neither a text nor a number"));
        check("a: *nope\n", Err("unknown anchor"));
        check("a: &a [*a]\n", Err("recursion limit"));
        check(&format!("a: {}{}", "[".repeat(500), "]".repeat(500)), Err("recursion limit"));
        check("- a\n", Err("expected an object"));
    }
}
