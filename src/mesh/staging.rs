//! One shard's outgoing side of one lane: batches that fill up during a turn, and buffers to reuse.

use crossbeam::queue::ArrayQueue;

use super::inbox::Batch;
use crate::base::ids::ShardId;
use crate::base::mutation::{Mutation, is_on};

/// Buffers with room for more items than this are freed, not reused.
const MAX_KEPT_ITEMS: usize = 1024;

/// Batches by target.
#[derive(Debug)]
pub struct Staging<T> {
    batches: Vec<Vec<T>>,
    /// Targets whose batch is not empty.
    targets: Vec<ShardId>,
    /// Empty buffers, at most as many as there are targets.
    spare: Vec<Vec<T>>,
    limit: usize,
    congested: bool,
    fresh: bool,
}

impl<T> Staging<T> {
    /// Nothing staged for any of `shards` targets. Congested from `limit` items for one of them.
    pub fn new(shards: usize, limit: usize) -> Self {
        Self {
            batches: std::iter::repeat_with(Vec::new).take(shards).collect(),
            targets: Vec::new(),
            spare: Vec::new(),
            limit,
            congested: false,
            fresh: false,
        }
    }

    /// Appends to the target's batch.
    #[inline]
    pub fn stage(&mut self, to: ShardId, item: T) {
        let batch = &mut self.batches[to.index()];
        if batch.is_empty() {
            self.targets.push(to);
            if batch.capacity() == 0
                && let Some(spare) = self.spare.pop()
            {
                *batch = spare;
            }
        }
        batch.push(item);
        self.fresh = true;
        self.congested |= batch.len() >= self.limit;
    }

    /// Hands every batch to its target's lane, or keeps it if the lane is full. Calls `reached` for each target that
    /// got one.
    pub fn flush<'l>(
        &mut self,
        me: ShardId,
        lane: impl Fn(ShardId) -> &'l ArrayQueue<Batch<T>>,
        mut reached: impl FnMut(ShardId),
    ) where
        T: 'l,
    {
        let batches = &mut self.batches;
        self.targets.retain(|to| {
            let batch = &mut batches[to.index()];
            if is_on(Mutation::DropLastOfBatch) && batch.len() > 1 {
                batch.pop();
            }
            match lane(*to).push((me, std::mem::take(batch))) {
                Ok(()) => {
                    reached(*to);
                    false
                }
                Err((_, kept)) => {
                    *batch = kept;
                    true
                }
            }
        });
        self.congested = !self.targets.is_empty();
        self.fresh = false;
    }

    /// Whether something was staged for a target since the last flush.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether a lane was full at the last flush, or a batch reached the limit since.
    pub fn is_congested(&self) -> bool {
        self.congested
    }

    /// Targets that something is staged for.
    pub fn targets(&self) -> &[ShardId] {
        &self.targets
    }

    /// Keeps a buffer for the next batch. What is in it is dropped.
    pub fn recycle(&mut self, mut buffer: Vec<T>) {
        if self.spare.len() < self.batches.len() && (1..=MAX_KEPT_ITEMS).contains(&buffer.capacity()) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}
