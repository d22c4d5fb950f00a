//! The line on a terminal that tells how a run goes.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;

use crate::clock::{SECOND, seconds};
use crate::tally::Window;
use crate::workers::Live;

/// See the module. Says nothing where standard error is no terminal.
pub struct Progress {
    scenario: &'static str,
    shown: Option<(u64, u64)>,
    visible: bool,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new(scenario: &'static str) -> Progress {
        Progress { scenario, shown: None, visible: std::io::stderr().is_terminal() }
    }

    /// Shows the state of things, at most four times a second.
    pub fn show(&mut self, now: u64, window: Option<Window>, live: &Live, server: Option<f64>) {
        if !self.visible || self.shown.is_some_and(|(at, _)| now - at < SECOND / 4) {
            return;
        }
        let arrived = live.arrived.load(Ordering::Relaxed);
        let rate = self.shown.map_or(0.0, |(at, before)| (arrived - before) as f64 / seconds(now - at));
        self.shown = Some((now, arrived));
        let line = line(self.scenario, now, window, live.connections.load(Ordering::Relaxed), rate, server);
        // A terminal that is gone is no reason to stop measuring.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.visible && self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(scenario: &str, now: u64, window: Option<Window>, connections: u64, rate: f64, server: Option<f64>) -> String {
    let phase = match window {
        None => "opening".to_owned(),
        Some(window) if now < window.start => format!("warming up, {:.0} s left", seconds(window.start - now)),
        Some(window) if now < window.end => {
            format!("{:.0} of {:.0} s", seconds(now - window.start), seconds(window.end - window.start))
        }
        Some(_) => "waiting for the rest".to_owned(),
    };
    let server = server.map_or(String::new(), |share| format!(" · server {:.0} %", share * 100.0));
    format!("{scenario}: {phase} · {connections} connections · {rate:.0}/s{server}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_the_phase() {
        let window = Some(Window { origin: 0, start: 2 * SECOND, end: 12 * SECOND });
        assert_eq!(line("fanout", 0, None, 3, 0.0, None), "fanout: opening · 3 connections · 0/s");
        assert!(line("fanout", 0, window, 3, 0.0, None).contains("warming up, 2 s left"));
        assert!(line("fanout", 5 * SECOND, window, 3, 20.0, Some(0.5)).contains("3 of 10 s"));
        assert!(line("fanout", 13 * SECOND, window, 3, 20.0, Some(0.5)).ends_with("20/s · server 50 %"));
    }
}
