//! Both servers, step by step; what is different although it may be stands in [`INTENDED`].

use std::fmt;

use serde_json::Value;

use crate::invariants::Invariants;
use crate::rules::Kind;
use crate::step::{Frame, Step};
use crate::talk::{Heard, World};

/// What one of the two may have heard later than the other: the reference closes and leaves in goroutines of its own.
/// So many more fences are waited for before a difference counts.
const LATE_FENCES: usize = 20;

/// A difference has to show itself so often in a row.
const PROOFS: usize = 3;

/// A difference that is meant, recognised from the step and what one actor heard of ours and of the reference. The
/// conversation is over there, because what follows differs as well.
type Intended = fn(&Step, &[String], &[String]) -> bool;

/// Differences that are meant.
const INTENDED: &[Intended] = &[
    // The server API subscribes with a lifetime that is over: an error for everyone here. The reference looks at the
    // limit of channels first, ends those who have reached it, and reports success.
    |step, ours, theirs| {
        matches!(step, Step::Api { method: "subscribe", body } if body["expire_at"].is_object())
            && ours.iter().any(|answer| answer.contains(r#""code":100"#))
            && theirs.iter().any(|answer| answer.ends_with(r#"{"result":{}}"#))
    },
    // A subscriber who went live at once began the ephemeral map here; to the reference it does not exist yet.
    |step, ours, theirs| {
        let unknown = r#""suppressed":true,"suppress_reason":"key_not_found""#;
        matches!(step, Step::Api { method: "map_remove" | "batch", .. })
            && [ours, theirs].iter().all(|answers| answers.iter().any(|answer| answer.contains(unknown)))
    },
    // Somebody joined or left whose info is no JSON: the reference ends all JSON clients of the channel, also those that
    // did not want to hear of it.
    |_, ours, theirs| ours.is_empty() && theirs == ["closes 3506 inappropriate protocol"],
    // The reference ends connections in a goroutine of its own, and goes on with them until that comes to it. So it is
    // chance whether it answers a command behind one whose answer JSON cannot hold (a claim `b64data` that is no JSON):
    // it did 1197 of 1200 times, ours never does.
    |_, ours, theirs| {
        let (their_ends, theirs): (Vec<&String>, Vec<_>) = theirs.iter().partition(|line| line.starts_with("closes"));
        let (our_ends, ours): (Vec<&String>, Vec<_>) = ours.iter().partition(|line| line.starts_with("closes"));
        !our_ends.is_empty() && our_ends == their_ends && (theirs.starts_with(&ours) || ours.starts_with(&theirs))
    },
    // The server API subscribes a JSON client with data that is no JSON: the reference cannot tell the client and keeps
    // the subscription all the same. Here the client is ended, as it is for any other payload that it cannot be told.
    |step, ours, theirs| {
        matches!(step, Step::Api { .. }) && theirs.is_empty() && ours == ["closes 3506 inappropriate protocol"]
    },
    // A client that tracked nothing when versions of keys began to count anew names versions of before. Here it is told
    // to begin anew; the reference takes them for versions of the new epoch, and keeps from it whatever comes below.
    |step, ours, theirs| {
        let is_void = |lines: &[String]| lines.iter().any(|line| line.contains(r#""unsubscribe":{"code":2500"#));
        matches!(step, Step::Send { .. }) && step.polled().is_some() && is_void(ours) && !is_void(theirs)
    },
    // A map is left between two pages: answered at once here. The reference lets the client wait for 5 s and then
    // ends it, which its own SDK walks into.
    |_, ours, theirs| {
        ours.iter().any(|line| line.contains(r#""unsubscribe":{}"#))
            && theirs.iter().any(|line| line.starts_with("closes 3004"))
    },
];

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
    pub fn start(kind: Kind) -> Self {
        let subject = std::env::var("SPINDLE_DIFF_SUBJECT");
        let ours = match &subject {
            Ok(binary) => World::start(binary, false, kind),
            Err(_) => World::start(env!("CARGO_BIN_EXE_spindle"), true, kind),
        };
        let theirs = std::env::var("SPINDLE_REFERENCE").ok().map(|binary| World::start(&binary, false, kind));
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
            let is_over = self.take(step).map_err(|what| Found { at, what })?;
            invariants.check(step, &self.ours.heard).map_err(|what| Found { at, what })?;
            if is_over {
                break;
            }
        }
        Ok(())
    }

    /// True when the conversation is over.
    fn take(&mut self, step: &Step) -> Result<bool, String> {
        self.ours.take(step);
        let Some(theirs) = &mut self.theirs else { return Ok(false) };
        theirs.take(step);
        let mut late = 0;
        loop {
            match difference(step, &self.ours.heard, &theirs.heard) {
                Same::Yes => return Ok(is_forgotten(step, &theirs.heard)),
                Same::Meant => return Ok(true),
                Same::No(what) if late == LATE_FENCES => return Err(what),
                Same::No(_) => {
                    late += 1;
                    self.ours.fence();
                    theirs.fence();
                }
            }
        }
    }
}

/// When the server API fails to subscribe a connection, the reference forgets without a word that it was subscribed
/// already. Here it stays subscribed: what follows cannot be compared.
fn is_forgotten(step: &Step, heard: &Heard) -> bool {
    let is_subscribe = match step {
        Step::Api { method: "batch", body } => body.to_string().contains(r#"{"subscribe":"#),
        Step::Api { method, .. } => *method == "subscribe",
        _ => false,
    };
    is_subscribe && heard.api.iter().any(|answer| answer.contains(r#""error""#))
}

/// Whether both heard the same.
enum Same {
    Yes,
    Meant,
    No(String),
}

fn difference(step: &Step, ours: &Heard, theirs: &Heard) -> Same {
    let (ours, theirs) = (in_order(step, ours), in_order(step, theirs));
    let mut found = Same::Yes;
    let both = ours.connections.iter().zip(&theirs.connections).enumerate();
    let connections = both.map(|(number, (ours, theirs))| (format!("connection {number}"), ours, theirs));
    for (actor, ours, theirs) in connections.chain([("the API".to_owned(), &ours.api, &theirs.api)]) {
        if ours != theirs {
            if INTENDED.iter().any(|is_meant| is_meant(step, ours, theirs)) {
                return Same::Meant;
            }
            let indent = "\n          ";
            let (ours, theirs) = (ours.join(indent), theirs.join(indent));
            found = Same::No(format!("{actor} differs\n  ours:   {ours}\n  theirs: {theirs}"));
        }
    }
    found
}

/// What the reference does to several connections or channels, it does at the same time: only the order in each
/// channel counts then, and it is chance whether one connection sees another one come or go.
fn in_order(step: &Step, heard: &Heard) -> Heard {
    let mut heard = heard.clone();
    let method = match step {
        Step::Api { method, .. } => method,
        // Server-side subscriptions begin at the same time too, and a connection's subscriptions end in any order.
        Step::Connect { .. } | Step::Leave { .. } | Step::Pass { .. } => "connect",
        // Keys are told in any order.
        _ if step.polled().is_some() => {
            heard.connections.iter_mut().for_each(|lines| lines.sort());
            return heard;
        }
        _ if heard.connections.iter().flatten().any(|line| line.starts_with("closes")) => "connect",
        // Channels have different homes here: what one client does to several of them in one frame, others see in order
        // for each channel.
        Step::Send { connection, frame: Frame::Commands(commands) } if commands.len() > 1 => {
            let others = heard.connections.iter_mut().enumerate().filter(|(number, _)| number != connection);
            others.for_each(|(_, lines)| lines.sort_by_key(|line| channel_of(line)));
            return heard;
        }
        _ => return heard,
    };
    for lines in &mut heard.connections {
        if ["connect", "broadcast", "batch"].contains(&method) {
            lines.sort_by_key(|line| channel_of(line));
        }
        if ["subscribe", "unsubscribe", "disconnect", "refresh", "batch"].contains(&method) {
            lines.retain(|line| !(line.contains(r#","join":{"#) || line.contains(r#","leave":{"#)));
        }
    }
    heard
}

fn channel_of(line: &str) -> String {
    let message = serde_json::from_str::<Value>(line).unwrap_or_default();
    message["push"]["channel"].as_str().unwrap_or_default().to_owned()
}
