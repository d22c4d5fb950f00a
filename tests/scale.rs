//! What a publication, a channel and a subscription cost, counted: frames between shards, encodings, allocations and
//! bytes, which must not depend on how many subscribers, shards or other clients there are. Times stand in `benches/`.

#[path = "support/allocations.rs"]
mod allocations;

use std::sync::Arc;

use allocations::so_far;
use spindle::config::snapshot::Snapshot;
use spindle::protocol::Protocol;
use spindle::protocol::client::{FilterNode, SubscribeRequest};
use spindle::sim::cluster::{Client, Cluster, config, map_config, open_config};

#[global_allocator]
static COUNTING: allocations::Counting = allocations::Counting;

const CHANNEL: &str = "news";

/// What one publication cost.
#[derive(PartialEq, Eq, Debug)]
struct Cost {
    mesh_deliveries: u64,
    encodings: u64,
    frames: u64,
    writes: u64,
    allocations: u64,
}

/// A cluster with so many subscribers of one channel on each shard, and the cost of a publication there.
fn cost(subscribers: &[(usize, Protocol)], shards: u16) -> Cost {
    let mut cluster = Cluster::new(shards, open_config());
    for (shard, protocol) in subscribers {
        let client = cluster.connect(*shard, *protocol);
        cluster.settle();
        cluster.subscribe(client, CHANNEL);
    }
    let body = format!(r#"{{"channel":"{CHANNEL}","data":{{"text":"sixty-four bytes of payload, more or less"}}}}"#);
    cost_of(&mut cluster, &body)
}

/// The cost of a publication of this body.
fn cost_of(cluster: &mut Cluster, body: &str) -> Cost {
    let home = cluster.home_of(CHANNEL);
    let mut publish = || {
        let (tally, taken, own) = (cluster.tally(), cluster.taken(), so_far());
        cluster.call(home, "publish", body.as_bytes());
        cluster.settle();
        let (tally_after, taken_after, own_after) = (cluster.tally(), cluster.taken(), so_far());
        Cost {
            mesh_deliveries: tally_after.mesh_deliveries - tally.mesh_deliveries,
            encodings: tally_after.encodings - tally.encodings,
            frames: taken_after.frames - taken.frames,
            writes: taken_after.writes - taken.writes,
            allocations: own_after.count - own.count,
        }
    };
    // The first ones fill what is used again: outboxes, batches, scratch buffers.
    for _ in 0..64 {
        publish();
    }
    publish()
}

/// So many subscribers, spread evenly.
fn spread(count: usize, shards: u16, protocols: &[Protocol]) -> Vec<(usize, Protocol)> {
    let shards = usize::from(shards);
    (0..count).map(|n| (n % shards, protocols[n / shards % protocols.len()])).collect()
}

#[test]
fn a_publication_costs_one_frame_a_shard_and_one_encoding_a_protocol() {
    let both = [Protocol::Json, Protocol::Protobuf];
    for shards in [1, 2, 4, 8, 16] {
        for protocols in [&both[..1], &both[1..], &both[..]] {
            let cost = cost(&spread(160, shards, protocols), shards);
            let expected = (u64::from(shards) - 1, u64::from(shards) * protocols.len() as u64, 160, 160);
            assert_eq!(
                (cost.mesh_deliveries, cost.encodings, cost.frames, cost.writes),
                expected,
                "{shards} shards, {protocols:?}"
            );
        }
    }
}

#[test]
fn shards_without_subscribers_get_nothing() {
    let home = Cluster::new(16, open_config()).home_of(CHANNEL);
    for (at, expected) in [(vec![home], 0), (vec![(home + 1) % 16], 1), (vec![home, (home + 3) % 16], 1)] {
        let subscribers: Vec<_> = at.iter().flat_map(|shard| [(*shard, Protocol::Json); 10]).collect();
        let cost = cost(&subscribers, 16);
        assert_eq!((cost.mesh_deliveries, cost.encodings), (expected, at.len() as u64), "{at:?}");
    }
}

#[test]
fn subscribers_cost_no_allocations() {
    let few = cost(&spread(64, 2, &[Protocol::Json]), 2);
    let many = cost(&spread(10_000, 2, &[Protocol::Json]), 2);
    assert_eq!(many.frames, 10_000);
    assert_eq!(few.allocations, many.allocations);
    // On one shard: the call and its response, and the publication with its two encodings.
    let local = cost(&spread(64, 1, &[Protocol::Json]), 1);
    assert!(local.allocations <= 24, "{local:?}");
}

/// A configuration with history, patches for all publications, and filters.
fn tailored_config() -> Arc<Snapshot> {
    config(
        r#"{
            "client": { "allow_anonymous_connect_without_token": true },
            "channel": { "without_namespace": {
                "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
                "force_recovery": true, "history_size": 10, "history_ttl": "60s",
                "allowed_delta_types": ["fossil"], "delta_publish": true, "allow_tags_filter": true } },
            "http_api": { "insecure": true }
        }"#,
    )
}

