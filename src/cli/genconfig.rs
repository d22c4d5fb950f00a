//! `genconfig`: a small configuration file with fresh secrets to start with.
//!
//! Mirrors `internal/tools/config.go`: the same options, secrets of the same length.

use super::args::ConfigFile;
use super::write;
use crate::config::file::Format;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::Rng;
use serde_json::{Value as Json, json};
use std::process::ExitCode;

/// Writes the file.
pub fn run(args: &ConfigFile) -> ExitCode {
    let written = write::format(&args.config).and_then(|format| {
        let secrets = [secret(64), secret(16), secret(64), secret(64)];
        write::create(&args.config, &content(format, &secrets))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn content(format: Format, [token, password, admin, api]: &[String; 4]) -> String {
    let config: Json = json!({
        "client": { "allowed_origins": [], "token": { "hmac_secret_key": token } },
        "admin": { "enabled": false, "password": password, "secret": admin },
        "http_api": { "key": api },
    });
    match format {
        Format::Json => serde_json::to_string_pretty(&config).expect("plain values are JSON") + "\n",
        Format::Yaml => serde_norway::to_string(&config).expect("plain values are YAML"),
        Format::Toml => toml::to_string(&config).expect("plain values are TOML"),
    }
}

/// Random bytes as text.
fn secret(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    rand::rng().fill_bytes(&mut buffer);
    BASE64_URL_SAFE_NO_PAD.encode(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    #[test]
    fn what_is_generated_reads_back() {
        let secrets = ["token", "password", "admin", "api"].map(str::to_owned);
        for (format, name) in [(Format::Json, "a.json"), (Format::Yaml, "a.yaml"), (Format::Toml, "a.toml")] {
            let text = content(format, &secrets);
            let sources = Sources { file: Some((name, &text)), env: &Default::default(), flags: &[] };
            let loaded = load(sources).unwrap();
            assert!(loaded.unknown_keys.is_empty(), "{name}");
            for (path, value) in [
                ("client.token.hmac_secret_key", "token"),
                ("admin.password", "password"),
                ("admin.secret", "admin"),
                ("http_api.key", "api"),
            ] {
                assert_eq!(loaded.options.text(path), value, "{name}");
            }
        }
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (one, other) = (secret(64), secret(64));
        assert_eq!((one.len(), secret(16).len()), (86, 22));
        assert_ne!(one, other);
    }
}
