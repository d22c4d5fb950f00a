//! Where channels live, if not here: what homes ask goes to Redis, to NATS or to both, what they tell comes back. What
//! nodes tell each other goes the same way, or another one.
//!
//! One task runs everything ([`driver`]). It takes what shards ask, and at the end of its turn brings each shard what
//! it is told, in one batch, ringing those that sleep.

mod driver;
pub mod events;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::nats::{Courier, Messenger};
use super::plane::Bell;
use super::redis::{Redis, Uses};
use crate::channel::broker_op::{BrokerEvent, BrokerRequest};
use crate::config::snapshot::{Broker as Place, Controller, MapOptions, Maps, Presence, Snapshot};
use crate::mesh::FarEnd;

/// How a map is kept, by its name, under the configuration in force. None for what is no map.
pub type MapRules = Arc<dyn Fn(&str) -> Option<MapOptions> + Send + Sync>;

/// A shard's line to the broker, at this end.
pub type ShardFarEnd = FarEnd<BrokerRequest, BrokerEvent>;

/// Everything that shards ask of others, found and ready to be spoken with.
#[derive(Debug)]
pub struct Broker {
    node: Box<str>,
    redis: Option<Redis>,
    nats: Option<Courier>,
    messenger: Option<Messenger>,
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
    /// Finds all servers for the node with this id, so that what is written wrong shows at the start. None when
    /// everything is here.
    ///
    /// # Errors
    /// Which server cannot be used, and why.
    pub async fn find(config: &Snapshot, node: &str) -> Result<Option<Self>, String> {
        if !config.asks_others() {
            return Ok(None);
        }
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
        // Over what tells subscribers, unless there is something of its own.
        let (control, messenger) = match &config.controller {
            Controller::Redis(redis) => (Some(redis), None),
            Controller::Nats(nats) => (None, Some(nats)),
            Controller::Broker => match told {
                Some(told) => (None, Some(&told.nats)),
                None => (stored.map(|stored| &stored.redis), None),
            },
        };
        let uses = Uses { broker: stored, presence, maps, control };
        let redis = match uses.is_any() {
            true => Some(Redis::find(uses, told.is_none()).await?),
            false => None,
        };
        let nats = match told {
            Some(nats) => Some(Courier::find(nats).await?),
            None => None,
        };
        let messenger = match messenger {
            Some(nats) => Some(Messenger::find(nats, node).await?),
            None => None,
        };
        Ok(Some(Self { node: node.into(), redis, nats, messenger, ending: Ending::default() }))
    }

    /// What ends it.
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Serves shards, in order. `bell` wakes it, `ring` wakes a shard, `rules` say which maps
    /// there are. It ends when it is told to.
    pub async fn serve(self, shards: Vec<ShardFarEnd>, bell: Bell, rules: MapRules, ring: impl Fn(usize) + Send) {
        driver::run(self, shards, bell, rules, ring).await;
    }
}
