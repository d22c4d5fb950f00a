//! A master that a Sentinel knows, and what becomes of it.

use spindle::channel::broker_op::{BrokerEvent, BrokerReply};

use super::driver::{Shards, everything, free_port, publish};
use super::faults::publish_at_last;
use super::redis::Redis;

/// A master, its replica, and a Sentinel that watches them, with their ports.
struct Set {
    master: Redis,
    _replica: Redis,
    _sentinel: Redis,
    sentinel_port: u16,
}

impl Set {
    fn start() -> Self {
        let (port, replica_port, sentinel_port) = (free_port(), free_port(), free_port());
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
        // The Sentinel hears of the replica from its master.
        while !format!("{:?}", connection.send(&["INFO", "replication"])).contains("state=online") {
            connection.send(&["WAIT", "2", "20"]);
        }
        let sentinel = Redis::sentinel(&format!(
            "port {sentinel_port}\nrequirepass guard\nsentinel monitor main {of_master} 1\n\
            sentinel auth-pass main open\nsentinel down-after-milliseconds main 300\n\
            sentinel failover-timeout main 2000\n"
        ));
        Self { master, _replica: replica, _sentinel: sentinel, sentinel_port }
    }

    fn options(&self, master: &str) -> String {
        // The first one answers nobody.
        format!(
            r#"{{"sentinel_address":["127.0.0.1:{},127.0.0.1:{}"],"sentinel_master_name":"{master}",
            "sentinel_password":"guard","password":"open"}}"#,
            free_port(),
            self.sentinel_port
        )
    }
}

#[test]
fn the_master_is_found_and_found_again() {
    let mut set = Set::start();
    let mut shards = Shards::new(2, &set.options("main"));
    everything(&mut shards);
    shards.subscribe("news");
    set.master.kill();
    assert!(matches!(shards.ask("news", publish("lost", 10)), BrokerReply::Failed));
    shards.wait(|event| matches!(event, BrokerEvent::Resumed(name) if name.as_str() == "news"));
    publish_at_last(&mut shards, "news", "on");
    assert_eq!(shards.heard("news"), "on");
}

#[test]
fn by_a_url_too() {
    let set = Set::start();
    let address = format!(
        r#"{{"address":"redis+sentinel://:open@127.0.0.1:{}?sentinel_master_name=main&sentinel_password=guard"}}"#,
        set.sentinel_port
    );
    everything(&mut Shards::new(1, &address));
}

#[test]
fn a_start_says_what_is_wrong() {
    let set = Set::start();
    let error = Shards::try_new(1, &set.options("other")).err().expect("refused");
    assert!(error.contains("it knows no master \"other\""), "{error}");
    let open = set.options("main").replace("guard", "wrong");
    let error = Shards::try_new(1, &open).err().expect("refused");
    assert!(error.contains("WRONGPASS") && !error.contains("wrong\""), "{error}");
}
