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

    /// Whether all of the other set is in this one.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Names one membership until it ends; a place in the hub's index of members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemberId(pub(super) u32);

/// One row of a channel's member table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The connection.
    pub conn: ConnId,
    /// What it wants.
    pub flags: MemberFlags,
    pub(super) id: MemberId,
}
