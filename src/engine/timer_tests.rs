//! What only the engine of one shard shows: how much it holds on behalf of timers, and what comes too late.

use std::sync::Arc;

use super::test_support::{config, frame};
use super::*;
use crate::channel::name::ChannelName;
use crate::channel::op::{HistoryOptions, Op, PublishOp, ReplyTo};
use crate::channel::publication::Publication;
use crate::protocol::Protocol;

/// Presence may be asked for, and clients come without tokens.
const CONFIG: &str = r#"{
    "client": { "allow_anonymous_connect_without_token": true, "queue_max_size": 3072,
        "channel_position_max_time_lag": "2s" },
    "channel": { "namespaces": [{ "name": "live", "presence": true, "allow_presence_for_client": true,
        "allow_presence_for_anonymous": true },
        { "name": "hist", "history_size": 10, "history_ttl": "60s", "allow_positioning": true,
        "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
        "allow_history_for_client": true, "allow_history_for_anonymous": true }] }
}"#;

fn engine() -> Engine {
    let config = config(CONFIG);
    Engine::new(Parts {
        id: ShardId(0),
        port: crate::mesh::mesh(1, crate::mesh::Limits::default()).remove(0),
        desk: crate::mesh::desk(1).0,
        line: None,
        shards: 1,
        verifiers: Arc::new(Verifiers::new(&config).unwrap()),
        config,
        node: Arc::new(Node { uid: "n".into(), version: "0".into() }),
        seed: [1; 32],
        now: at(1),
    })
}

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, mono_us: mono_ms * 1000, unix_ms: 1_700_000_000_000 + mono_ms }
}

/// An empty WebSocket pong.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

#[test]
fn a_socket_that_stalls_again_and_again_costs_one_timer() {
    let mut engine = engine();
    let opening = Opening { socket: 0, protocol: Protocol::Json, native_ping: true, user_header: None };
    let id = engine.open(opening).unwrap();
    engine.input(id, &mut frame(r#"{"id":1,"connect":{}}"#));
    // The socket takes nothing for half a second, and then everything for a while; and so on for half an hour.
    for step in 0..3600 {
        engine.set_now(at(1 + step * 500));
        engine.work();
        let (_, outbox, pool) = engine.outbox(id).unwrap();
        let takes = step % 6 != 0;
        if takes {
            outbox.clear(pool);
        }
        engine.flushed(id, takes);
        engine.input(id, &mut frame(r#"{"id":2,"presence":{"channel":"live:0"}}"#));
        engine.input(id, &mut PONG.to_vec());
        assert_eq!(engine.connections(), 1);
        assert!(engine.wheel.len() < 64, "{} timers of one connection", engine.wheel.len());
    }
}

/// What a connection was sent since the last time, unframed; frames here are short.
fn told(engine: &mut Engine, id: ConnId) -> String {
    let (_, outbox, pool) = engine.outbox(id).unwrap();
    let mut slices = [std::io::IoSlice::new(&[]); 16];
    let count = outbox.fill(&mut slices);
    let owed = slices[..count].iter().map(|slice| &**slice).collect::<Vec<_>>().concat();
    outbox.clear(pool);
    String::from_utf8_lossy(&owed).into_owned()
}

/// Positioned clients must not be given what came too late: they subscribe again and recover (upstream:
/// `ClientChannelPositionMaxTimeLag`). Others take it as it is.
#[test]
fn a_publication_that_comes_late_costs_positioned_clients_their_state() {
    for (lag_ms, is_late) in [(0, false), (2_000, false), (2_001, true)] {
        for positioned in [false, true] {
            let mut engine = engine();
            let opening = Opening { socket: 0, protocol: Protocol::Json, native_ping: false, user_header: None };
            let id = engine.open(opening).unwrap();
            engine.input(id, &mut frame(r#"{"id":1,"connect":{}}"#));
            let subscribe = format!(r#"{{"id":2,"subscribe":{{"channel":"hist:a","positioned":{positioned}}}}}"#);
            engine.input(id, &mut frame(&subscribe));
            engine.work();
            told(&mut engine, id);
            let channel = ChannelName::new("hist:a");
            let history = HistoryOptions { size: 10, ttl_s: 60, meta_ttl_s: 0 };
            let publish = PublishOp {
                publication: Publication::bare("1".into()),
                history,
                delta: false,
                idempotency_key: None,
                version_epoch: "".into(),
            };
            engine.request(channel, Op::Publish(Box::new(publish)), ReplyTo::None);
            engine.set_now(at(1 + lag_ms));
            engine.work();
            let told = told(&mut engine, id);
            assert_eq!(told.contains(r#""pub":"#), !(is_late && positioned), "{lag_ms} {positioned}: {told}");
            assert_eq!(told.contains(r#""code":2500"#), is_late && positioned, "{lag_ms} {positioned}: {told}");
        }
    }
}
