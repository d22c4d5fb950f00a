//! Options of maps: the built-in defaults, and what goes with what.

use crate::config::snapshot::{MapOptions, MapStreamOptions};
use crate::config::value::Section;

/// What `stream_size` 0 stands for.
const STREAM_SIZE: u32 = 100;

/// What `stream_ttl` 0 stands for, milliseconds.
const STREAM_TTL_MS: u64 = 60_000;

/// The `map` options of a namespace for the homes of its maps; none without a mode. Upstream looks for some
/// contradictions only when a map is used, and then fails (`ResolveAndValidateMapChannelOptions`): none for them too.
pub(super) fn options(map: &Section) -> Option<MapOptions> {
    let mode = map.text("mode");
    let key_ttl_ms = milliseconds(map, "key_ttl");
    let stream = match mode {
        "ephemeral" => None,
        "recoverable" | "persistent" => Some(stream(map, key_ttl_ms)?),
        _ => return None,
    };
    Some(MapOptions { key_ttl_ms, stream })
}

fn stream(map: &Section, key_ttl_ms: u64) -> Option<MapStreamOptions> {
    let size = match map.int("stream_size") {
        0 => STREAM_SIZE,
        size => u32::try_from(size).unwrap_or(u32::MAX),
    };
    let ttl_ms = match milliseconds(map, "stream_ttl") {
        0 => STREAM_TTL_MS,
        ttl_ms => ttl_ms,
    };
    let meta_ttl_ms = match milliseconds(map, "meta_ttl") {
        0 if key_ttl_ms == 0 => 0,
        0 => ttl_ms.saturating_mul(10).max(key_ttl_ms),
        // What says that the keys are there must outlive them.
        meta_ttl_ms if key_ttl_ms == 0 || meta_ttl_ms < key_ttl_ms => return None,
        meta_ttl_ms => meta_ttl_ms,
    };
    Some(MapStreamOptions { size, ttl_ms, meta_ttl_ms })
}

/// Whole milliseconds, at least one for what is set.
fn milliseconds(map: &Section, name: &str) -> u64 {
    u64::try_from(map.duration_ns(name)).unwrap_or(0).div_ceil(1_000_000)
}
