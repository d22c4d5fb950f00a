//! Spindle.
fn main() {}
