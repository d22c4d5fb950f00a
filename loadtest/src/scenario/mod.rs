//! The scenarios, one a file.

pub mod api;
pub mod connect;
pub mod echo;
pub mod fanout;
pub mod idle;
pub mod many;
pub mod presence;
pub mod reconnect;
pub mod recover;
pub mod slow;
pub mod soak;

use crate::Failure;
use crate::bench::Bench;
use crate::report::Outcome;

/// One kind of load.
pub trait Scenario {
    /// Its name on the command line.
    const NAME: &'static str;
    /// Runs it.
    fn run(&self, bench: &Bench) -> Result<Outcome, Failure>;
}
