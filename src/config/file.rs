//! A configuration file as a tree of plain values, whatever its format.

use super::error::Error;
use serde_json::Value as Json;

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
        Format::Yaml => serde_norway::from_str(text).map_err(|error| syntax(error.to_string()))?,
    };
    match root {
        Json::Object(_) => Ok(root),
        Json::Null => Ok(Json::Object(serde_json::Map::new())),
        _ => Err(syntax("expected an object with options at the top".to_owned())),
    }
}
