//! A connection's live membership in a channel, as fan-out reads it.

use crate::base::ids::ConnId;
use crate::protocol::Protocol;

/// What a member wants to be sent, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemberFlags(u8);

impl MemberFlags {
    /// A JSON client that wants publications only.
    pub const NONE: Self = Self(0);
    /// The subscription is positioned: it must get every publication or be told that it did not.
    pub const POSITIONED: Self = Self(1);
    /// Join and leave pushes are wanted.
    pub const JOIN_LEAVE: Self = Self(1 << 1);
    /// The client speaks Protobuf.
    pub const PROTOBUF: Self = Self(1 << 2);
    /// Publications come as deltas.
    pub const DELTA: Self = Self(1 << 3);
    /// Together with [`MemberFlags::DELTA`]: the client has the payload of the channel's newest publication, so the
    /// next one may be a patch.
    pub const SEEN: Self = Self(1 << 4);
    /// Only publications that fit the member's tags filter are wanted.
    pub const FILTERED: Self = Self(1 << 5);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Adds the other set when the condition holds.
    #[must_use]
    pub const fn with_if(self, condition: bool, other: Self) -> Self {
        if condition { self.with(other) } else { self }
    }

    /// What the client speaks.
    pub const fn protocol(self) -> Protocol {
        if self.contains(Self::PROTOBUF) { Protocol::Protobuf } else { Protocol::Json }
    }

    /// Whether anything of the other set is in this one.
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of the other set is in this one.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Names one membership until it ends; a place in the hub's index of members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemberId(pub(super) u32);

impl MemberId {
    /// Members of a shard at most: the upper bits of the word hold flags.
    pub(super) const LIMIT: u32 = 1 << FLAGS_SHIFT;
}

/// Where the flags stand beside the id.
const FLAGS_SHIFT: u32 = 26;

/// One row of a channel's member table. Fan-out reads nothing but these rows and the connections: so they are packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The connection.
    pub conn: ConnId,
    /// Flags above the id.
    packed: u32,
}

impl Member {
    pub(super) fn new(conn: ConnId, flags: MemberFlags, id: MemberId) -> Self {
        debug_assert!(id.0 < MemberId::LIMIT && u32::from(flags.0) < 1 << (u32::BITS - FLAGS_SHIFT));
        Self { conn, packed: u32::from(flags.0) << FLAGS_SHIFT | id.0 }
    }

    /// What it wants.
    #[inline]
    pub fn flags(&self) -> MemberFlags {
        MemberFlags((self.packed >> FLAGS_SHIFT) as u8)
    }

    /// Notes whether the client has the payload of the newest publication.
    pub(super) fn set_seen(&mut self, seen: bool) {
        let bit = u32::from(MemberFlags::SEEN.0) << FLAGS_SHIFT;
        self.packed = if seen { self.packed | bit } else { self.packed & !bit };
    }

    #[inline]
    pub(super) fn id(&self) -> MemberId {
        MemberId(self.packed & (MemberId::LIMIT - 1))
    }
}
