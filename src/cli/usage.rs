//! What to say about a command line that cannot be understood.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::process::ExitCode;

/// Prints help, or what is wrong with the command line.
///
/// Mirrors the reference (`main.go` drops the error of its parser): even an unknown command or flag ends with code 0.
pub fn report(error: &clap::Error) -> ExitCode {
    match message(error) {
        None => print!("{error}"),
        Some(message) => eprintln!("Error: {message}\nRun 'spindle --help' for usage."),
    }
    ExitCode::SUCCESS
}

/// The message in the words of the reference where there is one; `None` for help, which is not an error.
fn message(error: &clap::Error) -> Option<String> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::DisplayHelp => return None,
        ErrorKind::InvalidSubcommand => {
            if let Some(name) = context(ContextKind::InvalidSubcommand) {
                return Some(format!("unknown command {name:?} for \"spindle\""));
            }
        }
        ErrorKind::UnknownArgument => {
            if let Some(name) = context(ContextKind::InvalidArg) {
                return Some(match name.starts_with('-') {
                    true => format!("unknown flag: {name}"),
                    false => format!("unknown command {name:?} for \"spindle\""),
                });
            }
        }
        _ => {}
    }
    let text = error.to_string();
    Some(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Line;

    fn check(args: &[&str], expected: Option<&str>) {
        let error = Line::read(std::iter::once(&"spindle").chain(args).map(Into::into)).unwrap_err();
        let message = message(&error);
        match expected {
            None => assert_eq!(message, None),
            Some(expected) => assert!(message.as_deref().is_some_and(|text| text.contains(expected)), "{message:?}"),
        }
    }

    #[test]
    fn mistakes_are_named() {
        check(&["--help"], None);
        check(&["gentoken", "-h"], None);
        check(&["nosuch"], Some("unknown command \"nosuch\""));
        check(&["chekconfig"], Some("unknown command \"chekconfig\""));
        check(&["--nosuch"], Some("unknown flag: --nosuch"));
        check(&["gentoken", "-x"], Some("unknown flag: -x"));
        check(&["gentoken", "-t", "soon"], Some("invalid value 'soon'"));
        check(&["-c"], Some("a value is required"));
    }
}
