//! `--dev`: options for trying things out on one's own machine.

use super::value::{Origin, Section, Value};

/// Sets what `--dev` stands for: everything in memory, no keys, reachable from this machine alone and from the web
/// pages that the server itself serves.
pub fn apply(options: &mut Section) {
    let port = options.int("http_server.port");
    let pages = ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:{port}"));
    let local = || Value::Text("127.0.0.1".to_owned());
    for (path, value) in [
        ("http_server.address", local()),
        ("http_server.internal_address", local()),
        ("engine.type", Value::Text("memory".to_owned())),
        ("broker.enabled", Value::Bool(false)),
        ("presence_manager.enabled", Value::Bool(false)),
        ("controller.enabled", Value::Bool(false)),
        ("client.insecure", Value::Bool(true)),
        ("http_api.insecure", Value::Bool(true)),
        ("client.allowed_origins", Value::Texts(Some(pages.to_vec()))),
    ] {
        let entry = options.find_mut(path).unwrap_or_else(|| panic!("no option {path}"));
        (entry.value, entry.origin) = (value, Origin::Flag);
    }
}
