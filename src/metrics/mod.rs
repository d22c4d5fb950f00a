//! Counters and histograms of one shard, and the text that Prometheus reads.
//!
//! A [`Shard`] is plain data with one owner: counting is an ordinary addition. Whoever reads asks every shard
//! for a copy, adds the copies up ([`Sum`]) and passes them through the [`catalogue`], which names them.

pub mod labels;

pub mod expiry;
pub mod histogram;
pub mod polls;
pub mod redis;
pub mod requests;
pub mod sum;
pub mod window;

pub mod interval;
pub mod shard;

pub mod catalogue;
pub mod family;
pub mod items;
pub mod live;
pub mod own;
pub mod prometheus;

pub use interval::Interval;
pub use shard::{ClientLabels, Shard};
pub use sum::Sum;
