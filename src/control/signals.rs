//! Signals: those that end the process, and the one that asks for the configuration to be read again.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGINT or SIGTERM, by name: end.
    Stop(&'static str),
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Installed handlers.
pub struct Inbox(Signals);

/// Installs the handlers, so that from now on a signal is kept until it is taken and none has its default effect.
///
/// # Errors
/// The handlers cannot be installed.
pub fn install() -> io::Result<Inbox> {
    Ok(Inbox(Signals::new([SIGHUP, SIGINT, SIGTERM])?))
}

impl Inbox {
    /// Waits for a signal.
    pub fn wait(&mut self) -> Signal {
        self.0.forever().next().map_or(Signal::Stop("SIGTERM"), signal)
    }

    /// A signal that came meanwhile.
    pub fn take(&mut self) -> Option<Signal> {
        self.0.pending().next().map(signal)
    }
}

fn signal(number: i32) -> Signal {
    match number {
        SIGHUP => Signal::Reload,
        SIGINT => Signal::Stop("SIGINT"),
        _ => Signal::Stop("SIGTERM"),
    }
}
