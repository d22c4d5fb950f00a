//! Redis as broker: what homes ask goes to Redis, what it tells comes back.
//!
//! For each server there is a [`pipe`], or for a Redis Cluster one for each member, and two [`ear`]s, or with sharded
//! PUB/SUB one more for each partition.

mod advice;
mod cluster;
mod dial;
mod driver;
mod ear;
mod pipe;
mod request;
pub mod resp;
mod slots;
pub mod sweep;
mod talk;

use std::sync::Arc;

use crate::broker::presence::Keeping;
use crate::broker::{Layout, Names, map};
use crate::config::snapshot::{Redis as Options, RedisBroker, RedisMaps, RedisPresence, RedisServer};
use dial::Dial;
pub use driver::Servers;
use request::Lay;
use slots::Map;

/// Redis, found and ready to be spoken with.
#[derive(Debug)]
pub struct Redis {
    /// All servers.
    servers: Vec<Found>,
    /// Those of them that channels are spread over.
    broker: Vec<usize>,
    /// And those that presence is.
    presence: Vec<usize>,
    /// And those that maps are.
    maps: Vec<usize>,
    /// How maps are kept there; none = they live elsewhere.
    map_broker: Option<RedisMaps>,
    /// Subscribers are told by PUB/SUB.
    listens: bool,
    /// Those over which nodes tell each other something, by PUB/SUB, too.
    control: Vec<usize>,
}

/// A server that answered.
#[derive(Debug)]
struct Found {
    dial: Arc<Dial>,
    lay: Arc<Lay>,
    /// Who has which slot, of a Redis Cluster.
    map: Option<Map>,
}

/// What lives in Redis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uses<'c> {
    /// Channels.
    pub broker: Option<&'c RedisBroker>,
    /// Their presence.
    pub presence: Option<&'c RedisPresence>,
    /// Maps.
    pub maps: Option<&'c RedisMaps>,
    /// What nodes tell each other.
    pub control: Option<&'c Options>,
}

impl Uses<'_> {
    /// Whether there is anything.
    pub fn is_any(&self) -> bool {
        self.broker.is_some() || self.presence.is_some() || self.maps.is_some() || self.control.is_some()
    }
}

impl Redis {
    /// Finds all servers, so that what is written wrong shows at the start. With `listens`, subscribers are told by
    /// PUB/SUB.
    ///
    /// # Errors
    /// Which server cannot be used, and why.
    pub async fn find(uses: Uses<'_>, listens: bool) -> Result<Self, String> {
        let mut found = Self {
            servers: Vec::new(),
            broker: Vec::new(),
            presence: Vec::new(),
            maps: Vec::new(),
            map_broker: uses.maps.cloned(),
            listens,
            control: Vec::new(),
        };
        let mut known: Vec<(&[RedisServer], Vec<usize>)> = Vec::new();
        let Uses { broker, presence, maps, control } = uses;
        found.broker = find_all(broker.map(|of| &of.redis), uses, &mut known, &mut found.servers).await?;
        found.presence = find_all(presence.map(|of| &of.redis), uses, &mut known, &mut found.servers).await?;
        found.maps = find_all(maps.map(|of| &of.redis), uses, &mut known, &mut found.servers).await?;
        found.control = find_all(control, uses, &mut known, &mut found.servers).await?;
        let of_broker = broker.map(|of| (&of.redis, of.partitions, &found.broker));
        let of_maps = maps.map(|of| (&of.redis, of.partitions, &found.maps));
        for (redis, partitions, servers) in of_broker.into_iter().chain(of_maps) {
            let mut servers = servers.iter().map(|at| &found.servers[*at]);
            if let Some(alone) = servers.find(|server| server.map.is_none()).filter(|_| partitions.is_some()) {
                let (option, name) = (redis.option, alone.dial.name());
                return Err(format!(
                    "{option}.sharded_pub_sub_partitions: {name} is no Redis Cluster, which this is for"
                ));
            }
        }
        if let Some(maps) = maps.filter(|maps| maps.partitions.is_none())
            && let Some(cluster) = found.maps.iter().map(|at| &found.servers[*at]).find(|server| server.map.is_some())
        {
            // As upstream, whose registry of maps has one place for each partition.
            let (option, name) = (maps.redis.option, cluster.dial.name());
            return Err(format!(
                "{option}: maps can live in the Redis Cluster of {name} only with {option}.sharded_pub_sub_partitions"
            ));
        }
        Ok(found)
    }
}