/// The cost of a publication with the tag `k` = `1`, among so many plain subscribers, so many with delta, and so many
/// with filters of which every second one does not fit.
fn tailored_cost(shards: u16, each: usize, protocols: &[Protocol]) -> Cost {
    let mut cluster = Cluster::new(shards, tailored_config());
    for (n, (shard, protocol)) in spread(3 * each, shards, protocols).into_iter().enumerate() {
        let client = cluster.connect(shard, protocol);
        cluster.settle();
        let mut request = SubscribeRequest { channel: CHANNEL.into(), ..SubscribeRequest::default() };
        match n / each {
            0 => {}
            1 => request.delta = "fossil".into(),
            _ => {
                let value = if n % 2 == 0 { "1" } else { "2" };
                let node = FilterNode { key: "k".into(), cmp: "eq".into(), val: value.into(), ..FilterNode::default() };
                request.tf = Some(Box::new(node));
            }
        }
        cluster.subscribe_with(client, request);
    }
    let body = format!(
        r#"{{"channel":"{CHANNEL}","data":{{"text":"sixty-four bytes of payload, more or less"}},"tags":{{"k":"1"}}}}"#
    );
    cost_of(&mut cluster, &body)
}

#[test]
fn delta_costs_one_more_encoding_and_a_filter_none() {
    for shards in [1, 4] {
        for protocols in [&[Protocol::Json][..], &[Protocol::Json, Protocol::Protobuf]] {
            let cost = tailored_cost(shards, 64, protocols);
            let encodings = u64::from(shards) * protocols.len() as u64 * 2;
            let expected = (u64::from(shards) - 1, encodings, 2 * 64 + 32, 2 * 64 + 32);
            assert_eq!((cost.mesh_deliveries, cost.encodings, cost.frames, cost.writes), expected, "{shards} shards");
        }
    }
}

#[test]
fn neither_delta_nor_filters_cost_allocations_by_subscriber() {
    let few = tailored_cost(2, 64, &[Protocol::Json]);
    let many = tailored_cost(2, 2_000, &[Protocol::Json]);
    assert_eq!((many.frames, few.frames), (5_000, 160));
    assert_eq!(few.allocations, many.allocations);
}

/// Bytes that stay allocated for each of `count`.
fn bytes_each(count: usize, make: impl FnOnce()) -> f64 {
    let before = so_far();
    make();
    (so_far().live - before.live) as f64 / count as f64
}

#[test]
fn channels_and_subscriptions_are_small() {
    const CHANNELS: usize = 100_000;
    const CLIENTS: usize = 1_000;
    let mut cluster = Cluster::new(1, open_config());
    let clients: Vec<Client> = (0..CLIENTS).map(|_| cluster.connect(0, Protocol::Json)).collect();
    cluster.settle();
    // A channel at home and on this shard, with its name, and its one subscription: 250 bytes and 64 bytes.
    let alone = bytes_each(CHANNELS, || {
        (0..CHANNELS).for_each(|n| cluster.subscribe(clients[n % CLIENTS], &format!("chat-room-{n:07}")));
    });
    println!("{alone:.1} bytes for a channel with one subscription");
    assert!(alone <= 250.0 + 64.0, "{alone} bytes for a channel with one subscription");
    // A hundred subscribers in each of so many channels: the channel is next to nothing.
    let shared = bytes_each(CHANNELS, || {
        (0..CHANNELS).for_each(|n| cluster.subscribe(clients[n % CLIENTS], &format!("news-{:07}", n / 100)));
    });
    println!("{shared:.1} bytes for a subscription");
    assert!(shared <= 64.0 + 5.0, "{shared} bytes for a subscription, a hundredth of its channel included");
}

