//! Spindle: a real-time messaging server, wire-compatible with Centrifugo v6.9.1, one shard per core.
//!
//! The rooms below stand in the order in which a message passes them; `ARCHITECTURE.md` walks the way.

pub mod base;

pub mod channel;
pub mod cli;
pub mod config;
pub mod protocol;

pub mod net;
pub mod shard;
pub mod transport;

pub mod auth;
pub mod session;

pub mod engine;
pub mod errand;
pub mod fanout;
pub mod mesh;

pub mod api;
pub mod broker;
pub mod cluster;
pub mod control;
pub mod metrics;

pub mod sim;
