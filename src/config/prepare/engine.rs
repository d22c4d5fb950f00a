//! What this version cannot do and must not pass over in silence: other engines, and everything whose absence would
//! make a server less safe than its configuration says.

use crate::config::error::Error;
use crate::config::value::Section;

/// Refuses what is unknown or not available.
pub fn check(options: &Section) -> Result<(), Error> {
    let (broker, presence) = (options.bool("broker.enabled"), options.bool("presence_manager.enabled"));
    if !(broker && presence) {
        memory_only(options, "engine.type", &["redis"])?;
    }
    if broker {
        memory_only(options, "broker.type", &["redis", "nats", "postgres", "redisnats"])?;
    }
    if presence {
        memory_only(options, "presence_manager.type", &["redis"])?;
    }
    memory_only(options, "map_broker.type", &["redis", "postgres"])?;
    if options.bool("controller.enabled") {
        memory_only(options, "controller.type", &["postgres"])?;
    }
    for tls in ["http_server.tls", "http_server.tls_autocert", "http_server.internal_tls"] {
        if options.bool(&format!("{tls}.enabled")) {
            return Err(Error::Unavailable { option: format!("{tls}.enabled"), value: "TLS".to_owned() });
        }
    }
    if options.bool("webtransport.enabled") && !options.bool("http_server.http3.enabled") {
        return Err(Error::invalid("webtransport.enabled", "needs http_server.http3.enabled"));
    }
    Ok(())
}

fn memory_only(options: &Section, path: &str, elsewhere: &[&str]) -> Result<(), Error> {
    match options.text(path) {
        "memory" if path != "controller.type" => Ok(()),
        kind if elsewhere.contains(&kind) => {
            Err(Error::Unavailable { option: path.to_owned(), value: kind.to_owned() })
        }
        kind => Err(Error::invalid(path, format!("unknown value {kind:?}"))),
    }
}
