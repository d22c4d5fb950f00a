//! The simulator: several shards and many clients in one thread, under a seed.
//!
//! Shards run the real engine; sockets, time and the order in which anything happens are the simulator's. Shards are
//! run in any order and left waiting for as long as the seed likes, so batches between them are delayed and arrive
//! in another order than they were sent (never out of order within a lane); clients take bytes by ones or not at all,
//! and die in the middle of a frame; some come with tokens whose proof the simulated control plane answers late or not
//! at all in their favour. The backend of shared-poll channels is played by [`backend`]. Several nodes share a broker that
//! the simulator plays as well. After every step the invariants of [`client`] and at the end those of [`checks`] must hold. The same seed always gives the same run.

mod backend;
mod broker;
mod checks;
mod client;
pub mod cluster;
mod kept;
mod maps;
mod plane;
mod polls;
mod setup;
mod truth;
mod wants;
mod wire;
mod world;

pub use setup::Setup;
pub use world::{Report, run};

/// What went wrong, and where: enough to replay it.
#[derive(Debug)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The step at which it showed.
    pub step: u64,
    /// What was violated.
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, step {}: {} (replay: just sim {})", self.seed, self.step, self.what, self.seed)
    }
}
