//! Writing a new configuration file.

use crate::config::error::Error;
use crate::config::file::Format;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

/// The format in which a file is to be written.
pub fn format(path: &str) -> Result<Format, String> {
    Format::of(path).map_err(|error| match error {
        Error::UnknownFormat { .. } => {
            "output config file must have one of supported extensions: json, toml, yaml, yml".to_owned()
        }
        error => error.to_string(),
    })
}

/// Writes a file that must not exist yet, readable by its owner alone: it holds secrets.
pub fn create(path: &str, content: &str) -> Result<(), String> {
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("output config file already exists: {path}"),
        _ => format!("cannot write {path}: {error}"),
    })
}
