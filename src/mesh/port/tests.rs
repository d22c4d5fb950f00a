//! Meshes of a few shards with tiny lanes, driven step by step in one thread.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const TINY: Limits = Limits { requests: 2, deliveries: 2, control: 1, staged: 3 };

fn no_ring(to: ShardId) {
    panic!("{to:?} is awake");
}

#[test]
fn a_batch_reaches_its_target_in_order_and_names_its_sender() {
    let mut ports = mesh::<u32, &str, ()>(3, Limits::default());
    for n in 0..3 {
        ports[1].stage_request(ShardId(2), n);
    }
    ports[1].stage_delivery(ShardId(0), "x");
    assert!(ports[2].take_requests().is_none());
    ports[1].flush(no_ring);
    assert_eq!(ports[2].take_requests(), Some((ShardId(1), vec![0, 1, 2])));
    assert_eq!(ports[2].take_requests(), None);
    assert_eq!(ports[0].take_deliveries(), Some((ShardId(1), vec!["x"])));
}

#[test]
fn a_sleeper_is_rung_once_and_only_while_it_sleeps() {
    let mut ports = mesh::<u32, u32, u32>(2, Limits::default());
    let mut rung = Vec::new();
    assert!(ports[1].prepare_to_sleep());
    ports[0].stage_request(ShardId(1), 1);
    ports[0].stage_delivery(ShardId(1), 2);
    ports[0].stage_control(ShardId(1), 3);
    ports[0].flush(|to| rung.push(to));
    assert_eq!(rung, [ShardId(1)]);
    ports[0].stage_request(ShardId(1), 4);
    ports[0].flush(no_ring);
    ports[1].awake();
    assert!(!ports[1].prepare_to_sleep(), "there is work");
    ports[0].stage_request(ShardId(1), 5);
    ports[0].flush(no_ring);
}

#[test]
fn a_full_lane_keeps_the_batch_and_says_so() {
    let mut ports = mesh::<u32, u32, u32>(2, TINY);
    for n in 0..4 {
        ports[0].stage_request(ShardId(1), n);
        ports[0].flush(no_ring);
        assert_eq!(ports[0].requests_congested(), n >= 2);
    }
    assert!(!ports[0].deliveries_congested());
    for expected in [vec![0], vec![1]] {
        assert_eq!(ports[1].take_requests(), Some((ShardId(0), expected)));
    }
    ports[0].flush(no_ring);
    assert!(!ports[0].requests_congested());
    assert_eq!(ports[1].take_requests(), Some((ShardId(0), vec![2, 3])));
}

#[test]
fn a_large_batch_is_congestion_before_the_flush() {
    let mut ports = mesh::<u32, u32, u32>(2, TINY);
    for n in 0..3 {
        assert!(!ports[0].deliveries_congested());
        ports[0].stage_delivery(ShardId(1), n);
    }
    assert!(ports[0].deliveries_congested());
    ports[0].flush(no_ring);
    assert!(!ports[0].deliveries_congested());
}

#[test]
fn a_sender_without_room_sleeps_and_is_rung_when_there_is_room() {
    let mut ports = mesh::<u32, u32, u32>(2, TINY);
    for n in 0..2 {
        ports[0].stage_control(ShardId(1), n);
        ports[0].flush(no_ring);
    }
    assert!(ports[0].prepare_to_sleep());
    assert_eq!(ports[1].take_control(), Some((ShardId(0), vec![0])));
    assert!(!ports[1].prepare_to_sleep(), "somebody is to be rung");
    let mut rung = Vec::new();
    ports[1].flush(|to| rung.push(to));
    assert_eq!(rung, [ShardId(0)]);
    ports[0].awake();
    assert!(!ports[0].prepare_to_sleep(), "there is room");
    ports[0].flush(no_ring);
    assert!(ports[0].prepare_to_sleep());
}

#[test]
fn requests_are_no_reason_to_stay_awake_while_deliveries_are_congested() {
    let mut ports = mesh::<u32, u32, u32>(2, TINY);
    for n in 0..3 {
        ports[0].stage_delivery(ShardId(1), n);
        ports[0].flush(no_ring);
    }
    ports[1].stage_request(ShardId(0), 7);
    ports[1].flush(no_ring);
    assert!(ports[0].deliveries_congested());
    assert!(ports[0].prepare_to_sleep());
    ports[0].awake();
    while ports[1].take_deliveries().is_some() {}
    ports[0].flush(no_ring);
    assert!(!ports[0].prepare_to_sleep());
}

