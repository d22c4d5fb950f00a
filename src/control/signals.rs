//! Waiting for the signals that end the process.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Waits for SIGINT or SIGTERM and returns its name.
///
/// # Errors
/// The handlers cannot be installed.
pub fn wait_for_stop() -> io::Result<&'static str> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    match signals.forever().next() {
        Some(SIGINT) => Ok("SIGINT"),
        _ => Ok("SIGTERM"),
    }
}
