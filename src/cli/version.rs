//! `version`: one line about this program.

use std::process::ExitCode;

/// Version of Spindle.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Version of Centrifugo whose clients, API and configuration are understood.
pub const COMPATIBLE: &str = "6.9.1";

/// Prints the version.
pub fn run() -> ExitCode {
    println!("Spindle v{VERSION} (compatible with Centrifugo v{COMPATIBLE})");
    ExitCode::SUCCESS
}
