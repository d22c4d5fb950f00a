//! One shard's port to the mesh.

use std::sync::Arc;

use crossbeam::utils::CachePadded;

use super::Limits;
use super::doorbell::published;
use super::inbox::{Batch, Inbox};
use super::staging::Staging;
use crate::base::ids::ShardId;

type Inboxes<R, D, C> = Arc<[CachePadded<Inbox<R, D, C>>]>;

/// One shard's port: stages and flushes what goes out, takes what came in. `R` are requests, `D` deliveries, `C`
/// control items. A shard may send to itself; the items take the same way.
#[derive(Debug)]
pub struct Port<R, D, C> {
    me: ShardId,
    inboxes: Inboxes<R, D, C>,
    requests: Staging<R>,
    deliveries: Staging<D>,
    control: Staging<C>,
    /// Targets to ring, filled during a flush.
    reached: Vec<ShardId>,
    /// Somebody may sleep because a lane of ours was full, and it has room now: the next flush rings.
    made_room: bool,
    /// Deliveries staged since the start.
    delivered: u64,
}

/// The ports of all shards, in order. Panics unless there are between 1 and 65,535 shards and all limits are above 0.
pub fn mesh<R: Send, D: Send, C: Send>(shards: usize, limits: Limits) -> Vec<Port<R, D, C>> {
    assert!(limits.staged > 0, "a staging limit of 0 would never let anything through");
    let count = u16::try_from(shards).ok().filter(|count| *count > 0).expect("between 1 and 65,535 shards");
    let inboxes: Inboxes<R, D, C> = (0..count).map(|_| CachePadded::new(Inbox::new(&limits))).collect();
    let port = |me| Port {
        me: ShardId(me),
        inboxes: inboxes.clone(),
        requests: Staging::new(shards, limits.staged),
        deliveries: Staging::new(shards, limits.staged),
        control: Staging::new(shards, limits.staged),
        reached: Vec::with_capacity(3 * shards),
        made_room: false,
        delivered: 0,
    };
    (0..count).map(port).collect()
}

impl<R, D, C> Port<R, D, C> {
    /// The shard whose port this is.
    pub fn me(&self) -> ShardId {
        self.me
    }

    /// Shards of the mesh.
    pub fn shards(&self) -> u16 {
        self.inboxes.len() as u16
    }

    /// Stages a request to a channel's home.
    pub fn stage_request(&mut self, to: ShardId, request: R) {
        self.requests.stage(to, request);
    }

    /// Stages what a home has for a shard.
    pub fn stage_delivery(&mut self, to: ShardId, delivery: D) {
        self.delivered += 1;
        self.deliveries.stage(to, delivery);
    }

    /// Stages a control item.
    pub fn stage_control(&mut self, to: ShardId, control: C) {
        self.control.stage(to, control);
    }

    /// Deliveries staged for other shards since the start.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Whether something is staged that no full lane held back.
    pub fn is_staging(&self) -> bool {
        self.deliveries.is_fresh() || self.requests.is_fresh() || self.control.is_fresh()
    }

    /// Hands over what is staged, as far as the lanes have room, and calls `ring` for each shard that may sleep and
    /// must not: once for each, however much it got. Called once per turn.
    pub fn flush(&mut self, mut ring: impl FnMut(ShardId)) {
        let (inboxes, reached) = (&self.inboxes, &mut self.reached);
        self.deliveries.flush(self.me, |to| &inboxes[to.index()].deliveries, |to| reached.push(to));
        self.requests.flush(self.me, |to| &inboxes[to.index()].requests, |to| reached.push(to));
        self.control.flush(self.me, |to| &inboxes[to.index()].control, |to| reached.push(to));
        if std::mem::take(&mut self.made_room) {
            reached.clear();
            reached.extend((0..inboxes.len() as u16).map(ShardId));
        }
        if reached.is_empty() {
            return;
        }
        published();
        for to in reached.drain(..) {
            if inboxes[to.index()].sleeping.take() {
                ring(to);
            }
        }
    }

    /// A request lane is full: the engine takes no input from clients and the API until it is not.
    pub fn requests_congested(&self) -> bool {
        self.requests.is_congested()
    }

    /// A delivery lane is full: the engine takes no requests from its inbox until it is not.
    pub fn deliveries_congested(&self) -> bool {
        self.deliveries.is_congested()
    }

    /// The lane for control items to some shard is full: nothing that can wait is to be staged.
    pub fn control_congested(&self) -> bool {
        self.control.is_congested()
    }

    /// The next batch of requests. Not to be called while [`Port::deliveries_congested`].
    pub fn take_requests(&mut self) -> Option<Batch<R>> {
        let batch = self.inbox().requests.pop();
        self.took(batch)
    }

    /// The next batch of deliveries. Always to be called.
    pub fn take_deliveries(&mut self) -> Option<Batch<D>> {
        let batch = self.inbox().deliveries.pop();
        self.took(batch)
    }

    /// The next batch of control items. To be called every turn.
    pub fn take_control(&mut self) -> Option<Batch<C>> {
        let batch = self.inbox().control.pop();
        self.took(batch)
    }

    /// Gives the buffer of a handled batch back for what goes out next.
    pub fn recycle_requests(&mut self, buffer: Vec<R>) {
        self.requests.recycle(buffer);
    }

    /// Gives the buffer of a handled batch back for what goes out next.
    pub fn recycle_deliveries(&mut self, buffer: Vec<D>) {
        self.deliveries.recycle(buffer);
    }

    /// Says that the shard is about to sleep, and looks for work once more. False: there is some, do not sleep. True:
    /// from now on whoever brings work rings. Staged items that could not be handed over are no reason to stay
    /// awake; whoever makes room for them rings too.
    #[must_use]
    pub fn prepare_to_sleep(&mut self) -> bool {
        self.blocked().for_each(|inbox| inbox.starved.mark());
        self.inbox().sleeping.raise();
        let idle = !self.has_work();
        if !idle {
            self.awake();
        }
        idle
    }

    /// The shard is awake again: nobody needs to ring.
    pub fn awake(&mut self) {
        self.inbox().sleeping.lower();
    }

    fn inbox(&self) -> &Inbox<R, D, C> {
        &self.inboxes[self.me.index()]
    }

    /// Remembers to wake senders that waited for the room just made.
    fn took<T>(&mut self, batch: Option<T>) -> Option<T> {
        if batch.is_some() {
            published();
            self.made_room |= self.inbox().starved.take();
        }
        batch
    }

    /// Inboxes that something is staged for. After a flush these are the ones whose lane was full.
    fn blocked(&self) -> impl Iterator<Item = &Inbox<R, D, C>> {
        let targets = [self.deliveries.targets(), self.requests.targets(), self.control.targets()];
        targets.into_iter().flatten().map(|to| &*self.inboxes[to.index()])
    }

    /// Something can be taken, handed over or rung for.
    fn has_work(&self) -> bool {
        let inbox = self.inbox();
        let full = |to: &ShardId| &*self.inboxes[to.index()];
        self.made_room
            || !inbox.deliveries.is_empty()
            || !inbox.control.is_empty()
            || (!self.deliveries_congested() && !inbox.requests.is_empty())
            || self.deliveries.targets().iter().any(|to| !full(to).deliveries.is_full())
            || self.requests.targets().iter().any(|to| !full(to).requests.is_full())
            || self.control.targets().iter().any(|to| !full(to).control.is_full())
    }
}

#[cfg(all(test, not(model_check)))]
mod tests;
