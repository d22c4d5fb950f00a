//! Every interleaving of the doorbell protocol: whoever falls asleep is rung, or had nothing to be rung for.
//!
//! Work is a relaxed counter, the weakest thing it can be: the protocol must not lean on the lanes' own ordering.
//! Each model is run again with one step left out, to show that it would notice.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Flag, published};

/// Which step of the protocol is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    SecondLook,
    Fence,
    Mark,
}

fn publish(without: Without) {
    if without != Without::Fence {
        published();
    }
}

/// Two shards bring one item each to a third that is about to sleep.
fn delivery(without: Without) {
    loom::model(move || {
        let target = Arc::new((Flag::new(), AtomicUsize::new(0)));
        let bring = |target: Arc<(Flag, AtomicUsize)>| {
            thread::spawn(move || {
                let (sleeping, items) = &*target;
                items.fetch_add(1, Ordering::Relaxed);
                publish(without);
                sleeping.take()
            })
        };
        let senders = [bring(target.clone()), bring(target.clone())];
        let (sleeping, items) = &*target;
        sleeping.raise();
        let asleep = without == Without::SecondLook || items.load(Ordering::Relaxed) == 0;
        if !asleep {
            sleeping.lower();
        }
        let rings = senders.map(|sender| usize::from(sender.join().unwrap())).iter().sum::<usize>();
        assert!(!asleep || rings > 0, "slept through a delivery");
        assert!(rings <= 1, "rung twice");
    });
}

/// A lane with room for one batch, full at first. The sender cannot hand over its batch, leaves its mark and is
/// about to sleep; the receiver takes the batch that fills the lane.
fn congestion(without: Without) {
    loom::model(move || {
        let state = Arc::new((Flag::new(), Flag::new(), AtomicUsize::new(1)));
        let receiver = {
            let state = state.clone();
            thread::spawn(move || {
                let (sleeping, starved, lane) = &*state;
                lane.store(0, Ordering::Relaxed);
                publish(without);
                if !starved.take() {
                    return false;
                }
                // The flush at the end of the turn.
                publish(without);
                sleeping.take()
            })
        };
        let (sleeping, starved, lane) = &*state;
        let mut asleep = false;
        if lane.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            if without != Without::Mark {
                starved.mark();
            }
            sleeping.raise();
            asleep = without == Without::SecondLook || lane.load(Ordering::Relaxed) == 1;
            if !asleep {
                sleeping.lower();
            }
        }
        let rung = receiver.join().unwrap();
        assert!(!asleep || rung, "slept though the lane has room");
    });
}

#[test]
fn no_delivery_is_slept_through() {
    delivery(Without::Nothing);
}

#[test]
#[should_panic(expected = "slept through a delivery")]
fn without_the_second_look_a_delivery_is_slept_through() {
    delivery(Without::SecondLook);
}

#[test]
#[should_panic(expected = "slept through a delivery")]
fn without_the_fence_a_delivery_is_slept_through() {
    delivery(Without::Fence);
}

#[test]
fn a_sender_is_woken_when_its_lane_has_room() {
    congestion(Without::Nothing);
}

#[test]
#[should_panic(expected = "slept though the lane has room")]
fn without_the_second_look_room_is_slept_through() {
    congestion(Without::SecondLook);
}

#[test]
#[should_panic(expected = "slept though the lane has room")]
fn without_the_fence_room_is_slept_through() {
    congestion(Without::Fence);
}

#[test]
#[should_panic(expected = "slept though the lane has room")]
fn without_the_mark_room_is_slept_through() {
    congestion(Without::Mark);
}
