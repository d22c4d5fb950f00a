//! Both servers, step by step; what is different although it may be stands in [`INTENDED`].

use std::fmt;

use serde_json::Value;

use crate::invariants::Invariants;
use crate::step::Step;
use crate::talk::{Heard, World};

/// What one of the two may have heard later than the other: the reference closes and leaves in goroutines of its own.
/// So many more fences are waited for before a difference counts.
const LATE_FENCES: usize = 20;

/// A difference has to show itself so often in a row.
const PROOFS: usize = 3;

/// A difference that is meant: why, and how to recognise it from the step and what the two servers said.
type Intended = (&'static str, fn(&Step, &str, &str) -> bool);

/// Differences that are meant.
const INTENDED: &[Intended] = &[];

/// What was found, and at which step.
#[derive(Debug)]
pub struct Found {
    pub at: usize,
    what: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.at + 1, self.what)
    }
}

/// Our server, and a reference where there is one.
pub struct Pair {
    ours: World,
    theirs: Option<World>,
    runs: u64,
}

impl Pair {
    pub fn start() -> Self {
        let subject = std::env::var("SPINDLE_DIFF_SUBJECT");
        let ours = match &subject {
            Ok(binary) => World::start(binary, false),
            Err(_) => World::start(env!("CARGO_BIN_EXE_spindle"), true),
        };
        let theirs = std::env::var("SPINDLE_REFERENCE").ok().map(|binary| World::start(&binary, false));
        Self { ours, theirs, runs: 0 }
    }

    /// Has a conversation; an error must show itself again to count.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Found> {
        let mut found = self.run_once(steps);
        for _ in 1..PROOFS {
            if found.is_ok() {
                return Ok(());
            }
            found = self.run_once(steps);
        }
        found
    }

    fn run_once(&mut self, steps: &[Step]) -> Result<(), Found> {
        self.runs += 1;
        self.ours.begin(self.runs);
        if let Some(theirs) = &mut self.theirs {
            theirs.begin(self.runs);
        }
        let mut invariants = Invariants::default();
        for (at, step) in steps.iter().enumerate() {
            self.take(step)
                .and_then(|()| invariants.check(step, &self.ours.heard))
                .map_err(|what| Found { at, what })?;
        }
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        self.ours.take(step);
        let Some(theirs) = &mut self.theirs else { return Ok(()) };
        theirs.take(step);
        for _ in 0..LATE_FENCES {
            if difference(step, &self.ours.heard, &theirs.heard).is_none() {
                return Ok(());
            }
            self.ours.fence();
            theirs.fence();
        }
        difference(step, &self.ours.heard, &theirs.heard).map_or(Ok(()), Err)
    }
}

fn difference(step: &Step, ours: &Heard, theirs: &Heard) -> Option<String> {
    let (ours, theirs) = (in_order(step, ours), in_order(step, theirs));
    let both = ours.connections.iter().zip(&theirs.connections).enumerate();
    let connections = both.map(|(number, (ours, theirs))| (format!("connection {number}"), ours, theirs));
    for (actor, ours, theirs) in connections.chain([("the API".to_owned(), &ours.api, &theirs.api)]) {
        let length = ours.len().max(theirs.len());
        for at in 0..length {
            let line = |lines: &[String]| lines.get(at).map_or("nothing", |line| line.as_str()).to_owned();
            let (one, other) = (line(ours), line(theirs));
            if one != other && !INTENDED.iter().any(|(_, is_meant)| is_meant(step, &one, &other)) {
                return Some(format!(
                    "{actor} differs\n  ours:   {}\n  theirs: {}",
                    ours.join("\n          "),
                    theirs.join("\n          ")
                ));
            }
        }
    }
    None
}

/// What the reference does to several connections or channels, it does at the same time: only the order in each
/// channel counts then, and it is chance whether one connection sees another one come or go.
fn in_order(step: &Step, heard: &Heard) -> Heard {
    let mut heard = heard.clone();
    let Step::Api { method, .. } = step else { return heard };
    for lines in &mut heard.connections {
        if ["broadcast", "batch"].contains(method) {
            lines.sort_by_key(|line| channel_of(line));
        }
        if ["subscribe", "unsubscribe", "disconnect", "refresh", "batch"].contains(method) {
            lines.retain(|line| !(line.contains(r#","join":{"#) || line.contains(r#","leave":{"#)));
        }
    }
    heard
}

fn channel_of(line: &str) -> String {
    let message = serde_json::from_str::<Value>(line).unwrap_or_default();
    message["push"]["channel"].as_str().unwrap_or_default().to_owned()
}
