//! Complaints about backends in the log: one in a while, however many questions fail.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two complaints.
const SILENCE: Duration = Duration::from_secs(10);

/// When the last one was. Clones are the same.
#[derive(Clone, Default)]
pub struct Complaints(Arc<Mutex<Option<Instant>>>);

impl Complaints {
    /// Whether one is due; if so it counts as made.
    pub fn are_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= SILENCE);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}
