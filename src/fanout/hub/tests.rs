//! The hub against a naive model, and its sizes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::channel::publication::Epoch;

fn conn(slot: u32) -> ConnId {
    ConnId { slot, generation: 0 }
}

fn at(offset: u64, epoch: u8) -> Position {
    Position { offset, epoch: Epoch::from_random([epoch; 8]) }
}

#[test]
fn a_channel_with_one_member_is_cheap() {
    // In the slab with its generation. Beside it: an entry of the index, and the member's place.
    assert!(size_of::<Entry>() + 8 <= 96, "{}", size_of::<Entry>());
    // 4,000 members fit into the first cache level, and a place costs another word.
    assert_eq!(size_of::<Member>() + size_of::<u32>(), 16);
    let mut hub = Hub::new();
    let channel = hub.retain(&ChannelName::new("a"));
    hub.join(channel, conn(1), MemberFlags::NONE);
    assert!(!hub.entry(channel).members.spilled());
}

#[test]
fn members_give_memory_back_as_they_leave() {
    let mut hub = Hub::new();
    let channel = hub.retain(&ChannelName::new("a"));
    let ids: Vec<_> = (0..1000).map(|n| hub.join(channel, conn(n), MemberFlags::NONE)).collect();
    for id in &ids[1..] {
        hub.leave(channel, *id);
        let members = &hub.entry(channel).members;
        assert!(members.capacity() <= (members.len() * 4).max(1024 / 4 * 4));
    }
    assert!(!hub.entry(channel).members.spilled());
    assert_eq!(hub.members(channel), [Member::new(conn(0), MemberFlags::NONE, ids[0])]);
}

#[test]
fn a_waiting_subscription_is_interest_without_a_member() {
    let mut hub = Hub::new();
    let name = ChannelName::new("a");
    let channel = hub.retain(&name);
    assert_eq!(hub.retain(&name), channel);
    assert_eq!((hub.members(channel).len(), hub.channel_count(), hub.member_count()), (0, 1, 0));
    assert!(!hub.release(channel));
    assert!(hub.release(channel));
    assert_eq!(hub.find("a"), None);
}

/// One publication after another over a channel with a positioned member at offset 5 of epoch 1.
fn check_continuity(steps: &[(Position, Continuity)]) {
    let mut hub = Hub::new();
    let channel = hub.retain(&ChannelName::new("a"));
    hub.join(channel, conn(1), MemberFlags::POSITIONED);
    hub.set_position(channel, at(5, 1));
    for (position, expected) in steps {
        assert_eq!(hub.advance(channel, *position), *expected, "{position:?} of {steps:?}");
    }
}

#[test]
fn publications_are_checked_for_continuity() {
    use Continuity::*;
    check_continuity(&[(at(6, 1), Next), (at(7, 1), Next)]);
    check_continuity(&[(at(5, 1), Old), (at(1, 1), Old), (at(6, 1), Next)]);
    check_continuity(&[(at(7, 1), Gap), (at(8, 1), Gap)]);
    check_continuity(&[(at(6, 2), EpochChanged), (at(1, 2), EpochChanged), (at(6, 1), Next)]);
    check_continuity(&[(Position::default(), Untracked), (at(6, 1), Next)]);
}

#[test]
fn a_subscription_without_epoch_adopts_the_first() {
    let mut hub = Hub::new();
    let channel = hub.retain(&ChannelName::new("a"));
    hub.set_position(channel, Position::default());
    hub.join(channel, conn(1), MemberFlags::POSITIONED);
    assert_eq!(hub.advance(channel, at(1, 3)), Continuity::Next);
    assert_eq!(hub.position(channel), at(1, 3));
    assert_eq!(hub.advance(channel, at(2, 4)), Continuity::EpochChanged);
}

#[test]
fn only_positioned_members_are_tracked() {
    let mut hub = Hub::new();
    let channel = hub.retain(&ChannelName::new("a"));
    hub.join(channel, conn(1), MemberFlags::JOIN_LEAVE);
    assert_eq!(hub.advance(channel, at(9, 1)), Continuity::Untracked);
    let positioned = hub.join(channel, conn(2), MemberFlags::POSITIONED);
    hub.set_position(channel, at(9, 1));
    assert_eq!(hub.advance(channel, at(10, 1)), Continuity::Next);
    hub.leave(channel, positioned);
    assert_eq!(hub.position(channel), Position::default());
    assert_eq!(hub.advance(channel, at(20, 1)), Continuity::Untracked);
}

#[test]
fn positions_that_do_not_agree_are_a_gap_for_all() {
    let mut hub = Hub::new();
    let channel = hub.retain(&ChannelName::new("a"));
    let first = hub.join(channel, conn(1), MemberFlags::POSITIONED);
    hub.set_position(channel, at(5, 1));
    let second = hub.join(channel, conn(2), MemberFlags::POSITIONED);
    hub.set_position(channel, at(7, 1));
    assert_eq!(hub.advance(channel, at(8, 1)), Continuity::Gap);
    hub.leave(channel, first);
    assert_eq!(hub.advance(channel, at(9, 1)), Continuity::Gap);
    hub.leave(channel, second);
    hub.join(channel, conn(3), MemberFlags::POSITIONED);
    hub.set_position(channel, at(9, 1));
    assert_eq!(hub.advance(channel, at(10, 1)), Continuity::Next);
}

