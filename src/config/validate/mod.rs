//! Rules that single values cannot state. What `checkconfig` runs.
//!
//! Same verdicts as `internal/config/validate.go`, and like there a few mistakes are found only when the server is
//! about to start: see [`super::prepare`].

mod channel;
mod consumer;
mod map;
mod proxy;
mod rpc;
mod shared_poll;

use super::error::Error;
use super::value::Section;

const BROKERS: [&str; 5] = ["memory", "nats", "redis", "redisnats", "postgres"];
const MAP_BROKERS: [&str; 3] = ["memory", "redis", "postgres"];

/// Checks the options as loaded. The first problem found is returned.
pub fn validate(options: &Section) -> Result<(), Error> {
    http_server(options)?;
    known_choice(options.text("broker.type"), "broker.type", &BROKERS)?;
    known_choice(options.text("map_broker.type"), "map_broker.type", &MAP_BROKERS)?;
    for path in ["client.token.user_id_claim", "client.subscription_token.user_id_claim"] {
        user_id_claim(options.text(path), path)?;
    }
    let proxies = proxy::names(options)?;
    channel::all(options, &proxies)?;
    rpc::all(options, &proxies)?;
    consumer::all(options)?;
    transforms(options)
}

fn http_server(options: &Section) -> Result<(), Error> {
    if !options.bool("http_server.h2c_external") {
        return Ok(());
    }
    let internal = options.text("http_server.internal_port");
    if internal.is_empty() || *internal == options.int("http_server.port").to_string() {
        let problem = "needs an internal port other than http_server.port (http_server.internal_port)";
        return Err(Error::invalid("http_server.h2c_external", problem));
    }
    if options.bool("http_server.tls.enabled") {
        return Err(Error::invalid("http_server.h2c_external", "cannot be used together with http_server.tls.enabled"));
    }
    Ok(())
}

fn user_id_claim(claim: &str, path: &str) -> Result<(), Error> {
    if claim.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
        return Ok(());
    }
    Err(Error::invalid(path, format!("the claim {claim:?} may only hold letters and underscores")))
}

/// The mappings of error codes of connect, for unidirectional clients.
fn transforms(options: &Section) -> Result<(), Error> {
    let path = "client.connect_code_to_unidirectional_disconnect.transforms";
    for (index, transform) in options.list(path).iter().enumerate() {
        let at = |name: &str| format!("{path}.[{index}].{name}");
        set(transform, "code", &at("code"))?;
        set(transform, "to.code", &at("to.code"))?;
        if !transform.text("to.reason").is_ascii() {
            return Err(Error::invalid(at("to.reason"), "must be ASCII"));
        }
    }
    for transport in ["uni_sse", "uni_http_stream"] {
        let path = format!("{transport}.connect_code_to_http_response.transforms");
        for (index, transform) in options.list(&path).iter().enumerate() {
            set(transform, "code", &format!("{path}.[{index}].code"))?;
            set(transform, "to.status_code", &format!("{path}.[{index}].to.status_code"))?;
        }
    }
    Ok(())
}

/// A number that must not be zero.
fn set(section: &Section, name: &str, path: &str) -> Result<(), Error> {
    if section.int(name) == 0 { Err(Error::invalid(path, "must be set")) } else { Ok(()) }
}

/// A text that must be one of a few.
fn known_choice(value: &str, path: &str, known: &[&str]) -> Result<(), Error> {
    if known.contains(&value) {
        return Ok(());
    }
    let known: Vec<_> = known.iter().filter(|choice| !choice.is_empty()).copied().collect();
    Err(Error::invalid(path, format!("unknown value {value:?}, expected one of: {}", known.join(", "))))
}

/// Names of namespaces and proxies: at least two of letters, digits, `-`, `_` and `.`.
fn good_name(name: &str) -> bool {
    name.len() >= 2 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

const NAME_RULE: &str = "must be at least two characters of a-z, A-Z, 0-9, -, _ and .";

#[cfg(test)]
mod tests;
