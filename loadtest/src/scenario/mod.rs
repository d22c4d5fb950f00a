//! One scenario a file: its flags, what it does, what it reports.

pub mod api;
pub mod fanout;
pub mod floor;
pub mod idle;
