//! `gentoken`: a connection token for trying things out. Mirrors `internal/cli/gentoken.go`.

use super::args::GenToken;
use super::token;
use std::process::ExitCode;

/// Makes the token.
pub fn run(args: &GenToken) -> ExitCode {
    match token::keys(&args.file.config, false).and_then(|keys| token::print(args, &keys, None, "")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}
