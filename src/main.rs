//! The `spindle` program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    spindle::cli::main(std::env::args_os(), spindle::cli::serve::run)
}
