//! Which channels this shard is interested in, and which of its connections are live members of each.
//!
//! Interest and membership are counted apart: a subscription that waits for its home's answer is interest
//! without a member. Deliveries go to members only.

use std::sync::Arc;

use smallvec::SmallVec;

use super::filters::Filters;
use super::member::{Member, MemberFlags, MemberId};
use crate::base::ids::ConnId;
use crate::base::index::Index;
use crate::base::slab::Slab;
use crate::channel::filter::Filter;
use crate::channel::name::{ChannelName, hash_of};
use crate::channel::publication::Position;

/// Why a channel is always found by its handle.
const UNHELD: &str = "the holder of a handle holds interest";

/// Members whose publications are made for them.
const TAILORED: MemberFlags = MemberFlags::DELTA.with(MemberFlags::FILTERED);

/// A channel as this shard names it. Valid while the caller holds interest in the channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LocalChannel(u32);

/// How a publication continues what the shard's positioned members have seen (upstream: client.go,
/// writePublicationUpdatePosition).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Continuity {
    /// No positioned member is live, or the publication has no offset: it goes to every member.
    Untracked,
    /// It is the next one: it goes to every member, and the position moved on.
    Next,
    /// Positioned members have it already and must not get it again; others get it.
    Old,
    /// Something between was lost: positioned members must not get it and have an insufficient state.
    Gap,
    /// The stream began anew: positioned members must not get it and have an insufficient state.
    EpochChanged,
}

/// The shard's table of channels. All operations are O(1), no matter how many channels or members there are.
#[derive(Debug)]
pub struct Hub {
    by_name: Index,
    channels: Slab<Entry>,
    /// Where each member stands in its channel's table; vacant places form a list.
    places: Vec<u32>,
    vacant_place: Option<u32>,
    members: usize,
    /// Those of them in hidden channels.
    hidden_members: usize,
    filters: Filters,
}

#[derive(Debug)]
struct Entry {
    name: ChannelName,
    position: Position,
    interest: u32,
    positioned: u32,
    /// Members with delta or a filter.
    tailored: u32,
    tracking: Tracking,
    /// Not listed, and its members are not counted.
    is_hidden: bool,
    /// The first member needs no memory of its own: most channels of a large server have one on a shard.
    members: SmallVec<[Member; 1]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tracking {
    /// The position means nothing: no positioned member brought one.
    Unset,
    /// All live positioned members have seen everything up to the position.
    Set,
    /// Two homes' answers did not agree: somebody missed something. Every positioned member is told so with
    /// the next publication, and the channel is tracked anew when the last one left.
    Broken,
}

impl Hub {
    /// A hub without channels.
    pub const fn new() -> Self {
        Self {
            by_name: Index::new(),
            channels: Slab::new(u32::MAX),
            places: Vec::new(),
            vacant_place: None,
            members: 0,
            hidden_members: 0,
            filters: Filters::new(),
        }
    }

    /// Counts one more interest in the channel. Each is given back by [`Hub::release`].
    pub fn retain(&mut self, name: &ChannelName) -> LocalChannel {
        if let Some(channel) = self.find_hashed(name.hash(), name.as_str()) {
            self.entry_mut(channel).interest += 1;
            return channel;
        }
        let entry = Entry {
            name: name.clone(),
            position: Position::default(),
            interest: 1,
            positioned: 0,
            tailored: 0,
            tracking: Tracking::Unset,
            is_hidden: false,
            members: SmallVec::new(),
        };
        let Ok(key) = self.channels.insert(entry) else { unreachable!("fewer than 2^32 channels on a shard") };
        self.by_name.insert(name.hash(), key.slot);
        LocalChannel(key.slot)
    }

    /// How many hold interest in the channel.
    pub fn interest(&self, channel: LocalChannel) -> u32 {
        self.entry(channel).interest
    }

    /// Gives one interest back. True when it was the last: the channel is forgotten and its handle is void.
    /// A member leaves before its interest is released.
    pub fn release(&mut self, channel: LocalChannel) -> bool {
        self.release_named(channel, false).0
    }

