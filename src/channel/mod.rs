//! A channel's name, its rules, and its state at its home shard.
//!
//! Every channel has one home, `name.home(shards)`, which alone orders its publications and keeps its
//! history and presence. Other shards send it an [`op::Op`]; it answers and publishes by [`op::Delivery`].

pub mod broker_op;
pub mod convert;
pub mod delta;
pub mod map;
pub mod map_delta;
pub mod map_op;
pub mod name;
pub mod op;
pub mod poll;
pub mod publication;
pub mod rules;

pub mod deadlines;
pub mod filter;

pub mod brokered;
mod dispatch;
pub mod home;
pub mod idempotency;
pub mod interest;
pub mod presence;
pub mod recovery;
pub mod retired;
pub mod stream;
pub mod table;
