//! Rules of proxies.

use super::{NAME_RULE, good_name};
use crate::config::error::Error;
use crate::config::value::Section;

/// The name that stands for the proxy configured at the place itself.
pub const DEFAULT: &str = "default";

/// Longest message or reason: what fits into a WebSocket close frame.
const MESSAGE_MAX: usize = 123;

/// Checks the proxies that have names, and those of connections; returns all names that may be referred to.
pub fn names(options: &Section) -> Result<Vec<&str>, Error> {
    for path in ["client.proxy.connect", "client.proxy.refresh"] {
        let proxy = options.section(path);
        if proxy.bool("enabled") {
            check(proxy, path)?;
        }
    }
    let mut names = Vec::new();
    for (index, proxy) in options.list("proxies").iter().enumerate() {
        let (name, path) = (proxy.text("name"), format!("proxies.[{index}]"));
        let problem = match name {
            _ if names.contains(&name) => format!("the proxy name {name:?} is used twice"),
            _ if !good_name(name) => format!("the proxy name {name:?} {NAME_RULE}"),
            DEFAULT => format!("the proxy name {DEFAULT:?} is reserved"),
            _ => String::new(),
        };
        if !problem.is_empty() {
            return Err(Error::invalid(format!("{path}.name"), problem));
        }
        check(proxy, &path)?;
        names.push(name);
    }
    names.push(DEFAULT);
    Ok(names)
}

/// Checks one proxy that is in use.
pub fn check(proxy: &Section, path: &str) -> Result<(), Error> {
    if proxy.duration_ns("timeout") == 0 {
        return Err(Error::invalid(format!("{path}.timeout"), "must be set"));
    }
    if proxy.text("endpoint").is_empty() {
        return Err(Error::invalid(format!("{path}.endpoint"), "must be set"));
    }
    for (index, transform) in proxy.list("http.status_to_code_transforms").iter().enumerate() {
        status_transform(transform, &format!("{path}.http.status_to_code_transforms.[{index}]"))?;
    }
    Ok(())
}

fn status_transform(transform: &Section, path: &str) -> Result<(), Error> {
    let (error, disconnect) = (transform.int("to_error.code"), transform.int("to_disconnect.code"));
    if transform.int("status_code") == 0 {
        return Err(Error::invalid(format!("{path}.status_code"), "must be set"));
    }
    match (error, disconnect) {
        (0, 0) => return Err(Error::invalid(path, "needs to_error.code or to_disconnect.code")),
        (0, _) | (_, 0) => {}
        _ => return Err(Error::invalid(path, "takes to_error or to_disconnect, not both")),
    }
    for name in ["to_disconnect.reason", "to_error.message"] {
        let text = transform.text(name);
        if !text.is_ascii() {
            return Err(Error::invalid(format!("{path}.{name}"), "must be ASCII"));
        }
        if text.len() > MESSAGE_MAX {
            return Err(Error::invalid(format!("{path}.{name}"), format!("is longer than {MESSAGE_MAX} bytes")));
        }
    }
    Ok(())
}

/// Checks that a proxy referred to exists, and that it can be asked when it is the default one and in use.
pub fn reference(
    options: &Section,
    names: &[&str],
    name: &str,
    option: &str,
    enabled: bool,
    default: &str,
) -> Result<(), Error> {
    if !name.is_empty() && !names.contains(&name) {
        return Err(Error::invalid(option, format!("there is no proxy with the name {name:?}")));
    }
    if enabled && name == DEFAULT {
        check(options.section(default), default)?;
    }
    Ok(())
}