/// Rounds of work and channels that are forgotten in the longest of them, for a client that leaves so many.
fn departure(others: usize) -> (usize, usize) {
    const OWN: usize = 5_000;
    let mut cluster = Cluster::new(1, open_config());
    let other = cluster.connect(0, Protocol::Json);
    let leaver = cluster.connect(0, Protocol::Json);
    cluster.settle();
    (0..others).for_each(|n| cluster.subscribe(other, &format!("other-{n}")));
    (0..OWN).for_each(|n| cluster.subscribe(leaver, &format!("own-{n}")));
    cluster.subscribe(other, "own-0");
    cluster.close(leaver);
    let (mut rounds, mut most, mut left) = (0, 0, OWN + others);
    loop {
        let more = cluster.round(0);
        let now = cluster.engine(0).audit().channels;
        (rounds, most, left) = (rounds + 1, most.max(left - now), now);
        if rounds == 2 {
            // Its channels go on, and nothing is sent to it.
            for (channel, frames) in [("own-0", 1), ("own-1", 0)] {
                let before = cluster.taken().frames;
                cluster.call(0, "publish", format!(r#"{{"channel":"{channel}","data":1}}"#).as_bytes());
                cluster.round(0);
                assert_eq!(cluster.taken().frames - before, frames, "{channel}");
            }
            left = cluster.engine(0).audit().channels;
        }
        if !more {
            break;
        }
    }
    let audit = cluster.engine(0).audit();
    assert_eq!((audit.channels, audit.members, audit.departing), (others + 1, others + 1, 0));
    (rounds, most)
}

#[test]
fn a_client_with_many_subscriptions_leaves_in_pieces() {
    let (rounds, most) = departure(0);
    assert!(rounds > 10 && most <= 512, "{most} channels in one of {rounds} rounds");
    assert_eq!(departure(20_000), (rounds, most), "others make no difference");
}

/// Keys of a cleared map that a turn frees at most.
const KEYS_A_TURN: usize = 4096;

/// Rounds of work and bytes given back in the busiest of them, for a map with so many keys that is cleared.
fn clearing(keys: usize) -> (usize, i64) {
    let mut cluster = Cluster::new(1, map_config());
    for key in 0..keys {
        let body = format!(r#"{{"channel":"map:a","key":"{key}","data":{{"n":{key}}}}}"#);
        cluster.call(0, "map_publish", body.as_bytes());
        cluster.settle();
    }
    let held = so_far().live;
    cluster.call(0, "map_clear", br#"{"channel":"map:a"}"#);
    let (mut rounds, mut most, mut live) = (0, 0, held);
    // Until there is nothing to be given back at once.
    while cluster.round(0) || cluster.engine(0).next_timer_ms() == Some(0) {
        let now = so_far().live;
        (rounds, most, live) = (rounds + 1, most.max(live - now), now);
    }
    let each = (held - live) / keys as i64;
    assert!(each > 100, "{each} bytes were given back for each key");
    (rounds, most)
}

#[test]
fn a_map_that_is_cleared_gives_its_memory_back_in_pieces() {
    let (rounds, most) = clearing(20_000);
    let (more_rounds, as_most) = clearing(60_000);
    println!("{rounds} rounds, {most} bytes at most; {more_rounds} rounds, {as_most} bytes");
    assert!(rounds >= 20_000 / KEYS_A_TURN && more_rounds >= 60_000 / KEYS_A_TURN, "{rounds} and {more_rounds} rounds");
    assert!(
        as_most < most + most / 10,
        "a round gave back {as_most} bytes of the larger map, {most} of the smaller one"
    );
}