    /// The same. Names the channel when it was forgotten, or when that is wanted in any case.
    pub fn release_named(&mut self, channel: LocalChannel, wants_name: bool) -> (bool, Option<ChannelName>) {
        let Some((_, entry)) = self.channels.at(channel.0) else { unreachable!("{UNHELD}") };
        entry.interest -= 1;
        if entry.interest > 0 {
            return (false, wants_name.then(|| entry.name.clone()));
        }
        debug_assert!(entry.members.is_empty(), "members hold interest");
        self.by_name.remove(entry.name.hash(), channel.0);
        let key = self.channels.at(channel.0).map(|(key, _)| key);
        (true, key.and_then(|key| self.channels.remove(key)).map(|entry| entry.name))
    }

    /// Makes the connection a live member that wants every publication: see [`Hub::join_with`].
    pub fn join(&mut self, channel: LocalChannel, conn: ConnId, flags: MemberFlags) -> MemberId {
        self.join_with(channel, conn, flags, None)
    }

    /// Makes the connection a live member: the deliveries handled from now on are for it, except for publications that
    /// do not fit its filter. The caller holds one interest for it.
    pub fn join_with(
        &mut self,
        channel: LocalChannel,
        conn: ConnId,
        flags: MemberFlags,
        filter: Option<Arc<Filter>>,
    ) -> MemberId {
        let flags = flags.with_if(filter.is_some(), MemberFlags::FILTERED);
        let at = self.entry(channel).members.len() as u32;
        let id = match self.vacant_place {
            Some(place) => {
                let next = std::mem::replace(&mut self.places[place as usize], at);
                self.vacant_place = (next != u32::MAX).then_some(next);
                place
            }
            None => {
                let place = self.places.len() as u32;
                assert!(place < MemberId::LIMIT, "fewer than 2^26 members on a shard");
                self.places.push(at);
                place
            }
        };
        let id = MemberId(id);
        if let Some(filter) = filter {
            self.filters.insert(id, filter);
        }
        let entry = self.entry_mut(channel);
        let members = &mut entry.members;
        if members.len() == members.capacity() {
            // Doubling would leave a quarter of the memory unused on average.
            members.reserve_exact(members.len() / 4 + 1);
        }
        members.push(Member::new(conn, flags, id));
        entry.positioned += u32::from(flags.contains(MemberFlags::POSITIONED));
        entry.tailored += u32::from(flags.has_any(TAILORED));
        let is_hidden = entry.is_hidden;
        self.members += 1;
        self.hidden_members += usize::from(is_hidden);
        id
    }

    /// Ends a membership of this channel. The interest behind it stays until it is released.
    pub fn leave(&mut self, channel: LocalChannel, member: MemberId) {
        let at = self.places[member.0 as usize] as usize;
        let entry = self.entry_mut(channel);
        debug_assert!(entry.members.get(at).is_some_and(|m| m.id() == member), "no member of this channel");
        let left = entry.members.swap_remove(at);
        entry.tailored -= u32::from(left.flags().has_any(TAILORED));
        if left.flags().contains(MemberFlags::POSITIONED) {
            entry.positioned -= 1;
            if entry.positioned == 0 {
                entry.tracking = Tracking::Unset;
            }
        }
        let is_hidden = entry.is_hidden;
        let moved = entry.members.get(at).map(|moved| moved.id());
        let len = entry.members.len();
        if entry.members.spilled() && (len <= 1 || len * 4 <= entry.members.capacity()) {
            entry.members.shrink_to_fit();
        }
        if let Some(moved) = moved {
            self.places[moved.0 as usize] = at as u32;
        }
        if left.flags().contains(MemberFlags::FILTERED) {
            self.filters.remove(member);
        }
        self.places[member.0 as usize] = self.vacant_place.unwrap_or(u32::MAX);
        self.vacant_place = Some(member.0);
        self.members -= 1;
        self.hidden_members -= usize::from(is_hidden);
    }

    /// From now on the channel is not listed, and its members are not counted as subscriptions: a shared-poll channel
    /// (upstream keeps those out of its hub).
    pub fn hide(&mut self, channel: LocalChannel) {
        let entry = self.entry_mut(channel);
        if !std::mem::replace(&mut entry.is_hidden, true) {
            let members = entry.members.len();
            self.hidden_members += members;
        }
    }

    /// The channel of this name, if the shard is interested in it. Allocates nothing.
    pub fn find(&self, name: &str) -> Option<LocalChannel> {
        self.find_hashed(hash_of(name), name)
    }

