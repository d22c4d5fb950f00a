//! Surveys of a large shard, and reads of a large map, take many turns, each a bounded piece, and nobody waits for them.

use std::sync::Arc;

use super::*;
use crate::api::Request;
use crate::config::env::Env;
use crate::config::load::{Sources, load};
use crate::config::prepare::{Host, prepare};
use crate::protocol::Protocol;

const CHANNELS: usize = 20_000;
const CONFIG: &str = r#"{"client": {"insecure": true, "channel_limit": 100000}, "channel": {"namespaces": [
    {"name": "kv", "subscription_type": "map", "map": {"mode": "ephemeral", "key_ttl": "600s"}}]}}"#;

fn engines(shards: u16) -> Vec<Engine> {
    let env = Env::default();
    let loaded = load(Sources { file: Some(("config.json", CONFIG)), env: &env, flags: &[] }).unwrap();
    let config = Arc::new(prepare(&loaded.options, &Host { name: "test", resolve: &|_| None }, false).unwrap());
    let ports = crate::mesh::mesh(usize::from(shards), crate::mesh::Limits::default());
    let engine = |(id, port)| {
        Engine::new(Parts {
            id: ShardId(id),
            port,
            desk: crate::mesh::desk(1).0,
            line: None,
            shards,
            verifiers: Arc::new(Verifiers::new(&config).unwrap()),
            config: config.clone(),
            node: Arc::new(Node { uid: "n".into(), version: "0".into() }),
            seed: [1; 32],
            now: Now { mono_ms: 1, mono_us: 1000, unix_ms: 1_700_000_000_000 },
        })
    };
    (0..shards).zip(ports).map(engine).collect()
}

fn send(engine: &mut Engine, conn: ConnId, command: &str) {
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend((command.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend_from_slice(command.as_bytes());
    engine.input(conn, &mut frame);
}

fn open(engine: &mut Engine) -> ConnId {
    let opening = Opening { socket: 0, protocol: Protocol::Json, native_ping: false, user_header: None };
    let conn = engine.open(opening).unwrap();
    send(engine, conn, r#"{"id":1,"connect":{}}"#);
    conn
}

/// One round of each shard; whether any has more to do.
fn round(engines: &mut [Engine]) -> bool {
    let mut more = false;
    for engine in engines.iter_mut() {
        more |= engine.work();
        engine.flush_mesh(|_| {});
        let mut dirty = Vec::new();
        engine.take_dirty(&mut dirty);
        for conn in dirty {
            if let Some((_, outbox, pool)) = engine.outbox(conn) {
                outbox.clear(pool);
                engine.flushed(conn, true);
            }
        }
    }
    more
}

fn settle(engines: &mut [Engine]) {
    // Frames that one shard staged in the last round are another one's work in the next.
    let mut quiet = 0;
    while quiet < 3 {
        quiet = if round(engines) { 0 } else { quiet + 1 };
    }
}

/// Runs a call on the first shard. Its response, and the rounds it took.
fn run(engines: &mut [Engine], method: &str, body: &[u8]) -> (String, usize) {
    let call = engines[0].call(Request { method, error_mode: None, body }).unwrap();
    for rounds in 0.. {
        if let Some(response) = engines[0].take_response(call) {
            return (String::from_utf8(response.body).unwrap(), rounds);
        }
        round(engines);
    }
    unreachable!()
}

#[test]
fn a_list_of_many_channels_takes_many_turns() {
    for shards in [1, 3] {
        let mut engines = engines(shards);
        let clients: Vec<ConnId> = engines.iter_mut().map(open).collect();
        for number in 0..CHANNELS {
            for (engine, client) in engines.iter_mut().zip(&clients) {
                send(engine, *client, &format!(r#"{{"id":{},"subscribe":{{"channel":"c{number}"}}}}"#, number + 2));
            }
            round(&mut engines);
        }
        settle(&mut engines);
        let (text, rounds) = run(&mut engines, "channels", b"{}");
        assert_eq!(text.matches(&format!(r#"{{"num_clients":{shards}}}"#)).count(), CHANNELS, "{shards}");
        // Every shard lists its table, and then the result is written.
        let least = 2 * CHANNELS / SURVEY_BUDGET;
        assert!(rounds >= least && rounds < least + 20, "{rounds} rounds on {shards} shards");
        let (text, rounds) = run(&mut engines, "channels", br#"{"pattern":"c1999?"}"#);
        assert_eq!(text.matches("num_clients").count(), 10);
        assert!(rounds >= CHANNELS / SURVEY_BUDGET, "{rounds} rounds");
        // Meanwhile calls are answered as ever.
        let listing = engines[0].call(Request { method: "channels", error_mode: None, body: b"{}" }).unwrap();
        let (_, rounds) = run(&mut engines, "publish", br#"{"channel":"c1","data":1}"#);
        assert!(rounds <= 4, "{rounds} rounds for a publish");
        assert!(engines[0].take_response(listing).is_none(), "the list is under way");
        engines[0].abandon_call(listing);
        settle(&mut engines);
        assert_eq!(engines[0].audit().calls, 0);
    }
}

#[test]
fn users_of_several_shards_are_counted_in_pieces() {
    const CLIENTS: usize = 5_000;
    let mut engines = engines(2);
    for _ in 0..CLIENTS {
        engines.iter_mut().for_each(|engine| _ = open(engine));
    }
    settle(&mut engines);
    let (text, rounds) = run(&mut engines, "info", b"{}");
    assert!(text.contains(&format!(r#""num_clients":{},"num_users":1,"#, 2 * CLIENTS)), "{text}");
    assert!(rounds >= CLIENTS / SURVEY_BUDGET, "{rounds} rounds");
}

#[test]
fn a_map_of_many_keys_is_read_in_many_turns() {
    const KEYS: usize = 10_000;
    let all: &[u8] = br#"{"channel":"kv:a","limit":-1}"#;
    for shards in [1, 3] {
        let mut engines = engines(shards);
        for number in 0..KEYS {
            let body = format!(r#"{{"channel":"kv:a","key":"{number}","data":1}}"#);
            run(&mut engines, "map_publish", body.as_bytes());
        }
        let (text, rounds) = run(&mut engines, "map_read_state", all);
        assert_eq!(text.matches(r#""key":"#).count(), KEYS);
        let least = KEYS / SURVEY_BUDGET;
        assert!(rounds >= least && rounds < 4 * least + 8, "{rounds} rounds on {shards} shards");
        // Several share the budget of a turn.
        let reads = [(); 3]
            .map(|()| engines[0].call(Request { method: "map_read_state", error_mode: None, body: all }).unwrap());
        let (mut turns, mut is_done) = (0, false);
        while !is_done {
            let more = round(&mut engines);
            is_done = reads.iter().all(|read| engines[0].finished_calls.contains(read));
            assert!(more || is_done || shards > 1, "whoever has pages to ask for does not sleep");
            turns += 1;
        }
        assert!(turns >= 2 * least, "{turns} turns");
        reads.iter().for_each(|read| _ = engines[0].take_response(*read));
        assert_eq!(engines[0].audit().calls, 0);
    }
}
