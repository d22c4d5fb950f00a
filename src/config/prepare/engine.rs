//! Where channels live (upstream: internal/app/engine.go); and what this version cannot do and must not pass over in
//! silence: other engines, and everything whose absence would make a server less safe than its configuration says.

use super::{nats, redis};
use crate::config::error::Error;
use crate::config::snapshot::{Broker, Controller, Maps, Presence};
use crate::config::value::Section;

/// Where channels live, and where their presence is kept.
pub fn places(options: &Section) -> Result<(Broker, Presence), Error> {
    let broker = match options.bool("broker.enabled") {
        true => match options.text("broker.type") {
            "redis" => Broker::Redis(redis::broker(options, "broker.redis")?),
            "nats" => Broker::Nats(nats::broker(options)?),
            "redisnats" if !options.bool("enable_unreleased_features") => {
                return Err(Error::invalid("broker.type", "redisnats needs enable_unreleased_features"));
            }
            // Not by `broker.redisnats.*`, as upstream.
            "redisnats" => Broker::RedisNats(redis::broker(options, "broker.redis")?, nats::broker(options)?),
            _ => memory_only(options, "broker.type", &["postgres"]).map(|()| Broker::Memory)?,
        },
        false => match options.text("engine.type") {
            "redis" => Broker::Redis(redis::broker(options, "engine.redis")?),
            _ => memory_only(options, "engine.type", &[]).map(|()| Broker::Memory)?,
        },
    };
    let (presence_of, presence_redis) = match options.bool("presence_manager.enabled") {
        true => ("presence_manager.type", "presence_manager.redis"),
        false => ("engine.type", "engine.redis"),
    };
    let presence = match options.text(presence_of) {
        "redis" => Presence::Redis(redis::presence(options, presence_redis)?),
        _ => memory_only(options, presence_of, &[]).map(|()| Presence::Memory)?,
    };
    Ok((broker, presence))
}

/// Where maps live, whatever the engine is.
pub fn maps(options: &Section) -> Result<Maps, Error> {
    match options.text("map_broker.type") {
        "redis" => Ok(Maps::Redis(redis::maps(options, "map_broker.redis")?)),
        _ => memory_only(options, "map_broker.type", &["postgres"]).map(|()| Maps::Memory),
    }
}

/// What carries control messages between nodes, if not the broker.
pub fn controller(options: &Section) -> Result<Controller, Error> {
    if !options.bool("controller.enabled") {
        return Ok(Controller::Broker);
    }
    match options.text("controller.type") {
        "redis" => Ok(Controller::Redis(redis::controller(options, "controller.redis")?)),
        "nats" => Ok(Controller::Nats(nats::controller(options)?)),
        "postgres" => Err(Error::invalid(
            "controller.type",
            "postgres is not available in this version: use redis or nats, or leave controller.enabled off, and control \
             messages go over the broker",
        )),
        kind => Err(Error::invalid("controller.type", format!("unknown value {kind:?}, expected redis or nats"))),
    }
}

/// Refuses what is unknown or not available.
pub fn check(options: &Section) -> Result<(), Error> {
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
        "memory" => Ok(()),
        kind if elsewhere.contains(&kind) => {
            Err(Error::Unavailable { option: path.to_owned(), value: kind.to_owned() })
        }
        kind => Err(Error::invalid(path, format!("unknown value {kind:?}"))),
    }
}
