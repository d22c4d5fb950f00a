//! Configuration: the options as a table of facts, loading and validating them, and the resolved
//! [`snapshot::Snapshot`] that the server runs on.
//!
//! The way of an option: [`options`] says what there is, [`load`] reads file, environment and flags into a tree of
//! values, [`validate`] refuses what makes no sense, [`prepare`] makes the snapshot. Nothing here reads a file, the
//! environment or the clock.

pub mod dev;
pub mod option;
pub mod options;

pub mod decode;
pub mod doc;
pub mod dotenv;
pub mod duration;
pub mod endpoint;
pub mod env;
pub mod error;
pub mod file;
pub mod load;
pub mod origin;
pub mod pattern;
pub mod prepare;
pub mod reload;
pub mod text;
pub mod validate;
pub mod value;
pub mod write;

pub mod snapshot;
