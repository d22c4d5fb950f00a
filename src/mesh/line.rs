//! A shard's line to the broker: batches of requests go out, batches of events come in.
//!
//! The shard holds the [`Line`], whoever speaks with the broker the [`FarEnd`]. Unlike at a desk, events come unasked.
//! Both directions are first in, first out. A turn sends one batch at most. What waits is bounded by the ends: the far
//! end takes requests at once and answers those that are too many, and takes no more from the broker while too many
//! events wait here ([`FarEnd::waiting`]).
//!
//! Waking goes as in the mesh: the shard raises its flag and looks once more before it sleeps, the far end brings
//! events and looks at the flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::queue::SegQueue;

use super::doorbell::{Flag, published};

/// The shard's end. `R` are requests, `E` events.
#[derive(Debug)]
pub struct Line<R, E>(Arc<Lanes<R, E>>);

/// The other end.
#[derive(Debug)]
pub struct FarEnd<R, E>(Arc<Lanes<R, E>>);

#[derive(Debug)]
struct Lanes<R, E> {
    requests: SegQueue<Vec<R>>,
    events: SegQueue<Vec<E>>,
    /// Events in `events`.
    waiting: AtomicUsize,
    /// The shard may be asleep.
    sleeping: Flag,
}

/// A line and its far end.
pub fn line<R, E>() -> (Line<R, E>, FarEnd<R, E>) {
    let (requests, events) = (SegQueue::new(), SegQueue::new());
    let lanes = Arc::new(Lanes { requests, events, waiting: AtomicUsize::new(0), sleeping: Flag::new() });
    (Line(lanes.clone()), FarEnd(lanes))
}

impl<R, E> Line<R, E> {
    /// Sends requests. The far end must be rung afterwards.
    pub fn send(&mut self, batch: Vec<R>) {
        self.0.requests.push(batch);
    }

    /// The next events.
    pub fn take(&mut self) -> Option<Vec<E>> {
        let batch = self.0.events.pop()?;
        self.0.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        Some(batch)
    }

    /// Events that were brought and not taken yet.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Says that the shard is about to sleep, and looks for events once more. False: there are some. True: from now
    /// on whoever brings some rings.
    #[must_use]
    pub fn prepare_to_sleep(&mut self) -> bool {
        self.0.sleeping.raise();
        let is_idle = self.0.events.is_empty();
        if !is_idle {
            self.awake();
        }
        is_idle
    }

    /// The shard is awake: nobody needs to ring.
    pub fn awake(&mut self) {
        self.0.sleeping.lower();
    }
}

impl<R, E> FarEnd<R, E> {
    /// The next requests.
    pub fn take(&self) -> Option<Vec<R>> {
        self.0.requests.pop()
    }

    /// Brings events. True when the shard must be rung.
    #[must_use]
    pub fn bring(&self, batch: Vec<E>) -> bool {
        if batch.is_empty() {
            return false;
        }
        self.0.waiting.fetch_add(batch.len(), Ordering::Relaxed);
        self.0.events.push(batch);
        published();
        self.0.sleeping.take()
    }

    /// Events that the shard did not take yet.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }
}

impl<R, E> Clone for FarEnd<R, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(all(test, not(model_check)))]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_their_order_and_are_counted() {
        let (mut line, far) = line::<u32, u32>();
        line.send(vec![1, 2]);
        line.send(vec![3]);
        assert_eq!((far.take(), far.take(), far.take()), (Some(vec![1, 2]), Some(vec![3]), None));
        assert!(!far.bring(vec![4, 5]) && !far.bring(vec![6]), "it is awake");
        assert_eq!(far.waiting(), 3);
        assert_eq!((line.take(), far.waiting(), line.waiting()), (Some(vec![4, 5]), 1, 1));
        assert_eq!((line.take(), line.take(), far.waiting()), (Some(vec![6]), None, 0));
    }

    #[test]
    fn a_sleeper_is_rung_once() {
        let (mut line, far) = line::<u32, u32>();
        assert!(line.prepare_to_sleep(), "nothing waits");
        assert!(!far.bring(Vec::new()), "nothing is nothing to wake for");
        assert!(far.bring(vec![1]), "it sleeps");
        assert!(!far.bring(vec![2]), "it was rung");
        assert!(!line.prepare_to_sleep(), "events wait");
        assert_eq!((line.take(), line.take()), (Some(vec![1]), Some(vec![2])));
        assert!(line.prepare_to_sleep());
        line.awake();
        assert!(!far.bring(vec![3]), "it is awake");
    }
}
