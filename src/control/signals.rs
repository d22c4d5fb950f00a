//! Waiting for the signals that end the process.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Installed handlers of SIGINT and SIGTERM.
pub struct Stop(Signals);

/// Installs the handlers, so that from now on a signal is kept until [`Stop::wait`] takes it.
///
/// # Errors
/// The handlers cannot be installed.
pub fn install() -> io::Result<Stop> {
    Ok(Stop(Signals::new([SIGINT, SIGTERM])?))
}

impl Stop {
    /// Waits for one of them and returns its name.
    pub fn wait(mut self) -> &'static str {
        match self.0.forever().next() {
            Some(SIGINT) => "SIGINT",
            _ => "SIGTERM",
        }
    }
}
