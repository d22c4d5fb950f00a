//! The real binary against hostile and unlucky clients, backends and operators.
//!
//! Nothing here measures time: deadlines are bounds on failure. Every server's log is searched for panics at its end.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod crowds;
mod http;
mod key_sets;
mod limits;
mod process;
mod signer;
mod tokens;
mod websocket;
