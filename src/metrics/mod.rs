//! Counters and histograms of one shard, and the text that Prometheus reads.
//!
//! A shard's metrics are plain data with one owner: counting is an ordinary addition. Whoever reads them asks
//! every shard for a copy and merges the copies.

pub mod shard;

pub use shard::{Shard, Snapshot};
