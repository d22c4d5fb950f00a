//! The control plane: a small tokio runtime that runs the errands of shards.
//!
//! It starts when a configuration needs it, at the start or at a reload, and not before. One task takes errands from
//! the windows of all shards; each errand then is a task of its own, and its answer rings the shard's bell if the
//! shard sleeps. What is under way is bounded by the desks. Dropping the plane abandons it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::backend::Backends;
use super::http::Http;
use super::key_sets::KeySets;
use super::polls::Polls;
use crate::errand::{Answer, Errand};
use crate::mesh::Window;

/// Threads that may wait for the system beside those that check signatures: looking up names of hosts blocks.
const LOOK_UPS: usize = 4;

/// Wakes the control plane. Works before it is started, too: what was placed then is seen at its start.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Wakes the control plane, or keeps it from sleeping. Cheap from any thread.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it is rung, or was since the last time. For one task.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}

/// Runs one errand without a control plane, for commands that end with it.
///
/// # Errors
/// What is missing, in a sentence.
pub fn run_alone(errand: Errand) -> Result<Answer, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
    let office = Office::new(Backends::default(), AtOnce { signatures: 1, polls: 1 })?;
    Ok(runtime.block_on(office.run(errand)))
}

/// How much is done at the same time.
#[derive(Clone, Copy, Debug)]
pub struct AtOnce {
    /// Signatures that are checked.
    pub signatures: usize,
    /// Backends that are asked for keys of shared-poll channels.
    pub polls: usize,
}

/// A running control plane.
#[derive(Debug)]
pub struct Plane {
    /// Until it is dropped.
    runtime: Option<Runtime>,
    at_once: AtOnce,
}

impl Plane {
    /// Starts the control plane on threads that inherit the cores of the calling one.
    ///
    /// # Errors
    /// What is missing, in a sentence.
    pub fn start(at_once: AtOnce) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot start the control plane: {error}; see `ulimit -u`");
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(at_once.signatures + LOOK_UPS)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(failed)?;
        Ok(Self { runtime: Some(runtime), at_once })
    }

    /// Runs errands of shards. `windows` are those of all shards, in order; `ring` wakes a shard.
    ///
    /// # Errors
    /// What is missing, in a sentence.
    pub fn run_errands<T: Send + 'static>(
        &self,
        windows: Vec<Window<T, Errand, Answer>>,
        bell: Bell,
        backends: Backends,
        ring: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<(), String> {
        let office = Office::new(backends, self.at_once)?;
        self.spawn(serve(windows, bell, Arc::new(ring), office));
        Ok(())
    }

    /// Runs a task for as long as the control plane runs. What is given back may be waited for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        self.runtime.as_ref().map(|runtime| runtime.spawn(task))
    }

    /// Waits for the end of a task, for so long at most.
    pub fn wait_for_end(&self, task: JoinHandle<()>, time: Duration) {
        if let Some(runtime) = &self.runtime {
            // Whether it ended is no longer of interest.
            let _ = runtime.block_on(async { timeout(time, task).await });
        }
    }

    /// Waits for the end of a task.
    ///
    /// # Errors
    /// That of the task.
    pub fn wait_for<T>(&self, task: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(task),
            None => Err("the control plane has ended".to_owned()),
        }
    }
}

impl Drop for Plane {
    /// Nobody waits for the answers any more, and no thread for its end.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve<T: Send + 'static>(
    windows: Vec<Window<T, Errand, Answer>>,
    bell: Bell,
    ring: Arc<impl Fn(usize) + Send + Sync + 'static>,
    office: Office,
) {
    loop {
        for (shard, window) in windows.iter().enumerate() {
            while let Some((ticket, errand)) = window.take() {
                let (window, office, ring) = (window.clone(), office.clone(), ring.clone());
                tokio::spawn(async move {
                    if window.answer(ticket, office.run(errand).await) {
                        ring(shard);
                    }
                });
            }
        }
        bell.rung().await;
    }
}

/// What errands are run with.
#[derive(Clone)]
struct Office {
    http: Http,
    key_sets: KeySets,
    polls: Polls,
    /// A place for each signature that is checked at once.
    signers: Arc<Semaphore>,
}

