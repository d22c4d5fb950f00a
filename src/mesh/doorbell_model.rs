//! Every interleaving of the doorbell protocol. A lost wake-up shows as a deadlock of the model.
//!
//! Work is a relaxed counter, the weakest thing it can be: the protocol must not lean on the lanes' own ordering.
//! The bell remembers one ring, as the shard's event counter does.

use loom::sync::Arc;
use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Flag, published};

/// Which step of the protocol is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    Recheck,
    Fence,
    Mark,
}

struct Shard {
    sleeping: Flag,
    bell: Notify,
}

impl Shard {
    fn new() -> Self {
        Self { sleeping: Flag::new(), bell: Notify::new() }
    }

    fn ring_if_asleep(&self) {
        if self.sleeping.take() {
            self.bell.notify();
        }
    }
}

fn publish(without: Without) {
    if without != Without::Fence {
        published();
    }
}

/// Two shards bring one item each to a third, which sleeps whenever it has nothing to do.
fn delivery(without: Without) {
    loom::model(move || {
        let target = Arc::new((Shard::new(), AtomicUsize::new(0)));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let target = target.clone();
                thread::spawn(move || {
                    target.1.fetch_add(1, Ordering::Relaxed);
                    publish(without);
                    target.0.ring_if_asleep();
                })
            })
            .collect();
        let (shard, items) = &*target;
        let mut taken = 0;
        while taken < 2 {
            taken += items.swap(0, Ordering::Relaxed);
            if taken == 2 {
                break;
            }
            shard.sleeping.raise();
            if without == Without::Recheck || items.load(Ordering::Relaxed) == 0 {
                shard.bell.wait();
            }
            shard.sleeping.lower();
        }
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// A lane with room for one batch, full at first. The sender cannot hand over its batch, leaves its mark and sleeps;
/// the receiver takes a batch and must wake it.
fn congestion(without: Without) {
    loom::model(move || {
        let state = Arc::new((Shard::new(), Flag::new(), AtomicUsize::new(1)));
        let receiver = {
            let state = state.clone();
            thread::spawn(move || {
                let (sender, starved, lane) = &*state;
                lane.store(0, Ordering::Relaxed);
                publish(without);
                if starved.take() {
                    // The flush at the end of the turn.
                    publish(without);
                    sender.ring_if_asleep();
                }
            })
        };
        let (sender, starved, lane) = &*state;
        while lane.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            if without != Without::Mark {
                starved.mark();
            }
            sender.sleeping.raise();
            if without == Without::Recheck || lane.load(Ordering::Relaxed) == 1 {
                sender.bell.wait();
            }
            sender.sleeping.lower();
        }
        receiver.join().unwrap();
    });
}

#[test]
fn no_delivery_is_slept_through() {
    delivery(Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_second_look_a_delivery_is_slept_through() {
    delivery(Without::Recheck);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_a_delivery_is_slept_through() {
    delivery(Without::Fence);
}

#[test]
fn a_sender_is_woken_when_its_lane_has_room() {
    congestion(Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_second_look_room_is_slept_through() {
    congestion(Without::Recheck);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_mark_room_is_slept_through() {
    congestion(Without::Mark);
}
