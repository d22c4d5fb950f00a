//! `completion`: the script that makes a shell complete the command line.
//!
//! As in the reference, no shell or one that is not known prints the help of the command and ends with code 0; the
//! script itself is made from our own table of commands and flags, and asks no running program for anything.

use super::args::{Completion, Line, Shell};
use clap::CommandFactory;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, PowerShell, Zsh};
use std::io::{self, Write};
use std::process::ExitCode;

/// The name under which the program is found.
const PROGRAM: &str = "spindle";

/// Prints the script.
pub fn run(args: &Completion) -> ExitCode {
    let text = match args.shell {
        Some(shell) => script(shell),
        None => help(),
    };
    // The reader may have had enough, as in `spindle completion bash | head`.
    let _ = io::stdout().write_all(&text);
    ExitCode::SUCCESS
}

fn script(shell: Shell) -> Vec<u8> {
    let (mut line, mut out) = (Line::command(), Vec::new());
    match shell {
        Shell::Bash => generate(Bash, &mut line, PROGRAM, &mut out),
        Shell::Fish => generate(Fish, &mut line, PROGRAM, &mut out),
        Shell::PowerShell => generate(PowerShell, &mut line, PROGRAM, &mut out),
        Shell::Zsh => generate(Zsh, &mut line, PROGRAM, &mut out),
    }
    out
}

fn help() -> Vec<u8> {
    let mut line = Line::command();
    line.build();
    let command = line.find_subcommand_mut("completion").expect("the command that is running");
    command.render_long_help().to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_commands_and_flags() {
        for shell in [Shell::Bash, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in ["spindle", "checksubtoken", "http_server.port", "base-non-zero-only"] {
                assert!(script.contains(word), "{shell:?} completes {word}");
            }
        }
        assert!(String::from_utf8(help()).unwrap().contains("powershell"));
    }
}
