//! The simulator can fail: each fault that the feature `mutations` puts into the real code is noticed.
#![cfg(feature = "mutations")]

use spindle::base::mutation::{Mutation, switch};
use spindle::sim::{Setup, run};

/// Seeds that must pass without a fault.
const SEEDS: u64 = 20;

/// Seeds within which a fault must show.
const FAULTY: u64 = 3 * SEEDS;

fn check(mutation: Mutation) {
    check_with(Setup::default(), mutation);
}

fn check_with(setup: Setup, mutation: Mutation) {
    switch(Some(mutation));
    let caught = (0..FAULTY).find_map(|seed| run(seed, setup).err());
    switch(None);
    let failure = caught.unwrap_or_else(|| panic!("{mutation:?} went unnoticed in {FAULTY} seeds"));
    println!("{mutation:?}: {failure}");
}

/// Several nodes and a broker.
fn nodes() -> Setup {
    Setup { nodes: 2, shards: 2, steps: 15_000, ..Setup::default() }
}

#[test]
fn without_a_fault_the_same_seeds_pass() {
    for seed in 0..SEEDS {
        for setup in [Setup::default(), nodes()] {
            run(seed, setup).unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
}

#[test]
fn publications_that_a_failover_lost_and_nobody_was_told_of_are_noticed() {
    check_with(nodes(), Mutation::TrustOffsets);
}

#[test]
fn changes_of_a_map_that_a_failover_lost_and_nobody_was_told_of_are_noticed() {
    check_with(nodes(), Mutation::TrustMapOffsets);
}

#[test]
fn a_shard_that_is_skipped_is_noticed() {
    check(Mutation::SkipShard);
}

#[test]
fn a_lost_frame_is_noticed() {
    check(Mutation::DropLastOfBatch);
}

#[test]
fn a_recovery_that_skips_one_is_noticed() {
    check(Mutation::RecoverTooFar);
}

#[test]
fn a_recovery_that_ignores_the_filter_is_noticed() {
    check(Mutation::RecoverUnfiltered);
}

#[test]
fn a_filter_that_lets_all_through_is_noticed() {
    check(Mutation::IgnoreFilter);
}

#[test]
fn a_patch_without_its_base_is_noticed() {
    check(Mutation::PatchAtOnce);
}

#[test]
fn a_recovered_patch_against_the_wrong_base_is_noticed() {
    check(Mutation::PatchAgainstFirst);
}

#[test]
fn a_lost_leave_is_noticed() {
    check(Mutation::ForgetLeave);
}

#[test]
fn a_stale_cache_is_noticed() {
    check(Mutation::RecoverOldest);
}

#[test]
fn a_server_side_subscription_that_does_not_recover_is_noticed() {
    check(Mutation::ForgetServerSideRecovery);
}

#[test]
fn a_map_that_goes_live_over_a_gap_is_noticed() {
    check(Mutation::MapGoesLiveAnyway);
}

#[test]
fn a_missed_change_of_a_map_that_is_left_out_is_noticed() {
    check(Mutation::MapForgetsMissed);
}

#[test]
fn a_key_that_expires_without_a_word_is_noticed() {
    check(Mutation::MapExpiresSilently);
}

#[test]
fn a_page_of_a_map_that_shows_later_keys_is_noticed() {
    check(Mutation::MapPageOfNow);
}

#[test]
fn a_mirrored_key_that_stays_is_noticed() {
    check(Mutation::MapKeepsWhoLeft);
}

#[test]
fn a_user_who_is_not_named_is_noticed() {
    check(Mutation::MapForgetsUser);
}

#[test]
fn a_map_that_is_cleared_unnoticed_is_noticed() {
    check(Mutation::MapClearsInPlace);
}

#[test]
fn a_version_that_a_client_lacks_is_noticed() {
    check(Mutation::PollForgetsWanted);
}

#[test]
fn a_question_for_a_key_that_nobody_tracks_is_noticed() {
    check(Mutation::PollKeepsKey);
}

#[test]
fn a_key_patched_against_other_data_is_noticed() {
    check(Mutation::PollPatchesAnything);
}

#[test]
fn versions_that_begin_anew_unnoticed_are_noticed() {
    check(Mutation::PollForgetsSubscribers);
}

#[test]
fn void_versions_that_count_are_noticed() {
    check(Mutation::PollMissesReset);
}

#[test]
fn a_version_that_is_told_twice_is_noticed() {
    check(Mutation::PollTellsAgain);
}