/// The numbers of the servers of a section. They are found, and put behind those that are there, unless these are known.
async fn find_all<'c>(
    options: Option<&'c Options>,
    uses: Uses<'c>,
    known: &mut Vec<(&'c [RedisServer], Vec<usize>)>,
    servers: &mut Vec<Found>,
) -> Result<Vec<usize>, String> {
    let first = servers.len();
    let Some(options) = options else { return Ok(Vec::new()) };
    if let Some((_, numbers)) = known.iter().find(|(known, _)| *known == options.servers) {
        return Ok(numbers.clone());
    }
    for server in &options.servers {
        let found = find(server, options, uses).await;
        servers.push(found.map_err(|reason| format!("{}: {reason}", options.option))?);
    }
    let numbers: Vec<_> = (first..servers.len()).collect();
    known.push((&options.servers, numbers.clone()));
    Ok(numbers)
}

async fn find(server: &RedisServer, options: &Options, uses: Uses<'_>) -> Result<Found, String> {
    let Uses { broker, presence, maps, control } = uses;
    let keeps_presence = presence.is_some_and(|presence| presence.redis.servers.contains(server));
    let mut dial = Dial::new(server)?;
    let opened = dial.open(true).await?;
    // A single address may be that of a member; upstream looks, too.
    let is_cluster = &*opened.mode == "cluster";
    let map = if is_cluster {
        if dial.address().is_some() {
            dial = dial.to_cluster_of(&opened.address);
        }
        Some(dial.map().await?)
    } else if dial.is_cluster() {
        return Err(format!(
            "{} is no member of a Redis Cluster (look at cluster_address and address)",
            opened.address
        ));
    } else {
        None
    };
    let (partitions, map_partitions) = (broker.and_then(|of| of.partitions), maps.and_then(|of| of.partitions));
    let layout = |partitions| match partitions {
        _ if !is_cluster => Layout::Plain,
        Some(count) => Layout::Partitioned(count),
        None => Layout::Cluster,
    };
    // Where Redis does not forget entries by itself, reading removes those that expired, which only a master can.
    let obstacle = if !keeps_presence || presence.is_none_or(|presence| !presence.fields_expire) {
        Some("only presence is read from replicas, and only with presence_hash_field_ttl")
    } else if !is_cluster && dial.to_replica().is_none() {
        Some("a single server has no replicas that could be found")
    } else {
        None
    };
    if let Some(reason) = obstacle.filter(|_| dial.reads_replicas()) {
        tracing::warn!(redis = dial.name(), reason, "replica_client has no effect");
    }
    let is_partitioned = partitions.or(map_partitions).is_some();
    let newer = [
        (
            keeps_presence && presence.is_some_and(|of| of.fields_expire),
            "HEXPIRE",
            "presence_hash_field_ttl needs Redis 7.4",
        ),
        (is_partitioned, "SSUBSCRIBE", "sharded_pub_sub_partitions needs Redis 7.0"),
    ];
    for (is_needed, command, reason) in newer {
        if is_needed && !dial.knows(command).await {
            tracing::warn!(redis = dial.name(), reason, "the server is too old for an option");
        }
    }
    let uses_lists = broker.is_some_and(|broker| broker.uses_lists);
    // Names of what is not kept there are never used.
    let names =
        |of: Option<&Options>, partitions| Names::new(&of.unwrap_or(options).prefix, layout(partitions), uses_lists);
    let keeping = |of: &RedisPresence| Keeping {
        ttl_s: of.ttl_s,
        fields_expire: of.fields_expire,
        users_counted: of.users_counted,
    };
    let lay = Lay {
        names: names(broker.map(|of| &of.redis), partitions),
        presence_names: names(presence.map(|of| &of.redis), partitions),
        keeping: presence.map(keeping).unwrap_or_default(),
        control_names: names(control, partitions),
        map_names: names(maps.map(|of| &of.redis), map_partitions),
        map_keeping: map::Keeping {
            result_ttl_ms: maps.map_or(0, |maps| maps.result_ttl_ms),
            is_told: maps.is_some_and(|maps| maps.is_told),
        },
        reads_replicas: dial.reads_replicas() && obstacle.is_none(),
    };
    Ok(Found { dial: Arc::new(dial), lay: Arc::new(lay), map })
}
