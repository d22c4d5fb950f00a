//! Requests about maps, carried out at their home.

use std::sync::Arc;

use super::{Map, Update};
use crate::base::ids::ShardId;
use crate::base::mutation::{Mutation, is_on};
use crate::base::time::Now;
use crate::channel::dispatch::respond;
use crate::channel::home::{Homes, Out, new_epoch};
use crate::channel::map_op::{MapOp, MapOptions, MapPublishOp, MapSubscribeOp, Suppression};
use crate::channel::name::ChannelName;
use crate::channel::op::{Answer, Delivery, ReplyTo};
use crate::channel::publication::Position;
use crate::protocol::error::Error;

impl Homes {
    /// Carries out a request about the channel's map.
    pub(in crate::channel) fn handle_map(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: MapOp,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let answer = match op {
            MapOp::Publish(op) => self.map_publish(channel, op, now, out),
            MapOp::Remove { options, key, idempotency_key } => {
                self.map_remove(channel, options, &key, idempotency_key, now, out)
            }
            MapOp::Clear => self.map_clear(channel),
            MapOp::Stats => {
                let map = self.table.find(channel).and_then(|slot| self.table.get(slot)?.map.as_deref());
                Answer::MapKeys(map.map_or(0, |map| map.len() as u32))
            }
            MapOp::ReadState { options, key, page } => self.with_map(channel, options, now, |map| {
                map.read(key.as_deref(), &page).map(|state| Answer::MapState(Box::new(state)))
            }),
            MapOp::ReadStream { options, since, limit, reverse } => self.with_map(channel, options, now, |map| {
                // A map that begins with this request has no changes, whatever they are asked of; as upstream.
                let changes = if map.is_new { Vec::new() } else { map.changes(since.as_ref(), limit, reverse)? };
                Ok(Answer::History(changes, map.position()))
            }),
            MapOp::Position { options } => {
                self.with_map(channel, options, now, |map| Ok(Answer::Position(map.position())))
            }
            MapOp::Subscribe(op) => return self.map_subscribe(from, channel, op, reply, now, out),
        };
        if let Answer::MapUpdated(_, suppressed) = &answer {
            self.suppressed = *suppressed;
        }
        respond(from, reply, answer, out);
    }

    /// Upstream: `MemoryMapBroker.Publish`. The delivery goes out before the answer.
    fn map_publish(&mut self, channel: &ChannelName, op: MapPublishOp, now: Now, out: &mut Out<'_>) -> Answer {
        if let Some(position) = self.map_result(channel, op.idempotency_key.as_deref(), now) {
            return Answer::MapUpdated(position, Some(Suppression::Idempotency));
        }
        let limits = self.map_limits;
        let Some((slot, map)) = self.map(channel, op.options, now) else {
            return Answer::Failed(Error::LIMIT_EXCEEDED);
        };
        let mut op = op;
        let idempotency_key = op.idempotency_key.take();
        match map.publish(op, limits, now) {
            Ok(update) => {
                let position = map.position();
                self.updated(channel, slot, update, position, idempotency_key, now, out)
            }
            Err(error) => {
                self.reschedule(slot);
                Answer::Failed(error)
            }
        }
    }

    /// Upstream: `MemoryMapBroker.Remove`. A map that does not exist is not begun by it.
    fn map_remove(
        &mut self,
        channel: &ChannelName,
        options: MapOptions,
        key: &str,
        idempotency_key: Option<Box<str>>,
        now: Now,
        out: &mut Out<'_>,
    ) -> Answer {
        if let Some(position) = self.map_result(channel, idempotency_key.as_deref(), now) {
            return Answer::MapUpdated(position, Some(Suppression::Idempotency));
        }
        self.end_map_if_over(channel, now);
        let found = self.table.find(channel).and_then(|slot| Some((slot, self.table.get(slot)?.map.as_mut()?)));
        let Some((slot, map)) = found else {
            return Answer::MapUpdated(Position::default(), Some(Suppression::KeyNotFound));
        };
        let update = map.remove(options, key, now);
        let position = map.position();
        self.updated(channel, slot, update, position, idempotency_key, now, out)
    }

    /// What follows from a publication or removal.
    #[expect(clippy::too_many_arguments, reason = "two callers, side by side")]
    fn updated(
        &mut self,
        channel: &ChannelName,
        slot: u32,
        update: Update,
        position: Position,
        idempotency_key: Option<Box<str>>,
        now: Now,
        out: &mut Out<'_>,
    ) -> Answer {
        self.reschedule(slot);
        let suppressed = match update {
            Update::Suppressed(reason) => Some(reason),
            Update::Changed(publication, previous) => {
                self.deliver(slot, publication, previous, out);
                if let Some(key) = idempotency_key {
                    self.map_results.insert(channel, key, position, now);
                }
                None
            }
        };
        Answer::MapUpdated(position, suppressed)
    }

