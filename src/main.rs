//! The `spindle` program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    spindle::cli::main(std::env::args_os(), |_| Err("this build cannot serve yet"))
}
