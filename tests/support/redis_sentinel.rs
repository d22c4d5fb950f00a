//! A master that Sentinels watch, for a test.

use crate::redis::{Redis, free_port};

/// A master, its replica, and Sentinels that watch them, with their ports.
pub struct Watched {
    pub master: Redis,
    pub replica: Redis,
    _sentinels: Vec<Redis>,
    pub sentinel_ports: Vec<u16>,
}

impl Watched {
    /// A majority of the Sentinels must say that the master is down.
    pub fn start(sentinels: usize) -> Self {
        Self::guarded(sentinels, "requirepass guard\nsentinel sentinel-pass guard\n")
    }

    /// With more lines in the configuration of the Sentinels.
    pub fn guarded(sentinels: usize, more: &str) -> Self {
        let (port, replica_port) = (free_port(), free_port());
        let master = Redis::with(&["--port", &port.to_string(), "--requirepass", "open", "--masterauth", "open"]);
        let of_master = format!("127.0.0.1 {port}");
        let replica = Redis::with(
            &[
                ["--port", &replica_port.to_string()],
                ["--replicaof", &of_master],
                ["--requirepass", "open"],
                ["--masterauth", "open"],
            ]
            .concat(),
        );
        let mut connection = master.connect();
        connection.send(&["AUTH", "open"]);
        // A Sentinel hears of the replica from its master.
        while !format!("{:?}", connection.send(&["INFO", "replication"])).contains("state=online") {
            connection.send(&["WAIT", "2", "20"]);
        }
        let sentinel_ports: Vec<_> = (0..sentinels).map(|_| free_port()).collect();
        let majority = sentinels / 2 + 1;
        let sentinel = |port: &u16| {
            Redis::sentinel(&format!(
                "{more}port {port}\nsentinel monitor main {of_master} {majority}\n\
                sentinel auth-pass main open\nsentinel down-after-milliseconds main 300\n\
                sentinel failover-timeout main 2000\n"
            ))
        };
        let running = sentinel_ports.iter().map(sentinel).collect();
        Self { master, replica, _sentinels: running, sentinel_ports }
    }

    /// The options of `engine.redis` for the master of this name.
    pub fn options(&self, master: &str) -> String {
        // The first one answers nobody.
        let addresses: Vec<_> = [free_port()].iter().chain(&self.sentinel_ports).map(address).collect();
        format!(
            r#"{{"sentinel_address":["{}"],"sentinel_master_name":"{master}",
            "sentinel_password":"guard","password":"open"}}"#,
            addresses.join(",")
        )
    }
}

fn address(port: &u16) -> String {
    format!("127.0.0.1:{port}")
}
