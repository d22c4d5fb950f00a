//! What tests of the engine begin with: a configuration, a client's frame.

use std::sync::Arc;

use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};
use crate::config::snapshot::Snapshot;

/// A configuration from JSON that is in order.
pub(super) fn config(json: &str) -> Arc<Snapshot> {
    let env = Env::default();
    let loaded = load(Sources { file: Some(("config.json", json)), env: &env, flags: &[] }).unwrap();
    Arc::new(prepare(&loaded.options, &Host { name: "test", resolve: &|_| None }, false).unwrap())
}

/// A client's text frame. The mask of zeros leaves the text as it is.
pub(super) fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend((text.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
