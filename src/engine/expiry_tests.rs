//! Keys of maps that expire by the thousand: no more of them than can be told to those who are interested.

use std::sync::Arc;

use super::test_support::config;
use super::*;
use crate::channel::map_op::{MapOp, MapOptions, MapPhase, MapPublishOp, MapSubscribeOp};
use crate::channel::name::ChannelName;
use crate::channel::op::{Delivery, Op, ReplyTo, Since};
use crate::channel::publication::{MapEntry, Publication};
use crate::mesh::{Limits, mesh};

const KEYS: usize = 5 * TURN_BUDGET;
const MAP: MapOptions = MapOptions { key_ttl_ms: 1_000, stream: None };

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, mono_us: mono_ms * 1000, unix_ms: 1_700_000_000_000 + mono_ms }
}

/// How many keys the first shard has told the second one that they are gone.
fn told(port: &mut ShardPort) -> usize {
    let mut told = 0;
    while let Some((_, batch)) = port.take_deliveries() {
        let is_removal = |delivery: &&Delivery| matches!(delivery, Delivery::Publication(_, publication) if publication.entry.as_ref().is_some_and(|entry| entry.removed));
        told += batch.iter().filter(is_removal).count();
        port.recycle_deliveries(batch);
    }
    told
}

#[test]
fn keys_expire_no_faster_than_another_shard_takes_it() {
    let mut ports = mesh(2, Limits { deliveries: 1, ..Limits::default() });
    let (mut far, near) = (ports.remove(1), ports.remove(0));
    let config = config("{}");
    let mut engine = Engine::new(Parts {
        id: ShardId(0),
        port: near,
        desk: crate::mesh::desk(1).0,
        line: None,
        shards: 2,
        verifiers: Arc::new(Verifiers::new(&config).unwrap()),
        config,
        node: Arc::new(Node { uid: "n".into(), version: "0".into() }),
        seed: [1; 32],
        now: at(1),
    });
    let name = ChannelName::new("m");
    let mut ask = |op| {
        let op = Op::Map(Box::new(op));
        engine.homes.handle(ShardId(1), &name, op, ReplyTo::None, at(1), &mut |_, _| ());
    };
    for key in 0..KEYS {
        let entry = MapEntry::set(&key.to_string());
        let publication = Publication { entry, ..Publication::bare("1".into()) };
        ask(MapOp::Publish(MapPublishOp::plain(MAP, publication)));
    }
    let phase = MapPhase::Live { since: Since { offset: 0, epoch: "".into() } };
    ask(MapOp::Subscribe(MapSubscribeOp { options: MAP, phase, live_limit: 1, presence: None, join: None }));

    let turn = |engine: &mut Engine| {
        engine.work();
        engine.flush_mesh(|_| ());
    };
    // The other shard takes nothing: one batch lies in its lane, one waits here, and all else stays as it is.
    engine.set_now(at(2_000));
    for _ in 0..20 {
        turn(&mut engine);
    }
    assert!(engine.port.deliveries_congested());
    assert_eq!(engine.homes.next_expiry(), Some(1_001), "keys are left");
    let first = told(&mut far);
    assert!(first > 0 && first <= TURN_BUDGET, "{first}");
    // It takes what there is, and nothing is lost.
    let mut all = first;
    for _ in 0..20 {
        turn(&mut engine);
        all += told(&mut far);
    }
    assert_eq!(all, KEYS);
}
