//! The HTTP tasks of a shard: how many of them could run now.
//!
//! The shard's loop is a task of the same executor, and sleeps in the shard's ring, where it holds all of them up. So it
//! must know that none could run. Each task's waker counts it when it is woken, until it runs.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

/// See the module. Everything happens on the shard's thread; there are atomics because a [`Waker`] must allow for more.
#[derive(Debug, Default)]
pub struct Tasks {
    runnable: Arc<AtomicUsize>,
    turn_wanted: Cell<bool>,
}

#[derive(Debug)]
struct Task {
    /// One of the states below.
    state: AtomicUsize,
    /// Of all tasks.
    runnable: Arc<AtomicUsize>,
    /// What wakes it at the executor.
    waker: OnceLock<Waker>,
}

const WAITS: usize = 0;
const RUNNABLE: usize = 1;
const ENDED: usize = 2;

impl Tasks {
    /// Makes a future a task that is counted, from now on.
    pub fn task<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let task = Arc::new(Task {
            state: AtomicUsize::new(RUNNABLE),
            runnable: self.runnable.clone(),
            waker: OnceLock::new(),
        });
        self.runnable.fetch_add(1, Ordering::Relaxed);
        let ending = Ending(task.clone());
        let waker = Waker::from(task);
        async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                ending.0.waker.get_or_init(|| cx.waker().clone());
                ending.0.becomes(WAITS);
                future.as_mut().poll(&mut Context::from_waker(&waker))
            })
            .await
        }
    }

    /// Lets every task run that could. For the shard's loop, which stands in the same line of the executor.
    pub async fn run(&self) {
        let mut stood_in_line = false;
        poll_fn(|cx| {
            if stood_in_line || self.runnable.load(Ordering::Relaxed) == 0 {
                return Poll::Ready(());
            }
            // First in, first out: those that could run are in front of us.
            stood_in_line = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Has the shard take a turn before it sleeps.
    pub fn want_turn(&self) {
        self.turn_wanted.set(true);
    }

    /// Whether the shard must not sleep yet: a task wanted a turn since the last time, or could run.
    pub fn take_wants(&self) -> bool {
        self.turn_wanted.take() || self.runnable.load(Ordering::Relaxed) > 0
    }
}

impl Task {
    /// Nothing changes once it has ended: it may still be woken then, and is not counted.
    fn becomes(&self, state: usize) {
        let before = self.state.load(Ordering::Relaxed);
        if before == ENDED || before == state {
            return;
        }
        self.state.store(state, Ordering::Relaxed);
        if state == RUNNABLE {
            self.runnable.fetch_add(1, Ordering::Relaxed);
        } else if before == RUNNABLE {
            self.runnable.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.becomes(RUNNABLE);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// Its task ends with it.
struct Ending(Arc<Task>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.becomes(ENDED);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::rc::Rc;

    use super::*;

    type Line = Rc<RefCell<VecDeque<usize>>>;

    /// An executor: futures by number, and the line of those that were woken.
    struct Executor {
        futures: Vec<Option<Pin<Box<dyn Future<Output = ()>>>>>,
        line: Arc<std::sync::Mutex<VecDeque<usize>>>,
    }

    struct Put(usize, Arc<std::sync::Mutex<VecDeque<usize>>>);

    impl Wake for Put {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push_back(self.0);
        }
    }

    impl Executor {
        fn new() -> Self {
            Self { futures: Vec::new(), line: Arc::default() }
        }

        fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
            self.line.lock().unwrap().push_back(self.futures.len());
            self.futures.push(Some(Box::pin(future)));
        }

        /// Runs the first in line.
        fn step(&mut self) -> bool {
            let Some(next) = self.line.lock().unwrap().pop_front() else { return false };
            let waker = Waker::from(Arc::new(Put(next, self.line.clone())));
            if let Some(future) = &mut self.futures[next]
                && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
            {
                self.futures[next] = None;
            }
            true
        }
    }

    /// Wakes itself so many times.
    async fn restless(mut times: u32, log: Line, name: usize) {
        poll_fn(|cx| {
            log.borrow_mut().push_back(name);
            if times == 0 {
                return Poll::Ready(());
            }
            times -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn each_task_that_could_run_runs_once_before_the_loop_goes_on() {
        let (tasks, log) = (Rc::new(Tasks::default()), Line::default());
        let mut executor = Executor::new();
        let (of_loop, seen) = (tasks.clone(), log.clone());
        executor.spawn(async move {
            loop {
                of_loop.run().await;
                seen.borrow_mut().push_back(0);
                if !of_loop.take_wants() {
                    return;
                }
            }
        });
        executor.spawn(tasks.task(restless(2, log.clone(), 1)));
        executor.spawn(tasks.task(restless(0, log.clone(), 2)));
        while executor.step() {}
        assert_eq!(*log.borrow(), [1, 2, 0, 1, 0, 1, 0], "the loop ends when no task could run any more");
    }

    #[test]
    fn a_task_that_ended_is_not_counted_when_it_is_woken() {
        let tasks = Tasks::default();
        let kept = Rc::new(RefCell::new(None));
        let keeps = kept.clone();
        let mut executor = Executor::new();
        executor.spawn(tasks.task(poll_fn(move |cx| {
            *keeps.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        })));
        assert!(tasks.take_wants(), "it has not run yet");
        executor.step();
        assert!(!tasks.take_wants(), "it has");
        kept.take().expect("its waker").wake();
        assert!(!tasks.take_wants(), "it is over");
    }

    #[test]
    fn a_task_counts_from_when_it_is_woken_until_it_runs_or_is_dropped() {
        let tasks = Tasks::default();
        let kept = Rc::new(RefCell::new(None::<Waker>));
        let keeps = kept.clone();
        let mut executor = Executor::new();
        executor.spawn(tasks.task(poll_fn(move |cx| {
            *keeps.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })));
        executor.step();
        let wake = || kept.borrow().as_ref().expect("its waker").wake_by_ref();
        wake();
        wake();
        assert!(tasks.take_wants() && tasks.take_wants(), "it waits in line");
        executor.step();
        assert!(!tasks.take_wants(), "it ran");
        wake();
        executor.futures.clear();
        assert!(!tasks.take_wants(), "it was dropped");
        tasks.want_turn();
        assert!(tasks.take_wants() && !tasks.take_wants(), "asked for once");
    }
}
