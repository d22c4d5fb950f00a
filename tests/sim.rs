//! The simulator under fresh seeds.
//!
//! `SPINDLE_SIM_SEEDS` sets how many (20 unless set), `SPINDLE_SIM_SEED` replays one. A failure prints its seed.

use spindle::sim::{Report, Setup, run};

const DEFAULT_SEEDS: u64 = 20;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {value:?}")))
}

/// Different sizes for different seeds.
fn setup(seed: u64) -> Setup {
    Setup { shards: [1, 2, 3, 5][(seed % 4) as usize], clients: 4 + (seed / 4 % 12) as usize, ..Setup::default() }
}

fn simulate(seed: u64) -> Report {
    run(seed, setup(seed)).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Several nodes and a broker.
fn simulate_cluster(seed: u64) -> Report {
    let (nodes, shards) = (2 + (seed % 2) as usize, [1, 2, 3][(seed / 2 % 3) as usize]);
    let setup = Setup { nodes, shards, steps: 15_000, ..setup(seed) };
    run(seed, setup).unwrap_or_else(|failure| panic!("{failure} (SPINDLE_SIM_CLUSTER_SEED={seed})"))
}

#[test]
fn invariants_hold_under_fresh_seeds() {
    if let Some(seed) = number("SPINDLE_SIM_SEED") {
        println!("{:?}", simulate(seed));
        return;
    }
    let mut total = Report::default();
    for _ in 0..number("SPINDLE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS) {
        let report = simulate(rand_seed());
        total.publications += report.publications;
        total.recoveries += report.recoveries;
        total.connections += report.connections;
        total.slow += report.slow;
        total.patches += report.patches;
        total.map_recoveries += report.map_recoveries;
        total.map_losses += report.map_losses;
        total.map_ends += report.map_ends;
        total.versions += report.versions;
        total.version_patches += report.version_patches;
        total.key_removals += report.key_removals;
        total.poll_resets += report.poll_resets;
        total.polls += report.polls;
        total.bytes += report.bytes;
        total.errands += report.errands;
    }
    println!("{total:?}");
    // A run in which nothing happened would prove nothing.
    assert!(total.publications > 1000 && total.recoveries > 10 && total.connections > 50, "{total:?}");
    assert!(total.patches > 100 && total.errands > 100, "{total:?}");
    assert!(total.versions > 300 && total.version_patches > 20 && total.polls > 500, "{total:?}");
    assert!(total.key_removals > 20 && total.poll_resets > 20, "{total:?}");
    assert!(total.map_recoveries > 10 && total.map_losses > 10 && total.map_ends > 10, "{total:?}");
}

#[test]
fn invariants_hold_across_nodes_under_fresh_seeds() {
    if let Some(seed) = number("SPINDLE_SIM_CLUSTER_SEED") {
        println!("{:?}", simulate_cluster(seed));
        return;
    }
    let (mut publications, mut recoveries, mut losses, mut lost, mut changes_lost, mut versions) = (0, 0, 0, 0, 0, 0);
    for _ in 0..number("SPINDLE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS / 2) {
        let report = simulate_cluster(rand_seed());
        publications += report.publications;
        recoveries += report.recoveries;
        losses += report.losses;
        versions += report.versions;
        lost += report.publications_lost;
        changes_lost += report.changes_lost;
    }
    println!(
        "{publications} publications, {recoveries} recoveries, {losses} positions lost, {versions} versions of keys"
    );
    println!("lost by failovers: {lost} publications, {changes_lost} changes of maps");
    assert!(publications > 200 && recoveries > 50 && losses > 0 && versions > 20);
    assert!(lost > 20 && changes_lost > 20);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(simulate(7), simulate(7));
    assert_eq!(simulate_cluster(7), simulate_cluster(7));
}

/// A seed that no run had before, short enough to type.
fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() >> 24
}
