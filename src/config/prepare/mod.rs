//! From options to the [`Snapshot`] that the server runs on, with the checks that only a start makes.
//!
//! Mirrors what the reference does between validation and listening: `internal/app`, `internal/confighelpers`, and the
//! second set of defaults in `centrifuge.New`, which replace a zero that the environment forced.

mod address;
mod channels;
pub mod client;
mod cores;
mod engine;
mod map;
mod map_rules;
pub mod nats;
mod poll;
mod proxy;
mod redis;
mod redis_address;
mod tls;

use super::error::Error;
use super::snapshot::{Admin, HttpApi, Server, Shards, Snapshot, WebSocket};
use super::value::Section;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of a message where a negative `websocket.message_size_limit` takes the limit away: everything that can wait in
/// memory has a bound.
const UNLIMITED_MESSAGE: usize = 256 << 20;

/// What a snapshot needs to know of the machine.
pub struct Host<'a> {
    /// The machine's name; part of the node's name when none is given.
    pub name: &'a str,
    /// Finds the address of a host name.
    pub resolve: &'a dyn Fn(&str) -> Option<IpAddr>,
}

/// Makes the snapshot. The options must have passed [`super::validate::validate`].
pub fn prepare(options: &Section, host: &Host<'_>, dev: bool) -> Result<Snapshot, Error> {
    let (broker, presence) = engine::places(options)?;
    let maps = engine::maps(options)?;
    engine::check(options)?;
    let addresses = address::listen(options, host)?;
    let node_name = match options.text("node.name") {
        "" => format!("{}_{}", host.name, options.int("http_server.port")),
        name => name.to_owned(),
    };
    let proxies = proxy::proxies(options);
    Ok(Snapshot {
        server: Server {
            address: addresses.external,
            internal_address: addresses.internal,
            shutdown_timeout: Duration::from_nanos(options.duration_ns("shutdown.timeout").max(0) as u64),
            pid_file: Some(options.text("pid_file")).filter(|path| !path.is_empty()).map(PathBuf::from),
        },
        shards: shards(options)?,
        client: client::client(options)?,
        channel: channels::channels(options, &proxies)?,
        broker,
        presence,
        maps,
        controller: engine::controller(options)?,
        track_keys: poll::track_keys(options),
        polls_at_once: poll::at_once(options),
        proxies,
        websocket: websocket(options)?,
        http_api: http_api(options)?,
        init: endpoint(options, "init")?,
        health: endpoint(options, "health")?,
        admin: admin(options, host)?,
        swagger: endpoint(options, "swagger")?,
        debug: endpoint(options, "debug")?,
        prometheus: endpoint(options, "prometheus")?,
        recovered_publications_histogram: options.bool("prometheus.recovered_publications_histogram"),
        instrument_http_handlers: options.bool("prometheus.instrument_http_handlers"),
        node_name: node_name.into(),
        node_info_metrics_interval_ms: ms_or(options, "node.info_metrics_aggregate_interval", 60_000),
        dev,
    })
}

fn shards(options: &Section) -> Result<Shards, Error> {
    let shards = Shards {
        count: options.int("shards.count") as u16,
        cores: cores::parse(options.text("shards.cores"), "shards.cores")?,
        pin: options.bool("shards.pin"),
        control_cores: cores::parse(options.text("shards.control_cores"), "shards.control_cores")?,
        spin_us: options.int("shards.spin_us") as u32,
        broker_hold_us: options.int("shards.broker_hold_us") as u32,
    };
    let (count, cores) = (usize::from(shards.count), shards.cores.len());
    if shards.pin && cores > 0 && count > cores {
        let problem = format!("{count} shards cannot each have one of {cores} cores (shards.cores)");
        return Err(Error::invalid("shards.count", problem));
    }
    Ok(shards)
}

fn websocket(options: &Section) -> Result<WebSocket, Error> {
    Ok(WebSocket {
        handler_prefix: match options.bool("websocket.disabled") {
            true => None,
            false => Some(prefix(options, "websocket.handler_prefix")?),
        },
        message_size_limit: match options.int("websocket.message_size_limit") {
            0 => 65_536,
            size => usize::try_from(size).unwrap_or(UNLIMITED_MESSAGE),
        },
        write_timeout_ms: ms_or(options, "websocket.write_timeout", 1_000),
    })
}

fn http_api(options: &Section) -> Result<HttpApi, Error> {
    let disabled = options.bool("http_api.disabled");
    let transport = match options.text("http_api.error_mode") {
        "" => false,
        "transport" => true,
        _ if disabled => false,
        mode => {
            let problem = format!("unknown value {mode:?}, expected transport or nothing");
            return Err(Error::invalid("http_api.error_mode", problem));
        }
    };
    Ok(HttpApi {
        handler_prefix: if disabled { None } else { Some(prefix(options, "http_api.handler_prefix")?) },
        key: options.text("http_api.key").into(),
        insecure: options.bool("http_api.insecure"),
        external: options.bool("http_api.external"),
        error_mode_transport: transport,
    })
}

fn admin(options: &Section, host: &Host<'_>) -> Result<Option<Admin>, Error> {
    if !options.bool("admin.enabled") {
        return Ok(None);
    }
    Ok(Some(Admin {
        handler_prefix: prefix(options, "admin.handler_prefix")?.trim_end_matches('/').into(),
        password: options.text("admin.password").into(),
        secret: options.text("admin.secret").into(),
        insecure: options.bool("admin.insecure"),
        external: options.bool("admin.external"),
        web_path: Some(options.text("admin.web_path")).filter(|path| !path.is_empty()).map(PathBuf::from),
        web_proxy: match options.text("admin.web_proxy_address") {
            "" => None,
            url => Some(address::web_proxy(url, host)?),
        },
    }))
}

/// The prefix of an endpoint that is off unless enabled.
fn endpoint(options: &Section, section: &str) -> Result<Option<Box<str>>, Error> {
    match options.bool(&format!("{section}.enabled")) {
        true => prefix(options, &format!("{section}.handler_prefix")).map(Some),
        false => Ok(None),
    }
}

/// A path without slashes at its end; the root is `/`. The reference panics where it does not begin with a slash, or
/// takes what stands before its first slash for the name of a host.
fn prefix(options: &Section, path: &str) -> Result<Box<str>, Error> {
    match options.text(path).trim_end_matches('/') {
        "" => Ok("/".into()),
        prefix if prefix.starts_with('/') => Ok(prefix.into()),
        prefix => Err(Error::invalid(path, format!("must begin with a slash, found {prefix:?}"))),
    }
}

/// Milliseconds of a duration; anything below a millisecond but above nothing is one, what is negative is 0.
fn ms(options: &Section, path: &str) -> u64 {
    let ns = options.duration_ns(path).max(0) as u64;
    if ns == 0 { 0 } else { (ns / 1_000_000).max(1) }
}

/// As [`ms`], with a replacement for what is not positive.
fn ms_or(options: &Section, path: &str, default: u64) -> u64 {
    match ms(options, path) {
        0 => default,
        ms => ms,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod used_tests;
