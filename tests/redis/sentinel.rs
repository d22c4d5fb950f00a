//! A master that a Sentinel knows, and what becomes of it.

use spindle::channel::broker_op::{BrokerEvent, BrokerOp, BrokerReply};

use super::driver::{Shards, client, everything, free_port, publish};
use super::faults::publish_at_last;
use super::options::pem;
use super::redis::Redis;
use super::redis_sentinel::Watched;

#[test]
fn the_master_is_found_and_found_again() {
    let mut set = Watched::start(1);
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
    let set = Watched::start(1);
    let address = format!(
        r#"{{"address":"redis+sentinel://:open@127.0.0.1:{}?sentinel_master_name=main&sentinel_password=guard"}}"#,
        set.sentinel_ports[0]
    );
    everything(&mut Shards::new(1, &address));
}

#[test]
fn a_start_says_what_is_wrong() {
    let set = Watched::start(1);
    let error = Shards::try_new(1, &set.options("other")).err().expect("refused");
    assert!(error.contains("it knows no master \"other\""), "{error}");
    let open = set.options("main").replace("guard", "wrong");
    let error = Shards::try_new(1, &open).err().expect("refused");
    let words = "(look at sentinel_user and sentinel_password)";
    assert!(error.contains("WRONGPASS") && error.contains(words) && !error.contains("wrong\""), "{error}");
    let stranger = set.options("main").replace("open", "wrong");
    let error = Shards::try_new(1, &stranger).err().expect("refused");
    assert!(error.contains("WRONGPASS") && error.contains("(look at user and password)"), "{error}");
}

#[test]
fn a_sentinel_with_users_that_speaks_tls() {
    let port = free_port();
    let tls = ["cert", "key", "ca-cert"].map(|kind| {
        let file = pem(match kind {
            "cert" => "server.pem",
            "key" => "server.key",
            _ => "ca.pem",
        });
        format!("tls-{kind}-file {file}\n")
    });
    let set = Watched::guarded(
        1,
        &format!(
            "tls-port {port}\n{}tls-auth-clients no\nuser ann on >guard ~* &* +@all\nuser default off\n",
            tls.concat()
        ),
    );
    let options = |more: &str| {
        format!(
            r#"{{"sentinel_address":["127.0.0.1:{port}"],"sentinel_master_name":"main","sentinel_user":"ann",
            "sentinel_password":"guard","password":"open","sentinel_tls":{{"enabled":true,{more}}}}}"#
        )
    };
    everything(&mut Shards::new(1, &options(&format!(r#""server_ca_pem":"{}""#, pem("ca.pem")))));
    let error = Shards::try_new(1, &options(r#""server_name":"x""#)).err().expect("refused");
    assert!(error.contains("(look at sentinel_tls.server_ca_pem and sentinel_tls.server_name)"), "{error}");
    drop(set);
}

#[test]
fn presence_is_read_from_a_replica_that_sentinels_know() {
    let mut set = Watched::start(1);
    let mut writer = Shards::new(1, &set.options("main"));
    assert!(matches!(writer.ask("a", BrokerOp::AddPresence(client(1, "ann"))), BrokerReply::Done));
    let scripts_run = |redis: &Redis| {
        let mut connection = redis.connect();
        connection.send(&["AUTH", "open"]);
        let stats = format!("{:?}", connection.send(&["INFO", "commandstats"]));
        let calls = stats.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
        calls.map_or(0, |calls| calls.parse::<u32>().expect("a number"))
    };
    let replicas = |more: &str| {
        let with = format!(r#""password":"open","replica_client":{{"enabled":true}}{more}"#);
        set.options("main").replace(r#""password":"open""#, &with)
    };
    // A server of this age lets no field expire, but reads as one that does.
    let mut reader = Shards::new(1, &replicas(r#","presence_hash_field_ttl":true"#));
    // Until the Sentinel has looked at the replica, the master is asked; and the replica is behind at first.
    let mut is_there = || matches!(reader.ask("a", BrokerOp::PresenceStats), BrokerReply::PresenceStats(1, 1));
    while !(is_there() && scripts_run(&set.replica) > 0) {}
    let before = scripts_run(&set.master);
    assert!(matches!(reader.ask("a", BrokerOp::Presence), BrokerReply::Presence(found) if found.len() == 1));
    assert_eq!(scripts_run(&set.master), before);
    // Where expired entries are removed by reading, that is the master's.
    let run = scripts_run(&set.replica);
    let mut sweeper = Shards::new(1, &replicas(""));
    assert!(matches!(sweeper.ask("a", BrokerOp::Presence), BrokerReply::Presence(found) if found.len() == 1));
    assert_eq!((scripts_run(&set.replica), scripts_run(&set.master)), (run, before + 1));
    set.replica.kill();
    while !matches!(reader.ask("a", BrokerOp::Presence), BrokerReply::Presence(found) if found.len() == 1) {}
    assert!(scripts_run(&set.master) > before + 1);
}
