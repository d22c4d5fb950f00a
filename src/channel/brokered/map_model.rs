//! Maps at a broker that is played, by the simulator and by tests: what homes in memory keep is kept there, for all
//! nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::base::time::Now;
use crate::channel::broker_op::BrokerReply;
use crate::channel::map::{Map, Update};
use crate::channel::map_op::{MapOp, MapOptions};
use crate::channel::name::ChannelName;
use crate::channel::publication::{Epoch, Position, Publication};

/// See the module. Ordered, so that the same seed gives the same run.
#[derive(Debug, Default)]
pub struct Maps(BTreeMap<String, Map>);

/// A publication, and the one before it, that are told to all nodes.
pub type Change = (Arc<Publication>, Option<Arc<Publication>>);

impl Maps {
    /// Carries a request out. Gives the reply, and what is told.
    pub fn carry_out(
        &mut self,
        channel: &ChannelName,
        op: MapOp,
        rng: &mut StdRng,
        now: Now,
    ) -> (BrokerReply, Option<Change>) {
        let reply = match op {
            MapOp::Publish(op) => {
                let map = self.map(channel, op.options, rng, now);
                return match map.publish(op, Default::default(), now) {
                    Ok(update) => updated(map.position(), update),
                    Err(_) => (BrokerReply::Failed, None),
                };
            }
            MapOp::Remove { options, key, .. } => {
                let map = self.map(channel, options, rng, now);
                let update = map.remove(options, &key, now);
                return updated(map.position(), update);
            }
            MapOp::Clear => {
                self.0.remove(channel.as_str());
                BrokerReply::Done
            }
            MapOp::Stats => BrokerReply::MapKeys(self.find(channel.as_str()).map_or(0, |map| map.len() as u32)),
            MapOp::ReadState { options, key, mut page } => {
                page.revision = None;
                let state = self.map(channel, options, rng, now).read(key.as_deref(), &page);
                state.map_or(BrokerReply::Failed, BrokerReply::MapState)
            }
            MapOp::ReadStream { options, since, limit, reverse } => {
                let map = self.map(channel, options, rng, now);
                let selection = map.stream().select(since.map(|since| since.offset), limit, reverse);
                BrokerReply::History(map.stream().read(&selection), map.position())
            }
            MapOp::Position { options } => {
                BrokerReply::History(Vec::new(), self.map(channel, options, rng, now).position())
            }
            MapOp::Subscribe(_) => BrokerReply::Failed,
        };
        (reply, None)
    }

    /// Keys that expired, in the order in which they are told as removed.
    pub fn expire(&mut self, now: Now) -> Vec<(ChannelName, Arc<Publication>)> {
        let mut told = Vec::new();
        for (name, map) in &mut self.0 {
            let name = ChannelName::new(name);
            map.expire(now, usize::MAX, &mut |removal| told.push((name.clone(), removal)));
            map.drop_stale(now);
        }
        told
    }

    /// The map of this name.
    pub fn find(&self, channel: &str) -> Option<&Map> {
        self.0.get(channel)
    }

    fn map(&mut self, channel: &ChannelName, options: MapOptions, rng: &mut StdRng, now: Now) -> &mut Map {
        let begin = || Map::new(Epoch::from_random(rng.random()), options, now);
        let map = self.0.entry(channel.as_str().to_owned()).or_insert_with(begin);
        map.use_as(options, now);
        map
    }
}

fn updated(position: Position, update: Update) -> (BrokerReply, Option<Change>) {
    match update {
        Update::Changed(publication, previous) => {
            (BrokerReply::MapUpdated(position, None), Some((publication, previous)))
        }
        Update::Suppressed(reason) => (BrokerReply::MapUpdated(position, Some(reason)), None),
    }
}
