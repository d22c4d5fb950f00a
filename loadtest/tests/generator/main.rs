//! The generator from end to end, as a person runs it.

mod arguments;
mod faults;
mod scenarios;
mod support;
