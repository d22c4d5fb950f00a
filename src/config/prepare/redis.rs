//! How Redis is reached: a single server, Sentinels or a Cluster, one or several of them (upstream:
//! internal/confighelpers/redis.go, centrifuge redis_shard.go).

use std::num::NonZeroU32;

use super::ms_or;
use super::redis_address::{self, Written};
use super::tls::tls;
use crate::config::error::Error;
use crate::config::snapshot::{Redis, RedisAddress, RedisLogin, RedisPlace, RedisServer};
use crate::config::snapshot::{RedisBroker, RedisMaps, RedisPresence};
use crate::config::value::Section;

/// Seconds that `presence_ttl` 0 stands for.
const PRESENCE_TTL_S: u32 = 60;

/// What `cleanup_batch_size` 0 stands for.
const CLEANUP_BATCH: u32 = 100;

/// What a larger `cleanup_batch_size` is taken for: Redis does nothing else while a script removes keys.
const MOST_CLEANUP_BATCH: u32 = 10_000;

/// Redis as broker, by the options of a section such as `broker.redis`.
pub(super) fn broker(options: &Section, section: &'static str) -> Result<RedisBroker, Error> {
    let redis = redis(options, section)?;
    let options = options.section(section);
    Ok(RedisBroker { redis, uses_lists: options.bool("history_use_lists"), partitions: partitions(options) })
}

fn partitions(options: &Section) -> Option<NonZeroU32> {
    u32::try_from(options.int("sharded_pub_sub_partitions")).ok().and_then(NonZeroU32::new)
}

/// Redis as controller, by the options of a section such as `controller.redis`.
pub(super) fn controller(options: &Section, section: &'static str) -> Result<Redis, Error> {
    redis(options, section)
}

/// Redis as presence manager, by the options of a section such as `presence_manager.redis`.
pub(super) fn presence(options: &Section, section: &'static str) -> Result<RedisPresence, Error> {
    let redis = redis(options, section)?;
    let options = options.section(section);
    Ok(RedisPresence {
        redis,
        ttl_s: match options.duration_ns("presence_ttl") {
            0 => PRESENCE_TTL_S,
            // Whole seconds, as upstream; Redis takes an entry of none for one to be deleted.
            ns => u32::try_from((ns / 1_000_000_000).max(1)).unwrap_or(u32::MAX),
        },
        fields_expire: options.bool("presence_hash_field_ttl"),
        users_counted: options.bool("presence_user_mapping"),
    })
}

/// Redis as map broker, by the options of a section such as `map_broker.redis` (upstream: centrifuge
/// map_broker_redis.go `NewRedisMapBroker`, whose defaults stand in for what is 0).
pub(super) fn maps(options: &Section, section: &'static str) -> Result<RedisMaps, Error> {
    let redis = redis(options, section)?;
    let options = options.section(section);
    let is_off = options.duration_ns("cleanup_interval") < 0;
    Ok(RedisMaps {
        redis,
        cleanup_interval_ms: (!is_off).then(|| ms_or(options, "cleanup_interval", 1_000)),
        cleanup_batch: match options.int("cleanup_batch_size") {
            0 => CLEANUP_BATCH,
            // As upstream, a negative one is none.
            size => u32::try_from(size).unwrap_or(MOST_CLEANUP_BATCH).min(MOST_CLEANUP_BATCH),
        },
        result_ttl_ms: ms_or(options, "idempotent_result_ttl", 300_000),
        is_told: !options.bool("skip_pub_sub"),
        partitions: partitions(options),
    })
}

fn redis(all: &Section, section: &'static str) -> Result<Redis, Error> {
    let options = all.section(section);
    let prefix = match options.text("prefix") {
        // What the library below falls back to when the environment empties it.
        "" => "centrifuge",
        prefix => prefix,
    };
    Ok(Redis { option: section, prefix: prefix.into(), servers: servers(options, section)? })
}

fn servers(options: &Section, section: &str) -> Result<Vec<RedisServer>, Error> {
    // All are read, wherever Redis is: what is written wrong is no good for the day it is used.
    let sentinel_tls = tls(options, section, "sentinel_tls");
    let tls = tls(options, section, "tls");
    let login = |prefix: &str| RedisLogin {
        user: options.text(&format!("{prefix}user")).into(),
        password: options.text(&format!("{prefix}password")).into(),
        client_name: options.text(&format!("{prefix}client_name")).into(),
    };
    let (sentinel_login, master) = (login("sentinel_"), options.text("sentinel_master_name"));
    let server = RedisServer {
        place: RedisPlace::Cluster(Vec::new()),
        login: login(""),
        db: options.int("db"),
        tls,
        connect_timeout_ms: ms_or(options, "connect_timeout", 1_000),
        io_timeout_ms: ms_or(options, "io_timeout", 4_000),
        forces_resp2: options.bool("force_resp2"),
        reads_replicas: options.bool("replica_client.enabled"),
    };
    let seeds = |option: &str| {
        let lists = options.texts(option).iter();
        lists.map(|list| addresses(list, &format!("{section}.{option}"))).collect::<Result<Vec<_>, _>>()
    };
    let (clusters, sentinels) = (seeds("cluster_address")?, seeds("sentinel_address")?);
    if !clusters.is_empty() {
        let servers =
            clusters.into_iter().map(|seeds| RedisServer { place: RedisPlace::Cluster(seeds), ..server.clone() });
        return Ok(servers.collect());
    }
    if !sentinels.is_empty() {
        if master.is_empty() {
            let problem = "must be set where Redis is found through Sentinels";
            return Err(Error::invalid(format!("{section}.sentinel_master_name"), problem));
        }
        let place = |addresses| RedisPlace::Sentinel {
            addresses,
            master: master.into(),
            login: sentinel_login.clone(),
            tls: sentinel_tls.clone(),
        };
        return Ok(sentinels.into_iter().map(|seeds| RedisServer { place: place(seeds), ..server.clone() }).collect());
    }
    let option = format!("{section}.address");
    let written = match options.texts("address") {
        [] => &["127.0.0.1:6379".to_owned()],
        written => written,
    };
    let read = |(index, address): (usize, &String)| {
        let at = Written { text: address, option: &option, index };
        redis_address::server(at, server.clone(), &format!("{section}.tls"))
    };
    written.iter().enumerate().map(read).collect()
}

/// Addresses between commas. They are no secrets, unlike URLs.
fn addresses(list: &str, option: &str) -> Result<Vec<RedisAddress>, Error> {
    let address = |text: &str| {
        redis_address::host_and_port(text)
            .ok_or_else(|| Error::invalid(option, format!("expected addresses as host:port, found {text:?}")))
    };
    list.split(',').map(address).collect()
}
