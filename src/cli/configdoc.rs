//! `configdoc`: the documentation of all options, as Markdown or as a page for the browser.
//!
//! Mirrors `internal/cli/configdoc.go`. The page is plain and complete in itself; no browser is opened for it.

use super::args::ConfigDoc;
use super::web::{self, Answer};
use crate::config::doc;
use std::io::{self, Write};
use std::process::ExitCode;

/// Prints or serves the documentation.
pub fn run(args: &ConfigDoc) -> ExitCode {
    if args.markdown {
        // The reader may have had enough.
        let _ = writeln!(io::stdout(), "{}", doc::markdown(&args.section, usize::from(args.base_level)));
        return ExitCode::SUCCESS;
    }
    let page = doc::page(&args.section);
    let answer = move |path: &str| match path {
        "/" => Answer::found("text/html; charset=utf-8", page.clone().into_bytes()),
        _ => Answer::missing(),
    };
    let served = web::bind("", args.port).and_then(|listener| {
        println!("see http://localhost:{}", args.port);
        web::serve(&listener, answer)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("Failed to start server: {error}");
            ExitCode::FAILURE
        }
    }
}
