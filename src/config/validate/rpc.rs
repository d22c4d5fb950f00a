//! Rules of RPC namespaces.

use super::{NAME_RULE, good_name, proxy};
use crate::config::error::Error;
use crate::config::value::Section;

/// Checks RPC options with and without namespace.
pub fn all(options: &Section, proxies: &[&str]) -> Result<(), Error> {
    let check = |rpc: &Section, path: &str| {
        let option = format!("{path}.proxy_name");
        // The reference does not look at the default RPC proxy here even where it is in use.
        proxy::reference(options, proxies, rpc.text("proxy_name"), &option, false, "rpc.proxy")
    };
    check(options.section("rpc.without_namespace"), "rpc.without_namespace")?;
    let mut seen = Vec::new();
    for (index, namespace) in options.list("rpc.namespaces").iter().enumerate() {
        let (name, path) = (namespace.text("name"), format!("rpc.namespaces.[{index}]"));
        if seen.contains(&name) {
            return Err(Error::invalid(format!("{path}.name"), format!("the rpc namespace {name:?} stands twice")));
        }
        if !good_name(name) {
            return Err(Error::invalid(format!("{path}.name"), format!("the rpc namespace name {name:?} {NAME_RULE}")));
        }
        check(namespace, &path)?;
        seen.push(name);
    }
    Ok(())
}
