//! How Redis is reached, and what is kept there. Never printed with its secrets.

use std::fmt;
use std::num::NonZeroU32;

use super::{Nats, NatsBroker};

use super::ClientTls;

/// Where channels live.
#[derive(Clone, Debug, Default)]
pub enum Broker {
    /// On this node alone.
    #[default]
    Memory,
    /// In Redis, together with other nodes.
    Redis(RedisBroker),
    /// Nowhere: publications are told over NATS, together with other nodes, and forgotten.
    Nats(NatsBroker),
    /// In Redis, and told over NATS.
    RedisNats(RedisBroker, NatsBroker),
}

impl Broker {
    /// Whether there may be other nodes.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory)
    }
}

/// What carries control messages between nodes (`controller.*`).
#[derive(Clone, Debug, Default)]
pub enum Controller {
    /// Whatever channels live at; none where they live here.
    #[default]
    Broker,
    /// PUB/SUB of Redis.
    Redis(Redis),
    /// NATS.
    Nats(Nats),
}

impl Controller {
    /// Whether there is one of its own.
    pub fn is_own(&self) -> bool {
        !matches!(self, Self::Broker)
    }
}

/// Where presence is kept.
#[derive(Clone, Debug, Default)]
pub enum Presence {
    /// On this node alone.
    #[default]
    Memory,
    /// In Redis, together with other nodes.
    Redis(RedisPresence),
}

impl Presence {
    /// Whether it is kept together with other nodes.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory)
    }
}

/// Where maps live.
#[derive(Clone, Debug, Default)]
pub enum Maps {
    /// On this node alone.
    #[default]
    Memory,
    /// In Redis, together with other nodes.
    Redis(RedisMaps),
}

impl Maps {
    /// Whether they live together with those of other nodes.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory)
    }
}

/// `map_broker.redis.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisMaps {
    /// How it is reached.
    pub redis: Redis,
    /// `cleanup_interval`, milliseconds between two searches for expired keys; none = other nodes search.
    pub cleanup_interval_ms: Option<u64>,
    /// `cleanup_batch_size`: most keys of a map that are removed at once; at least 1.
    pub cleanup_batch: u32,
    /// `idempotent_result_ttl`, milliseconds; at least 1.
    pub result_ttl_ms: u64,
    /// Whether changes are told by PUB/SUB (`skip_pub_sub` says no).
    pub is_told: bool,
    /// `sharded_pub_sub_partitions`; none = it is no Redis Cluster.
    pub partitions: Option<NonZeroU32>,
}

/// `engine.redis.*` or `broker.redis.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisBroker {
    /// How it is reached.
    pub redis: Redis,
    /// `history_use_lists`.
    pub uses_lists: bool,
    /// `sharded_pub_sub_partitions`; none = messages go by ordinary PUB/SUB.
    pub partitions: Option<NonZeroU32>,
}

/// `engine.redis.*` or `presence_manager.redis.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisPresence {
    /// How it is reached.
    pub redis: Redis,
    /// `presence_ttl`, seconds; at least 1.
    pub ttl_s: u32,
    /// `presence_hash_field_ttl`.
    pub fields_expire: bool,
    /// `presence_user_mapping`.
    pub users_counted: bool,
}

/// One Redis, or several that know nothing of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// The section with its options, such as `engine.redis`, for messages.
    pub option: &'static str,
    /// `prefix`; not empty.
    pub prefix: Box<str>,
    /// Channels are spread over these, in their order. At least one.
    pub servers: Vec<RedisServer>,
}

/// One Redis: a single server, a master that Sentinels know, or a Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    /// Where it is.
    pub place: RedisPlace,
    /// Who we are there.
    pub login: RedisLogin,
    /// `db`.
    pub db: i64,
    /// TLS, if it is spoken.
    pub tls: Option<ClientTls>,
    /// `connect_timeout`, milliseconds; at least 1.
    pub connect_timeout_ms: u64,
    /// `io_timeout`, milliseconds; at least 1.
    pub io_timeout_ms: u64,
    /// `force_resp2`.
    pub forces_resp2: bool,
    /// `replica_client.enabled`: what may be a little old is read from replicas.
    pub reads_replicas: bool,
}

/// Where a Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisPlace {
    /// At an address. It may turn out to be a member of a Cluster.
    Server(RedisAddress),
    /// Wherever Sentinels say that the master is.
    Sentinel {
        /// The Sentinels; at least one.
        addresses: Vec<RedisAddress>,
        /// The master's name (`sentinel_master_name`).
        master: Box<str>,
        /// Who we are to the Sentinels.
        login: RedisLogin,
        /// TLS towards the Sentinels, if it is spoken.
        tls: Option<ClientTls>,
    },
    /// A Cluster, of which these members are known; at least one.
    Cluster(Vec<RedisAddress>),
}

/// The address of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RedisAddress {
    /// Host, without brackets, and port.
    Tcp(Box<str>, u16),
    /// Path of a Unix socket.
    Unix(Box<str>),
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

/// Who we are to a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisLogin {
    /// `user`; empty = the default one.
    pub user: Box<str>,
    /// `password`; empty = none.
    pub password: Box<str>,
    /// `client_name`; empty = none.
    pub client_name: Box<str>,
}

impl fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLogin")
            .field("user", &self.user)
            .field("password", &!self.password.is_empty())
            .field("client_name", &self.client_name)
            .finish()
    }
}
