//! The metrics of one shard.

/// The metrics of one shard. Plain data: only its owner touches it.
#[derive(Debug, Default)]
pub struct Shard {}

/// A copy of one shard's metrics, or the sum of several.
#[derive(Debug, Default)]
pub struct Snapshot {}
