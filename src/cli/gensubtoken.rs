//! `gensubtoken`: a subscription token for trying things out. Mirrors `internal/cli/gensubtoken.go`.

use super::args::GenSubToken;
use super::token;
use crate::auth;
use std::process::ExitCode;

/// Makes the token.
pub fn run(args: &GenSubToken) -> ExitCode {
    token::finish(generate(args))
}

fn generate(args: &GenSubToken) -> Result<(), String> {
    let (token, channel) = (&args.token, args.channel.as_str());
    if channel.is_empty() {
        return Err("channel is required".to_owned());
    }
    let keys = token::keys(&token.file.config, true)?;
    let made = auth::token::subscription(&keys, &token.user, channel, token.ttl, token::now().unix_s());
    token::print(token, &made.map_err(|error| format!("error: {error}"))?, &format!(" and channel \"{channel}\""));
    Ok(())
}