#[derive(Debug, Clone)]
enum Step {
    Retain(u8),
    Release(prop::sample::Index),
    Join(prop::sample::Index, u32, bool),
    Leave(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0..8u8).prop_map(Step::Retain),
        2 => which().prop_map(Step::Release),
        4 => (which(), 0..50u32, any::<bool>()).prop_map(|(which, conn, flag)| Step::Join(which, conn, flag)),
        3 => which().prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_naive_model(steps in prop::collection::vec(step(), 0..200)) {
        let mut hub = Hub::new();
        // Interests that no member uses yet, and members with the interest each holds.
        let mut waiting: Vec<(u8, LocalChannel)> = Vec::new();
        let mut members: Vec<(u8, LocalChannel, MemberId, u32, MemberFlags)> = Vec::new();
        for step in steps {
            match step {
                Step::Retain(name) => {
                    waiting.push((name, hub.retain(&ChannelName::new(&name.to_string()))));
                }
                Step::Release(which) if !waiting.is_empty() => {
                    let (name, channel) = waiting.swap_remove(which.index(waiting.len()));
                    let last = waiting.iter().all(|w| w.0 != name) && members.iter().all(|m| m.0 != name);
                    prop_assert_eq!(hub.release(channel), last);
                }
                Step::Join(which, slot, flag) if !waiting.is_empty() => {
                    let (name, channel) = waiting.swap_remove(which.index(waiting.len()));
                    let flags = MemberFlags::NONE.with_if(flag, MemberFlags::POSITIONED);
                    members.push((name, channel, hub.join(channel, conn(slot), flags), slot, flags));
                }
                Step::Leave(which) if !members.is_empty() => {
                    let (name, channel, member, ..) = members.swap_remove(which.index(members.len()));
                    hub.leave(channel, member);
                    waiting.push((name, channel));
                }
                _ => {}
            }
            let mut expected: BTreeMap<u8, Vec<(u32, bool)>> = BTreeMap::new();
            for (name, _) in &waiting {
                expected.entry(*name).or_default();
            }
            for (name, _, _, slot, flags) in &members {
                let positioned = flags.contains(MemberFlags::POSITIONED);
                expected.entry(*name).or_default().push((*slot, positioned));
            }
            prop_assert_eq!(hub.channel_count(), expected.len());
            prop_assert_eq!(hub.member_count(), members.len());
            for name in 0..8u8 {
                let found = hub.find(&name.to_string());
                prop_assert_eq!(found, hub.find_name(&ChannelName::new(&name.to_string())));
                prop_assert_eq!(found.is_some(), expected.contains_key(&name));
                let (Some(channel), Some(expected)) = (found, expected.get_mut(&name)) else { continue };
                prop_assert_eq!(hub.name(channel).as_str(), name.to_string());
                let mut live: Vec<_> = hub
                    .members(channel)
                    .iter()
                    .map(|m| (m.conn.slot, m.flags().contains(MemberFlags::POSITIONED)))
                    .collect();
                live.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(&live, &*expected);
                let positioned = live.iter().filter(|(_, positioned)| *positioned).count();
                prop_assert_eq!(hub.entry(channel).positioned as usize, positioned);
            }
            let listed: BTreeSet<_> = (0..hub.slots()).filter_map(|slot| hub.channel_at(slot)).map(|(name, count)| (name.as_str().to_owned(), count)).collect();
            let expected: BTreeSet<_> = expected.iter().map(|(name, list)| (name.to_string(), list.len())).collect();
            prop_assert_eq!(listed, expected);
        }
    }
}

#[test]
fn hidden_channels_are_not_listed() {
    let mut hub = Hub::new();
    let (shown, hidden) = (hub.retain(&ChannelName::new("a")), hub.retain(&ChannelName::new("b")));
    let conn = ConnId { slot: 0, generation: 0 };
    let members = [shown, hidden, hidden].map(|channel| hub.join(channel, conn, MemberFlags::NONE));
    hub.hide(hidden);
    hub.hide(hidden);
    let listed = |hub: &Hub| -> Vec<String> {
        let found = (0..hub.slots()).filter_map(|slot| hub.channel_at(slot));
        found.map(|(name, members)| format!("{} {members}", name.as_str())).collect()
    };
    assert_eq!((listed(&hub), hub.listed_members(), hub.member_count()), (vec!["a 1".to_owned()], 1, 3));
    hub.join(hidden, conn, MemberFlags::NONE);
    hub.leave(hidden, members[1]);
    assert_eq!((hub.listed_members(), hub.member_count()), (1, 3));
    hub.leave(shown, members[0]);
    assert_eq!((hub.listed_members(), hub.member_count()), (0, 2));
}