    /// The same for a name whose hash is known.
    pub fn find_name(&self, name: &ChannelName) -> Option<LocalChannel> {
        self.find_hashed(name.hash(), name.as_str())
    }

    /// The channel's name.
    pub fn name(&self, channel: LocalChannel) -> &ChannelName {
        &self.entry(channel).name
    }

    /// The live members, in no particular order.
    #[inline]
    pub fn members(&self, channel: LocalChannel) -> &[Member] {
        &self.entry(channel).members
    }

    /// Whether some member gets publications in a way of its own: then they go by [`Hub::tailor`].
    #[inline]
    pub fn is_tailored(&self, channel: LocalChannel) -> bool {
        self.entry(channel).tailored > 0
    }

    /// The filters of all members.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    pub(super) fn members_and_filters(&mut self, channel: LocalChannel) -> (&mut [Member], &mut Filters) {
        let Self { channels, filters, .. } = self;
        (&mut channels.at(channel.0).expect(UNHELD).1.members, filters)
    }

    /// How far the live positioned members have seen the stream; the default when there is none.
    pub fn position(&self, channel: LocalChannel) -> Position {
        let entry = self.entry(channel);
        if entry.tracking == Tracking::Unset { Position::default() } else { entry.position }
    }

    /// Notes the position that the home gave to a positioned member that joins in the same step (before or
    /// after [`Hub::join`]). Answers and deliveries come in order, so it agrees with what the members have
    /// already; when it does not, the next publication is a [`Continuity::Gap`] for all of them.
    pub fn set_position(&mut self, channel: LocalChannel, position: Position) {
        let entry = self.entry_mut(channel);
        if entry.positioned == 0 || entry.tracking == Tracking::Unset {
            entry.position = position;
            entry.tracking = Tracking::Set;
        } else if entry.position != position {
            entry.tracking = Tracking::Broken;
        }
    }

    /// Looks at a publication's position before fan-out, and moves the channel's position when it is the next.
    /// After a gap or a new epoch the position stays, so that every further publication gives the same answer
    /// until the positioned members are gone.
    pub fn advance(&mut self, channel: LocalChannel, position: Position) -> Continuity {
        let entry = self.entry_mut(channel);
        if entry.positioned == 0 || position.offset == 0 {
            return Continuity::Untracked;
        }
        match entry.tracking {
            Tracking::Unset => return Continuity::Untracked,
            Tracking::Broken => return Continuity::Gap,
            Tracking::Set => {}
        }
        // A subscription that began before the stream had an epoch adopts the first one it meets.
        if entry.position.epoch.is_none() {
            entry.position.epoch = position.epoch;
        }
        if entry.position.epoch != position.epoch {
            return Continuity::EpochChanged;
        }
        let expected = entry.position.offset + 1;
        if position.offset > expected {
            return Continuity::Gap;
        }
        if position.offset < expected {
            return Continuity::Old;
        }
        entry.position.offset = position.offset;
        Continuity::Next
    }

    /// How many slots there are to ask [`Hub::channel_at`] for.
    pub fn slots(&self) -> u32 {
        self.channels.slots()
    }

    /// The channel in a slot, unless it is hidden, and how many members it has. A channel stays in its slot.
    pub fn channel_at(&self, slot: u32) -> Option<(&ChannelName, usize)> {
        let listed = self.channels.peek(slot).filter(|entry| !entry.is_hidden);
        listed.map(|entry| (&entry.name, entry.members.len()))
    }

    /// Channels the shard is interested in.
    pub fn channel_count(&self) -> usize {
        self.by_name.len()
    }

    /// Live memberships of all channels together.
    pub fn member_count(&self) -> usize {
        self.members
    }

    /// Those of them in channels that are listed.
    pub fn listed_members(&self) -> usize {
        self.members - self.hidden_members
    }

    fn find_hashed(&self, hash: u64, name: &str) -> Option<LocalChannel> {
        let is = |slot| self.channels.peek(slot).is_some_and(|entry| entry.name.as_str() == name);
        self.by_name.find(hash, is).map(LocalChannel)
    }

    #[inline]
    fn entry(&self, channel: LocalChannel) -> &Entry {
        self.channels.peek(channel.0).expect(UNHELD)
    }

    #[inline]
    fn entry_mut(&mut self, channel: LocalChannel) -> &mut Entry {
        self.channels.at(channel.0).expect(UNHELD).1
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
