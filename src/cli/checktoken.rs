//! `checktoken`: whether a connection token would be accepted, and what it says. Mirrors `internal/cli/checktoken.go`.

use super::args::CheckToken;
use super::token;
use crate::auth::TokenError;
use std::process::ExitCode;

/// Checks the token.
pub fn run(args: &CheckToken) -> ExitCode {
    token::finish(check(args))
}

fn check(args: &CheckToken) -> Result<(), String> {
    let given = token::given(args)?;
    let verifiers = token::verifiers(&args.file.config, false)?;
    let claims = token::prove(|basis| verifiers.verify_connection(given, basis)).map_err(|error| match error {
        TokenError::Expired => token::refused(given, "is not valid at this time"),
        TokenError::Invalid => token::refused(given, "is not a valid connection token"),
    })?;
    println!("valid token for {}", token::user(&claims.user, false));
    println!("payload: {}", token::claims(given).unwrap_or_default());
    Ok(())
}
