//! Redis as broker: what homes ask goes to Redis, what it tells comes back.
//!
//! One task runs everything ([`driver`]): for each server a [`pipe`], or for a Redis Cluster one for each member, and
//! two [`ear`]s, or with sharded PUB/SUB one more for each partition. It takes what shards ask, and at the end of its turn brings each shard what it is told, in one batch,
//! ringing those that sleep.

mod advice;
mod cluster;
mod dial;
mod driver;
mod ear;
mod events;
mod link;
mod pipe;
mod request;
pub mod resp;
mod slots;
mod talk;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::plane::Bell;
use crate::broker::presence::Keeping;
use crate::broker::{Layout, Names};
use crate::channel::broker_op::{BrokerEvent, BrokerRequest};
use crate::config::snapshot::{Redis as Options, RedisBroker, RedisPresence, RedisServer};
use crate::mesh::FarEnd;
use dial::Dial;
use request::Lay;
use slots::Map;

/// A shard's line to the broker, at this end.
pub type ShardFarEnd = FarEnd<BrokerRequest, BrokerEvent>;

/// Redis, found and ready to be spoken with.
#[derive(Debug)]
pub struct Redis {
    /// All servers.
    servers: Vec<Found>,
    /// Those of them that channels are spread over.
    broker: Vec<usize>,
    /// And those that presence is.
    presence: Vec<usize>,
    ending: Ending,
}

/// A server that answered.
#[derive(Debug)]
struct Found {
    dial: Arc<Dial>,
    lay: Arc<Lay>,
    /// Who has which slot, of a Redis Cluster.
    map: Option<Map>,
}

/// Ends the driver, after everything that was asked was answered. Its bell must be rung afterwards.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<AtomicBool>);

impl Ending {
    /// Says that nothing more will be asked.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Redis {
    /// Finds all servers, so that what is written wrong shows at the start.
    ///
    /// # Errors
    /// Which server cannot be used, and why.
    pub async fn find(broker: &RedisBroker, presence: &RedisPresence) -> Result<Self, String> {
        let mut servers = Vec::new();
        let is_one = presence.redis.servers == broker.redis.servers;
        let at_broker = find_all(&broker.redis, (broker, presence), is_one, &mut servers).await?;
        let at_presence = match is_one {
            true => at_broker.clone(),
            false => find_all(&presence.redis, (broker, presence), true, &mut servers).await?,
        };
        if broker.partitions.is_some()
            && let Some(alone) = at_broker.iter().map(|at| &servers[*at]).find(|server| server.map.is_none())
        {
            let option = broker.redis.option;
            let name = alone.dial.name();
            return Err(format!("{option}.sharded_pub_sub_partitions: {name} is no Redis Cluster, which this is for"));
        }
        Ok(Self { servers, broker: at_broker, presence: at_presence, ending: Ending::default() })
    }

    /// What ends it.
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Serves shards, in order, of the node with this id. `bell` wakes it, `ring` wakes a shard. It ends when it is
    /// told to.
    pub async fn serve(self, node: Box<str>, shards: Vec<ShardFarEnd>, bell: Bell, ring: impl Fn(usize) + Send) {
        driver::run(self, &node, shards, bell, ring).await;
    }
}

/// The numbers of the servers of a section, which are found and put behind those that are there. Whether presence is
/// kept there is told.
async fn find_all(
    options: &Options,
    (broker, presence): (&RedisBroker, &RedisPresence),
    keeps_presence: bool,
    servers: &mut Vec<Found>,
) -> Result<Vec<usize>, String> {
    let first = servers.len();
    for server in &options.servers {
        let found = find(server, broker, presence, keeps_presence).await;
        servers.push(found.map_err(|reason| format!("{}: {reason}", options.option))?);
    }
    Ok((first..servers.len()).collect())
}

async fn find(
    server: &RedisServer,
    broker: &RedisBroker,
    presence: &RedisPresence,
    keeps_presence: bool,
) -> Result<Found, String> {
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
    let layout = match broker.partitions {
        _ if !is_cluster => Layout::Plain,
        Some(count) => Layout::Partitioned(count),
        None => Layout::Cluster,
    };
    // Where Redis does not forget entries by itself, reading removes those that expired, which only a master can.
    let obstacle = if !keeps_presence || !presence.fields_expire {
        Some("only presence is read from replicas, and only with presence_hash_field_ttl")
    } else if !is_cluster && dial.to_replica().is_none() {
        Some("a single server has no replicas that could be found")
    } else {
        None
    };
    if let Some(reason) = obstacle.filter(|_| dial.reads_replicas()) {
        tracing::warn!(redis = dial.name(), reason, "replica_client has no effect");
    }
    let names = |options: &Options| Names::new(&options.prefix, layout, broker.uses_lists);
    let RedisPresence { ttl_s, fields_expire, users_counted, .. } = *presence;
    let lay = Lay {
        names: names(&broker.redis),
        presence_names: names(&presence.redis),
        keeping: Keeping { ttl_s, fields_expire, users_counted },
        reads_replicas: dial.reads_replicas() && obstacle.is_none(),
    };
    Ok(Found { dial: Arc::new(dial), lay: Arc::new(lay), map })
}
