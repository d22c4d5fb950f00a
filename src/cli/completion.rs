//! `completion`: the script that makes a shell complete the command line.
//!
//! As in the reference, no shell or one that is not known prints the help of the command and ends with code 0; the
//! script itself is made from our own table of commands and flags, and asks no running program for anything.

use super::args::{Completion, Line};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

/// The name under which the program is found.
const PROGRAM: &str = "spindle";

/// Prints the script.
pub fn run(args: &Completion) -> ExitCode {
    let text = match args.shell.as_deref().and_then(shell) {
        Some(shell) => script(shell, !args.no_descriptions),
        None => help(),
    };
    // The reader may have had enough, as in `spindle completion bash | head`.
    let _ = io::stdout().write_all(&text);
    ExitCode::SUCCESS
}

fn shell(name: &str) -> Option<Shell> {
    match name {
        "bash" => Some(Shell::Bash),
        "fish" => Some(Shell::Fish),
        "powershell" => Some(Shell::PowerShell),
        "zsh" => Some(Shell::Zsh),
        _ => None,
    }
}

fn script(shell: Shell, describe: bool) -> Vec<u8> {
    let mut line = Line::command();
    if !describe {
        line = bare(line);
    }
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut line, PROGRAM, &mut out);
    out
}

/// The command without a word about what anything is for.
fn bare(command: Command) -> Command {
    command.about(None).mut_args(|arg| arg.help(None).long_help(None)).mut_subcommands(bare)
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
        for name in ["bash", "fish", "powershell", "zsh"] {
            let script = |describe| String::from_utf8(script(shell(name).unwrap(), describe)).unwrap();
            for word in ["spindle", "checksubtoken", "http_server.port", "base-non-zero-only"] {
                assert!(script(true).contains(word) && script(false).contains(word), "{name} completes {word}");
            }
            assert!(!script(false).contains("Check a configuration file"), "{name}");
        }
        assert!(String::from_utf8(script(Shell::Zsh, true)).unwrap().contains("Check a configuration file"));
        assert!(shell("tcsh").is_none() && shell("").is_none());
        assert!(String::from_utf8(help()).unwrap().contains("powershell"));
    }
}
