//! What is simulated: how many shards and clients, and the channels between them.

use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};
use crate::config::snapshot::Snapshot;

/// Size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Nodes; one alone has no broker.
    pub nodes: usize,
    /// Shards of each, at least 1.
    pub shards: u16,
    /// Clients.
    pub clients: usize,
    /// Channels of each kind.
    pub channels: usize,
    /// Steps before everything comes to rest.
    pub steps: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { nodes: 1, shards: 3, clients: 12, channels: 3, steps: 6_000 }
    }
}

/// Publications that channels with history keep.
pub(super) const HISTORY_SIZE: u32 = 8;

/// Seconds that a key of a map lives.
pub(super) const MAP_KEY_TTL_S: u64 = 20;

/// Bytes a client may be owed: so few that slow clients are disconnected now and then.
pub(super) const QUEUE_MAX_SIZE: usize = 3 * 1024;

/// Errands that one shard may have under way: so few that proofs stand in line.
pub(super) const MAX_ERRANDS: usize = 2;

/// A key on the curve P-384, slow enough for the control plane. Nobody checks a signature with it.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE2yqYPHlliur5BmlX0Y9caOvC7pWF7rse
pB1i5fYGB2i5DDmFq2YNypE4ObYa8jtSTMjODCmrH+cs86e4dQQbUsR+znLgasnz
1vWUr9gP8Jej0SqlSXBJQNc08PSID5Tt
-----END PUBLIC KEY-----";

/// A token for that key: ES384, of [`USER`].
pub(super) const TOKEN: &str = "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl";

/// Signs lists of tracked keys.
pub(super) const POLL_SECRET: &str = "secret";

/// Time between two rounds of questions about all keys of a channel, milliseconds.
pub(super) const POLL_INTERVAL_MS: u64 = 5_000;

/// Whether the backend numbers versions of keys of the channel.
pub(super) fn is_versioned(channel: &str) -> bool {
    !channel.starts_with("hashed")
}

/// Whether the backend begins to count anew now and then.
pub(super) fn changes_epoch(channel: &str) -> bool {
    channel.starts_with("epochs")
}

/// The user of clients with a token.
pub(super) const USER: &str = "u";

/// Prefix of the maps that mirror who is in a channel.
pub(super) const HERE: &str = "here:";

/// Prefix of the maps that mirror which users are, or were, in a channel.
pub(super) const USERS: &str = "users:";

impl Setup {
    /// Names of the channels: some keep history, some only pass publications on; a few are for delta, for filters and
    /// for the newest publication alone.
    pub(super) fn names(&self) -> Vec<String> {
        let most = (0..self.channels).flat_map(|n| [format!("kept:{n}"), format!("live:{n}")]);
        let few =
            (0..self.channels.div_ceil(3)).flat_map(|n| ["delta", "tags", "cache"].map(|kind| format!("{kind}:{n}")));
        most.chain(few).collect()
    }

    /// Channels live at a broker.
    pub(super) fn is_brokered(&self) -> bool {
        self.nodes > 1
    }

    /// Names of the maps: some are set by anyone, some mirror who is in a channel.
    pub(super) fn maps(&self) -> Vec<String> {
        let few = 0..self.channels.div_ceil(3);
        few.flat_map(|n| [format!("map:{n}"), format!("{HERE}kept:{n}"), format!("{USERS}kept:{n}")]).collect()
    }

    /// Names of the shared-poll channels.
    pub(super) fn polls(&self) -> Vec<String> {
        let few = 0..self.channels.div_ceil(3);
        // Those that are numbered here have nothing to do with other nodes.
        let kinds = &["polled", "epochs", "hashed"][..if self.is_brokered() { 2 } else { 3 }];
        few.flat_map(|n| kinds.iter().map(move |kind| format!("{kind}:{n}"))).collect()
    }

    /// The configuration: everyone may do everything.
    pub(super) fn config(&self) -> Snapshot {
        let open = serde_json::json!({
            "name": "live",
            "presence": true,
            "join_leave": true,
            "allow_subscribe_for_client": true,
            "allow_subscribe_for_anonymous": true,
            "allow_publish_for_client": true,
            "allow_publish_for_anonymous": true,
        });
        let mut kept = open.clone();
        kept["name"] = "kept".into();
        let prefix = "map_clients_presence_channel_prefix";
        kept["force_push_join_leave"] = true.into();
        kept["force_recovery"] = true.into();
        kept["history_size"] = HISTORY_SIZE.into();
        kept["history_ttl"] = "1h".into();
        let mut delta = kept.clone();
        kept[prefix] = HERE.into();
        kept["map_users_presence_channel_prefix"] = USERS.into();
        delta["name"] = "delta".into();
        delta["allowed_delta_types"] = ["fossil"].into();
        delta["delta_publish"] = true.into();
        delta["allow_tags_filter"] = true.into();
        let mut tags = kept.clone();
        tags["name"] = "tags".into();
        tags["allow_tags_filter"] = true.into();
        let mut cache = kept.clone();
        cache["name"] = "cache".into();
        cache["force_recovery_mode"] = "cache".into();
        // Changes are few and short-lived enough that they are gone now and then when a client comes back.
        let mut map = open.clone();
        map["name"] = "map".into();
        map["subscription_type"] = "map".into();
        map["map"] = serde_json::json!({
            "mode": "recoverable", "key_ttl": format!("{MAP_KEY_TTL_S}s"), "stream_size": 5, "stream_ttl": "30s", "meta_ttl": "10h",
            "min_page_size": 1, "default_page_size": 2, "max_page_size": 10,
        });
        let mut here = map.clone();
        here["name"] = "here".into();
        here["subscription_type"] = "map_clients".into();
        here["map"]["key_ttl"] = "10h".into();
        let mut users = here.clone();
        users["name"] = "users".into();
        users["subscription_type"] = "map_users".into();
        let poll = |name: &str| {
            let mut poll = open.clone();
            poll["name"] = name.into();
            poll["subscription_type"] = "shared_poll".into();
            poll["allowed_delta_types"] = ["fossil"].into();
            poll["shared_poll"] = serde_json::json!({
                "proxy_name": "backend", "refresh_interval": format!("{POLL_INTERVAL_MS}ms"), "refresh_batch_size": 4,
                "mode": if is_versioned(name) { "versioned" } else { "versionless" },
                "publish_enabled": is_versioned(name),
            });
            poll
        };
        let (polled, epochs, hashed) = (poll("polled"), poll("epochs"), poll("hashed"));
        let text = serde_json::json!({
            "shared_poll": { "hmac_secret_key": POLL_SECRET },
            "proxies": [{ "name": "backend", "endpoint": "http://backend.example" }],
            "client": { "allow_anonymous_connect_without_token": true, "queue_max_size": QUEUE_MAX_SIZE,
                "token": { "ecdsa_public_key": KEY } },
            "channel": { "namespaces": [kept, open, delta, tags, cache, map, here, users, polled, epochs, hashed] },
            "http_api": { "insecure": true },
        })
        .to_string();
        let env = Env::default();
        let sources = Sources { file: Some(("config.json", &text)), env: &env, flags: &[] };
        let loaded = load(sources).expect("the simulator's configuration is in order");
        let host = Host { name: "simulated", resolve: &|_| None };
        prepare(&loaded.options, &host, false).expect("the simulator's configuration is in order")
    }
}