    /// Nobody is told; subscribers notice by the epoch.
    fn map_clear(&mut self, channel: &ChannelName) -> Answer {
        if let Some(slot) = self.table.find(channel) {
            if let Some(map) = self.table.get(slot).and_then(|home| home.map.as_mut())
                && is_on(Mutation::MapClearsInPlace)
            {
                map.keys = Default::default();
                return Answer::Done;
            }
            if let Some(map) = self.table.get(slot).and_then(|home| home.map.take()) {
                self.retired.take_map(*map);
            }
            self.forget_if_idle(slot);
        }
        Answer::Done
    }

    fn map_subscribe(
        &mut self,
        from: ShardId,
        channel: &ChannelName,
        op: MapSubscribeOp,
        reply: ReplyTo,
        now: Now,
        out: &mut Out<'_>,
    ) {
        let Some((slot, map)) = self.map(channel, op.options, now) else {
            return respond(from, reply, Answer::Failed(Error::LIMIT_EXCEEDED), out);
        };
        let subscribed = map.subscribe(&op);
        map.use_as(op.options, now);
        let is_live = subscribed.as_ref().is_ok_and(|subscribed| subscribed.live);
        if is_live {
            self.register(slot, from, op.presence, now);
        }
        self.reschedule(slot);
        let answer = match subscribed {
            Ok(subscribed) => Answer::MapSubscribed(Box::new(subscribed)),
            Err(error) => Answer::Failed(error),
        };
        respond(from, reply, answer, out);
        if let Some(info) = op.join.filter(|_| is_live) {
            self.broadcast(slot, |name| Delivery::Join(name, Arc::clone(&info)), out);
        }
    }

    /// Reads something of the map, which prolongs it.
    fn with_map(
        &mut self,
        channel: &ChannelName,
        options: MapOptions,
        now: Now,
        read: impl FnOnce(&mut Map) -> Result<Answer, Error>,
    ) -> Answer {
        let Some((slot, map)) = self.map(channel, options, now) else {
            return Answer::Failed(Error::LIMIT_EXCEEDED);
        };
        let answer = read(map).unwrap_or_else(Answer::Failed);
        map.use_as(options, now);
        self.reschedule(slot);
        answer
    }

    /// The position that the first request under this key was answered with, if the map is still the same.
    fn map_result(&mut self, channel: &ChannelName, key: Option<&str>, now: Now) -> Option<Position> {
        let position = self.map_results.find(channel, key?, now)?;
        let slot = self.table.find(channel)?;
        let map = self.table.get(slot)?.map.as_deref()?;
        (map.position().epoch == position.epoch).then_some(position)
    }

    /// The channel's map as it is now, begun if there is none; nothing when the table is full.
    fn map(&mut self, channel: &ChannelName, options: MapOptions, now: Now) -> Option<(u32, &mut Map)> {
        self.end_map_if_over(channel, now);
        let slot = self.table.find_or_insert(channel)?;
        let home = self.table.get(slot)?;
        let rng = &mut self.rng;
        let map = home.map.get_or_insert_with(|| Box::new(Map::new(new_epoch(rng), options, now)));
        self.retired.take(map.drop_stale(now));
        Some((slot, map))
    }

    fn end_map_if_over(&mut self, channel: &ChannelName, now: Now) {
        if let Some(slot) = self.table.find(channel)
            && let Some(home) = self.table.get(slot)
        {
            home.end_map_if_over(now, &mut self.retired);
        }
    }

    /// Removes expired keys of the map in a slot, and the map when it is past its time. Every key costs as much of the
    /// budget as it has shards to be told, and at least one key is looked at (so a turn may go beyond it by one key). Gives what was
    /// used of it.
    pub(in crate::channel) fn sweep_map(&mut self, slot: u32, now: Now, budget: usize, out: &mut Out<'_>) -> usize {
        let Some(home) = self.table.get(slot) else { return 0 };
        let cost = home.interest.iter().count().max(1);
        let Some(map) = &mut home.map else { return 0 };
        let mut removals = Vec::new();
        let visits = map.expire(now, (budget / cost).max(1), &mut |removal| removals.push(removal));
        self.retired.take(map.drop_stale(now));
        for removal in removals.into_iter().filter(|_| !is_on(Mutation::MapExpiresSilently)) {
            self.deliver(slot, removal, None, out);
        }
        if let Some(home) = self.table.get(slot) {
            home.end_map_if_over(now, &mut self.retired);
        }
        visits * cost
    }
}

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
