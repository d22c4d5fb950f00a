//! A shard's desk: where it hands errands to the control plane and takes the answers.
//!
//! The shard holds the [`Desk`], the control plane the [`Window`]. A ticket goes along with an errand and comes back
//! with its answer, so the shard needs no table of what is under way. Two lock-free queues lie between them; they hold
//! no memory while nothing is under way, and no more than [`Desk::place`] lets in: beyond that it refuses at once, and
//! who asked decides whether to fail or to stand in line. Handing an answer over never waits.
//!
//! Waking goes as in the mesh: the shard raises its flag and looks once more before it sleeps, the window brings the
//! answer and looks at the flag.

use std::sync::Arc;

use crossbeam::queue::SegQueue;

use super::doorbell::{Flag, published};

/// The shard's side. `T` are tickets, `E` errands, `A` answers.
#[derive(Debug)]
pub struct Desk<T, E, A> {
    lanes: Arc<Lanes<T, E, A>>,
    under_way: usize,
    limit: usize,
    /// Something was placed since the last flush.
    is_fresh: bool,
}

/// The control plane's side.
#[derive(Debug)]
pub struct Window<T, E, A>(Arc<Lanes<T, E, A>>);

#[derive(Debug)]
struct Lanes<T, E, A> {
    errands: SegQueue<(T, E)>,
    answers: SegQueue<(T, A)>,
    /// The shard may be asleep.
    sleeping: Flag,
}

/// As many errands are under way as may be; the one that was to be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full<E>(pub E);

/// A desk and its window. At most `limit` errands may be under way.
pub fn desk<T, E, A>(limit: usize) -> (Desk<T, E, A>, Window<T, E, A>) {
    let lanes = Arc::new(Lanes { errands: SegQueue::new(), answers: SegQueue::new(), sleeping: Flag::new() });
    let desk = Desk { lanes: lanes.clone(), under_way: 0, limit, is_fresh: false };
    (desk, Window(lanes))
}

impl<T, E, A> Desk<T, E, A> {
    /// Hands an errand over. The control plane is rung at the end of the turn.
    ///
    /// # Errors
    /// The errand, when as many are under way as may be.
    pub fn place(&mut self, ticket: T, errand: E) -> Result<(), Full<E>> {
        if self.room() == 0 {
            return Err(Full(errand));
        }
        self.under_way += 1;
        self.is_fresh = true;
        self.lanes.errands.push((ticket, errand));
        Ok(())
    }

    /// How many more errands may be placed.
    pub fn room(&self) -> usize {
        self.limit - self.under_way
    }

    /// Errands that are not answered yet.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Whether the control plane must be rung: once for all that was placed since the last time.
    #[must_use]
    pub fn flush(&mut self) -> bool {
        std::mem::take(&mut self.is_fresh)
    }

    /// The next answer.
    pub fn take(&mut self) -> Option<(T, A)> {
        if self.under_way == 0 {
            return None;
        }
        let answer = self.lanes.answers.pop();
        self.under_way -= usize::from(answer.is_some());
        answer
    }

    /// Says that the shard is about to sleep, and looks for answers once more. False: there are some. True: from now
    /// on whoever brings one rings.
    #[must_use]
    pub fn prepare_to_sleep(&mut self) -> bool {
        if self.under_way == 0 {
            return true;
        }
        self.lanes.sleeping.raise();
        let is_idle = self.lanes.answers.is_empty();
        if !is_idle {
            self.awake();
        }
        is_idle
    }

    /// The shard is awake: nobody needs to ring.
    pub fn awake(&mut self) {
        self.lanes.sleeping.lower();
    }
}

impl<T, E, A> Window<T, E, A> {
    /// The next errand.
    pub fn take(&self) -> Option<(T, E)> {
        self.0.errands.pop()
    }

    /// Hands an answer over. True when the shard must be rung.
    #[must_use]
    pub fn answer(&self, ticket: T, answer: A) -> bool {
        self.0.answers.push((ticket, answer));
        published();
        self.0.sleeping.take()
    }
}

impl<T, E, A> Clone for Window<T, E, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(all(test, not(model_check)))]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_it_refuses_until_an_answer_is_taken() {
        let (mut desk, window) = desk::<u32, &str, &str>(2);
        assert_eq!(desk.place(1, "a"), Ok(()));
        assert_eq!(desk.place(2, "b"), Ok(()));
        assert_eq!(desk.place(3, "c"), Err(Full("c")));
        assert!(desk.flush() && !desk.flush(), "one ring for both");
        assert_eq!(window.take(), Some((1, "a")));
        assert!(!window.answer(1, "A"), "it is awake");
        assert_eq!((desk.room(), desk.under_way()), (0, 2), "an answer that waits counts");
        assert_eq!(desk.take(), Some((1, "A")));
        assert_eq!(desk.take(), None);
        assert_eq!(desk.place(3, "c"), Ok(()));
        assert_eq!((window.take(), window.take(), window.take()), (Some((2, "b")), Some((3, "c")), None));
    }

    #[test]
    fn a_sleeper_is_rung_once() {
        let (mut desk, window) = desk::<u32, (), ()>(3);
        assert!(desk.prepare_to_sleep(), "nothing is under way");
        for ticket in 0..3 {
            assert_eq!(desk.place(ticket, ()), Ok(()));
        }
        assert!(desk.prepare_to_sleep());
        assert!(window.answer(0, ()), "it sleeps");
        assert!(!window.answer(1, ()), "it was rung");
        assert!(!desk.prepare_to_sleep(), "answers wait");
        assert_eq!((desk.take(), desk.take()), (Some((0, ())), Some((1, ()))));
        assert!(desk.prepare_to_sleep());
        desk.awake();
        assert!(!window.answer(2, ()), "it is awake");
    }

    #[test]
    fn no_answer_is_slept_through() {
        const ERRANDS: u32 = 20_000;
        let (mut desk, window) = desk::<u32, u32, u32>(8);
        let sleeper = std::thread::current();
        let plane = std::thread::spawn(move || {
            let mut left = ERRANDS;
            while left > 0 {
                let Some((ticket, errand)) = window.take() else {
                    std::thread::park();
                    continue;
                };
                left -= 1;
                if window.answer(ticket, errand * 2) {
                    sleeper.unpark();
                }
            }
        });
        let (mut placed, mut answered) = (0, 0);
        while answered < ERRANDS {
            while placed < ERRANDS && desk.place(placed, placed).is_ok() {
                placed += 1;
            }
            if desk.flush() {
                plane.thread().unpark();
            }
            while let Some((ticket, answer)) = desk.take() {
                assert_eq!(answer, ticket * 2);
                answered += 1;
            }
            if desk.under_way() > 0 && desk.prepare_to_sleep() {
                std::thread::park();
                desk.awake();
            }
        }
        plane.join().unwrap();
        assert_eq!(desk.under_way(), 0);
    }
}
