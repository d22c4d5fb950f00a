//! Maps at a broker that is played, by the simulator and by tests: what homes in memory keep is kept there, for all
//! nodes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::base::time::Now;
use crate::channel::broker_op::BrokerReply;
use crate::channel::map::{Map, Update};
use crate::channel::map_op::{MapOp, MapOptions, MapState};
use crate::channel::name::ChannelName;
use crate::channel::publication::{Epoch, Position, Publication};
use crate::protocol::error::Error;

/// See the module. Ordered, so that the same seed gives the same run.
#[derive(Debug, Default)]
pub struct Maps {
    maps: BTreeMap<String, Map>,
    /// Maps as they were before their last changes, oldest first: as a replica has them that is behind.
    before: BTreeMap<String, VecDeque<Map>>,
}

/// Changes that a replica lacks at most.
pub const MOST_LOST: usize = 3;

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
                return self.change(channel, op.options, rng, now, |map| map.publish(op, Default::default(), now));
            }
            MapOp::Remove { options, key, .. } => {
                return self.change(channel, options, rng, now, |map| Ok(map.remove(options, &key, now)));
            }
            MapOp::Clear => {
                self.maps.remove(channel.as_str());
                self.before.remove(channel.as_str());
                BrokerReply::Done
            }
            MapOp::Stats => BrokerReply::MapKeys(self.find(channel.as_str()).map_or(0, |map| map.len() as u32)),
            MapOp::ReadState { options, key, mut page } => {
                page.revision = None;
                let map = self.map(channel, options, rng, now);
                let newest = map.stream().newest().cloned();
                let state = map.read(key.as_deref(), &page);
                state.map_or(BrokerReply::Failed, |state| BrokerReply::MapState(MapState { newest, ..state }))
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
        for (name, map) in &mut self.maps {
            if map.deadline_ms() <= now.mono_ms {
                remember(&mut self.before, name, map.clone());
            }
            let name = ChannelName::new(name);
            map.expire(now, usize::MAX, &mut |removal| told.push((name.clone(), removal)));
            map.drop_stale(now);
        }
        told
    }

    /// The map of this name.
    pub fn find(&self, channel: &str) -> Option<&Map> {
        self.maps.get(channel)
    }

    /// A map lost changes: it goes on under another epoch, if it has this one.
    pub fn change_epoch(
        &mut self,
        channel: &ChannelName,
        of: Epoch,
        options: MapOptions,
        rng: &mut StdRng,
        now: Now,
    ) -> BrokerReply {
        let fresh = Epoch::from_random(rng.random());
        let map = self.map(channel, options, rng, now);
        if map.position().epoch == of {
            map.change_epoch(fresh);
        }
        BrokerReply::History(map.stream().newest().cloned().into_iter().collect(), map.position())
    }

    /// A replica takes over that lacks so many changes, at most [`MOST_LOST`]. Gives those that are lost; their offsets
    /// will be given again. Nothing happens where the map is another one since, or its changes are not kept.
    pub fn fall_back(&mut self, channel: &str, lost: usize) -> Vec<Arc<Publication>> {
        let mut before = self.before.remove(channel).unwrap_or_default();
        let copy = before.swap_remove_back(before.len().saturating_sub(lost));
        let (Some(copy), Some(map)) = (copy, self.maps.get_mut(channel)) else { return Vec::new() };
        let (at, top) = (copy.position(), map.position());
        let lost = map.stream().read(&map.stream().select(Some(at.offset), -1, false));
        if at.epoch != top.epoch || lost.len() as u64 != top.offset - at.offset {
            return Vec::new();
        }
        *map = copy;
        lost
    }

    fn change(
        &mut self,
        channel: &ChannelName,
        options: MapOptions,
        rng: &mut StdRng,
        now: Now,
        change: impl FnOnce(&mut Map) -> Result<Update, Error>,
    ) -> (BrokerReply, Option<Change>) {
        let before = self.maps.get(channel.as_str()).cloned();
        let map = self.map(channel, options, rng, now);
        let Ok(update) = change(map) else { return (BrokerReply::Failed, None) };
        let (reply, change) = updated(map.position(), update);
        if let Some(before) = before.filter(|_| change.is_some()) {
            remember(&mut self.before, channel.as_str(), before);
        }
        (reply, change)
    }

    fn map(&mut self, channel: &ChannelName, options: MapOptions, rng: &mut StdRng, now: Now) -> &mut Map {
        let begin = || Map::new(Epoch::from_random(rng.random()), options, now);
        let map = self.maps.entry(channel.as_str().to_owned()).or_insert_with(begin);
        map.use_as(options, now);
        map
    }
}

fn remember(all: &mut BTreeMap<String, VecDeque<Map>>, name: &str, map: Map) {
    let before = all.entry(name.to_owned()).or_default();
    before.push_back(map);
    before.drain(..before.len().saturating_sub(MOST_LOST));
}

fn updated(position: Position, update: Update) -> (BrokerReply, Option<Change>) {
    match update {
        Update::Changed(publication, previous) => {
            (BrokerReply::MapUpdated(position, None), Some((publication, previous)))
        }
        Update::Suppressed(reason) => (BrokerReply::MapUpdated(position, Some(reason)), None),
    }
}
