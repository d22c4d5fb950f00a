//! Two servers, one question: the same seeded random conversations with our binary and, where there is one, with a
//! reference; every answer must be the same.
//!
//! | variable | meaning |
//! |---|---|
//! | `SPINDLE_REFERENCE` | path of a binary to compare with; without it ours is only held to what must always be true |
//! | `SPINDLE_DIFF_SUBJECT` | another binary in the place of ours; the reference against itself shows what is chance |
//! | `SPINDLE_DIFF_SEED` | where to begin: the number of the first conversation |
//! | `SPINDLE_DIFF_COMMANDS` | how many commands to send in all, in each of the conversations that do not wait |
//! | `SPINDLE_DIFF_SLOW_COMMANDS` | the same for those in which backends are polled or time passes |
//!
//! A failure prints the number of its conversation, the shortest one that still fails, and both answers.

// Other tests need more of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod backend;
mod chance;
mod compare;
mod generate;
mod generate_api;
mod generate_expiry;
mod generate_map;
mod generate_poll;
mod generate_token;
mod hostile;
mod invariants;
mod memory;
mod normalise;
mod patches;
mod rules;
mod shrink;
mod step;
mod talk;
mod values;
mod wire;

use rules::Kind;
use step::Step;

/// Enough to meet every kind of step some times, and done in seconds.
const FEW_COMMANDS: u64 = 1500;

/// The same where most of the time is waited.
const VERY_FEW_COMMANDS: u64 = 60;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn random_conversations_are_answered_alike() {
    converse(Kind::Tokens);
}

#[test]
fn random_conversations_are_answered_alike_under_other_options() {
    converse(Kind::Open);
}

#[test]
fn random_conversations_about_polled_keys_are_answered_alike() {
    converse(Kind::Polls);
}

#[test]
fn random_conversations_with_time_between_are_answered_alike() {
    converse(Kind::Expiry);
}

fn converse(kind: Kind) {
    let first = number("SPINDLE_DIFF_SEED", 1);
    let commands = match kind {
        Kind::Tokens | Kind::Open => number("SPINDLE_DIFF_COMMANDS", FEW_COMMANDS),
        Kind::Polls | Kind::Expiry => number("SPINDLE_DIFF_SLOW_COMMANDS", VERY_FEW_COMMANDS),
    };
    let mut pair = compare::Pair::start(kind);
    let (mut seed, mut sent) = (first, 0);
    while sent < commands {
        let steps = match kind {
            Kind::Tokens | Kind::Open => generate::conversation(seed),
            Kind::Polls => generate_poll::conversation(seed),
            Kind::Expiry => generate_expiry::conversation(seed),
        };
        sent += steps.iter().map(Step::commands).sum::<u64>();
        if let Err(found) = pair.run(&steps) {
            let (steps, found) = shrink::shortest(&mut pair, steps, found);
            let lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
            panic!("{kind:?}, SPINDLE_DIFF_SEED={seed}, after {sent} commands:\n{}\n{found}", lines.join("\n"));
        }
        seed += 1;
    }
    println!("{kind:?}: {sent} commands in {} conversations from {first}, no difference", seed - first);
}
