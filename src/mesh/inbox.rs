//! One shard's inbox: the part of the mesh that several threads touch.

use crossbeam::queue::ArrayQueue;

use super::Limits;
use super::doorbell::Flag;
use crate::base::ids::ShardId;

/// Items of one sender and lane, in order.
pub type Batch<T> = (ShardId, Vec<T>);

/// Written by all shards, read by its owner.
#[derive(Debug)]
pub struct Inbox<R, D, C> {
    pub requests: ArrayQueue<Batch<R>>,
    pub deliveries: ArrayQueue<Batch<D>>,
    pub control: ArrayQueue<Batch<C>>,
    /// The owner may be asleep.
    pub sleeping: Flag,
    /// A sender that found a lane full may be asleep.
    pub starved: Flag,
}

impl<R, D, C> Inbox<R, D, C> {
    /// An empty inbox.
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: ArrayQueue::new(limits.requests),
            deliveries: ArrayQueue::new(limits.deliveries),
            control: ArrayQueue::new(limits.control),
            sleeping: Flag::new(),
            starved: Flag::new(),
        }
    }
}
