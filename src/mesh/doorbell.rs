//! The doorbell protocol: a flag that says "I may be asleep", so that others ring only when they must.
//!
//! Who wants to sleep raises the flag and then looks once more for work; who brings work publishes it and then looks
//! at the flag. Both have a full fence between their two steps, so at least one of them sees the other: either the
//! sleeper finds the work, or the bringer finds the flag and rings. The tests below check every interleaving
//! (`RUSTFLAGS='--cfg model_check' cargo test --lib mesh::doorbell`).

#[cfg(model_check)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(model_check))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// A flag that one side raises before it sleeps and the other side takes after it brought work.
#[derive(Debug)]
pub struct Flag(AtomicBool);

impl Flag {
    /// A lowered flag.
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Raises the flag without a fence: [`Flag::raise`] of another flag must follow before the look at the work.
    pub fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Raises the flag. The caller then looks for work once more, and sleeps only if there is none.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Lowers the flag: awake.
    pub fn lower(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Lowers the flag and tells whether it was raised: of several takers one is told. The caller has
    /// [`published`] its work before.
    pub fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// Stands between bringing work and looking at flags; once for any number of both.
pub fn published() {
    fence(Ordering::SeqCst);
}

#[cfg(all(test, model_check))]
mod tests;
