//! The mesh: what shards hand to each other, to the control plane ([`Desk`]) and
//! to the broker ([`Line`]). It knows nothing of what it carries.
//!
//! Each shard owns one [`Port`]. It stages items for other shards while a turn runs and flushes once at the turn's
//! end: one batch per target and lane, one ring per target, and only if the target sleeps. A lane is a bounded
//! lock-free queue of batches at the receiver, shared by all senders. Nothing is ever dropped: a batch that finds
//! its lane full stays staged, grows, and is tried again with the next flush, so between two shards a lane is first
//! in, first out. Order between lanes is not kept.
//!
//! # Why it cannot deadlock
//!
//! There are three lanes: requests to a channel's home, deliveries from it, and control.
//!
//! 1. Deliveries and control are always taken, whatever is congested: handling them only stages more, which needs
//!    no room in any lane. So every delivery and control lane gets room again, and what is staged for it goes out.
//! 2. Requests are taken only while [`Port::deliveries_congested`] is false. By 1 it becomes false, so request lanes
//!    get room again too.
//! 3. New requests from clients and the API are accepted only while [`Port::requests_congested`] is false. By 2 it
//!    becomes false.
//! 4. A shard with a batch it could not hand over may sleep: it leaves a mark at the full inbox
//!    ([`Port::prepare_to_sleep`]), and whoever takes a batch from a marked inbox rings the sleepers.
//!
//! What 1 stages is bounded by what was accepted: a delivery causes at most a fixed number of requests of the
//! connection it is for. What is staged for one target is therefore bounded by [`Limits::staged`] plus one turn's
//! work plus the commands under way.

mod desk;
mod doorbell;
mod inbox;
mod line;
mod port;
mod staging;

pub use desk::{Desk, Full, Window, desk};
pub use inbox::Batch;
pub use line::{FarEnd, Line, line};
pub use port::{Port, mesh};

/// Bounds of one shard's lanes. Numbers of batches; all above 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Batches of requests that wait at one shard.
    pub requests: usize,
    /// Batches of deliveries that wait at one shard.
    pub deliveries: usize,
    /// Batches of control items that wait at one shard.
    pub control: usize,
    /// Items staged for one target and lane at which the lane counts as congested before it is full.
    pub staged: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 256, deliveries: 256, control: 64, staged: 4096 }
    }
}