#[test]
fn buffers_are_used_again() {
    let mut ports = mesh::<u32, u32, u32>(2, Limits::default());
    let mut buffer = Vec::with_capacity(100);
    buffer.push(9);
    ports[0].recycle_requests(buffer);
    ports[0].recycle_deliveries(Vec::with_capacity(1_000_000));
    ports[0].stage_request(ShardId(1), 1);
    ports[0].stage_delivery(ShardId(1), 1);
    ports[0].flush(no_ring);
    let (_, requests) = ports[1].take_requests().unwrap();
    assert_eq!((requests.capacity(), &requests[..]), (100, &[1][..]));
    assert!(ports[1].take_deliveries().unwrap().1.capacity() < 1_000_000);
}

/// A shard as the engine runs it: it answers each request with a delivery to everybody, obeys congestion, sleeps
/// when it may and acts only when awake.
struct Shard {
    port: Port<(ShardId, u32), (ShardId, u32), u32>,
    asleep: bool,
    rung: bool,
    /// Requests that its clients want to make.
    wanted: VecDeque<ShardId>,
    made: u32,
    /// The next number expected from each sender and lane.
    next_request: Vec<u32>,
    next_delivery: Vec<u32>,
    deliveries: u32,
    received: u32,
}

impl Shard {
    /// One turn, with at most so many batches of requests. Returns who is to be rung.
    fn turn(&mut self, batches: usize) -> Vec<ShardId> {
        self.port.awake();
        while let Some((from, batch)) = self.port.take_deliveries() {
            for (stamp, n) in &batch {
                assert_eq!((*stamp, *n), (from, self.next_delivery[from.index()]), "deliveries keep their order");
                self.next_delivery[from.index()] += 1;
                self.received += 1;
            }
            self.port.recycle_deliveries(batch);
        }
        for _ in 0..batches {
            if self.port.deliveries_congested() {
                break;
            }
            let Some((from, batch)) = self.port.take_requests() else {
                break;
            };
            for (stamp, n) in batch {
                assert_eq!((stamp, n), (from, self.next_request[from.index()]), "requests keep their order");
                self.next_request[from.index()] += 1;
                for to in 0..self.port.shards() {
                    self.port.stage_delivery(ShardId(to), (self.port.me(), self.deliveries));
                }
                self.deliveries += 1;
            }
        }
        while !self.port.requests_congested()
            && let Some(to) = self.wanted.pop_front()
        {
            // Numbers are counted by target, as the receiver counts them by sender.
            let n = self.made;
            self.made += 1;
            self.port.stage_request(to, (self.port.me(), n));
        }
        let mut rung = Vec::new();
        self.port.flush(|to| rung.push(to));
        rung
    }

    /// Falls asleep if there is nothing it could do.
    fn rest(&mut self) {
        let input = !self.wanted.is_empty() && !self.port.requests_congested();
        self.asleep = !input && self.port.prepare_to_sleep();
    }
}

proptest! {
    #[test]
    fn everything_arrives_and_nobody_sleeps_through_it(
        wanted in prop::collection::vec(0..60usize, 3),
        schedule in prop::collection::vec((0..3usize, 0..3usize), 0..60),
    ) {
        let mut shards: Vec<Shard> = mesh(3, TINY)
            .into_iter()
            .enumerate()
            .map(|(at, port)| Shard {
                port,
                asleep: false,
                rung: false,
                // All to one home each, so that its numbers are without gaps there.
                wanted: std::iter::repeat_n(ShardId(((at + 1) % 3) as u16), wanted[at]).collect(),
                made: 0,
                next_request: vec![0; 3],
                next_delivery: vec![0; 3],
                deliveries: 0,
                received: 0,
            })
            .collect();
        let mut run = |at: usize, batches: usize| {
            let shard = &mut shards[at];
            if std::mem::take(&mut shard.rung) {
                shard.asleep = false;
            }
            if shard.asleep {
                return false;
            }
            let rung = shard.turn(batches);
            shard.rest();
            for to in rung {
                shards[to.index()].rung = true;
            }
            true
        };
        for (at, batches) in schedule {
            run(at, batches);
        }
        // Then everybody runs until all sleep; that it ends shows that there is no deadlock and no spinning.
        let mut rounds = 0;
        while (0..3).fold(false, |any, at| run(at, 1) | any) {
            rounds += 1;
            prop_assert!(rounds < 10_000, "somebody spins");
        }
        let total: usize = wanted.iter().sum();
        for (at, shard) in shards.iter().enumerate() {
            prop_assert!(shard.wanted.is_empty());
            let home = (at + 2) % 3;
            prop_assert_eq!(shard.next_request[home] as usize, wanted[home]);
            prop_assert_eq!(shard.received as usize, total);
        }
    }
}
