//! Fan-out: who is subscribed on this shard, pushes encoded once per variant, and what each connection is owed.

pub mod frame;
pub mod hub;
pub mod member;
pub mod outbox;
pub mod variant;

pub use frame::{Frame, FrameBuilder};
pub use hub::{Continuity, Hub, LocalChannel};
pub use member::{Member, MemberFlags, MemberId};
pub use outbox::{Outbox, Pool};
pub use variant::Variants;
