//! `checksubtoken`: whether a subscription token would be accepted, and what it says. Mirrors
//! `internal/cli/checksubtoken.go`.

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
    let verifiers = token::verifiers(&args.file.config, true)?;
    let claims = token::prove(|basis| verifiers.verify_subscription(given, basis)).map_err(|error| match error {
        TokenError::Expired => token::refused(given, "is not valid at this time"),
        TokenError::Invalid => token::refused(given, "is not a valid subscription token"),
    })?;
    let (user, channel) = (token::user(&claims.user, true), &claims.subscription.channel);
    println!("valid subscription token for {user} and channel \"{channel}\"");
    println!("payload: {}", token::claims(given).unwrap_or_default());
    Ok(())
}
