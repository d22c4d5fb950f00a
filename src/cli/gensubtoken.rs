//! `gensubtoken`: a subscription token for trying things out. Mirrors `internal/cli/gensubtoken.go`.

use super::args::GenSubToken;
use super::token;
use std::process::ExitCode;

/// Makes the token.
pub fn run(args: &GenSubToken) -> ExitCode {
    match generate(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn generate(args: &GenSubToken) -> Result<(), String> {
    let channel = args.channel.as_str();
    if channel.is_empty() {
        return Err("channel is required".to_owned());
    }
    let keys = token::keys(&args.token.file.config, true)?;
    token::print(
        &args.token,
        &keys,
        Some(channel),
        &format!(" and channel \"{channel}\""),
    )
}