impl Office {
    fn new(backends: Backends, at_once: AtOnce) -> Result<Self, String> {
        let http = Http::new()?;
        let key_sets = KeySets::new(http.clone());
        let polls = Polls::new(http.clone(), backends, at_once.polls);
        Ok(Self { http, key_sets, polls, signers: Arc::new(Semaphore::new(at_once.signatures)) })
    }

    async fn run(&self, errand: Errand) -> Answer {
        match errand {
            Errand::Http(request) => Answer::Http(self.http.send(request).await),
            Errand::Key(query) => {
                let found = self.key_sets.find(&query).await;
                Answer::Key(query, found)
            }
            Errand::Poll(query) => Answer::Poll(self.polls.find(query).await),
            Errand::Signature(check) => {
                let _place = self.signers.acquire().await;
                let checked = tokio::task::spawn_blocking(move || {
                    let is_good = check.run();
                    Answer::Signature(check, is_good)
                });
                match checked.await {
                    Ok(answer) => answer,
                    Err(ended) => match ended.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => std::future::pending().await,
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::mpsc;

    use super::*;
    use crate::errand::{HttpError, HttpRequest, Method};
    use crate::mesh::desk;

    const ALONE: AtOnce = AtOnce { signatures: 1, polls: 1 };

    fn nonsense(number: u32) -> (u32, Errand) {
        let url = format!("nonsense {number}").into();
        let (headers, body) = (Vec::new(), bytes::Bytes::new());
        (number, Errand::Http(HttpRequest { method: Method::Get, url, headers, body, timeout_ms: 1, max_response: 1 }))
    }

    #[test]
    fn errands_of_all_shards_are_answered_and_sleepers_rung() {
        let (mut desks, windows): (Vec<_>, Vec<_>) = (0..3).map(|_| desk::<u32, Errand, Answer>(8)).unzip();
        let bell = Bell::default();
        // Placed and rung for before it runs.
        let (ticket, errand) = nonsense(0);
        assert!(desks[0].place(ticket, errand).is_ok() && desks[0].flush());
        bell.ring();
        let (rings, rung) = mpsc::channel();
        let ring = move |shard: usize| rings.send(shard).expect("the test listens");
        let plane = Plane::start(ALONE).unwrap();
        plane.run_errands(windows, bell.clone(), Backends::default(), ring).unwrap();
        for (shard, desk) in desks.iter_mut().enumerate() {
            for number in 1..8 {
                let (ticket, errand) = nonsense(number);
                assert!(desk.place(ticket, errand).is_ok());
            }
            if desk.flush() {
                bell.ring();
            }
            let mut answered = Vec::new();
            while desk.under_way() > 0 {
                while let Some((ticket, answer)) = desk.take() {
                    assert!(matches!(answer, Answer::Http(Err(HttpError::Malformed(_)))), "{answer:?}");
                    answered.push(ticket);
                }
                if desk.under_way() > 0 && desk.prepare_to_sleep() {
                    assert_eq!(rung.recv(), Ok(shard));
                    desk.awake();
                }
            }
            answered.sort_unstable();
            assert_eq!(answered, if shard == 0 { (0..8).collect::<Vec<_>>() } else { (1..8).collect() });
        }
        drop(plane);
        assert_eq!(rung.recv(), Err(mpsc::RecvError), "its tasks are gone, and what they held");
    }

    #[test]
    fn what_is_under_way_when_it_ends_is_abandoned() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut desk, window) = desk::<u32, Errand, Answer>(1);
        let bell = Bell::default();
        let plane = Plane::start(ALONE).unwrap();
        plane.run_errands(vec![window], bell.clone(), Backends::default(), |_| ()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).into();
        let (ticket, errand) = match nonsense(1) {
            (ticket, Errand::Http(request)) => {
                (ticket, Errand::Http(HttpRequest { url, timeout_ms: 3_600_000, ..request }))
            }
            other => other,
        };
        assert!(desk.place(ticket, errand).is_ok() && desk.flush());
        bell.ring();
        let (mut socket, _) = listener.accept().unwrap();
        drop(plane);
        // The connection breaks instead of standing for an hour.
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
        assert_eq!((desk.under_way(), desk.take().is_none()), (1, true));
    }
}
