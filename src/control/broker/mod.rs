//! Where channels live, if not here: what homes ask goes to Redis, to NATS or to both, what they tell comes back.
//!
//! One task runs everything ([`driver`]). It takes what shards ask, and at the end of its turn brings each shard what
//! it is told, in one batch, ringing those that sleep.

mod driver;
pub mod events;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::nats::Nats;
use super::plane::Bell;
use super::redis::{Redis, Uses};
use crate::channel::broker_op::{BrokerEvent, BrokerRequest};
use crate::config::snapshot::{Broker as Place, MapOptions, Maps, Presence, Snapshot};
use crate::mesh::FarEnd;

/// How a map is kept, by its name, under the configuration in force. None for what is no map.
pub type MapRules = Arc<dyn Fn(&str) -> Option<MapOptions> + Send + Sync>;

/// A shard's line to the broker, at this end.
pub type ShardFarEnd = FarEnd<BrokerRequest, BrokerEvent>;

/// Everything that shards ask of others, found and ready to be spoken with.
#[derive(Debug)]
pub struct Broker {
    redis: Option<Redis>,
    nats: Option<Nats>,
    ending: Ending,
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

impl Broker {
    /// Finds all servers, so that what is written wrong shows at the start. None when everything is here.
    ///
    /// # Errors
    /// Which server cannot be used, and why.
    pub async fn find(config: &Snapshot) -> Result<Option<Self>, String> {
        let maps = match &config.maps {
            Maps::Memory => None,
            Maps::Redis(maps) => Some(maps),
        };
        let presence = match &config.presence {
            Presence::Memory => None,
            Presence::Redis(presence) => Some(presence),
        };
        let (stored, told) = match &config.broker {
            Place::Memory => (None, None),
            Place::Redis(redis) => (Some(redis), None),
            Place::Nats(nats) => (None, Some(nats)),
            Place::RedisNats(redis, nats) => (Some(redis), Some(nats)),
        };
        let uses = Uses { broker: stored, presence, maps };
        let is_in_redis = stored.is_some() || presence.is_some() || maps.is_some();
        if !is_in_redis && told.is_none() {
            return Ok(None);
        }
        let redis = match is_in_redis {
            true => Some(Redis::find(uses, told.is_none()).await?),
            false => None,
        };
        let nats = match told {
            Some(nats) => Some(Nats::find(nats).await?),
            None => None,
        };
        Ok(Some(Self { redis, nats, ending: Ending::default() }))
    }

    /// What ends it.
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Serves shards, in order, of the node with this id. `bell` wakes it, `ring` wakes a shard, `rules` say which maps
    /// there are. It ends when it is told to.
    pub async fn serve(
        self,
        node: Box<str>,
        shards: Vec<ShardFarEnd>,
        bell: Bell,
        rules: MapRules,
        ring: impl Fn(usize) + Send,
    ) {
        driver::run(self, &node, shards, bell, rules, ring).await;
    }
}
