//! How a map channel keeps its keys and changes (`map.*` of a namespace).

/// What the home of a map must know, with upstream's defaults filled in (centrifuge map_broker.go,
/// `ResolveAndValidateMapChannelOptions`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapOptions {
    /// Milliseconds a key is kept after it was last set (`key_ttl`); 0 = for ever (mode `persistent`).
    pub key_ttl_ms: u64,
    /// How changes are kept; none in mode `ephemeral`, where nothing can be recovered.
    pub stream: Option<MapStreamOptions>,
}

/// How a map keeps its changes (modes `recoverable` and `persistent`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapStreamOptions {
    /// Most changes kept (`stream_size`), at least 1.
    pub size: u32,
    /// Milliseconds they are kept after the last change (`stream_ttl`).
    pub ttl_ms: u64,
    /// Milliseconds the whole map is kept after its last use (`meta_ttl`); 0 = for ever.
    pub meta_ttl_ms: u64,
}
