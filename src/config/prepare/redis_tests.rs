//! Where Redis is, by every form of address, and which forms are refused.

use crate::config::error::Error;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};
use crate::config::snapshot::{
    Broker, Maps, Presence, RedisAddress, RedisBroker, RedisPlace, RedisPresence, RedisServer,
};

fn make(engine: &str) -> Result<(RedisBroker, RedisPresence), Error> {
    let json = format!(r#"{{"engine":{{"type":"redis","redis":{engine}}}}}"#);
    let loaded = load(Sources { file: Some(("a.json", &json)), env: &Default::default(), flags: &[] }).unwrap();
    let snapshot = prepare(&loaded.options, &Host { name: "box", resolve: &|_| None }, false)?;
    match (snapshot.broker, snapshot.presence) {
        (Broker::Redis(broker), Presence::Redis(presence)) => Ok((broker, presence)),
        other => panic!("{other:?}"),
    }
}

fn servers(engine: &str) -> Vec<RedisServer> {
    make(engine).unwrap().0.redis.servers
}

/// The one server of an address.
fn at(address: &str) -> Result<RedisServer, Error> {
    let json = serde_json::json!({ "address": address }).to_string();
    make(&json).map(|(broker, _)| broker.redis.servers.into_iter().next().unwrap())
}

fn tcp(host: &str, port: u16) -> RedisAddress {
    RedisAddress::Tcp(host.into(), port)
}

#[test]
fn the_defaults() {
    let (broker, presence) = make("{}").unwrap();
    assert_eq!((&*broker.redis.prefix, broker.uses_lists, broker.redis.option), ("centrifugo", false, "engine.redis"));
    assert_eq!((presence.ttl_s, presence.fields_expire, presence.users_counted), (60, false, false));
    assert_eq!(broker.redis, presence.redis);
    let [server] = &broker.redis.servers[..] else { panic!() };
    assert_eq!(server.place, RedisPlace::Server(tcp("127.0.0.1", 6379)));
    assert_eq!((server.db, &server.tls, server.forces_resp2), (0, &None, false));
    assert_eq!((server.connect_timeout_ms, server.io_timeout_ms), (1_000, 4_000));
    assert_eq!((broker.partitions, server.reads_replicas), (None, false));
}

#[test]
fn replicas_and_partitions() {
    let reads = |engine: &str| servers(engine)[0].reads_replicas;
    let asked = r#""replica_client":{"enabled":true}"#;
    assert!(reads(&format!(r#"{{"cluster_address":["a:1"],{asked}}}"#)));
    assert!(reads(&format!(r#"{{"address":"a:1",{asked}}}"#)));
    assert!(!reads(&format!(r#"{{"address":"redis+cluster://a:1?replica_client_enabled=false",{asked}}}"#)));
    assert!(reads(r#"{"address":"redis+cluster://a:1?replica_client_enabled=1"}"#));
    let partitions = |count: &str| make(&format!(r#"{{"sharded_pub_sub_partitions":{count}}}"#)).unwrap().0.partitions;
    assert_eq!((partitions("0"), partitions("64").map(u32::from)), (None, Some(64)));
}

#[test]
fn what_stands_beside_the_address() {
    let server = &servers(
        r#"{"address":"a:1","db":3,"user":"u","password":"p","client_name":"c","force_resp2":true,
            "connect_timeout":"2s","io_timeout":"300ms",
            "tls":{"enabled":true,"server_name":"s","insecure_skip_verify":true,"cert_pem":"C","key_pem":"K"}}"#,
    )[0];
    assert_eq!((server.db, &*server.login.user, &*server.login.password), (3, "u", "p"));
    assert_eq!((&*server.login.client_name, server.forces_resp2), ("c", true));
    assert_eq!((server.connect_timeout_ms, server.io_timeout_ms), (2_000, 300));
    let tls = server.tls.as_ref().unwrap();
    assert_eq!((&*tls.option, &*tls.server_name, tls.skips_verification), ("engine.redis.tls", "s", true));
    assert_eq!((&*tls.cert_pem, &*tls.key_pem), ("C", "K"));
    let shown = format!("{server:?}");
    assert!(!shown.contains("\"p\"") && !shown.contains("\"K\""), "{shown}");
    let (broker, presence) = make(
        r#"{"prefix":"x","history_use_lists":true,"presence_ttl":"90s500ms",
        "presence_hash_field_ttl":true,"presence_user_mapping":true}"#,
    )
    .unwrap();
    assert_eq!((&*broker.redis.prefix, broker.uses_lists), ("x", true));
    assert_eq!((presence.ttl_s, presence.fields_expire, presence.users_counted), (90, true, true));
    assert_eq!(make(r#"{"presence_ttl":"300ms"}"#).unwrap().1.ttl_s, 1);
}

#[test]
fn addresses() {
    let place = |address: &str| at(address).unwrap().place;
    assert_eq!(place("redis.example:6380"), RedisPlace::Server(tcp("redis.example", 6380)));
    assert_eq!(place("[::1]:6379"), RedisPlace::Server(tcp("::1", 6379)));
    assert_eq!(place("redis://:6379"), RedisPlace::Server(tcp("localhost", 6379)));
    assert_eq!(place("tcp://a:1"), RedisPlace::Server(tcp("a", 1)));
    assert_eq!(place("unix:///run/redis.sock"), RedisPlace::Server(RedisAddress::Unix("/run/redis.sock".into())));
    assert_eq!(
        place("redis+cluster://a:1?addr=b:2&addr=c:3"),
        RedisPlace::Cluster(vec![tcp("a", 1), tcp("b", 2), tcp("c", 3)])
    );
    assert_eq!(place("redis://a:1?addr=b:2"), RedisPlace::Cluster(vec![tcp("a", 1), tcp("b", 2)]));
    assert_eq!(servers(r#"{"address":["a:1","b:2"]}"#).len(), 2);
    let shown = |address: &str| match place(address) {
        RedisPlace::Server(address) => address.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!((shown("redis://[::1]:1"), shown("unix:///a b")), ("[::1]:1".to_owned(), "unix:///a b".to_owned()));
}

#[test]
fn what_an_address_says_of_itself() {
    let server = at("redis://me:p%40ss@a:1/7?connect_timeout=5s&io_timeout=0&force_resp2=true").unwrap();
    assert_eq!((&*server.login.user, &*server.login.password, server.db), ("me", "p@ss", 7));
    assert_eq!((server.connect_timeout_ms, server.io_timeout_ms), (5_000, 4_000));
    assert!(server.forces_resp2 && server.tls.is_none());
    let server = at("redis://:word@a:1").unwrap();
    assert_eq!((&*server.login.user, &*server.login.password), ("", "word"));
    let by_system = |address: &str| at(address).unwrap().tls.map(|tls| tls.server_ca_pem.is_empty());
    assert_eq!(by_system("rediss://a:1"), Some(true));
    assert_eq!(by_system("redis://a:1?tls_enabled=1"), Some(true));
    assert_eq!(by_system("redis://a:1?tls_enabled=0"), None);
    let both = servers(r#"{"address":["rediss://a:1","unix:///s"],"tls":{"enabled":true,"server_ca_pem":"CA"}}"#);
    assert_eq!(both[0].tls.as_ref().map(|tls| &*tls.server_ca_pem), Some("CA"));
    assert_eq!(both[1].tls, None, "a socket of this machine");
}

#[test]
fn sentinels() {
    let RedisPlace::Sentinel { addresses, master, login, tls } =
        at("rediss+sentinel://u:p@a:1?sentinel_master_name=main&addr=b:2&sentinel_user=su&sentinel_password=sp")
            .unwrap()
            .place
    else {
        panic!()
    };
    assert_eq!((addresses, &*master), (vec![tcp("a", 1), tcp("b", 2)], "main"));
    assert_eq!((&*login.user, &*login.password, tls.is_some()), ("su", "sp", true));
    let found = servers(
        r#"{"sentinel_address":["a:1,b:2","c:3"],"sentinel_master_name":"m","sentinel_user":"su",
            "sentinel_client_name":"sc","sentinel_tls":{"enabled":true},"address":"rubbish"}"#,
    );
    assert_eq!(found.len(), 2);
    let RedisPlace::Sentinel { addresses, login, tls, .. } = &found[0].place else { panic!() };
    assert_eq!(
        (addresses.len(), &*login.client_name, tls.as_ref().unwrap().option.as_str()),
        (2, "sc", "engine.redis.sentinel_tls")
    );
}

#[test]
fn clusters_come_before_sentinels() {
    let found = servers(r#"{"cluster_address":["a:1,b:2","c:3"],"sentinel_address":["x:1"]}"#);
    assert_eq!(found[0].place, RedisPlace::Cluster(vec![tcp("a", 1), tcp("b", 2)]));
    assert_eq!(found[1].place, RedisPlace::Cluster(vec![tcp("c", 3)]));
}

#[test]
fn what_is_refused() {
    #[track_caller]
    fn refused(found: Result<impl std::fmt::Debug, Error>, words: &str) {
        let error = found.unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("secret"), "{error} says {words}");
    }
    for address in ["localhost", ":6379", "a:", "a:x", "a:70000", "http://a:1", "::1:6379", "a/b:1"] {
        refused(at(address), "engine.redis.address: address 1: must be host:port, or begin with redis://");
    }
    for (address, words) in [
        ("redis://a", "must name a host and a port"),
        ("redis://a:1/", "the path must be the number of a database"),
        ("redis://a:1/x", "the path must be the number of a database"),
        ("redis://u:secret%@a:1", "begins no escape"),
        ("redis://:secret@a:1?io_timeout=5", "io_timeout must be a duration"),
        ("redis://:secret@a:1?force_resp2=maybe", "force_resp2 must be true or false"),
        ("redis://:secret@a:1?addr=b", "addr must be host:port"),
        ("redis://:secret@a:1?replica_client_enabled=true", "replica_client_enabled is for Sentinel and Cluster"),
        ("redis+sentinel://:secret@a:1", "sentinel_master_name must be set"),
    ] {
        refused(at(address), words);
    }
    refused(make(r#"{"address":["a:1","b"]}"#), "address 2: must be");
    refused(
        make(r#"{"cluster_address":["a:1,b"]}"#),
        "engine.redis.cluster_address: expected addresses as host:port, found \"b\"",
    );
    refused(make(r#"{"sentinel_address":["a:1"]}"#), "engine.redis.sentinel_master_name: must be set");
}

#[test]
fn maps() {
    let make = |redis: &str| {
        let json = format!(r#"{{"map_broker":{{"type":"redis","redis":{redis}}}}}"#);
        let loaded = load(Sources { file: Some(("a.json", &json)), env: &Default::default(), flags: &[] }).unwrap();
        let snapshot = prepare(&loaded.options, &Host { name: "box", resolve: &|_| None }, false).unwrap();
        match (snapshot.broker, snapshot.maps) {
            (Broker::Memory, Maps::Redis(maps)) => maps,
            other => panic!("{other:?}"),
        }
    };
    let maps = make("{}");
    assert_eq!((maps.redis.option, &*maps.redis.prefix), ("map_broker.redis", "centrifugo"));
    assert_eq!((maps.cleanup_interval_ms, maps.cleanup_batch), (Some(1_000), 100));
    assert_eq!((maps.result_ttl_ms, maps.is_told, maps.partitions), (300_000, true, None));
    let maps = make(r#"{"cluster_address":["a:1"],"sharded_pub_sub_partitions":64}"#);
    assert_eq!(maps.partitions.map(u32::from), Some(64));
    let maps = make(
        r#"{"cleanup_interval":"-1s","cleanup_batch_size":20000,"idempotent_result_ttl":"1ms","skip_pub_sub":true}"#,
    );
    assert_eq!((maps.cleanup_interval_ms, maps.cleanup_batch), (None, 10_000));
    assert_eq!((maps.result_ttl_ms, maps.is_told), (1, false));
    assert_eq!(make(r#"{"cleanup_batch_size":-1}"#).cleanup_batch, 10_000);
}
