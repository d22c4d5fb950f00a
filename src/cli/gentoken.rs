//! `gentoken`: a connection token for trying things out. Mirrors `internal/cli/gentoken.go`.

use super::args::GenToken;
use super::token;
use crate::auth;
use std::process::ExitCode;

/// Makes the token.
pub fn run(args: &GenToken) -> ExitCode {
    token::finish(generate(args))
}

fn generate(args: &GenToken) -> Result<(), String> {
    let keys = token::keys(&args.file.config, false)?;
    let made = auth::token::connection(&keys, &args.user, args.ttl, token::now().unix_s());
    token::print(args, &made.map_err(|error| format!("error: {error}"))?, "");
    Ok(())
}
