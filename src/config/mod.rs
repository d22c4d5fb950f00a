//! Configuration: the options as a table of facts, loading and validating them, and the resolved
//! [`snapshot::Snapshot`] that the server runs on.

pub mod snapshot;
